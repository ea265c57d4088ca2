// What the simulated driver shows, and how it fails: a scenario, and the text it is written in.
//
// A line is one statement, "#" begins a comment. What follows a `gpu` is of that GPU, what follows
// a `mig` of that instance; what stands before the first `gpu` is of the driver as a whole.
//
//   driver 550.90.07                   what the driver and the library say of themselves
//   nvml 12.550.90
//   gpu uuid=GPU-a name=NVIDIA_H200 memory=141GiB gpm=yes power_limit=700 slots=7
//                                      all optional; in names, _ is a space; with `slots`, MIG is
//                                      on
//   mig 2 uuid=MIG-a gi=3 ci=0 memory=18GiB
//                                      in slot 2; slots that no line names are holes
//   SIGNAL WAVEFORM...                 (waveform.h) utilization, memory_utilization, sm_active,
//                                      sm_occupancy, tensor_active, dram_active (shares from 0 to
//                                      1); memory_used, bar1_used (bytes); power (W); temperature
//                                      (C); sm_clock, memory_clock (Hz); throttle (bits). A signal
//                                      without a line is not supported.
//   refresh SIGNAL SECONDS [AVERAGE]   the driver renews it so often, as the mean of so long
//   process PID MEMORY [FROM [UNTIL]]  MEMORY in bytes, or na; seconds
//   error CALL CODE [FROM [UNTIL]]     nvmlDeviceGetPowerUsage NOT_SUPPORTED; CALL may be *, which
//                                      is every call of that device
//   latency CALL SECONDS               every call takes so long
//   hang CALL [FROM]                   does not return
//   vanish FROM                        fell off the bus: not counted any more, its handle is
//                                      invalid
//
// Seconds count from nvmlInit. What comes last in the file wins.
#pragma once

#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "gpu/sim/waveform.h"

namespace sextant::gpu::sim {

constexpr double kForever = std::numeric_limits<double>::infinity();

struct Fault {
  std::string call;  // "*": all
  int code = 0;
  double from = 0, until = kForever;
};

struct Faults {
  std::vector<Fault> errors, hangs;  // a hang has no code
  std::vector<std::pair<std::string, double>> latencies;
};

struct SimProcess {
  uint32_t pid = 0;
  std::optional<double> memory;
  double from = 0, until = kForever;
};

// A GPU or a MIG instance.
struct SimDevice {
  std::string uuid, name = "Simulated GPU";
  double memory = 0x1p36, power_limit = 0, vanish = kForever;
  bool gpm = false;
  std::map<std::string, Shown, std::less<>> signals;
  std::vector<SimProcess> processes;
  Faults faults;
  // Of a GPU: its instances by slot, null where there is a hole. Of an instance: its GPU.
  std::vector<std::unique_ptr<SimDevice>> slots;
  SimDevice* parent = nullptr;
  uint32_t gpu_instance = 0, compute_instance = 0;
  int index = 0;
};

struct Scenario {
  std::string driver = "550.00", nvml = "12.550.00";
  Faults faults;
  std::vector<std::unique_ptr<SimDevice>> gpus;
};

// Errors name the line.
Result<Scenario> ParseScenario(std::string_view text);

}  // namespace sextant::gpu::sim
