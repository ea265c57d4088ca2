// Writes perf_analyzer's profile export (run/profile_export.h) of what was measured, level by
// level.
//
// While a level is measured, its requests go to the spill, raw; tensors become text when the load
// has ended, so that this takes nothing from the measurement. Each level is made ready apart and
// then put into the file, which is whole JSON before and after: a kill loses the level that is
// being measured. Memory does not grow with requests.
//
// Threads: the controller's.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/files.h"
#include "base/result.h"
#include "kserve/tensor.h"
#include "load/request_log.h"
#include "load/requests.h"
#include "run/level.h"

namespace sextant::load {

enum class ExportTensors : uint8_t { kNone, kInputs, kAll };

// Appends a tensor as perf_analyzer writes one: a single element by itself, else a flat list.
// FP16 and BF16 are numbers, BYTES elements strings; bytes that are not UTF-8 become U+FFFD, NaN
// and infinities null.
void AppendTensorJson(kserve::DataType type, std::string_view bytes, std::string& out);

class ProfileExporter {
 public:
  struct Options {
    std::string path;  // must not exist
    ExportTensors tensors = ExportTensors::kAll;
    std::vector<kserve::TensorMetadata> outputs;  // of the model
    bool text_sequence_ids = false;
    std::string version, service_kind, endpoint;  // as they are written
  };
  // Makes the file, with no level yet. It is removed again when none comes.
  static Result<std::unique_ptr<ProfileExporter>> Create(Options options);
  ~ProfileExporter();

  // Where the workers' requests are to go.
  RequestSpill& spill() { return *spill_; }
  // Whether channels must keep responses.
  bool needs_bodies() const { return options_.tensors == ExportTensors::kAll; }

  // Writes what the spill holds of a level that lay between `edges`, and empties it. Returns how
  // many requests are missing, for the disk was too slow.
  // `progress`, where there is one, is told four times a second how many have been written.
  Result<uint64_t> EndLevel(const run::LoadPoint& load, const RequestSet& requests,
                            std::span<const Instant> edges,
                            const std::function<void(uint64_t)>& progress = {});

 private:
  ProfileExporter(Options options, Fd file, std::unique_ptr<RequestSpill> spill)
      : options_(std::move(options)), file_(std::move(file)), spill_(std::move(spill)) {}
  uint64_t Unix(Instant t) const {
    return static_cast<uint64_t>((t.time_since_epoch() + to_unix_).count());
  }
  const std::string& Inputs(const RequestSet& requests, uint32_t request);
  void AppendOutputs(const LoggedRequest& request, kserve::Protocol protocol, std::string& out);
  void AppendRequest(const LoggedRequest& request, const RequestSet& requests, bool first,
                     std::string& out);
  Result<void> WriteLevel(const Fd& ready, const run::LoadPoint& load, const RequestSet& requests,
                          std::span<const Instant> edges,
                          const std::function<void(uint64_t)>& progress);
  Result<void> CloseAt(int64_t end);
  Result<void> PutIntoFile(const Fd& ready);
  Result<int64_t> CopyIntoFile(const Fd& ready);

  const Options options_;
  const Fd file_;
  std::unique_ptr<RequestSpill> spill_;
  // One difference of the clocks for the whole run: what jumps is not in the file.
  const Nanos to_unix_ = WallNow().time_since_epoch() - SteadyNow().time_since_epoch();
  int64_t end_ = 0;  // of the file, without what closes it
  size_t levels_ = 0;
  std::unordered_map<uint32_t, std::string> inputs_;  // of a level, by request; some of them
  size_t inputs_bytes_ = 0;
  std::string inputs_once_, outputs_text_;
  std::vector<uint64_t> stamps_;
};

}  // namespace sextant::load
