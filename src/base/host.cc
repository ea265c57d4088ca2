#include "base/host.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "base/files.h"
#include "base/strings.h"

namespace sextant {
namespace {

// First line of a small kernel file, trimmed; empty when it cannot be read.
std::string ReadLine(const char* path) {
  const Result<std::string> text = ReadFile(path);
  if (!text.has_value()) return {};
  return std::string(TrimSpace(std::string_view(*text).substr(0, text->find('\n'))));
}

// The value after "name" and a separator in "name : value" files such as /proc/cpuinfo.
std::string FindField(std::string_view text, std::string_view name) {
  for (const std::string_view line : Split(text, '\n')) {
    const size_t colon = line.find(':');
    if (colon != std::string_view::npos && TrimSpace(line.substr(0, colon)) == name) {
      return std::string(TrimSpace(line.substr(colon + 1)));
    }
  }
  return {};
}

std::optional<uint64_t> FindKilobytes(const char* path, std::string_view name) {
  const Result<std::string> text = ReadFile(path);
  if (!text.has_value()) return std::nullopt;
  const std::string field = FindField(*text, name);
  const std::optional<uint64_t> kilobytes =
      ParseUint(std::string_view(field).substr(0, field.find(' ')));
  if (!kilobytes) return std::nullopt;
  return *kilobytes * 1024;
}

std::optional<double> ReadCpuQuota() {
  // cgroup v2: "max 100000" or "200000 100000"; v1: two files.
  const std::string v2 = ReadLine("/sys/fs/cgroup/cpu.max");
  std::optional<int64_t> quota, period;
  if (!v2.empty()) {
    const auto parts = Split(v2, ' ');
    if (parts.size() == 2) quota = ParseInt(parts[0]), period = ParseInt(parts[1]);
  } else {
    quota = ParseInt(ReadLine("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"));
    period = ParseInt(ReadLine("/sys/fs/cgroup/cpu/cpu.cfs_period_us"));
  }
  if (!quota || !period || *quota <= 0 || *period <= 0) return std::nullopt;
  return static_cast<double>(*quota) / static_cast<double>(*period);
}

Nanos CpuTime(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return std::chrono::seconds(t.tv_sec) + Nanos(t.tv_nsec);
}

}  // namespace

HostFacts ReadHostFacts() {
  HostFacts facts;
  char name[256] = {};
  if (gethostname(name, sizeof name - 1) == 0) facts.name = name;
  utsname system{};
  if (uname(&system) == 0) facts.kernel = Format("{} {}", system.sysname, system.release);
  if (const Result<std::string> cpu = ReadFile("/proc/cpuinfo"); cpu.has_value()) {
    facts.cpu_model = FindField(*cpu, "model name");
  }
  facts.cores_online = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  cpu_set_t mask;
  facts.cores_usable =
      sched_getaffinity(0, sizeof mask, &mask) == 0 ? CPU_COUNT(&mask) : facts.cores_online;
  facts.cpu_quota = ReadCpuQuota();
  facts.memory_bytes = FindKilobytes("/proc/meminfo", "MemTotal");
  facts.clock_source = ReadLine("/sys/devices/system/clocksource/clocksource0/current_clocksource");
  facts.governor = ReadLine("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    facts.open_files_soft = limit.rlim_cur;
    facts.open_files_hard = limit.rlim_max;
  }
  const std::string ports = ReadLine("/proc/sys/net/ipv4/ip_local_port_range");
  const size_t gap = ports.find_first_of(" \t");
  if (gap != std::string::npos) {
    facts.port_first = static_cast<int>(ParseInt(ports.substr(0, gap)).value_or(0));
    facts.port_last =
        static_cast<int>(ParseInt(TrimSpace(std::string_view(ports).substr(gap))).value_or(0));
  }
  facts.listen_backlog =
      static_cast<int>(ParseInt(ReadLine("/proc/sys/net/core/somaxconn")).value_or(0));
  return facts;
}

uint64_t RaiseOpenFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  if (limit.rlim_cur < limit.rlim_max) {
    rlimit raised{limit.rlim_max, limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  return limit.rlim_cur;
}

Nanos ThreadCpuTime() { return CpuTime(CLOCK_THREAD_CPUTIME_ID); }
Nanos ProcessCpuTime() { return CpuTime(CLOCK_PROCESS_CPUTIME_ID); }

std::optional<Nanos> ThreadRunQueueWait() {
  // "run_ns wait_ns timeslices"; without allocating, because load threads ask ten times a second.
  const Fd file(open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC));
  char text[96];
  const ssize_t size = file.valid() ? read(file.get(), text, sizeof text) : 0;
  std::string_view rest(text, size < 0 ? 0 : static_cast<size_t>(size));
  rest.remove_prefix(std::min(rest.find(' '), rest.size()));
  const std::optional<int64_t> wait =
      ParseInt(TrimSpace(rest).substr(0, TrimSpace(rest).find(' ')));
  if (!wait) return std::nullopt;
  return Nanos(*wait);
}

std::optional<uint64_t> ResidentBytes() { return FindKilobytes("/proc/self/status", "VmRSS"); }
std::optional<uint64_t> PeakResidentBytes() { return FindKilobytes("/proc/self/status", "VmHWM"); }

}  // namespace sextant
