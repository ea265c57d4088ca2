#include "analyze/host_usage.h"

#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "base/files.h"
#include "base/strings.h"

namespace sextant::analyze {
namespace {

// /proc/PID/stat behind the command's name, which may hold anything: "S 1 ...".
std::vector<std::string_view> StatFields(std::string_view text) {
  const size_t name_end = text.rfind(')');
  if (name_end == std::string_view::npos) return {};
  std::vector<std::string_view> out;
  for (const std::string_view field : Split(TrimSpace(text.substr(name_end + 1)), ' '))
    out.push_back(field);
  return out;
}
constexpr size_t kParentField = 1, kUserField = 11, kSystemField = 12;

struct HostTicks {
  uint64_t busy = 0, total = 0;
};

class ProcUsage final : public HostUsage {
 public:
  ProcUsage(Nanos interval, const char* proc)
      : proc_(proc), interval_(interval), thread_([this] { Run(); }) {}
  ~ProcUsage() override {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }

  void Watch(std::vector<uint32_t> processes) override {
    const std::lock_guard lock(mutex_);
    roots_ = std::move(processes);
    Mark_();
  }
  void Mark() override {
    const std::lock_guard lock(mutex_);
    Mark_();
  }
  HostWindow Take() override {
    const std::lock_guard lock(mutex_);
    HostWindow out;
    if (!roots_.empty()) ReadProcesses();
    // Between the readings of CPU time: those of memory may take long.
    const double seconds = Seconds(read_ - marked_);
    if (!roots_.empty() && seconds > 0) {
      uint64_t ticks = 0;
      // A process that ended in the window counts with what it was seen to have used.
      for (const auto& [pid, now] : ticks_) {
        const auto before = ticks_before_.find(pid);
        ticks += now - (before == ticks_before_.end() ? 0 : std::min(before->second, now));
      }
      if (!ticks_.empty())
        out.cpu_cores = static_cast<double>(ticks) / static_cast<double>(kTicksPerSecond) / seconds;
      out.memory_bytes = memory_max_;
      out.proportional = proportional_;
    }
    ReadHostMemory();
    out.host_memory_bytes = host_memory_max_;
    const auto host = ReadHost();
    if (host && host_before_ && host->total > host_before_->total &&
        host->busy >= host_before_->busy)
      out.host_busy = static_cast<double>(host->busy - host_before_->busy) /
                      static_cast<double>(host->total - host_before_->total);
    return out;
  }

 private:
  void Mark_() {
    memory_max_.reset();
    host_memory_max_.reset();
    ticks_.clear();
    host_before_ = ReadHost();
    ReadHostMemory();
    read_ = SteadyNow();
    if (!roots_.empty()) ReadProcesses();
    ticks_before_ = ticks_;
    marked_ = read_;
  }

  void Run() {
    std::unique_lock lock(mutex_);
    while (!stop_) {
      if (!roots_.empty()) {
        ReadProcesses();
        ReadHostMemory();
      }
      wake_.wait_for(lock, interval_, [this] { return stop_; });
    }
  }

  std::string PathOf(uint32_t pid, std::string_view file) const {
    return Format("{}/{}/{}", proc_, pid, file);
  }

  // The roots and all below them.
  std::set<uint32_t> Tree() const {
    std::multimap<uint32_t, uint32_t> children;
    const Result<std::vector<std::string>> names = ListDirectory(proc_);
    if (!names.has_value()) return {roots_.begin(), roots_.end()};
    for (const std::string& name : *names) {
      const auto pid = ParseUint(name);
      if (!pid) continue;
      const Result<std::string> stat = ReadFile(PathOf(static_cast<uint32_t>(*pid), "stat"));
      if (!stat.has_value()) continue;
      const auto fields = StatFields(*stat);
      const auto parent =
          fields.size() > kParentField ? ParseUint(fields[kParentField]) : std::nullopt;
      if (parent) children.emplace(static_cast<uint32_t>(*parent), static_cast<uint32_t>(*pid));
    }
    std::set<uint32_t> out;
    std::vector<uint32_t> open(roots_);
    while (!open.empty()) {
      const uint32_t pid = open.back();
      open.pop_back();
      if (!out.insert(pid).second) continue;
      const auto [begin, end] = children.equal_range(pid);
      for (auto child = begin; child != end; ++child) open.push_back(child->second);
    }
    return out;
  }

  void ReadProcesses() {
    const std::set<uint32_t> tree = Tree();
    for (const uint32_t pid : tree) {
      const Result<std::string> stat = ReadFile(PathOf(pid, "stat"));
      if (!stat.has_value()) continue;
      const auto fields = StatFields(*stat);
      if (fields.size() <= kSystemField) continue;
      ticks_[pid] =
          ParseUint(fields[kUserField]).value_or(0) + ParseUint(fields[kSystemField]).value_or(0);
    }
    read_ = SteadyNow();
    double memory = 0;
    bool any = false, all_proportional = true;
    for (const uint32_t pid : tree) {
      const auto share = Proportional(pid);
      const auto size = share ? share : Resident(pid);
      if (!size) continue;
      // One that has ended and was not waited for has none, and no shares of it.
      all_proportional &= share.has_value() || *size == 0;
      memory += *size;
      any = true;
    }
    if (!any) return;
    proportional_ = all_proportional;
    memory_max_ = std::max(memory_max_.value_or(0), memory);
  }

  std::optional<double> Proportional(uint32_t pid) const {
    const Result<std::string> rollup = ReadFile(PathOf(pid, "smaps_rollup"));
    if (!rollup.has_value()) return {};
    return BytesOf(*rollup, "\nPss:");
  }
  // "\nNAME:     12 kB", as /proc writes sizes.
  static std::optional<double> BytesOf(std::string_view text, std::string_view name) {
    const size_t at = text.find(name);
    if (at == std::string_view::npos) return {};
    const std::string_view line = text.substr(at + name.size());
    const auto kib = ParseUint(TrimSpace(line.substr(0, line.find("kB"))));
    return kib ? std::optional(static_cast<double>(*kib) * 1024) : std::nullopt;
  }
  void ReadHostMemory() {
    const Result<std::string> text = ReadFile(proc_ + "/meminfo");
    if (!text.has_value()) return;
    const std::string lines = "\n" + *text;
    const auto total = BytesOf(lines, "\nMemTotal:"), free = BytesOf(lines, "\nMemAvailable:");
    if (total && free && *free <= *total)
      host_memory_max_ = std::max(host_memory_max_.value_or(0), *total - *free);
  }
  std::optional<double> Resident(uint32_t pid) const {
    const Result<std::string> statm = ReadFile(PathOf(pid, "statm"));
    if (!statm.has_value()) return {};
    const auto fields = Split(*statm, ' ');
    const auto pages = fields.size() > 1 ? ParseUint(fields[1]) : std::nullopt;
    return pages ? std::optional(static_cast<double>(*pages) *
                                 static_cast<double>(sysconf(_SC_PAGESIZE)))
                 : std::nullopt;
  }
  // user nice system idle iowait irq softirq steal ...
  std::optional<HostTicks> ReadHost() const {
    const Result<std::string> stat = ReadFile(proc_ + "/stat");
    if (!stat.has_value() || !stat->starts_with("cpu ")) return {};
    HostTicks out;
    size_t column = 0;
    const std::string_view line = std::string_view(*stat).substr(4, stat->find('\n') - 4);
    for (const std::string_view field : Split(TrimSpace(line), ' ')) {
      const uint64_t ticks = ParseUint(field).value_or(0);
      // Guest time is in user time already.
      if (column < 8) out.total += ticks;
      if (column < 8 && column != 3 && column != 4) out.busy += ticks;
      ++column;
    }
    return out;
  }

  const std::string proc_;
  const Nanos interval_;
  static inline const long kTicksPerSecond = sysconf(_SC_CLK_TCK);

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::vector<uint32_t> roots_;
  std::map<uint32_t, uint64_t> ticks_, ticks_before_;
  std::optional<double> memory_max_, host_memory_max_;
  bool proportional_ = false;
  std::optional<HostTicks> host_before_;
  Instant marked_ = SteadyNow(), read_ = marked_;  // of CPU time
  std::thread thread_;
};

}  // namespace

std::unique_ptr<HostUsage> HostUsage::Start(Nanos interval, const char* proc) {
  return std::make_unique<ProcUsage>(interval, proc);
}

}  // namespace sextant::analyze
