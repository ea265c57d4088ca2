#include "load/data.h"

#include <algorithm>

#include "base/strings.h"
#include "load/columns.h"

namespace sextant::load {
namespace {

using kserve::Shape;
using Column = DataSet::Column;

constexpr size_t kMostFaults = 20;

// Column `next` of `next_rows` rows behind those of `column`.
void Append(Column& column, size_t rows, const Column& next, size_t next_rows) {
  if (column.file != nullptr) {
    column.owned = column.in_file;
    column.file.reset();
  }
  if (column.shapes.empty()) column.shapes.assign(rows, column.tensor.shape);
  for (size_t i = 0; i < next_rows; ++i) column.shapes.push_back(next.RowShape(i));
  if (column.offsets.empty()) {
    for (size_t i = 0; i <= rows; ++i) column.offsets.push_back(i * column.row_bytes);
  }
  for (size_t i = 0; i < next_rows; ++i)
    column.offsets.push_back(column.offsets.back() + next.Row(i).size());
  column.owned += next.bytes();
}

std::string Names(const std::vector<Column>& columns) {
  std::vector<std::string> names;
  for (const Column& column : columns) names.push_back("'" + column.tensor.name + "'");
  return names.empty() ? "none" : Join(names, ", ");
}

Result<void> AppendAll(std::string_view what, const std::string& source,
                       std::vector<Column>& columns, size_t rows, const std::vector<Column>& next,
                       size_t next_rows) {
  // Readers leave columns in the model's order.
  const bool same =
      std::equal(columns.begin(), columns.end(), next.begin(), next.end(),
                 [](const Column& a, const Column& b) { return a.tensor.name == b.tensor.name; });
  if (!same) {
    return InvalidArgument(
        Format("{}: has the {} {}, the data before it {}: all sources must have "
               "the same",
               source, what, Names(next), Names(columns)));
  }
  for (size_t i = 0; i < columns.size(); ++i) Append(columns[i], rows, next[i], next_rows);
  return {};
}

}  // namespace

Result<DataSet> DataSet::Make(Parts parts) {
  if (parts.rows == 0) return InvalidArgument("there are no rows of data");
  if (parts.streams.empty()) parts.streams = {{0, parts.rows}};
  return DataSet(std::move(parts));
}

Result<DataSet> Concatenate(std::vector<DataSet> sets) {
  if (sets.empty()) return InvalidArgument("there are no rows of data");
  DataSet::Parts all = std::move(sets.front()).Take();
  for (size_t i = 1; i < sets.size(); ++i) {
    DataSet::Parts next = std::move(sets[i]).Take();
    SEXTANT_TRY(
        AppendAll("inputs", next.description, all.inputs, all.rows, next.inputs, next.rows));
    SEXTANT_TRY(AppendAll("validation data for", next.description, all.expected, all.rows,
                          next.expected, next.rows));
    if (all.timestamps.empty() != next.timestamps.empty() ||
        all.delays.empty() != next.delays.empty()) {
      return InvalidArgument(
          Format("{}: timestamps and delays are in all rows of all sources, or "
                 "in none",
                 next.description));
    }
    for (const RowRange& stream : next.streams)
      all.streams.push_back({all.rows + stream.first, stream.count});
    all.timestamps.insert(all.timestamps.end(), next.timestamps.begin(), next.timestamps.end());
    all.delays.insert(all.delays.end(), next.delays.begin(), next.delays.end());
    all.rows += next.rows;
    all.description += "; " + next.description;
  }
  if (sets.size() > 1) {
    for (std::vector<Column>* columns : {&all.inputs, &all.expected}) {
      for (Column& column : *columns) Compact(column);
    }
  }
  return DataSet::Make(std::move(all));
}

void FaultList::Add(std::string fault) {
  if (++count_ <= kMostFaults) faults_.push_back(std::move(fault));
}

Error FaultList::ToError() const {
  std::string text = count_ == 1
                         ? "1 part of the input data does not fit the model:"
                         : Format("{} parts of the input data do not fit the model:", count_);
  for (const std::string& fault : faults_) text += "\n  " + fault;
  if (count_ > faults_.size()) text += Format("\n  ... and {} more", count_ - faults_.size());
  return InvalidArgument(std::move(text));
}

bool ShapeFits(const Shape& shape, const Shape& wanted) {
  return std::equal(shape.begin(), shape.end(), wanted.begin(), wanted.end(),
                    [](int64_t got, int64_t want) { return want < 0 || got == want; });
}

Result<Shape> RowShapeFor(const kserve::TensorMetadata& input, const ShapeByName& shapes) {
  Shape shape = input.shape;
  const auto given = shapes.find(input.name);
  if (given == shapes.end()) {
    for (int64_t& dim : shape) dim = dim < 0 ? 1 : dim;
    return shape;
  }
  if (!ShapeFits(given->second, shape)) {
    return InvalidArgument(Format("--shape {}:{} does not fit the model, whose input has shape {}",
                                  input.name, fmt::join(given->second, ","),
                                  kserve::FormatShape(shape)));
  }
  return given->second;
}

}  // namespace sextant::load
