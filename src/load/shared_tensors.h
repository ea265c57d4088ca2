// Input rows and places for outputs in shared memory, instead of in requests and answers.
//
// All rows of all inputs are placed once in one region; another holds a part for each request in
// flight, so that no two ever write the same bytes. The regions are this object's and end with it;
// telling the server of them is the caller's. What regions are made of is the caller's choice.
//
// Threads: immutable once made, but for the outputs, which the server writes.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kserve/infer.h"
#include "load/data.h"
#include "load/tensor_region.h"

namespace sextant::load {

struct SharedTensorOptions {
  int64_t max_batch = 1;
  size_t parts = 1;  // requests that may be in flight at once
  // Of one inference's output whose size the model leaves open.
  uint64_t open_output_bytes = 100 * 1024;
};

class SharedTensors {
 public:
  static Result<std::unique_ptr<SharedTensors>> Create(const ModelSignature& model,
                                                       const DataSet& data,
                                                       const SharedTensorOptions& options,
                                                       const RegionMaker& make);

  const TensorRegion& inputs() const { return *inputs_; }
  const TensorRegion& outputs() const { return *outputs_; }
  size_t parts() const { return parts_; }

  // Where `batch` rows of data.inputs()[column] from `first_row` on lie; rows wrap around.
  kserve::SharedMemoryReference Input(size_t column, size_t first_row, size_t batch) const;
  // Where the outputs of a request of `batch` go that has this part.
  std::vector<kserve::RequestedOutput> Outputs(size_t part, size_t batch) const;
  // Fetches the part of a request whose answer has come: OutputBytes() are then those of now.
  Result<void> Fetch(size_t part) const {
    return Noted(outputs_->Fetch(Offset(part), part_bytes_));
  }
  // Empty for an output that there is not.
  std::string_view OutputBytes(std::string_view name, size_t part) const;
  // Makes what was there before differ from any answer.
  void Poison(size_t part) const {
    static_cast<void>(Noted(outputs_->Spoil(Offset(part), part_bytes_)));
  }
  // Of Fetch() and Poison(), the first.
  std::optional<Error> fault() const;

 private:
  SharedTensors() = default;
  uint64_t Offset(size_t part) const { return part * part_bytes_; }
  Result<void> Noted(Result<void> result) const;
  struct Column {
    uint64_t offset = 0;             // of row 0 in the region
    std::vector<uint64_t> row_ends;  // rows + max_batch - 1, relative to it
  };
  struct Output {
    std::string name;
    uint64_t offset = 0;     // in a part
    uint64_t row_bytes = 0;  // of one inference
    uint64_t bytes = 0;      // of the largest batch
  };
  std::unique_ptr<TensorRegion> inputs_, outputs_;
  std::vector<Column> columns_;
  std::vector<Output> output_list_;
  uint64_t part_bytes_ = 0;
  size_t parts_ = 0;
  mutable std::mutex mutex_;  // guards fault_
  mutable std::optional<Error> fault_;
};

}  // namespace sextant::load
