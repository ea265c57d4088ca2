// Which of the processes on a GPU are the watched ones, or come from them.
//
// A driver names processes by the numbers of the machine. In a container those may be other numbers
// than its own, or none that it can see; then nothing is known rather than something false.
//
// Threads: plain values; one at a time per object.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace sextant::gpu {

struct ProcessMemory {
  uint32_t pid = 0;
  std::optional<uint64_t> bytes;  // absent: the driver does not know
};

struct Attribution {
  // Of the watched processes and their children together. Zero when they are known to use nothing;
  // absent when one of them uses an amount that the driver does not know, or when it cannot be told
  // which are theirs.
  std::optional<uint64_t> bytes;
  std::vector<uint32_t> foreign;  // ascending
};

class ProcessFamily {
 public:
  explicit ProcessFamily(std::string proc = "/proc") : proc_(std::move(proc)) {}
  void Watch(std::span<const uint32_t> processes);
  // With nobody watched, nothing is known, and nobody foreign. `listed` may name a process several
  // times (it is in several of the driver's lists).
  Attribution Attribute(std::span<const ProcessMemory> listed);

 private:
  enum class Kin { kFamily, kForeign, kUnseen };
  struct Stat {
    uint32_t parent = 0;
    uint64_t started = 0;  // tells a process from a later one of the same number
  };
  std::optional<Stat> Read(uint32_t pid) const;
  Kin KinOf(uint32_t pid);

  std::string proc_;
  std::vector<uint32_t> watched_;
  // Once of the family, always: a child's parent may end before it.
  std::map<uint32_t, uint64_t> known_;
};

}  // namespace sextant::gpu
