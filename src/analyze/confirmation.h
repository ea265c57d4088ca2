// Is the winner really better? Interleaved, paired re-measurement of what is close.
//
// In each round the leader and every rival that is still open are measured once, forwards in one
// round and backwards in the next (so the last of a round is loaded already when the next begins):
// what drifts slowly is the same for all in a round, and the differences within rounds tell who is
// better. Only these takes decide: the ones that chose the leader flatter it.
//
// What is far apart needs no third round: where every difference of two rounds is three standard
// deviations and of one sign, equals would show that once in some 10^5 times by noise and once in
// 400 by one of them being slow in both.
//
// The variance of a pair's differences is blended with that of all pairs and with what was expected
// (three rounds alone say little of it). Rounds go on until a pair is decided, so each look has a
// bound of Wang and Tsiatis ("Approximately optimal one-parameter boundaries for group sequential
// trials", 1987, with 1/4): stricter early, nearly nominal in the last round. No correction for the
// number of rivals is needed: "better than all" is claimed only when every single comparison says
// so (an intersection-union test: Berger 1982).
//
// A pair ends as a tie when its interval lies within the resolution, when the rounds to come could
// hardly decide it, or when they are used up. One slow take must not decide either: a difference
// far from the others is moved nearer.
// Threads: plain values.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "analyze/search.h"

namespace sextant::analyze {

inline constexpr double kResolution = 0.01;  // what is nearer than this ties
inline constexpr size_t kLeastRounds = 3, kMostRounds = 10;
// What is this many standard deviations of a single difference apart in every round is decided
// after so few.
inline constexpr double kClear = 3;
inline constexpr size_t kClearRounds = 2;

struct Paired {
  enum class Verdict : uint8_t { kOpen, kBetter, kWorse, kTie };
  Verdict verdict = Verdict::kOpen;       // of the first against the second
  double difference = 0, half_width = 0;  // of utilities
  size_t rounds = 0;
  // There were rounds enough to go by its difference.
  bool known() const {
    return rounds >= kLeastRounds || verdict == Verdict::kBetter || verdict == Verdict::kWorse;
  }
};

class Confirmation {
 public:
  struct Contender {
    size_t configuration = 0, load = 0;
    bool operator==(const Contender&) const = default;
  };

  void Join(Contender contender);
  bool Has(size_t configuration) const { return series_.contains(configuration); }
  // It cannot win after all: its constraints do not hold, or it cannot be measured any more.
  void Drop(size_t configuration);
  // Its take told nothing: it is asked for again at the end of the round, the second time dropped.
  void Miss(size_t configuration);
  // The next to be measured; nothing: every pair with the leader is decided. `expected`: the
  // variance of a single take. `loaded`: what can be measured without loading it, where there is a
  // choice.
  std::optional<Contender> Next(double expected, std::optional<size_t> loaded = {});
  void Report(size_t configuration, double utility);

  Paired Compare(size_t first, size_t second) const;
  // The best of the contenders by their common rounds.
  std::optional<size_t> Leader() const;
  const std::vector<Contender>& contenders() const { return contenders_; }
  size_t rounds() const { return round_; }
  bool in_round() const { return !pending_.empty(); }

 private:
  using Series = std::map<size_t, double>;  // utility by round
  std::vector<double> Differences(size_t first, size_t second) const;
  void Pool();
  void StartRound(std::optional<size_t> loaded);

  std::vector<Contender> contenders_;  // without those dropped
  std::map<size_t, Series> series_;
  std::map<size_t, size_t> missed_;  // how often
  std::vector<Contender> pending_;   // of this round, the last is next
  size_t round_ = 0;
  double expected_ = 1e-3;  // of a difference
  double pooled_ = 1e-3;
};

}  // namespace sextant::analyze
