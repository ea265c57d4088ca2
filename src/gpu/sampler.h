// Samples GPUs while something is measured: at a rate, on threads of its own, each driver call
// timed and budgeted, so that a driver that hangs costs figures and never the run.
//
// The source is NVIDIA's management library (nvml_api.h). Calls come in tiers: utilization, memory
// and energy at `interval`; the activity of GPM (Hopper and later) too, but never within 100 ms,
// where its values are not valid (an interval of 100 ms is made 102 ms, and both are done in one
// go); power, clocks, temperature, throttle reasons and BAR1 at five times it; process lists at
// `slow_interval`. What a device does not support is asked again once a minute. A value that cannot
// be (more memory used than there is, 4 MW) is missing. Not called at all: the fan's speed and the
// PCIe throughput, which block for long.
//
// Errors: only Start has any. Later a driver that fails leaves signals missing, never zero, and
// DeviceWindow::stale says why.
//
// Threads: all from one thread (the controller's); none waits for a driver call, except Start for
// the driver's start, at most `start_limit`. One thread per device makes the calls. It is detached:
// one that hangs keeps its device's state and the library, and the destructor waits at most 0.1 s
// for the others.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
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
  // Only those of which there was a sample.
  std::map<std::string, Signal> signals;
  std::optional<double> energy_j;  // over the window, from the energy counter
  // By reason ("sw_power_cap"): how long, as far as samples tell. All reasons; none: not told.
  std::map<std::string, double> throttled_s;
  // That use the device and are neither watched nor children of those; empty with nobody watched.
  std::vector<uint32_t> foreign_processes;
  // Not empty: in this window the driver did not answer, or the device was lost; since when.
  std::string stale;
};

// What the driver was asked, and what that took.
struct CallCost {
  uint64_t calls = 0, failed = 0;
  double total_s = 0, longest_s = 0;
};

struct SamplerOptions {
  std::string library;  // empty: the usual places
  Nanos interval{100ms};
  Nanos slow_interval{2s};           // process lists; a shorter window may see none
  Nanos call_limit{2s};              // a call that takes longer marks its device stale
  Nanos start_limit{10s};            // the driver's start, which wakes every GPU
  double budget = 0.005;             // share of time inside the driver, of all devices together
  std::vector<std::string> devices;  // UUIDs (or how they begin) or indices; empty: all
  std::vector<uint32_t> processes;   // the server's; children are found by their parents
};

class Sampler {
 public:
  // Errors: kNotFound (no library), kUnavailable (it does not start, or hangs while it does, or has
  // no GPU), kInvalidArgument (none of its devices is the one asked for).
  static Result<std::unique_ptr<Sampler>> Start(const SamplerOptions& options);
  virtual ~Sampler() = default;
  // A window begins now; what came before is forgotten. Start() begins the first.
  virtual void Mark() = 0;
  // What happened since the last Mark(), of every device; the window goes on.
  virtual std::vector<DeviceWindow> Take() = 0;
  virtual void Watch(std::vector<uint32_t> processes) = 0;
  // By function, since Start(); a call that has not returned counts with its time so far.
  virtual std::map<std::string, CallCost> Costs() const = 0;
  // Since the last Mark(). Why less is sampled than was asked for; empty: nothing was left out.
  virtual std::vector<std::string> Degraded() const = 0;
  virtual std::string Describe() const = 0;  // "NVML 12.555.43, driver 550.90, 8 GPUs"
};

}  // namespace sextant::gpu
