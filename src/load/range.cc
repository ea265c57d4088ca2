#include "load/range.h"

#include <cmath>

#include "base/strings.h"

namespace sextant::load {
namespace {

constexpr size_t kMostValues = 1000;

Error Fault(std::string_view part, std::string_view why) {
  return InvalidArgument(
      Format("'{}' {}; write a number, START:END, START:END:STEP, START..END, START..END+STEP or "
             "START..END*FACTOR, or several of these with commas, such as 1,2,4",
             Printable(part, 60), why));
}

Result<LevelRange> ParseRange(std::string_view part, double least) {
  const auto number = [](std::string_view text) { return ParseDouble(TrimSpace(text)); };
  std::optional<double> start, end, step = 1;
  LevelRange out;
  if (const size_t dots = part.find(".."); dots != std::string_view::npos) {
    start = number(part.substr(0, dots));
    std::string_view rest = part.substr(dots + 2);
    if (const size_t at = rest.find_first_of("*+"); at != std::string_view::npos) {
      out.factor = rest[at] == '*';
      step = number(rest.substr(at + 1));
      rest = rest.substr(0, at);
    }
    end = number(rest);
  } else {
    const auto pieces = Split(part, ':');
    if (pieces.size() > 3) return Fault(part, "has more than three parts");
    start = end = number(pieces[0]);
    out.single = pieces.size() == 1;
    if (pieces.size() > 1) end = number(pieces[1]);
    if (pieces.size() > 2) step = number(pieces[2]);
  }
  if (!start || !end || !step) return Fault(part, "is not a range");
  out.start = *start, out.end = *end, out.step = *step;
  if (out.start < least) return Fault(part, Format("begins below {}", least));
  if (out.end < out.start && !out.open()) return Fault(part, "ends before it begins");
  if (out.start != out.end && (out.factor ? out.step <= 1 : out.step <= 0))
    return Fault(part, "never gets from its start to its end");
  return out;
}

Result<void> AddPart(std::string_view part, double least, std::vector<double>& out) {
  SEXTANT_ASSIGN(const LevelRange range, ParseRange(part, least));
  if (range.open()) {
    return Fault(part, "has no end, which takes --latency-threshold or --find-max");
  }
  for (int i = 0;; ++i) {
    const double value = range.At(i);
    if (value > range.end * (1 + 1e-9)) break;
    if (out.size() == kMostValues)
      return Fault(part, Format("makes more than {} levels", kMostValues));
    out.push_back(value);
    if (range.start == range.end) break;
  }
  return {};
}

}  // namespace

double LevelRange::At(int i) const { return factor ? start * std::pow(step, i) : start + step * i; }

Result<std::optional<LevelRange>> ParseLevelRange(std::string_view text, double least) {
  if (text.find(',') != std::string_view::npos) {
    SEXTANT_TRY(ParseLevels(text, least));
    return std::optional<LevelRange>();
  }
  SEXTANT_ASSIGN(LevelRange range, ParseRange(TrimSpace(text), least));
  return std::optional(range);
}

Result<std::vector<double>> ParseLevels(std::string_view text, double least) {
  std::vector<double> out;
  for (const std::string_view part : Split(text, ','))
    SEXTANT_TRY(AddPart(TrimSpace(part), least, out));
  return out;
}

}  // namespace sextant::load
