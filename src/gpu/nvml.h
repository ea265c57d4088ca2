// The GPUs of this machine, read through NVIDIA's management library (NVML), which comes with the
// driver and is loaded when asked for: nothing is linked, and a machine without GPUs needs nothing.
//
// Threads: Read() may be called from any, one at a time.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "gpu/gpu_reading.h"

namespace sextant::gpu {

class NvmlGpus {
 public:
  // Errors: kNotFound without the library, kUnavailable with its reason when it does not start.
  static Result<std::unique_ptr<NvmlGpus>> Open(const std::string& library = "libnvidia-ml.so.1");
  ~NvmlGpus();

  // In the driver's order; a device that has vanished is left out. Energy counts from Open().
  std::vector<GpuReading> Read();
  size_t count() const;

 private:
  struct State;
  explicit NvmlGpus(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sextant::gpu
