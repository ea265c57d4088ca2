#include "gpu/processes.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/files.h"
#include "base/strings.h"

namespace sextant::gpu {
namespace {

// Whether this process sees all processes by the machine's own numbers (the kernel gives the first
// namespace this inode: include/linux/proc_ns.h).
bool InFirstPidNamespace(const std::string& proc) {
  constexpr ino_t kFirst = 0xEFFFFFFC;
  struct stat status{};
  return stat((proc + "/self/ns/pid").c_str(), &status) == 0 && status.st_ino == kFirst;
}

}  // namespace

void ProcessFamily::Watch(std::span<const uint32_t> processes) {
  if (std::ranges::equal(watched_, processes)) return;
  watched_.assign(processes.begin(), processes.end());
  known_.clear();
}

std::optional<ProcessFamily::Stat> ProcessFamily::Read(uint32_t pid) const {
  const auto text = ReadFile(Format("{}/{}/stat", proc_, pid));
  if (!text) return {};
  // "123 (name) S 1 ...": the name may hold anything, so from its last bracket on. Then the
  // fields 3 (state), 4 (parent) ... 22 (start).
  const size_t end = text->rfind(')');
  if (end == std::string::npos || end + 2 >= text->size()) return {};
  const std::vector<std::string_view> fields = Split(std::string_view(*text).substr(end + 2), ' ');
  if (fields.size() < 20) return {};
  const auto parent = ParseUint(fields[1]), started = ParseUint(fields[19]);
  if (!parent || !started) return {};
  return Stat{static_cast<uint32_t>(*parent), *started};
}

ProcessFamily::Kin ProcessFamily::KinOf(uint32_t pid) {
  constexpr int kDeepest = 64;
  const auto self = Read(pid);
  if (!self) return known_.contains(pid) ? Kin::kFamily : Kin::kUnseen;  // has just ended
  if (const auto known = known_.find(pid); known != known_.end()) {
    if (known->second == self->started) return Kin::kFamily;
    known_.erase(known);
  }
  uint32_t ancestor = pid;
  std::optional<Stat> stat = self;
  for (int depth = 0; depth < kDeepest && ancestor > 0; ++depth) {
    if (std::ranges::find(watched_, ancestor) != watched_.end()) {
      known_[pid] = self->started;
      return Kin::kFamily;
    }
    if (!stat) break;
    ancestor = stat->parent;
    stat = Read(ancestor);
  }
  return Kin::kForeign;
}

Attribution ProcessFamily::Attribute(std::span<const ProcessMemory> listed) {
  if (watched_.empty()) return {};
  std::map<uint32_t, std::optional<uint64_t>> processes;
  for (const ProcessMemory& process : listed) {
    auto& bytes = processes[process.pid];
    if (process.bytes && (!bytes || *process.bytes > *bytes)) bytes = process.bytes;
  }
  Attribution out{.bytes = 0};
  std::vector<uint32_t> unseen;
  bool found = false;
  for (const auto& [pid, bytes] : processes) {
    const Kin kin = KinOf(pid);
    if (kin == Kin::kFamily) {
      found = true;
      out.bytes = out.bytes && bytes ? std::optional(*out.bytes + *bytes) : std::nullopt;
    } else {
      (kin == Kin::kForeign ? out.foreign : unseen).push_back(pid);
    }
  }
  // Numbers mean the same to us and to the driver where one of ours was listed, now or before.
  const bool same = found || !known_.empty() || InFirstPidNamespace(proc_);
  if (same) {
    // Who is not to be seen is somebody else.
    out.foreign.insert(out.foreign.end(), unseen.begin(), unseen.end());
    std::ranges::sort(out.foreign);
  } else if (!unseen.empty() || listed.empty()) {
    // A driver may also hide from a container who is there at all: no list is no zero.
    out.bytes.reset();
  }
  return out;
}

}  // namespace sextant::gpu
