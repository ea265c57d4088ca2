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
  // The client must outlive it. `command`: whose warnings are printed.
  static Result<std::unique_ptr<SharedMemory>> Open(std::string_view command,
                                                    const PerfOptions& options, const Plan& plan,
                                                    const Subject& subject,
                                                    const load::DataSet& data,
                                                    kserve::ControlClient& client);
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  const load::SharedTensors& tensors() const { return *tensors_; }
  // For the banner.
  std::string Describe() const;
  // What kept outputs from being read, when something did: on stderr.
  void ReportFault() const;

 private:
  SharedMemory(kserve::ControlClient& client, std::string kind)
      : client_(client), kind_(std::move(kind)) {}
  static Result<std::unique_ptr<SharedMemory>> Make(const PerfOptions& options, const Plan& plan,
                                                    const Subject& subject,
                                                    const load::DataSet& data,
                                                    kserve::ControlClient& client);
  Result<void> Register(const load::TensorRegion& region, SharedMemoryKind kind);

  kserve::ControlClient& client_;
  const std::string kind_;  // as reports call it
  std::unique_ptr<load::SharedTensors> tensors_;
  std::vector<const load::TensorRegion*> registered_;
};

// In an open loop every request in flight needs its place: so many, where --max-in-flight says
// nothing.
constexpr size_t kSharedInFlight = 256;
size_t MaxInFlight(const PerfOptions& options, const SharedMemory* shared);

}  // namespace sextant::cli
