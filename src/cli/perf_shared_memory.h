// `sextant perf --shared-memory`: the regions of a run, known to the server as long as it lasts.
#pragma once

#include <memory>
#include <string>

#include "cli/perf_subject.h"
#include "load/shared_tensors.h"

namespace sextant::cli {

// What is wrong with the options about shared memory.
std::vector<std::string> CheckSharedMemoryOptions(const PerfOptions& options);

// The regions, registered; only they are unregistered at the end, whatever the end is.
class SharedMemory {
 public:
  // Null without --shared-memory, and where the server cannot be made to share memory: that is
  // said, with its cause, and tensors go inline. With --shared-memory-required it is an error.
  // The client must outlive it.
  static Result<std::unique_ptr<SharedMemory>> Open(const PerfOptions& options, const Plan& plan,
                                                    const Subject& subject,
                                                    const load::DataSet& data,
                                                    kserve::ControlClient& client);
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  const load::SharedTensors& tensors() const { return *tensors_; }
  // For the banner.
  std::string Describe() const;

 private:
  explicit SharedMemory(kserve::ControlClient& client) : client_(client) {}
  Result<void> Register(const kserve::SharedSegment& segment);

  kserve::ControlClient& client_;
  std::unique_ptr<load::SharedTensors> tensors_;
  std::vector<std::string> registered_;
};

// In an open loop every request in flight needs its place: so many, where --max-in-flight says
// nothing.
constexpr size_t kSharedInFlight = 256;
size_t MaxInFlight(const PerfOptions& options, const SharedMemory* shared);

}  // namespace sextant::cli
