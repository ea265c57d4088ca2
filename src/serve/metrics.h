// /metrics, under Triton's names.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "gpu/gpu_reading.h"
#include "serve/loaded_model.h"

namespace sextant::serve {

// Share of all cores that was busy between two readings of /proc/stat. Not thread-safe.
class CpuMeter {
 public:
  CpuMeter() { Read(); }
  // Since the previous call, or what that said where no time has been counted since; nothing where
  // there is no /proc.
  std::optional<double> Read();

 private:
  uint64_t busy_ = 0, total_ = 0;
  double last_ = 0;
};

std::string RenderMetrics(const std::vector<std::shared_ptr<LoadedModel>>& models,
                          const std::vector<gpu::GpuReading>& gpus,
                          std::optional<double> cpu_utilization);

}  // namespace sextant::serve
