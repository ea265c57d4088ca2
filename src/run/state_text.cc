#include "run/state_text.h"

#include <algorithm>

namespace sextant::run {

bool Level::unanswered() const {
  return succeeded == 0 && completed == 0 && in_flight_max > 0 &&
         std::all_of(outcomes.begin(), outcomes.end(), [](const OutcomeRecord& outcome) {
           return outcome.name == "timeout" || outcome.name == "unfinished";
         });
}

std::string StateText(const Level& level) {
  std::string out(level.unanswered() ? "unanswered" : stats::LevelStateName(level.state));
  if (level.backlog > 0) out += ", backlog";
  if (level.capped()) out += ", capped";
  if (level.client.limited) out += ", client-limited";
  return out;
}

std::string StateLegend(std::span<const Level> levels) {
  // A model's row has a state, too.
  const auto any = [&](auto&& is) {
    return std::any_of(levels.begin(), levels.end(), [&](const Level& level) {
      return is(level) || std::any_of(level.models.begin(), level.models.end(), is);
    });
  };
  const auto state = [&](stats::LevelState s) {
    return any([&](const Level& l) { return l.state == s && !l.unanswered(); });
  };
  std::string out;
  if (state(stats::LevelState::kNoisy))
    out += "noisy: no trend, but throughput is not known to 5 %; --duration longer helps\n";
  if (state(stats::LevelState::kDrifting))
    out += "drifting: throughput or latency moved steadily within the window\n";
  if (state(stats::LevelState::kShort))
    out += "short: too few requests to judge; --duration or --requests larger helps\n";
  if (any([](const Level& l) { return l.unanswered(); })) {
    out +=
        "unanswered: requests were in flight, but not one was answered; the level's report says "
        "more\n";
  }
  if (any([](const Level& l) { return l.backlog > 0; })) {
    out +=
        "backlog: requests of the load before were never answered, and the server may have been "
        "busy with them still; lower rates first, or a restart of the server, help\n";
  }
  if (any([](const Level& l) { return l.capped(); })) {
    out +=
        "capped: arrivals were not sent, for --max-in-flight was reached: the load was lower than "
        "asked for\n";
  }
  if (any([](const Level& l) { return l.client.limited; })) {
    out +=
        "client-limited: the client was short of CPU, or late, and part of the figure; the level's "
        "report says why\n";
  }
  return out;
}

}  // namespace sextant::run
