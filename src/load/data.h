// Input data: rows of tensors, one row per inference, checked against the model before the first
// request.
//
// Bytes of a tensor's rows lie one after the other, so that a batch of neighbouring rows is one
// piece of memory, which may be that of a mapped file. Threads: immutable once made.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/files.h"
#include "base/result.h"
#include "kserve/tensor.h"

namespace sextant::load {

// What the model wants of one row: shapes without the batch dimension.
struct ModelSignature {
  std::string name, version;
  int64_t max_batch_size = 0;  // 0: no batch dimension
  std::vector<kserve::TensorMetadata> inputs, outputs;
  std::vector<bool> optional_inputs;
  // The shape of outputs and inputs is without the batch dimension.
};

// Rows first .. first + count - 1.
struct RowRange {
  size_t first = 0, count = 0;
  bool operator==(const RowRange&) const = default;
};

class DataSet {
 public:
  // One tensor, all rows.
  struct Column {
    kserve::TensorMetadata tensor;           // shape: of the rows, where it is the same in all
    std::vector<kserve::Shape> shapes;       // per row; empty: tensor.shape in all
    std::string owned;                       // the rows, unless they lie in a file
    std::shared_ptr<const MappedFile> file;  // an archive's columns share one
    std::string_view in_file;
    std::vector<uint64_t> offsets;  // rows + 1; empty: rows of equal size
    uint64_t row_bytes = 0;         // when they are

    std::string_view bytes() const { return file == nullptr ? std::string_view(owned) : in_file; }
    // The bytes of neighbouring rows.
    std::string_view Rows(RowRange range) const {
      if (offsets.empty()) return bytes().substr(range.first * row_bytes, range.count * row_bytes);
      const uint64_t begin = offsets[range.first];
      return bytes().substr(begin, offsets[range.first + range.count] - begin);
    }
    std::string_view Row(size_t row) const { return Rows({row, 1}); }
    const kserve::Shape& RowShape(size_t row) const {
      return shapes.empty() ? tensor.shape : shapes[row];
    }
  };

  // What a set is made of.
  struct Parts {
    size_t rows = 0;
    std::vector<Column> inputs;
    std::vector<Column> expected;           // outputs that rows state
    std::vector<RowRange> streams;          // empty: one of all rows
    std::vector<Nanos> timestamps, delays;  // per row, or empty
    std::string description;
  };
  // Errors: no rows, or streams of expected outputs that are not those of the inputs.
  static Result<DataSet> Make(Parts parts);

  size_t rows() const { return parts_.rows; }
  const std::vector<Column>& inputs() const { return parts_.inputs; }
  // Empty when nothing is to be compared.
  const std::vector<Column>& expected() const { return parts_.expected; }
  // Rows that belong together, in order: what one sequence sends. They cover all rows.
  const std::vector<RowRange>& streams() const { return parts_.streams; }
  // When each row is due, from the start of the load; empty when the source does not say.
  const std::vector<Nanos>& timestamps() const { return parts_.timestamps; }
  // How long after its predecessor each row is due; empty when the source does not say.
  const std::vector<Nanos>& delays() const { return parts_.delays; }
  // "random, 64 rows, seed 7": for the record.
  const std::string& description() const { return parts_.description; }

  Parts Take() && { return std::move(parts_); }

 private:
  explicit DataSet(Parts parts) : parts_(std::move(parts)) {}
  Parts parts_;
};

// All rows of all sets, in order; each keeps its streams. Errors: sets that do not have the same
// tensors, or of which only some have timestamps. Copies, unless there is only one.
Result<DataSet> Concatenate(std::vector<DataSet> sets);

// Gathers what is wrong with input data: the first 20 in full, the others by their number.
class FaultList {
 public:
  void Add(std::string fault);
  bool empty() const { return count_ == 0; }
  // "3 parts of the input data do not fit the model:" and a line for each.
  Error ToError() const;

 private:
  std::vector<std::string> faults_;
  size_t count_ = 0;
};

using ShapeByName = std::map<std::string, kserve::Shape>;

// Whether a row's shape is one that the model takes.
bool ShapeFits(const kserve::Shape& shape, const kserve::Shape& wanted);
// The shape of one row of an input: the given one, checked against the model, or the model's with 1
// for each open dimension.
Result<kserve::Shape> RowShapeFor(const kserve::TensorMetadata& input, const ShapeByName& shapes);

struct JsonDataOptions {
  ShapeByName shapes;
};
// perf_analyzer's JSON: {"data": [...], "validation_data": [...]}; each element a row of tensors as
// flat or nested arrays, {"content": ..., "shape": ...} or {"b64": ...}, or an array of rows: a
// stream. Rows may say "timestamp" or "delay", in milliseconds. Every fault is listed with its row,
// tensor and reason, up to 20.
Result<DataSet> ParseJsonData(std::string_view json, const std::string& source,
                              const ModelSignature& model, const JsonDataOptions& options);

}  // namespace sextant::load
