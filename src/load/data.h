// Input data: rows of tensors, one row per inference, checked against the model before the first
// request.
//
// Bytes of a tensor's rows lie one after the other, so that a batch of neighbouring rows is one
// piece of memory. Threads: immutable once made.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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

class DataSet {
 public:
  // One tensor, all rows.
  struct Column {
    kserve::TensorMetadata tensor;      // shape: of the rows, where it is the same in all
    std::vector<kserve::Shape> shapes;  // per row; empty: tensor.shape in all
    std::string bytes;
    std::vector<uint64_t> offsets;  // rows + 1; empty: rows of equal size
    uint64_t row_bytes = 0;         // when they are

    std::string_view Row(size_t row) const {
      if (offsets.empty()) return std::string_view(bytes).substr(row * row_bytes, row_bytes);
      return std::string_view(bytes).substr(offsets[row], offsets[row + 1] - offsets[row]);
    }
    const kserve::Shape& RowShape(size_t row) const {
      return shapes.empty() ? tensor.shape : shapes[row];
    }
  };

  size_t rows() const { return rows_; }
  const std::vector<Column>& inputs() const { return inputs_; }
  // Outputs that rows state; empty when nothing is to be compared.
  const std::vector<Column>& expected() const { return expected_; }
  // "random, 64 rows, seed 7": for the record.
  const std::string& description() const { return description_; }

 private:
  friend Result<DataSet> MakeDataSet(class ColumnsBuilder&& inputs,
                                     std::optional<class ColumnsBuilder> expected,
                                     std::string description);
  friend Result<DataSet> GenerateData(const ModelSignature&, const struct GenerateOptions&);
  size_t rows_ = 0;
  std::vector<Column> inputs_, expected_;
  std::string description_;
};

struct Range {
  double low = 0, high = 1;
};

struct GenerateOptions {
  bool zero = false;
  uint64_t seed = 1;
  size_t rows = 0;  // 0: up to 64, as many as 16 MiB hold
  std::map<std::string, kserve::Shape>
      shapes;                           // per input, where the model leaves a dimension open
  std::map<std::string, Range> ranges;  // per input or, with an empty name, for all
  uint64_t string_length = 128;
  std::string string_data;  // instead of random text
};

// Rows of zeros or of random values: FP in [0, 1), integers in [0, 128) or what their type holds of
// it, BOOL 0 or 1, BYTES random letters and digits. Open dimensions without a given shape are taken
// as 1.
Result<DataSet> GenerateData(const ModelSignature& model, const GenerateOptions& options);
// The shape of one row of an input: the given one, checked against the model, or the model's with 1
// for each open dimension.
Result<kserve::Shape> RowShapeFor(const kserve::TensorMetadata& input,
                                  const std::map<std::string, kserve::Shape>& shapes);

struct JsonDataOptions {
  std::map<std::string, kserve::Shape> shapes;
};
// perf_analyzer's JSON: {"data": [...], "validation_data": [...]}; each element a row of tensors as
// flat or nested arrays, {"content": ..., "shape": ...} or {"b64": ...}. Arrays of rows (sequences)
// are read as their rows in order. Every fault is listed with its row, tensor and reason, up to 20.
Result<DataSet> ParseJsonData(std::string_view json, const std::string& source,
                              const ModelSignature& model, const JsonDataOptions& options);

// Gathers rows of tensors; what every reader of data fills. Keeps references to its arguments.
class ColumnsBuilder {
 public:
  // `what` is "input" or "output", for messages. Tensors that are optional are in every row or in
  // none.
  ColumnsBuilder(std::string_view what, const std::vector<kserve::TensorMetadata>& tensors,
                 const std::vector<bool>& optional,
                 const std::map<std::string, kserve::Shape>& shapes);

  // Adds a tensor of the row being built: the bytes of `elements` elements, with the shape that the
  // source gives it, if it does. Errors say what is wrong, and the row is not to be ended.
  Result<void> Add(std::string_view name, const std::optional<kserve::Shape>& shape,
                   std::string_view bytes, uint64_t elements);
  Result<void> EndRow();
  // Forgets the row being built.
  void DropRow();

  const kserve::TensorMetadata* Find(std::string_view name) const;
  size_t rows() const { return rows_; }
  std::vector<DataSet::Column> Take();

 private:
  Result<kserve::Shape> ShapeOf(const kserve::TensorMetadata& tensor,
                                const std::optional<kserve::Shape>& given, uint64_t elements) const;

  const std::string_view what_;
  const std::map<std::string, kserve::Shape>& shapes_;
  std::vector<bool> optional_;
  std::vector<DataSet::Column> columns_;
  size_t rows_ = 0;
};

// Errors: no rows, or not as many expected as input rows.
Result<DataSet> MakeDataSet(ColumnsBuilder&& inputs, std::optional<ColumnsBuilder> expected,
                            std::string description);

}  // namespace sextant::load
