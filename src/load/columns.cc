#include "load/columns.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/strings.h"

namespace sextant::load {

using kserve::Shape;

ColumnsBuilder::ColumnsBuilder(std::string_view what,
                               const std::vector<kserve::TensorMetadata>& tensors,
                               const std::vector<bool>& optional, const ShapeByName& shapes)
    : what_(what), shapes_(shapes), optional_(optional) {
  optional_.resize(tensors.size());
  for (const kserve::TensorMetadata& tensor : tensors)
    columns_.push_back({.tensor = tensor, .offsets = {0}});
}

const kserve::TensorMetadata* ColumnsBuilder::Find(std::string_view name) const {
  for (const DataSet::Column& column : columns_) {
    if (column.tensor.name == name) return &column.tensor;
  }
  return nullptr;
}

Result<Shape> ColumnsBuilder::ShapeOf(const kserve::TensorMetadata& tensor,
                                      const std::optional<Shape>& given, uint64_t elements) const {
  if (!given) return InferShape(tensor, shapes_, elements);
  if (ShapeFits(*given, tensor.shape)) return *given;
  return InvalidArgument(Format("has shape {}, the model wants {}", kserve::FormatShape(*given),
                                kserve::FormatShape(tensor.shape)));
}

Result<void> ColumnsBuilder::Add(std::string_view name, const std::optional<Shape>& given,
                                 std::string_view bytes, uint64_t elements) {
  const auto it = std::find_if(columns_.begin(), columns_.end(),
                               [&](const DataSet::Column& c) { return c.tensor.name == name; });
  if (it == columns_.end()) {
    std::vector<std::string> names;
    for (const DataSet::Column& c : columns_) names.push_back("'" + c.tensor.name + "'");
    return InvalidArgument(Format("the model has no {} '{}'; it has {}", what_, Printable(name, 60),
                                  Join(names, ", ")));
  }
  const std::string subject = Format("{} '{}'", what_, name);
  if (it->shapes.size() > rows_) return InvalidArgument(subject + ": given twice");
  SEXTANT_ASSIGN(Shape shape, ShapeOf(it->tensor, given, elements), subject);
  const std::optional<uint64_t> expected = kserve::ElementCount(shape);
  if (!expected || *expected != elements) {
    return InvalidArgument(Format("{}: has {} elements, its shape {} wants {}", subject, elements,
                                  kserve::FormatShape(shape), expected.value_or(0)));
  }
  it->shapes.push_back(std::move(shape));
  it->owned += bytes;
  it->offsets.push_back(it->owned.size());
  return {};
}

Result<void> ColumnsBuilder::EndRow() {
  for (size_t i = 0; i < columns_.size(); ++i) {
    const size_t have = columns_[i].shapes.size();
    if (have == rows_ + 1 || (have == 0 && optional_[i])) continue;
    const std::string_view name = columns_[i].tensor.name;
    if (!optional_[i]) return InvalidArgument(Format("{} '{}': missing", what_, name));
    return InvalidArgument(Format("{} '{}': must be in every row or in none", what_, name));
  }
  ++rows_;
  return {};
}

namespace {

// Pages of 2 MiB instead of 4 KiB for a large buffer, where the kernel has them: a gigabyte in
// small ones takes longer to be given out than to be filled. What it answers does not matter.
void PreferHugePages(std::string& buffer) {
  if (buffer.capacity() < (size_t{1} << 24)) return;
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* begin = buffer.data();
  size_t room = buffer.capacity();
  if (std::align(page, room / page * page - page, begin, room) != nullptr)
    madvise(begin, room / page * page, MADV_HUGEPAGE);
}

}  // namespace

void ColumnsBuilder::Reserve(size_t rows) {
  if (rows_ == 0) return;
  for (DataSet::Column& column : columns_) {
    column.owned.reserve(column.owned.size() / rows_ * rows);
    PreferHugePages(column.owned);
  }
}

void ColumnsBuilder::DropRow() {
  for (DataSet::Column& column : columns_) {
    if (column.shapes.size() <= rows_) continue;
    column.shapes.resize(rows_);
    column.offsets.resize(rows_ + 1);
    column.owned.resize(column.offsets.back());
  }
}

std::vector<DataSet::Column> ColumnsBuilder::Take() {
  std::vector<DataSet::Column> out;
  for (DataSet::Column& column : columns_) {
    if (column.shapes.empty()) continue;
    Compact(column);
    out.push_back(std::move(column));
  }
  return out;
}

void Compact(DataSet::Column& column) {
  const bool alike = std::all_of(column.shapes.begin(), column.shapes.end(),
                                 [&](const Shape& s) { return s == column.shapes.front(); });
  if (alike && !column.shapes.empty()) {
    column.tensor.shape = column.shapes.front();
    column.shapes.clear();
  }
  if (column.offsets.empty()) return;
  column.row_bytes = column.offsets[1];
  bool equal = alike;
  for (size_t i = 0; i + 1 < column.offsets.size(); ++i)
    equal &= column.offsets[i + 1] - column.offsets[i] == column.row_bytes;
  if (equal) column.offsets.clear();
}

std::optional<uint64_t> CountBytesElements(std::string_view bytes) {
  uint64_t count = 0;
  for (; !bytes.empty(); ++count) {
    uint32_t length = 0;
    if (bytes.size() < sizeof length) return std::nullopt;
    std::memcpy(&length, bytes.data(), sizeof length);
    bytes.remove_prefix(sizeof length);
    if (bytes.size() < length) return std::nullopt;
    bytes.remove_prefix(length);
  }
  return count;
}

Result<Shape> InferShape(const kserve::TensorMetadata& tensor, const ShapeByName& shapes,
                         uint64_t elements) {
  if (shapes.contains(tensor.name)) return RowShapeFor(tensor, shapes);
  Shape shape = tensor.shape;
  const auto open = std::count_if(shape.begin(), shape.end(), [](int64_t d) { return d < 0; });
  if (open == 0) return shape;
  // One open dimension follows from the number of elements.
  uint64_t known = 1;
  for (const int64_t dim : shape) known *= dim < 0 ? 1 : static_cast<uint64_t>(dim);
  if (open > 1 || known == 0 || elements % known != 0) {
    return InvalidArgument(
        Format("has shape {} in the model: give the row's with {{\"content\": ..., \"shape\": "
               "[...]}} or --shape {}:...",
               kserve::FormatShape(shape), tensor.name));
  }
  std::replace_if(
      shape.begin(), shape.end(), [](int64_t d) { return d < 0; },
      static_cast<int64_t>(elements / known));
  return shape;
}

}  // namespace sextant::load
