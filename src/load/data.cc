#include "load/data.h"

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "base/strings.h"

namespace sextant::load {
namespace {

using kserve::DataType;
using kserve::Shape;

constexpr size_t kGeneratedRows = 64;
constexpr uint64_t kGeneratedBytes = 16 << 20;

Range DefaultRange(DataType type) {
  switch (type) {
    case DataType::kFp16:
    case DataType::kBf16:
    case DataType::kFp32:
    case DataType::kFp64:
      return {0, 1};
    case DataType::kBool:
      return {0, 2};
    default:
      return {0, 128};
  }
}

bool IsFloat(DataType type) {
  return type == DataType::kFp16 || type == DataType::kBf16 || type == DataType::kFp32 ||
         type == DataType::kFp64;
}

Result<void> AppendRandom(DataType type, const Range& range, const GenerateOptions& options,
                          Random& random, std::string& out) {
  if (type == DataType::kBytes) {
    if (!options.string_data.empty()) {
      kserve::AppendBytesElement(options.string_data, out);
      return {};
    }
    constexpr std::string_view kLetters =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    std::string text(options.string_length, ' ');
    for (char& c : text) c = kLetters[random.Below(kLetters.size())];
    kserve::AppendBytesElement(text, out);
    return {};
  }
  const double value = range.low + random.Uniform() * (range.high - range.low);
  return kserve::AppendElement(type, IsFloat(type) ? value : std::floor(value), out);
}

}  // namespace

Result<Shape> RowShapeFor(const kserve::TensorMetadata& input,
                          const std::map<std::string, Shape>& shapes) {
  Shape shape = input.shape;
  const auto given = shapes.find(input.name);
  if (given == shapes.end()) {
    for (int64_t& dim : shape) dim = dim < 0 ? 1 : dim;
    return shape;
  }
  const bool fits =
      std::equal(given->second.begin(), given->second.end(), shape.begin(), shape.end(),
                 [](int64_t got, int64_t want) { return want < 0 || got == want; });
  if (!fits) {
    return InvalidArgument(Format("--shape {}:{} does not fit the model, whose input has shape {}",
                                  input.name, fmt::join(given->second, ","),
                                  kserve::FormatShape(shape)));
  }
  return given->second;
}

Result<DataSet> GenerateData(const ModelSignature& model, const GenerateOptions& options) {
  DataSet data;
  uint64_t row_bytes = 0;
  for (const kserve::TensorMetadata& input : model.inputs) {
    DataSet::Column& column = data.inputs_.emplace_back();
    column.tensor = input;
    SEXTANT_ASSIGN(column.tensor.shape, RowShapeFor(input, options.shapes));
    const std::optional<uint64_t> count = kserve::ElementCount(column.tensor.shape);
    if (!count)
      return InvalidArgument(Format("input '{}' has the impossible shape {}", input.name,
                                    kserve::FormatShape(column.tensor.shape)));
    const uint64_t element =
        input.type == DataType::kBytes
            ? 4 + (options.string_data.empty() ? options.string_length : options.string_data.size())
            : kserve::ElementSize(input.type);
    column.row_bytes = *count * (options.zero && input.type == DataType::kBytes ? 4 : element);
    row_bytes += column.row_bytes;
  }
  data.rows_ = options.rows;
  if (data.rows_ == 0)
    data.rows_ = options.zero
                     ? 1
                     : std::clamp<uint64_t>(kGeneratedBytes / std::max<uint64_t>(row_bytes, 1), 1,
                                            kGeneratedRows);
  for (size_t i = 0; i < data.inputs_.size(); ++i) {
    DataSet::Column& column = data.inputs_[i];
    if (options.zero) {
      column.bytes.assign(column.row_bytes * data.rows_, '\0');
      continue;
    }
    auto range_entry = options.ranges.find(column.tensor.name);
    if (range_entry == options.ranges.end()) range_entry = options.ranges.find("");
    const Range range = range_entry == options.ranges.end() ? DefaultRange(column.tensor.type)
                                                            : range_entry->second;
    Random random = Random(options.seed).Fork(i);
    column.bytes.reserve(column.row_bytes * data.rows_);
    const uint64_t count = *kserve::ElementCount(column.tensor.shape) * data.rows_;
    for (uint64_t k = 0; k < count; ++k) {
      SEXTANT_TRY(AppendRandom(column.tensor.type, range, options, random, column.bytes),
                  Format("random data for input '{}'", column.tensor.name));
    }
  }
  data.description_ =
      options.zero ? "zeros" : Format("random, {} rows, seed {}", data.rows_, options.seed);
  return data;
}

ColumnsBuilder::ColumnsBuilder(std::string_view what,
                               const std::vector<kserve::TensorMetadata>& tensors,
                               const std::vector<bool>& optional,
                               const std::map<std::string, Shape>& shapes)
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
  if (given) {
    const bool fits =
        std::equal(given->begin(), given->end(), tensor.shape.begin(), tensor.shape.end(),
                   [](int64_t got, int64_t want) { return want < 0 || got == want; });
    if (fits) return *given;
    return InvalidArgument(Format("has shape {}, the model wants {}", kserve::FormatShape(*given),
                                  kserve::FormatShape(tensor.shape)));
  }
  if (shapes_.contains(tensor.name)) return RowShapeFor(tensor, shapes_);
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
  it->bytes += bytes;
  it->offsets.push_back(it->bytes.size());
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

void ColumnsBuilder::DropRow() {
  for (DataSet::Column& column : columns_) {
    if (column.shapes.size() <= rows_) continue;
    column.shapes.resize(rows_);
    column.offsets.resize(rows_ + 1);
    column.bytes.resize(column.offsets.back());
  }
}

std::vector<DataSet::Column> ColumnsBuilder::Take() {
  std::vector<DataSet::Column> out;
  for (DataSet::Column& column : columns_) {
    if (column.shapes.empty()) continue;
    // The usual case, all rows alike, needs no tables.
    const bool alike = std::all_of(column.shapes.begin(), column.shapes.end(),
                                   [&](const Shape& s) { return s == column.shapes.front(); });
    if (alike) {
      column.tensor.shape = column.shapes.front();
      column.shapes.clear();
    }
    column.row_bytes = column.offsets[1];
    bool equal = alike;
    for (size_t i = 0; i + 1 < column.offsets.size(); ++i)
      equal &= column.offsets[i + 1] - column.offsets[i] == column.row_bytes;
    if (equal) column.offsets.clear();
    out.push_back(std::move(column));
  }
  return out;
}

Result<DataSet> MakeDataSet(ColumnsBuilder&& inputs, std::optional<ColumnsBuilder> expected,
                            std::string description) {
  if (inputs.rows() == 0) return InvalidArgument("there are no rows of data");
  DataSet data;
  data.rows_ = inputs.rows();
  data.inputs_ = inputs.Take();
  data.description_ = std::move(description);
  if (expected && expected->rows() > 0) {
    if (expected->rows() != data.rows_) {
      return InvalidArgument(
          Format("{} rows of validation data for {} rows of data", expected->rows(), data.rows_));
    }
    data.expected_ = expected->Take();
  }
  return data;
}

}  // namespace sextant::load
