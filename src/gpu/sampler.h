// Samples GPUs while something is measured: at a rate, on threads of its own, each driver call
// timed and budgeted, so that a driver that hangs costs figures and never the run.
//
// Threads: Start, Mark and Take from one thread (the controller's); none of them waits for a driver
// call. One thread per device makes the calls.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace sextant::gpu {

enum class Scope : uint8_t { kDevice, kMigInstance, kProcess };
std::string_view ScopeName(Scope scope);

// One quantity over a window. Missing is an empty optional, never zero.
struct Signal {
  uint64_t samples = 0;
  std::optional<double> min, mean, max, p95;  // the mean is over time
};

// What one device (or MIG instance) did in a window.
struct DeviceWindow {
  std::string uuid;    // "GPU-...", "MIG-..."
  std::string parent;  // of a MIG instance: its GPU's UUID
  int index = 0;       // in the driver's order, of the GPU
  std::string name;    // "NVIDIA H200"
  Scope scope = Scope::kDevice;
  // By quantity: utilization, memory_utilization (of the controller), memory_used, memory_total,
  // memory_process (of the watched processes), bar1_used, power, temperature, sm_clock,
  // memory_clock, sm_active, sm_occupancy, tensor_active, dram_active. Units: shares from 0 to 1,
  // bytes, W, C, Hz.
  std::map<std::string, Signal> signals;
  std::optional<double> energy_j;             // over the window, from the energy counter
  std::map<std::string, double> throttled_s;  // by reason: how long, as far as samples tell
  std::vector<uint32_t> foreign_processes;    // that use the device and are not watched
  std::string stale;  // not empty: the driver stopped answering, and since when
};

// What the driver was asked, and what that took.
struct CallCost {
  uint64_t calls = 0, failed = 0;
  double total_s = 0, longest_s = 0;
};

struct SamplerOptions {
  std::string library;  // empty: the usual places
  Nanos interval{100ms};
  Nanos slow_interval{2s};           // process lists
  Nanos call_limit{2s};              // a call that takes longer marks its device stale
  double budget = 0.005;             // share of a core that may be spent inside the driver
  std::vector<std::string> devices;  // UUIDs or indices; empty: all
  std::vector<uint32_t> processes;   // the server's; children are found by their parents
};

class Sampler {
 public:
  // Errors: kNotFound (no library), kUnavailable (it does not start, or hangs while it does).
  static Result<std::unique_ptr<Sampler>> Start(const SamplerOptions& options);
  virtual ~Sampler() = default;
  // A window begins now; what came before is forgotten.
  virtual void Mark() = 0;
  // What happened since the last Mark(), of every device.
  virtual std::vector<DeviceWindow> Take() = 0;
  virtual void Watch(std::vector<uint32_t> processes) = 0;
  virtual std::map<std::string, CallCost> Costs() const = 0;
  // Why less is sampled than was asked for; empty: nothing was left out.
  virtual std::vector<std::string> Degraded() const = 0;
  virtual std::string Describe() const = 0;  // "NVML 12.555.43, driver 550.90, 8 GPUs"
};

}  // namespace sextant::gpu
