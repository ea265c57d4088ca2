// The GPUs that simulated models pretend to use: utilisation, memory and power as signals with
// known truth, shown in /metrics under Triton's names.
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "gpu/gpu_reading.h"

namespace sextant::serve {

// What one model asks of its GPU; the parts of all models on a device add up.
struct GpuLoad {
  int device = 0;
  double utilization = 0;          // while at least one instance executes, 0..1
  uint64_t memory_bytes = 0;       // as long as the model is loaded
  uint64_t busy_memory_bytes = 0;  // more, per executing instance
  double busy_watts = 0;           // more than idle, while executing
  uint64_t total_memory_bytes = uint64_t{16} << 30;
  double idle_watts = 25;
};

class SimulatedGpus {
 public:
  // Returns the load's handle.
  int Add(const GpuLoad& load, Instant now);
  void Remove(int handle, Instant now);
  // An execution of that load begins or ends.
  void Begin(int handle, Instant now);
  void End(int handle, Instant now);

  // Utilisation and power are means since the previous reading.
  std::vector<gpu::GpuReading> Read(Instant now);

 private:
  struct Device {
    GpuLoad shape;             // totals and idle power, of the first load on it
    Instant since{};           // integrals are up to date until here
    double busy_integral = 0;  // utilisation times seconds
    double energy = 0;
    double read_busy = 0, read_energy = 0;
    Instant read_at{};
    // Of that reading: a second one at the same instant has no time to be a mean over.
    double last_utilization = 0, last_watts = 0;
  };
  struct Entry {
    GpuLoad load;
    int executing = 0;
  };
  void Advance(Instant now);

  std::mutex mutex_;
  std::map<int, Device> devices_;
  std::map<int, Entry> entries_;
  int next_handle_ = 0;
};

}  // namespace sextant::serve
