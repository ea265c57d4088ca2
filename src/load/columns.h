// Rows of tensors, gathered row by row and checked against the model: what readers of data fill
// whose source is not already laid out as the model wants it. Threads: one.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "load/data.h"

namespace sextant::load {

// Keeps references to its arguments.
class ColumnsBuilder {
 public:
  // `what` is "input" or "output", for messages. Tensors that are optional are in every row or in
  // none.
  ColumnsBuilder(std::string_view what, const std::vector<kserve::TensorMetadata>& tensors,
                 const std::vector<bool>& optional, const ShapeByName& shapes);

  // Adds a tensor of the row being built: the bytes of `elements` elements, with the shape that the
  // source gives it, if it does. Errors say what is wrong, and the row is not to be ended.
  Result<void> Add(std::string_view name, const std::optional<kserve::Shape>& shape,
                   std::string_view bytes, uint64_t elements);
  Result<void> EndRow();
  // Makes room for so many rows like those that are there.
  void Reserve(size_t rows);
  // Forgets the row being built.
  void DropRow();

  const kserve::TensorMetadata* Find(std::string_view name) const;
  size_t rows() const { return rows_; }
  std::vector<DataSet::Column> Take();

 private:
  Result<kserve::Shape> ShapeOf(const kserve::TensorMetadata& tensor,
                                const std::optional<kserve::Shape>& given, uint64_t elements) const;

  const std::string_view what_;
  const ShapeByName& shapes_;
  std::vector<bool> optional_;
  std::vector<DataSet::Column> columns_;
  size_t rows_ = 0;
};

// Leaves out the tables of shapes and offsets where all rows are alike, the usual case. The column
// has at least one row.
void Compact(DataSet::Column& column);

// How many elements BYTES tensor bytes hold; nothing when they are not whole elements, each behind
// its 4-byte length.
std::optional<uint64_t> CountBytesElements(std::string_view bytes);

// The shape of a row with so many elements: the given one (--shape), or the model's, whose only
// open dimension then follows. Errors: more than one is open, or it does not come out whole.
Result<kserve::Shape> InferShape(const kserve::TensorMetadata& tensor, const ShapeByName& shapes,
                                 uint64_t elements);

}  // namespace sextant::load
