#include "analyze/parse_space.h"

#include <algorithm>
#include <cmath>

#include "analyze/owned_name.h"
#include "base/strings.h"
#include "kserve/config_fields.h"

namespace sextant::analyze {
namespace {

using text::Json;
using Models = std::span<const std::string>;
constexpr size_t kMostValues = 100'000;

// A piece of the text and where it begins.
struct Piece {
  std::string_view text;
  size_t at = 0;
};

Piece Trim(Piece piece) {
  const std::string_view trimmed = TrimSpace(piece.text);
  if (trimmed.empty()) return {trimmed, piece.at};
  return {trimmed, piece.at + static_cast<size_t>(trimmed.data() - piece.text.data())};
}

// At commas that stand in no brackets and no quotes.
std::vector<Piece> SplitValues(std::string_view text, size_t at) {
  std::vector<Piece> out;
  size_t begin = 0;
  int depth = 0;
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote != 0) {
      if (c == '\\' && quote == '"') ++i;
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '(' || c == '[' || c == '{') {
      ++depth;
    } else if (c == ')' || c == ']' || c == '}') {
      --depth;
    } else if (c == ',' && depth <= 0) {
      out.push_back(Trim({text.substr(begin, i - begin), at + begin}));
      begin = i + 1;
    }
  }
  out.push_back(Trim({text.substr(begin), at + begin}));
  return out;
}

// Whole numbers stay such.
Json NumberOf(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) return static_cast<int64_t>(value);
  return value;
}

struct Range {
  double start = 0, end = 0, step = 1;
  bool factor = false;
};

// START..END, START..END:STEP, START..END+STEP, START..END*FACTOR.
Result<Range> ParseRange(std::string_view text) {
  const size_t dots = text.find("..");
  std::string_view rest = text.substr(dots + 2);
  Range out;
  std::optional<double> step = 1;
  if (const size_t at = rest.find_first_of(":+*"); at != std::string_view::npos) {
    out.factor = rest[at] == '*';
    step = ParseDouble(TrimSpace(rest.substr(at + 1)));
    rest = rest.substr(0, at);
  }
  const auto start = ParseDouble(TrimSpace(text.substr(0, dots)));
  const auto end = ParseDouble(TrimSpace(rest));
  if (!start || !end || !step) {
    return InvalidArgument(
        Format("'{}' is no range; write 1..8, 0..1000:100 or 1..64*4", Printable(text, 40)));
  }
  out.start = *start, out.end = *end, out.step = *step;
  if (out.end < out.start)
    return InvalidArgument(Format("'{}' ends before it begins", Printable(text, 40)));
  const bool moves = out.factor ? out.step > 1 && out.start > 0 : out.step > 0;
  if (!moves && out.start != out.end)
    return InvalidArgument(
        Format("'{}' never gets from its start to its end", Printable(text, 40)));
  return out;
}

// Whether it may be a range: two dots, and a number before them.
bool LooksLikeRange(std::string_view text) {
  const size_t dots = text.find("..");
  return dots != std::string_view::npos && dots > 0 && ParseDouble(TrimSpace(text.substr(0, dots)));
}

class AxisParser {
 public:
  AxisParser(std::string_view name, Models models)
      : models_(models), load_(IsLoadAxis(FullAxisName(name))) {
    axis_.name = FullAxisName(name);
  }

  // Whether there is such an axis.
  Result<void> CheckName() const {
    if (load_) return {};
    const OwnedName split = SplitOwner(axis_.name);
    if (!split.model.empty() && !IsModel(split.model)) {
      return InvalidArgument(
          models_.empty() ? Format("'{}' stands before a field of one of several models (--mix)",
                                   Printable(split.model, 60))
                          : Format("there is no model '{}' in --mix ({})",
                                   Printable(split.model, 60), Join(models_, ", ")));
    }
    const Result<Json> known = kserve::GetField({}, split.name);
    if (known.has_value()) return {};
    static constexpr std::string_view kShort[] = {"instances", "batch", "concurrency",
                                                  "rate",      "data",  "take"};
    const auto near = NearestName(split.name, kShort);
    return InvalidArgument(Format("{}{}", known.error().message(),
                                  near ? Format("; of the load there is '{}'", *near) : ""));
  }

  void Parse(std::string_view values, size_t at) {
    const std::vector<Piece> pieces = SplitValues(values, at);
    for (const Piece& piece : pieces) ParsePiece(piece, pieces.size() == 1);
  }

  // A value that is no text.
  void AddValue(const Json& value) {
    if (axis_.values.size() == kMostValues)
      return Fault(0, Format("more than {} values", kMostValues));
    if (load_) {
      if (const std::string wrong = WrongForLoad(value); !wrong.empty()) return Fault(at_, wrong);
    } else if (const auto right = Canonical(value); !right.has_value()) {
      return Fault(at_, right.error().message());
    }
    axis_.values.push_back(value);
  }

  const std::vector<std::string>& faults() const { return faults_; }
  AxisSpec Take() { return std::move(axis_); }

 private:
  bool IsModel(std::string_view name) const {
    return std::find(models_.begin(), models_.end(), name) != models_.end();
  }
  Result<Json> Canonical(const Json& value) const {
    return kserve::CanonicalValue(SplitOwner(axis_.name).name, value);
  }
  void Fault(size_t at, std::string_view what) {
    faults_.push_back(Format("column {}: {}", at + 1, what));
  }

  std::string WrongForLoad(const Json& value) const {
    if (axis_.name == "data") {
      const auto name = value.AsString();
      return name && !name->empty() ? "" : "data wants names of data sets";
    }
    const auto number = value.AsDouble();
    const bool whole = number && *number == std::floor(*number);
    const std::string shown = Printable(text::FormatJson(value), 40);
    if (axis_.name == "rate")
      return number && *number > 0 ? "" : Format("rate wants numbers above 0, not {}", shown);
    const double least = axis_.name == "take" ? 0 : 1;
    return whole && *number >= least
               ? ""
               : Format("{} wants whole numbers from {}, not {}", axis_.name, least, shown);
  }

  void ParsePiece(const Piece& piece, bool alone) {
    at_ = piece.at;
    if (piece.text.empty()) return Fault(at_, "a value is missing");
    const char first = piece.text[0];
    if (piece.text.starts_with("log2(") && piece.text.ends_with(')')) return ParseLog2(piece.text);
    if (first == '[' || first == '{' || first == '"') return ParseLiteral(piece.text);
    if (first == '\'' && piece.text.size() > 1 && piece.text.ends_with('\''))
      return AddValue(piece.text.substr(1, piece.text.size() - 2));
    if (piece.text == "true" || piece.text == "false") return AddValue(piece.text == "true");
    if (piece.text == "null") return AddValue({});
    if (const auto whole = ParseInt(piece.text)) return AddValue(*whole);
    if (const auto whole = ParseUint(piece.text)) return AddValue(*whole);
    if (const auto number = ParseDouble(piece.text)) return AddValue(*number);
    if (LooksLikeRange(piece.text)) {
      const Result<Range> range = ParseRange(piece.text);
      if (!range.has_value()) return Fault(at_, range.error().message());
      return AddRange(*range);
    }
    ParseWord(piece, alone);
  }

  void ParseLiteral(std::string_view text) {
    Result<Json> value = text::ParseJson(text);
    if (!value.has_value())
      return Fault(at_,
                   Format("'{}' is not JSON: {}", Printable(text, 40), value.error().message()));
    AddValue(*value);
  }

  void ParseLog2(std::string_view text) {
    const std::string_view inner = TrimSpace(text.substr(5, text.size() - 6));
    if (!LooksLikeRange(inner)) return Fault(at_, "write log2(1..128)");
    Result<Range> range = ParseRange(inner);
    if (!range.has_value()) return Fault(at_, range.error().message());
    if (range->start <= 0) return Fault(at_, "powers of two begin above 0, as in log2(1..128)");
    if (inner.find_first_of(":+*") != std::string_view::npos)
      return Fault(at_, "log2() has its step already; write log2(1..128)");
    range->step = 2;
    range->factor = true;
    AddRange(*range);
  }

  void AddRange(const Range& range) {
    const size_t faults = faults_.size();
    for (size_t i = 0; faults_.size() == faults; ++i) {
      const double n = static_cast<double>(i);
      // From the index, so that 0.1 does not drift.
      const double value =
          range.factor ? range.start * std::pow(range.step, n) : range.start + range.step * n;
      if (value > range.end + std::abs(range.end) * 1e-9 || !std::isfinite(value)) break;
      if (i == kMostValues)
        return Fault(at_, Format("the range has more than {} values", kMostValues));
      AddValue(NumberOf(value));
      if (range.start == range.end) break;
    }
  }

  // A text where the axis takes one, else an expression.
  void ParseWord(const Piece& piece, bool alone) {
    const Json word(piece.text);
    if (load_ ? axis_.name == "data" : Canonical(word).has_value()) return AddValue(word);
    Result<Expression> expression = Expression::ParseNumber(piece.text, models_, at_);
    if (!expression.has_value() || !Known(*expression)) {
      // A single word is a value that is wrong, and anything else an expression that is.
      const bool plain = expression.has_value() && expression->names().size() == 1 &&
                         FullAxisName(expression->text()) == expression->names()[0];
      if (!load_ && plain) return AddValue(word);
      if (expression.has_value()) return NameUnknown(*expression);
      faults_.push_back(expression.error().message());
      return;
    }
    if (!alone) return Fault(at_, "an expression stands alone, without other values");
    if (axis_.name == "data" || axis_.name == "take")
      return Fault(at_, Format("{} wants values, not an expression", axis_.name));
    axis_.expression = *std::move(expression);
  }

  bool IsKnown(const std::string& name) const {
    return AxisParser(name, models_).CheckName().has_value();
  }
  bool Known(const Expression& expression) const {
    return std::all_of(expression.names().begin(), expression.names().end(),
                       [this](const std::string& name) { return IsKnown(name); });
  }

 public:
  // Each name that is neither an axis nor a field, as a fault.
  void NameUnknown(const Expression& expression) {
    for (size_t i = 0; i < expression.names().size(); ++i) {
      const std::string& name = expression.names()[i];
      if (IsKnown(name)) continue;
      const AxisParser other(name, models_);
      Fault(expression.column_of(i) - 1,
            Format("{}; a text stands in quotes", other.CheckName().error().message()));
    }
  }

 private:
  Models models_;
  AxisSpec axis_;
  bool load_;
  size_t at_ = 0;
  std::vector<std::string> faults_;
};

// Puts what is wrong with `text` into `faults`, each with the text in front.
void AddFaults(std::string_view text, std::span<const std::string> found,
               std::vector<std::string>& faults) {
  for (const std::string& fault : found)
    faults.push_back(Format("'{}', {}", Printable(text, 120), fault));
}

std::optional<AxisSpec> ParseAxisText(std::string_view text, Models models,
                                      std::vector<std::string>& faults) {
  // Not one in the brackets of the name.
  size_t equals = text.find('=');
  if (const size_t open = text.find('['); open < equals) {
    if (const size_t close = text.find(']', open); close != std::string_view::npos)
      equals = text.find('=', close);
  }
  const std::string_view name = TrimSpace(text.substr(0, equals));
  if (equals == std::string_view::npos || name.empty()) {
    AddFaults(text,
              std::vector<std::string>{"column 1: write NAME=VALUES, such as instances=1,2,4"},
              faults);
    return std::nullopt;
  }
  AxisParser parser(name, models);
  if (const Result<void> known = parser.CheckName(); !known.has_value()) {
    AddFaults(text, std::vector<std::string>{"column 1: " + known.error().message()}, faults);
    return std::nullopt;
  }
  parser.Parse(text.substr(equals + 1), equals + 1);
  AddFaults(text, parser.faults(), faults);
  if (!parser.faults().empty()) return std::nullopt;
  return parser.Take();
}

void AddWhere(std::string_view text, Models models, SpaceSpec& spec,
              std::vector<std::string>& faults) {
  Result<Expression> condition = Expression::ParseCondition(text, models);
  if (!condition.has_value())
    return AddFaults(text, std::vector<std::string>{condition.error().message()}, faults);
  AxisParser names("", models);
  names.NameUnknown(*condition);
  AddFaults(text, names.faults(), faults);
  spec.where.push_back(*std::move(condition));
}

Result<SpaceSpec> Finish(SpaceSpec spec, std::vector<std::string> faults) {
  for (size_t i = 0; i < spec.axes.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (spec.axes[i].name == spec.axes[j].name)
        faults.push_back(
            Format("{} is given twice; put all its values into one", spec.axes[i].name));
    }
    const OwnedName own = SplitOwner(spec.axes[i].name);
    if (!own.model.empty() && spec.Find(own.name) != nullptr) {
      faults.push_back(Format("{} and {} exclude each other: the second is of all models",
                              spec.axes[i].name, own.name));
    }
  }
  if (!faults.empty()) return InvalidArgument(Join(faults, "\n"));
  return spec;
}

// The faults of one member, each with its place in the file.
void Place(const Json& value, std::string_view source, std::span<const std::string> found,
           std::vector<std::string>& faults) {
  for (const std::string& fault : found) {
    faults.push_back(source.empty()
                         ? fault
                         : Format("{}: {}", text::DescribeOffset(source, value.offset()), fault));
  }
}

void AddYamlWhere(const Json& value, std::string_view source, Models models, SpaceSpec& spec,
                  std::vector<std::string>& faults) {
  const std::span<const Json> conditions =
      value.IsArray() ? std::span<const Json>(value.array()) : std::span<const Json>(&value, 1);
  for (const Json& condition : conditions) {
    std::vector<std::string> found;
    if (const auto text = condition.AsString()) {
      AddWhere(*text, models, spec, found);
    } else {
      found.push_back("where: a condition is a text, such as 'instances<=4'");
    }
    Place(condition, source, found, faults);
  }
}

void AddYamlAxis(const text::Json::Member& member, std::string_view source, Models models,
                 SpaceSpec& spec, std::vector<std::string>& faults) {
  const auto& [name, value] = member;
  AxisParser parser(name, models);
  if (const Result<void> known = parser.CheckName(); !known.has_value())
    return Place(value, source, std::vector<std::string>{known.error().message()}, faults);
  const std::span<const Json> values =
      value.IsArray() ? std::span<const Json>(value.array()) : std::span<const Json>(&value, 1);
  size_t before = 0;
  for (const Json& one : values) {
    if (const auto text = one.AsString()) {
      parser.Parse(*text, 0);
    } else {
      parser.AddValue(one);
    }
    std::vector<std::string> found;
    for (; before < parser.faults().size(); ++before)
      found.push_back(Format("{}: {}", name, parser.faults()[before]));
    Place(one, source, found, faults);
  }
  AxisSpec axis = parser.Take();
  if (axis.expression && !axis.values.empty()) {
    Place(value, source,
          std::vector<std::string>{
              Format("{}: an expression stands alone, without other values", name)},
          faults);
  }
  spec.axes.push_back(std::move(axis));
}

}  // namespace

Result<AxisSpec> ParseAxis(std::string_view text, Models models) {
  std::vector<std::string> faults;
  std::optional<AxisSpec> axis = ParseAxisText(text, models, faults);
  if (!axis) return InvalidArgument(Join(faults, "\n"));
  return *std::move(axis);
}

Result<SpaceSpec> ParseSpace(std::span<const std::string> set, std::span<const std::string> where,
                             Models models) {
  SpaceSpec spec;
  std::vector<std::string> faults;
  for (const std::string& text : set) {
    if (std::optional<AxisSpec> axis = ParseAxisText(text, models, faults))
      spec.axes.push_back(*std::move(axis));
  }
  for (const std::string& text : where) AddWhere(text, models, spec, faults);
  return Finish(std::move(spec), std::move(faults));
}

Result<SpaceSpec> ParseSpaceYaml(const Json& space, std::string_view source, Models models) {
  SpaceSpec spec;
  std::vector<std::string> faults;
  if (!space.IsObject()) {
    Place(space, source,
          std::vector<std::string>{
              Format("a space is a map of axes and their values, not {}", space.TypeName())},
          faults);
    return InvalidArgument(Join(faults, "\n"));
  }
  for (const auto& member : space.object()) {
    if (member.first == "where") {
      AddYamlWhere(member.second, source, models, spec, faults);
    } else {
      AddYamlAxis(member, source, models, spec, faults);
    }
  }
  return Finish(std::move(spec), std::move(faults));
}

}  // namespace sextant::analyze
