#include "load/range.h"

#include <cmath>

#include "base/strings.h"

namespace sextant::load {
namespace {

constexpr size_t kMostValues = 1000;

Result<void> AddPart(std::string_view part, double least, std::vector<double>& out) {
  const auto fault = [&](std::string_view why) {
    return InvalidArgument(Format(
        "'{}' {}; write a number, START:END:STEP, START..END, START..END+STEP or START..END*FACTOR",
        Printable(part, 60), why));
  };
  const auto number = [](std::string_view text) { return ParseDouble(TrimSpace(text)); };
  std::optional<double> start, end, step = 1;
  bool factor = false;
  if (const size_t dots = part.find(".."); dots != std::string_view::npos) {
    start = number(part.substr(0, dots));
    std::string_view rest = part.substr(dots + 2);
    if (const size_t at = rest.find_first_of("*+"); at != std::string_view::npos) {
      factor = rest[at] == '*';
      step = number(rest.substr(at + 1));
      rest = rest.substr(0, at);
    }
    end = number(rest);
  } else {
    const auto pieces = Split(part, ':');
    if (pieces.size() > 3) return fault("has more than three parts");
    start = end = number(pieces[0]);
    if (pieces.size() > 1) end = number(pieces[1]);
    if (pieces.size() > 2) step = number(pieces[2]);
  }
  if (!start || !end || !step) return fault("is not a range");
  if (*start < least) return fault(Format("begins below {}", least));
  if (*end < *start) return fault("ends before it begins");
  if (*start < *end && (factor ? *step <= 1 : *step <= 0))
    return fault("never gets from its start to its end");
  // From the index, so that rates such as 0.1:1:0.1 do not drift.
  for (int i = 0;; ++i) {
    const double value = factor ? *start * std::pow(*step, i) : *start + *step * i;
    if (value > *end * (1 + 1e-9)) break;
    if (out.size() == kMostValues) return fault(Format("makes more than {} levels", kMostValues));
    out.push_back(value);
    if (*start == *end) break;
  }
  return {};
}

}  // namespace

Result<std::vector<double>> ParseLevels(std::string_view text, double least) {
  std::vector<double> out;
  for (const std::string_view part : Split(text, ','))
    SEXTANT_TRY(AddPart(TrimSpace(part), least, out));
  return out;
}

}  // namespace sextant::load
