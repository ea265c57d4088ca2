#include "analyze/objective.h"

#include <algorithm>
#include <cmath>

#include "analyze/owned_name.h"
#include "base/strings.h"
#include "base/units.h"

namespace sextant::analyze {
namespace {

Error Fault(std::string_view whole, std::string_view what) {
  return InvalidArgument(Format("'{}': {}", Printable(whole, 60), what));
}

// A model's name before a field is written as it is, the field in any case.
std::string NameAsWritten(std::string_view text) {
  const OwnedName split = SplitOwner(TrimSpace(text));
  return WithOwner(TrimSpace(split.model), ToLower(TrimSpace(split.name)));
}

std::string UnknownField(std::string_view whole) {
  const std::string_view name = SplitOwner(whole).name;
  if (FindField(name) != nullptr)
    return Format("{} is of the whole server, not of one of its models", name);
  std::vector<std::string_view> names;
  for (const Field& field : Fields()) names.push_back(field.name);
  const auto near = NearestName(name, names);
  if (near) return Format("there is no such figure; is {} meant?", *near);
  return "there is no such figure; latency_p99 (p99), throughput and gpu_memory_used are some";
}

Result<Objective> ParseObjective(std::string_view text) {
  const std::string_view whole = text;
  Objective objective;
  // What stands before a field is a model's name, what stands behind it is a weight.
  if (const size_t colon = text.rfind(':');
      colon != std::string_view::npos && FindField(NameAsWritten(text)) == nullptr) {
    const auto weight = ParseDouble(TrimSpace(text.substr(colon + 1)));
    if (!weight || *weight <= 0) return Fault(whole, "a weight is a number above 0");
    objective.weight = *weight;
    text = text.substr(0, colon);
  }
  const std::string name = NameAsWritten(text);
  if (name.empty()) return Fault(whole, "write FIELD or FIELD:WEIGHT, such as throughput:2");
  objective.field = FigureName(name);
  if (objective.field.empty()) return Fault(whole, UnknownField(name));
  const Field* field = FindField(name);
  if (field->better == Better::kNeither)
    return Fault(whole, "neither more nor less of it is better: it can only be limited");
  objective.better = field->better;
  return objective;
}

// A number in `unit`, which may be written behind it.
std::optional<double> ParseAmount(std::string_view text, std::string_view unit) {
  if (!unit.empty() && text.ends_with(unit)) text.remove_suffix(unit.size());
  return ParseDouble(TrimSpace(text));
}

// The limit in the field's unit, or what it should have been.
Result<double> ParseLimit(const Field& field, std::string_view text) {
  if (field.unit == "s") {
    const Result<Nanos> value = ParseDuration(text);
    if (!value.has_value() || *value <= Nanos(0))
      return InvalidArgument("its limit is a time with its unit, such as 50ms");
    return Seconds(*value);
  }
  if (field.unit == "bytes") {
    const Result<uint64_t> value = ParseBytes(text);
    if (!value.has_value()) return InvalidArgument("its limit is a size, such as 8GiB");
    return static_cast<double>(*value);
  }
  if (field.unit == "ratio") {
    const bool percent = text.ends_with('%');
    if (percent) text.remove_suffix(1);
    auto value = ParseDouble(TrimSpace(text));
    if (value && percent) *value /= 100;
    if (!value || *value < 0 || *value > 1)
      return InvalidArgument("its limit is a share from 0 to 1 or a percentage, such as 0.1%");
    return *value;
  }
  const auto value = ParseAmount(text, field.unit == "1/s" ? "/s" : field.unit);
  if (!value || *value < 0) {
    return InvalidArgument(Format("its limit is a number{}{}, such as 100",
                                  field.unit.empty() ? "" : " in ", field.unit));
  }
  return *value;
}

Result<Constraint> ParseConstraint(std::string_view whole) {
  const size_t at = whole.find_first_of("<>");
  if (at == std::string_view::npos)
    return Fault(whole, "write FIELD<LIMIT, such as p99<50ms, or throughput>=100");
  Constraint constraint{.at_most = whole[at] == '<', .text = std::string(whole)};
  std::string_view limit = whole.substr(at + 1);
  const bool inclusive = limit.starts_with('=');
  if (inclusive) limit.remove_prefix(1);
  const std::string name = NameAsWritten(whole.substr(0, at));
  constraint.field = FigureName(name);
  if (constraint.field.empty()) return Fault(whole, UnknownField(name));
  const Field* field = FindField(name);
  // What nobody can mean is a slip of the finger.
  if (field->unit == "s" && !constraint.at_most)
    return Fault(whole, "it has an upper limit: write < or <=");
  if (field->name == "throughput" && constraint.at_most)
    return Fault(whole, "a throughput has a lower limit: throughput>=100");
  const Result<double> value = ParseLimit(*field, TrimSpace(limit));
  if (!value.has_value()) return Fault(whole, value.error().message());
  if (*value == 0 && constraint.at_most && !inclusive)
    return Fault(whole, "nothing is below 0: write <=0");
  constraint.limit = *value;
  return constraint;
}

template <typename T, typename Parse>
Result<std::vector<T>> ParseAll(std::string_view text, Parse parse) {
  std::vector<T> out;
  std::string faults;
  const auto fault = [&](std::string_view what) {
    AppendFormat(faults, "{}{}", faults.empty() ? "" : "; ", what);
  };
  for (const std::string_view part : Split(text, ',')) {
    Result<T> one = parse(TrimSpace(part));
    if (!one.has_value()) {
      fault(one.error().message());
      continue;
    }
    out.push_back(*std::move(one));
  }
  if (!faults.empty()) return InvalidArgument(std::move(faults));
  return out;
}

struct Difference {
  double value = 0;
  std::optional<double> variance;
};

double Spread(const Figure& figure) { return (*figure.upper - *figure.lower) / 2 / kNormal95; }

// (a - b) over the mean of their sizes, and its variance by the delta method.
Difference Relative(const Figure& a, const Figure& b) {
  const double size = (std::abs(a.value) + std::abs(b.value)) / 2;
  Difference out;
  if (size > 0) out.value = (a.value - b.value) / size;
  if (!a.lower || !a.upper || !b.lower || !b.upper) return out;
  if (size == 0) {
    if (Spread(a) == 0 && Spread(b) == 0) out.variance = 0;
    return out;
  }
  // d/da 2(a-b)/(a+b) = 4b/(a+b)^2, and the other way round.
  const double by_a = std::abs(b.value) / (size * size) * Spread(a);
  const double by_b = std::abs(a.value) / (size * size) * Spread(b);
  out.variance = by_a * by_a + by_b * by_b;
  return out;
}

// At least as good as `b` in every field; points differ somewhere when it is called.
bool Covers(std::span<const double> a, std::span<const double> b) {
  return std::equal(a.begin(), a.end(), b.begin(), [](double x, double y) { return x >= y; });
}

// The fields of a point, larger is better; nothing when one is missing.
std::optional<std::vector<double>> Goodness(std::span<const std::string> fields,
                                            const Figures& figures) {
  std::vector<double> out;
  for (const std::string& name : fields) {
    const Field* field = FindField(name);
    const std::string known = FigureName(name);
    const Figure* figure = FindFigure(figures, known.empty() ? name : known);
    if (figure == nullptr) return std::nullopt;
    const bool less = field != nullptr && field->better == Better::kLower;
    out.push_back(less ? -figure->value : figure->value);
  }
  return out;
}

}  // namespace

Result<std::vector<Objective>> ParseObjectives(std::string_view text) {
  Result<std::vector<Objective>> out = ParseAll<Objective>(text, ParseObjective);
  if (!out.has_value()) return out;
  for (size_t i = 0; i < out->size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if ((*out)[i].field == (*out)[j].field)
        return InvalidArgument(Format("'{}' is named twice", (*out)[i].field));
    }
  }
  return out;
}

Result<std::vector<Constraint>> ParseConstraints(std::string_view text) {
  return ParseAll<Constraint>(text, ParseConstraint);
}

Holds Check(const Constraint& constraint, const Figures& figures) {
  const Figure* figure = FindFigure(figures, constraint.field);
  if (figure == nullptr) return Holds::kUnknown;
  const auto within = [&](double value) {
    return constraint.at_most ? value <= constraint.limit : value >= constraint.limit;
  };
  // No number of requests shows that none ever fails: what is asked is that none of them did.
  const Field* field = FindField(constraint.field);
  if (constraint.at_most && constraint.limit == 0 && field != nullptr && field->unit == "ratio")
    return within(figure->value) ? Holds::kYes : Holds::kNo;
  const bool low = within(figure->lower.value_or(figure->value));
  const bool high = within(figure->upper.value_or(figure->value));
  if (low && high) return Holds::kYes;
  return low || high ? Holds::kUndecided : Holds::kNo;
}

Holds CheckAll(std::span<const Constraint> constraints, const Figures& figures) {
  bool unknown = false, undecided = false;
  for (const Constraint& constraint : constraints) {
    const Holds holds = Check(constraint, figures);
    // One that is violated settles it, whatever else is known.
    if (holds == Holds::kNo) return holds;
    unknown = unknown || holds == Holds::kUnknown;
    undecided = undecided || holds == Holds::kUndecided;
  }
  if (unknown) return Holds::kUnknown;
  return undecided ? Holds::kUndecided : Holds::kYes;
}

std::optional<Figure> Advantage(std::span<const Objective> objectives, const Figures& a,
                                const Figures& b) {
  double weights = 0, sum = 0, variance = 0;
  bool known = true;
  for (const Objective& objective : objectives) {
    const Figure* of_a = FindFigure(a, objective.field);
    const Figure* of_b = FindFigure(b, objective.field);
    if (of_a == nullptr || of_b == nullptr) return std::nullopt;
    const Difference difference = Relative(*of_a, *of_b);
    const double sign = objective.better == Better::kLower ? -1 : 1;
    weights += objective.weight;
    sum += objective.weight * sign * difference.value;
    known = known && difference.variance.has_value();
    variance += objective.weight * objective.weight * difference.variance.value_or(0);
  }
  if (weights <= 0) return std::nullopt;
  Figure out{.value = sum / weights, .lower = {}, .upper = {}};
  if (!known) return out;
  const double half = kNormal95 * std::sqrt(variance) / weights;
  out.lower = out.value - half;
  out.upper = out.value + half;
  return out;
}

std::vector<size_t> ParetoSet(std::span<const std::string> fields,
                              std::span<const Figures* const> points) {
  struct Candidate {
    std::vector<double> goodness;
    size_t index;
  };
  std::vector<Candidate> candidates;
  for (size_t i = 0; i < points.size(); ++i) {
    if (points[i] == nullptr) continue;
    if (auto goodness = Goodness(fields, *points[i])) candidates.push_back({*goodness, i});
  }
  // In descending lexicographic order what dominates a point comes before it.
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return a.goodness != b.goodness ? a.goodness > b.goodness : a.index < b.index;
  });
  std::vector<const Candidate*> front;
  for (const Candidate& candidate : candidates) {
    // With two fields the last of the set has the best second field so far: it alone can dominate.
    const size_t first = fields.size() == 2 && !front.empty() ? front.size() - 1 : 0;
    const bool dominated =
        std::any_of(front.begin() + static_cast<ptrdiff_t>(first), front.end(), [&](const auto* f) {
          return f->goodness != candidate.goodness && Covers(f->goodness, candidate.goodness);
        });
    if (!dominated) front.push_back(&candidate);
  }
  std::vector<size_t> out;
  for (const Candidate* candidate : front) out.push_back(candidate->index);
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace sextant::analyze
