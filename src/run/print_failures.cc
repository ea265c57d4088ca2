#include "run/print_failures.h"

#include "base/strings.h"

namespace sextant::run {
namespace {

std::string Reason(const OutcomeRecord& outcome) {
  return outcome.example.empty() ? outcome.name : Format("{}: {}", outcome.name, outcome.example);
}

}  // namespace

std::string FormatFailures(std::span<const Level> levels) {
  std::string out;
  for (const Level& level : levels) {
    if (level.failed == 0) continue;
    AppendFormat(out, "{}, batch {}: {} of {} requests failed\n", DescribeLoad(level.load),
                 level.load.batch_size, level.failed, level.failed + level.succeeded);
    for (const OutcomeRecord& outcome : level.outcomes)
      AppendFormat(out, "  {} x {}\n", outcome.count, Reason(outcome));
  }
  return out;
}

std::string FirstFailure(std::span<const Level> levels) {
  for (const Level& level : levels) {
    for (const OutcomeRecord& outcome : level.outcomes) {
      if (outcome.count > 0) return Reason(outcome);
    }
  }
  return {};
}

}  // namespace sextant::run
