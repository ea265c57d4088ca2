// For tests of searches: a server as a function, and a search that is driven to its end.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <utility>
#include <vector>

#include "analyze/search.h"

namespace sextant::analyze {

inline Figures Throughput(double value) {
  return {{"throughput", {value, value * 0.98, value * 1.02}}, {"latency_p99", {0.01, {}, {}}}};
}

inline Outcome Measured(Figures figures) {
  return {{}, Outcome::Status::kMeasured, std::move(figures), 0, 0};
}

using Server = std::function<Outcome(const Trial&)>;

// Runs to its end, and says in which order things were measured.
inline std::vector<Trial> Drive(Search& search, const Server& server, size_t most = 2000) {
  std::vector<Trial> trials;
  while (const auto trial = search.Next()) {
    trials.push_back(*trial);
    Outcome outcome = server(*trial);
    outcome.trial = *trial;
    if (outcome.cost_s == 0) outcome.cost_s = Seconds(trial->window);
    search.Report(outcome);
    if (trials.size() > most) {
      ADD_FAILURE() << "does not end";
      break;
    }
  }
  return trials;
}

}  // namespace sextant::analyze
