#include "load/shared_tensors.h"

#include <algorithm>
#include <cstring>

#include "base/strings.h"

namespace sextant::load {
namespace {

constexpr uint64_t kAlignment = 64;
uint64_t AlignUp(uint64_t n) { return (n + kAlignment - 1) / kAlignment * kAlignment; }

// Of one inference's output, where the model says it.
std::optional<uint64_t> RowBytes(const kserve::TensorMetadata& output) {
  const uint64_t element = kserve::ElementSize(output.type);
  if (element == 0) return std::nullopt;  // BYTES
  uint64_t bytes = element;
  for (const int64_t dim : output.shape) {
    if (dim < 0 || __builtin_mul_overflow(bytes, static_cast<uint64_t>(dim), &bytes))
      return std::nullopt;
  }
  return bytes;
}

}  // namespace

Result<std::unique_ptr<SharedTensors>> SharedTensors::Create(const ModelSignature& model,
                                                             const DataSet& data,
                                                             const SharedTensorOptions& options,
                                                             const RegionMaker& make) {
  std::unique_ptr<SharedTensors> out(new SharedTensors());
  const auto max_batch = static_cast<size_t>(std::max<int64_t>(1, options.max_batch));
  // Rows once more behind the last, so that a batch that wraps around is one piece.
  const size_t rows = data.rows() + max_batch - 1;
  uint64_t total = 0;
  for (const DataSet::Column& column : data.inputs()) {
    Column& place = out->columns_.emplace_back();
    place.offset = total;
    uint64_t end = 0;
    place.row_ends.reserve(rows);
    for (size_t row = 0; row < rows; ++row)
      place.row_ends.push_back(end += column.Row(row % data.rows()).size());
    total = AlignUp(total + end);
  }
  SEXTANT_ASSIGN(out->inputs_, make("inputs", std::max<uint64_t>(total, 1)), "the inputs");
  for (size_t i = 0; i < out->columns_.size(); ++i) {
    char* to = out->inputs_->data() + out->columns_[i].offset;
    for (size_t row = 0; row < rows; ++row) {
      const std::string_view bytes = data.inputs()[i].Row(row % data.rows());
      if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
      to += bytes.size();
    }
  }
  SEXTANT_TRY(out->inputs_->Publish(), "the inputs");
  for (const kserve::TensorMetadata& output : model.outputs) {
    const uint64_t row = RowBytes(output).value_or(options.open_output_bytes);
    out->output_list_.push_back({.name = output.name,
                                 .offset = out->part_bytes_,
                                 .row_bytes = row,
                                 .bytes = row * max_batch});
    out->part_bytes_ = AlignUp(out->part_bytes_ + row * max_batch);
  }
  out->part_bytes_ = std::max(out->part_bytes_, kAlignment);
  out->parts_ = options.parts;
  SEXTANT_ASSIGN(out->outputs_, make("outputs", out->part_bytes_ * options.parts),
                 Format("the outputs of {} requests in flight", options.parts));
  return out;
}

kserve::SharedMemoryReference SharedTensors::Input(size_t column, size_t first_row,
                                                   size_t batch) const {
  const Column& place = columns_[column];
  const uint64_t begin = first_row == 0 ? 0 : place.row_ends[first_row - 1];
  return {.region = inputs_->name(),
          .offset = place.offset + begin,
          .byte_size = place.row_ends[first_row + batch - 1] - begin};
}

std::vector<kserve::RequestedOutput> SharedTensors::Outputs(size_t part, size_t batch) const {
  std::vector<kserve::RequestedOutput> out;
  for (const Output& output : output_list_) {
    out.push_back(
        {.name = output.name,
         .shared_memory = kserve::SharedMemoryReference{.region = outputs_->name(),
                                                        .offset = Offset(part) + output.offset,
                                                        .byte_size = output.row_bytes * batch}});
  }
  return out;
}

std::string_view SharedTensors::OutputBytes(std::string_view name, size_t part) const {
  for (const Output& output : output_list_) {
    if (output.name == name) return {outputs_->data() + Offset(part) + output.offset, output.bytes};
  }
  return {};
}

std::optional<Error> SharedTensors::fault() const {
  const std::scoped_lock lock(mutex_);
  return fault_;
}

Result<void> SharedTensors::Noted(Result<void> result) const {
  if (result.has_value()) return result;
  const std::scoped_lock lock(mutex_);
  if (!fault_) fault_ = result.error();
  return result;
}

}  // namespace sextant::load
