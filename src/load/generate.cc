#include "load/generate.h"

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "base/strings.h"
#include "load/columns.h"
#include "load/data_files.h"

namespace sextant::load {
namespace {

using kserve::DataType;
using kserve::Shape;
using kserve::TensorMetadata;
using Column = DataSet::Column;
using Kind = ValueRule::Kind;

constexpr size_t kGeneratedRows = 64;
constexpr uint64_t kGeneratedBytes = 16 << 20;
constexpr uint64_t kMostElements = uint64_t{1} << 36;  // of a row: beyond all memory

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

void AppendRandomText(uint64_t length, Random& random, std::string& out) {
  constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  std::string text(length, ' ');
  for (char& c : text) c = kLetters[random.Below(kLetters.size())];
  kserve::AppendBytesElement(text, out);
}

// Makes the elements of one input, one after the other.
class ElementSource {
 public:
  // Errors: values that the type does not hold.
  static Result<ElementSource> Make(const TensorMetadata& tensor, const GenerateOptions& options,
                                    Random random) {
    ElementSource out(tensor, options, random);
    const auto rule = options.rules.find(tensor.name);
    if (rule != options.rules.end()) {
      out.rule_ = &rule->second;
      SEXTANT_TRY(out.CheckRule(), Format("--data {}={}", tensor.name, rule->second.text));
      return out;
    }
    auto range = options.ranges.find(tensor.name);
    if (range == options.ranges.end()) range = options.ranges.find("");
    out.range_ = range == options.ranges.end() ? DefaultRange(tensor.type) : range->second;
    return out;
  }

  Result<void> Append(std::string& out) {
    if (rule_ != nullptr && rule_->kind != Kind::kZero) return AppendByRule(out);
    if (rule_ != nullptr || options_.zero) {
      out.append(std::max<size_t>(kserve::ElementSize(type_), type_ == DataType::kBytes ? 4 : 0),
                 '\0');
      return {};
    }
    if (type_ == DataType::kBytes) {
      if (options_.string_data.empty()) {
        AppendRandomText(options_.string_length, random_, out);
      } else {
        kserve::AppendBytesElement(options_.string_data, out);
      }
      return {};
    }
    const double value = range_.low + random_.Uniform() * (range_.high - range_.low);
    return kserve::AppendElement(type_, IsFloat(type_) ? value : std::floor(value), out);
  }

  // Bytes of an element, as an estimate.
  uint64_t Size() const {
    if (type_ != DataType::kBytes) return kserve::ElementSize(type_);
    if (rule_ != nullptr) return 4 + static_cast<uint64_t>(std::max<int64_t>(rule_->high, 16));
    if (options_.zero) return 4;
    return 4 +
           (options_.string_data.empty() ? options_.string_length : options_.string_data.size());
  }

 private:
  ElementSource(const TensorMetadata& tensor, const GenerateOptions& options, Random random)
      : type_(tensor.type), options_(options), random_(random) {}

  // Elements are made once for const and choice, and tried out for the others.
  Result<void> CheckRule() {
    const bool bytes = type_ == DataType::kBytes;
    const std::string_view name = kserve::DataTypeName(type_);
    std::string scratch;
    switch (rule_->kind) {
      case Kind::kInt:
        if (bytes) return {};
        SEXTANT_TRY(kserve::AppendElement(type_, rule_->low, scratch));
        return kserve::AppendElement(type_, rule_->high, scratch);
      case Kind::kFloat:
      case Kind::kNormal:
        if (!IsFloat(type_))
          return InvalidArgument(Format("makes fractions, the input is {}: use int(...)", name));
        return {};
      case Kind::kString:
        if (!bytes) return InvalidArgument(Format("makes text, the input is {}", name));
        return {};
      default:
        for (const std::string& value : rule_->values)
          SEXTANT_TRY(AppendParsed(value, elements_.emplace_back()));
        return {};
    }
  }

  Result<void> AppendParsed(const std::string& text, std::string& out) const {
    if (type_ == DataType::kBytes) {
      kserve::AppendBytesElement(text, out);
      return {};
    }
    if (type_ == DataType::kBool && (text == "true" || text == "false"))
      return kserve::AppendElement(type_, int64_t{text == "true"}, out);
    if (const auto integer = ParseInt(text)) return kserve::AppendElement(type_, *integer, out);
    if (const auto integer = ParseUint(text)) return kserve::AppendElement(type_, *integer, out);
    if (const auto number = ParseDouble(text)) return kserve::AppendElement(type_, *number, out);
    if (IsFloat(type_) && (text == "nan" || text == "inf" || text == "-inf")) {
      const double value = text == "nan" ? NAN : text == "inf" ? INFINITY : -INFINITY;
      return kserve::AppendElement(type_, value, out);
    }
    return InvalidArgument(Format("'{}' is not a number", Printable(text, 40)));
  }

  Result<void> AppendByRule(std::string& out) {
    const auto width = static_cast<uint64_t>(rule_->high) - static_cast<uint64_t>(rule_->low) + 1;
    switch (rule_->kind) {
      case Kind::kInt: {
        const uint64_t offset = width == 0 ? random_.Next() : random_.Below(width);
        const auto value = static_cast<int64_t>(static_cast<uint64_t>(rule_->low) + offset);
        if (type_ != DataType::kBytes) return kserve::AppendElement(type_, value, out);
        kserve::AppendBytesElement(Format("{}", value), out);
        return {};
      }
      case Kind::kFloat:
        return kserve::AppendElement(type_, rule_->a + random_.Uniform() * (rule_->b - rule_->a),
                                     out);
      case Kind::kNormal:
        return kserve::AppendElement(type_, rule_->a + random_.Normal() * rule_->b, out);
      case Kind::kString:
        AppendRandomText(static_cast<uint64_t>(rule_->low) + random_.Below(width), random_, out);
        return {};
      default:
        out += elements_.size() == 1 ? elements_[0] : elements_[random_.Below(elements_.size())];
        return {};
    }
  }

  const DataType type_;
  const GenerateOptions& options_;
  Random random_;
  const ValueRule* rule_ = nullptr;
  Range range_;
  std::vector<std::string> elements_;  // of const and choice
};

// All rows of one input, row i having the shape of block i / rows_per_shape.
Result<Column> MakeColumn(const TensorMetadata& tensor, const std::vector<Shape>& shapes,
                          size_t rows, size_t rows_per_shape, ElementSource source) {
  Column column{.tensor = tensor};
  column.tensor.shape = shapes.front();
  if (shapes.size() == 1) {
    const uint64_t elements = kserve::ElementCount(shapes.front()).value_or(0);
    column.owned.reserve(elements * rows * source.Size());
  }
  column.offsets = {0};
  for (size_t row = 0; row < rows; ++row) {
    const Shape& shape = shapes.size() == 1 ? shapes[0] : shapes[row / rows_per_shape];
    const uint64_t elements = *kserve::ElementCount(shape);
    for (uint64_t k = 0; k < elements; ++k) SEXTANT_TRY(source.Append(column.owned));
    if (shapes.size() > 1) column.shapes.push_back(shape);
    column.offsets.push_back(column.owned.size());
  }
  Compact(column);
  return column;
}

// `rows` rows of a column that has fewer or more: they come around again.
Column Cycle(Column column, size_t have, size_t rows) {
  if (have == rows) return column;
  Column out{.tensor = column.tensor, .offsets = {0}};
  for (size_t row = 0; row < rows; ++row) {
    out.owned += column.Row(row % have);
    out.offsets.push_back(out.owned.size());
    if (!column.shapes.empty()) out.shapes.push_back(column.shapes[row % have]);
  }
  Compact(out);
  return out;
}

bool FromFiles(const ValueRule& rule) {
  return rule.kind == Kind::kFile || rule.kind == Kind::kImage;
}

// One run of GenerateData.
class Generation {
 public:
  Generation(const ModelSignature& model, const GenerateOptions& options)
      : model_(model), options_(options) {}

  Result<DataSet> Run() {
    CheckNames();
    size_t rows = ReadFiles();
    const std::vector<std::vector<Shape>> single =
        DrawShapes(model_, options_.shapes, WithLargest(), 1, options_.seed, faults_);
    std::vector<std::optional<ElementSource>> sources;
    uint64_t row_bytes = 0;
    for (size_t i = 0; i < model_.inputs.size(); ++i)
      row_bytes += Prepare(i, single[i][0], sources);
    if (!faults_.empty()) return faults_.ToError();
    if (options_.rows > 0) rows = options_.rows;
    const size_t group = std::max<size_t>(options_.rows_per_shape, 1);
    if (rows == 0) rows = DefaultRows(row_bytes, options_.dims.empty() ? 1 : group);
    FaultList checked_before;
    const std::vector<std::vector<Shape>> shapes =
        DrawShapes(model_, options_.shapes, options_.dims, (rows + group - 1) / group,
                   options_.seed, checked_before);
    const bool varies = std::any_of(shapes.begin(), shapes.end(),
                                    [](const auto& drawn) { return drawn.size() > 1; });
    // The last block has all its rows too: batches come around at the end.
    if (varies) rows = (rows + group - 1) / group * group;
    DataSet::Parts parts{.rows = rows};
    for (size_t i = 0; i < model_.inputs.size(); ++i) {
      const auto file = files_.find(i);
      if (file != files_.end()) {
        parts.inputs.push_back(Cycle(std::move(file->second.column), file->second.rows, rows));
        continue;
      }
      SEXTANT_ASSIGN(Column column,
                     MakeColumn(model_.inputs[i], shapes[i], rows, group, *sources[i]),
                     Format("random data for input '{}'", model_.inputs[i].name));
      parts.inputs.push_back(std::move(column));
    }
    parts.description = Describe(rows);
    return DataSet::Make(std::move(parts));
  }

 private:
  void CheckNames() {
    for (const auto& [name, rule] : options_.rules) {
      std::vector<std::string> names;
      for (const TensorMetadata& input : model_.inputs) names.push_back("'" + input.name + "'");
      if (std::find(names.begin(), names.end(), "'" + name + "'") == names.end()) {
        faults_.Add(Format("--data {}={}: the model has no input '{}'; it has {}", name, rule.text,
                           Printable(name, 60), Join(names, ", ")));
      }
    }
  }

  // Reads what comes from files; how many rows the longest has.
  size_t ReadFiles() {
    size_t rows = 0;
    for (size_t i = 0; i < model_.inputs.size(); ++i) {
      const TensorMetadata& input = model_.inputs[i];
      const auto rule = options_.rules.find(input.name);
      if (rule == options_.rules.end() || !FromFiles(rule->second)) continue;
      TensorRows read;
      if (rule->second.kind == Kind::kImage) {
        read = ReadImages(rule->second.path, rule->second.image, input, options_.shapes, faults_);
      } else {
        Result<TensorRows> file = ReadTensorFile(rule->second.path, input, options_.shapes);
        if (file.has_value()) {
          read = *std::move(file);
        } else {
          faults_.Add(
              Format("input '{}' ({}): {}", input.name, rule->second.path, file.error().message()));
        }
      }
      rows = std::max(rows, read.rows);
      files_.emplace(i, std::move(read));
    }
    return rows;
  }

  // The rules with their upper ends only: what a row takes at most.
  std::vector<DimRule> WithLargest() const {
    std::vector<DimRule> out = options_.dims;
    for (DimRule& rule : out) rule.low = rule.high;
    return out;
  }

  // Makes the source of an input that is made up; bytes of its largest row.
  uint64_t Prepare(size_t i, const Shape& largest,
                   std::vector<std::optional<ElementSource>>& sources) {
    const TensorMetadata& input = model_.inputs[i];
    std::optional<ElementSource>& source = sources.emplace_back();
    if (files_.contains(i)) return 0;
    Result<ElementSource> made =
        ElementSource::Make(input, options_, Random(options_.seed).Fork(i));
    const std::optional<uint64_t> elements = kserve::ElementCount(largest);
    if (!elements || *elements > kMostElements) {
      faults_.Add(Format("input '{}' has the impossible shape {}", input.name,
                         kserve::FormatShape(largest)));
    }
    if (!made.has_value()) {
      faults_.Add(made.error().message());
      return 0;
    }
    source.emplace(*std::move(made));
    return elements.value_or(0) * source->Size();
  }

  // Up to 64 shapes or rows, as long as they stay below 16 MiB.
  size_t DefaultRows(uint64_t row_bytes, size_t group) const {
    if (options_.zero && options_.rules.empty() && options_.dims.empty()) return 1;
    const uint64_t most = kGeneratedBytes / std::max<uint64_t>(row_bytes * group, 1);
    return std::clamp<uint64_t>(most, 1, kGeneratedRows) * group;
  }

  std::string Describe(size_t rows) const {
    std::string out = options_.zero && options_.rules.empty() && options_.dims.empty()
                          ? "zeros"
                          : Format("{}, {} rows, seed {}", options_.zero ? "zeros" : "random", rows,
                                   options_.seed);
    for (const auto& [name, rule] : options_.rules)
      out += Format(", {}={}", name, Printable(rule.text, 100));
    for (const DimRule& rule : options_.dims) out += ", " + rule.text;
    return out;
  }

  const ModelSignature& model_;
  const GenerateOptions& options_;
  std::map<size_t, TensorRows> files_;
  FaultList faults_;
};

}  // namespace

Result<DataSet> GenerateData(const ModelSignature& model, const GenerateOptions& options) {
  return Generation(model, options).Run();
}

}  // namespace sextant::load
