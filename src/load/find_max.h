// The highest load that satisfies a service level objective. Pure.
//
// From the start the load is doubled until one fails, or quartered until one passes; then the
// bracket is halved until it is narrow enough (an exponential search followed by bisection: Bentley
// and Yao, "An almost optimal algorithm for unbounded searching", 1976). Each probe is a level like
// any other. One that is undecided is measured again, longer, up to a limit; what is undecided then
// counts as failing. While no load has failed, one that is undecided but well within the limits is
// taken as passing, so that no time is spent far below the answer; it is measured again if it turns
// out to be the answer.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "load/measurement.h"
#include "load/slo.h"
#include "load/sweep.h"

namespace sextant::load {

struct SearchRules {
  double start = 1;
  double least = 0;         // 0: start / 256, with `whole` 1
  double most = 0;          // 0: none
  bool whole = false;       // only whole numbers: a concurrency
  double precision = 0.02;  // of the bracket, against its lower end
};

class LoadSearch {
 public:
  explicit LoadSearch(const SearchRules& rules);
  // The next load; nothing when the answer is known as well as was asked.
  std::optional<double> Next() const;
  // Whether the load that Next() says passes.
  void Report(bool passes);
  // The highest load that passes does not after all.
  void Refute();

  // Lower loads than this are not worth trying.
  void LeastIs(double load) { rules_.least = std::max(rules_.least, load); }

  std::optional<double> passes() const { return passes_; }  // the highest load that does
  std::optional<double> fails() const { return fails_; }    // the lowest one that does not
  bool at_most() const { return passes_ && rules_.most > 0 && *passes_ >= rules_.most; }

 private:
  double Rounded(double load) const;
  SearchRules rules_;
  std::optional<double> passes_, fails_;
  std::vector<std::optional<double>> passed_before_;
};

struct FindMaxRules {
  Slo slo;
  SearchRules search;
  Nanos longest{60s};   // a window
  run::LoadPoint load;  // its value is the search's
};

class FindMaxSweep final : public Sweep {
 public:
  explicit FindMaxSweep(FindMaxRules rules);
  std::optional<Probe> Next() override;
  void Report(run::Level& level) override;
  std::optional<Conclusion> Conclude() const override;

  // A load far above what the server can do is not measured to its end: told of what a level looks
  // like while it runs (about four times a second), it says whether to give it up. That is when,
  // for two seconds, the requests in flight alone take the server four times the longest latency
  // allowed.
  bool GiveUp(const LiveFigures& figures) override;

 private:
  struct Kept {
    double load = 0;
    std::string verdict;
    Verdict floors = Verdict::kPass;
    std::optional<Nanos> confirm;  // undecided as yet: to be measured again for so long
    // Undecided for good: a window so many times as long as the longest might tell.
    std::optional<double> needs = std::nullopt;
  };
  // What is measured next is the bracket's lower end, once more.
  bool Confirming() const { return !search_.Next() && !passed_.empty() && passed_.back().confirm; }
  void Keep(Kept kept, bool passes);
  std::string LoadText(double load) const;
  std::string Bracket() const;

  const FindMaxRules rules_;
  LoadSearch search_;
  std::optional<Nanos> window_;  // of the probe that is next
  std::string hopeless_;         // why the level was given up
  int overloaded_looks_ = 0;
  int64_t in_flight_before_ = 0;
  std::vector<Kept> passed_;   // ascending
  std::optional<Kept> worst_;  // that fails
  uint64_t levels_ = 0, requests_ = 0;
  double seconds_ = 0;
  bool start_failed_ = false;
};

}  // namespace sextant::load
