// CPU time and memory of a server's processes and of their host, over a window, from /proc.
//
// Children count with their parents. Memory is the proportional share (PSS) where the kernel tells
// it to us, else the resident set. What cannot be read is absent.
//
// Threads: Start, Mark, Take, Watch from one thread; a thread of its own reads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"

namespace sextant::analyze {

struct HostWindow {
  std::optional<double> cpu_cores;     // of the watched processes: CPU seconds per second
  std::optional<double> memory_bytes;  // theirs, the largest sample
  bool proportional = false;           // memory is PSS, not RSS
  std::optional<double> host_busy;     // share of all cores' time
  std::optional<double>
      host_memory_bytes;  // in use (all but what is available), the largest sample
};

class HostUsage {
 public:
  virtual ~HostUsage() = default;
  // `proc` is "/proc" but for tests.
  static std::unique_ptr<HostUsage> Start(Nanos interval = 500ms, const char* proc = "/proc");
  // These and all their descendants.
  virtual void Watch(std::vector<uint32_t> processes) = 0;
  virtual void Mark() = 0;
  virtual HostWindow Take() = 0;
};

}  // namespace sextant::analyze
