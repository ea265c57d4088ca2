#include "serve/service_law.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/strings.h"
#include "base/units.h"

namespace sextant::serve {

double NormalQuantile(double p) {
  // Newton's method on erfc, from a crude start: exactness matters here, speed does not.
  double x = p < 0.5 ? -1 : 1;
  for (int i = 0; i < 60; ++i) {
    const double density = std::exp(-x * x / 2) / std::sqrt(2 * M_PI);
    const double error = 0.5 * std::erfc(-x / std::sqrt(2.0)) - p;
    const double step = std::clamp(error / density, -1.0, 1.0);
    x -= step;
    if (std::abs(step) < 1e-14) break;
  }
  return x;
}

namespace {

// Thirty years: what a heavy tail draws beyond has no nanoseconds.
constexpr double kLongestNs = 1e18;
Nanos Rounded(double ns) { return Nanos(std::llround(std::clamp(ns, -kLongestNs, kLongestNs))); }

}  // namespace

Result<ServiceLaw> ServiceLaw::Parse(std::string_view text) {
  const std::string_view trimmed = TrimSpace(text);
  const auto fault = [&](std::string_view why) {
    return InvalidArgument(
        Format("'{}' is not a service time law ({}); write fixed(10ms), normal(10ms, 1ms), "
               "lognormal(10ms, 0.5), exponential(10ms) or bimodal(5ms, 50ms, 0.1)",
               Printable(trimmed, 80), why));
  };
  const size_t open = trimmed.find('(');
  ServiceLaw law;
  if (open == std::string_view::npos) {
    const Result<Nanos> bare = ParseDuration(trimmed);
    if (!bare.has_value()) return fault("no such law");
    if (*bare > Rounded(kLongestNs)) return fault("a time is too long");
    law.first = *bare;
    return law;
  }
  if (!trimmed.ends_with(')')) return fault("')' is missing");
  const std::string_view name = TrimSpace(trimmed.substr(0, open));
  const auto arguments = Split(trimmed.substr(open + 1, trimmed.size() - open - 2), ',');
  struct Row {
    std::string_view name;
    Kind kind;
    std::string_view arguments;  // d: duration, n: number
  };
  constexpr Row kRows[] = {{"fixed", Kind::kFixed, "d"},
                           {"normal", Kind::kNormal, "dd"},
                           {"lognormal", Kind::kLognormal, "dn"},
                           {"exponential", Kind::kExponential, "d"},
                           {"bimodal", Kind::kBimodal, "ddn"}};
  for (const Row& row : kRows) {
    if (row.name != name) continue;
    if (arguments.size() != row.arguments.size())
      return fault(Format("{} takes {} arguments", name, row.arguments.size()));
    law.kind = row.kind;
    for (size_t i = 0; i < arguments.size(); ++i) {
      if (row.arguments[i] == 'n') {
        const auto number = ParseDouble(TrimSpace(arguments[i]));
        if (!number || *number < 0 || (law.kind == Kind::kBimodal && *number > 1))
          return fault("a number is out of range");
        law.third = *number;
      } else {
        const Result<Nanos> duration = ParseDuration(arguments[i]);
        if (!duration.has_value()) return fault(duration.error().message());
        if (*duration > Rounded(kLongestNs)) return fault("a time is too long");
        (i == 0 ? law.first : law.second) = *duration;
      }
    }
    return law;
  }
  return fault("no such law");
}

std::string ServiceLaw::Text() const {
  switch (kind) {
    case Kind::kFixed:
      return Format("fixed({})", FormatDuration(first));
    case Kind::kNormal:
      return Format("normal({}, {})", FormatDuration(first), FormatDuration(second));
    case Kind::kLognormal:
      return Format("lognormal({}, {})", FormatDuration(first), third);
    case Kind::kExponential:
      return Format("exponential({})", FormatDuration(first));
    case Kind::kBimodal:
      return Format("bimodal({}, {}, {})", FormatDuration(first), FormatDuration(second), third);
  }
  return {};
}

Nanos ServiceLaw::Draw(Random& random) const {
  const auto scale = static_cast<double>(first.count());
  switch (kind) {
    case Kind::kFixed:
      return first;
    case Kind::kNormal:
      return std::max(Nanos(0),
                      first + Rounded(random.Normal() * static_cast<double>(second.count())));
    case Kind::kLognormal:
      return Rounded(scale * std::exp(third * random.Normal()));
    case Kind::kExponential:
      return Rounded(random.Exponential(scale));
    case Kind::kBimodal:
      return random.Uniform() < third ? second : first;
  }
  return first;
}

Nanos ServiceLaw::Quantile(double p) const {
  const auto scale = static_cast<double>(first.count());
  switch (kind) {
    case Kind::kFixed:
      return first;
    case Kind::kNormal:
      return first + Rounded(NormalQuantile(p) * static_cast<double>(second.count()));
    case Kind::kLognormal:
      return Rounded(scale * std::exp(third * NormalQuantile(p)));
    case Kind::kExponential:
      return Rounded(-scale * std::log1p(-p));
    case Kind::kBimodal:
      return p > 1 - third ? second : first;
  }
  return first;
}

Nanos ServiceLaw::Mean() const {
  const auto scale = static_cast<double>(first.count());
  switch (kind) {
    case Kind::kFixed:
    case Kind::kNormal:
    case Kind::kExponential:
      return first;
    case Kind::kLognormal:
      return Rounded(scale * std::exp(third * third / 2));
    case Kind::kBimodal:
      return Rounded(scale * (1 - third) + static_cast<double>(second.count()) * third);
  }
  return first;
}

}  // namespace sextant::serve
