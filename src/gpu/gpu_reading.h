// What a GPU says of itself at one moment.
#pragma once

#include <optional>
#include <string>

namespace sextant::gpu {

// What a device does not tell is absent.
struct GpuReading {
  std::string uuid;
  std::optional<double> utilization;  // share of time with a kernel running, 0..1, over what the
                                      // source takes as the recent past
  std::optional<double> memory_used_bytes, memory_total_bytes;
  std::optional<double> power_watts, power_limit_watts;
  std::optional<double> energy_joules;  // since the source began to count
};

}  // namespace sextant::gpu
