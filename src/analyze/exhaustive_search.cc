// Every point of every configuration, configuration by configuration, then what racing adds: second
// looks at what is close, and the confirmation.
#include <algorithm>

#include "analyze/racing_search.h"

namespace sextant::analyze {
namespace {

// Without a budget a point gets so many of the shortest windows.
constexpr int kWindows = 3;
// Of the budget for the points; the rest is for second looks and the confirmation.
constexpr double kShare = 0.6;
// Times the points, with second looks.
constexpr double kWithSecondLooks = 1.2;

class ExhaustiveSearch final : public RacingSearch {
 public:
  ExhaustiveSearch(const Space& space, const SearchOptions& options)
      : RacingSearch(space, options), left_(space.points()) {
    const Nanos shortest = options.shortest_window, longest = options.longest_window;
    window_ = std::min(longest, kWindows * shortest);
    if (!options.budget || left_ == 0) return;
    const double fixed =
        static_cast<double>(space.configurations.size()) * Seconds(options.load_cost) +
        static_cast<double>(left_ * options.parts) * Seconds(options.warmup_cost);
    const double each =
        (kShare * Seconds(*options.budget) - fixed) / static_cast<double>(left_ * options.parts);
    window_ = std::clamp(FromSeconds(each), shortest, std::max(shortest, longest));
  }

 private:
  std::optional<Trial> Explore() override {
    while (configuration_ < space_.configurations.size()) {
      const auto& loads = space_.loads_of[configuration_];
      const Tried* tried = evidence_.Find(configuration_);
      if (at_ < loads.size() && !(tried != nullptr && tried->refused))
        return Trial{configuration_, loads[at_], window_, "every point"};
      ++configuration_, at_ = 0;
    }
    if (auto trial = LoadsOfRetried()) return trial;
    if (auto trial = Retry()) {
      retried_.push_back(trial->configuration);
      trial->window = window_;
      return trial;
    }
    return SecondLook();
  }

  // Of what was refused once and then was not.
  std::optional<Trial> LoadsOfRetried() const {
    for (const size_t configuration : retried_) {
      const Tried* tried = evidence_.Find(configuration);
      if (tried == nullptr || tried->refused) continue;
      for (const uint32_t load : space_.loads_of[configuration]) {
        if (evidence_.Find(configuration, load) == nullptr)
          return Trial{configuration, load, window_, "every point"};
      }
    }
    return std::nullopt;
  }

  void Seen(const Outcome& outcome) override {
    if (left_ > 0) --left_;
    const auto& loads = space_.loads_of;
    if (configuration_ < loads.size() && outcome.trial.configuration == configuration_ &&
        at_ < loads[configuration_].size() && outcome.trial.load == loads[configuration_][at_])
      ++at_;
  }

  Effort ToExplore() const override {
    size_t points = 0, configurations = 0;
    for (size_t c = configuration_; c < space_.configurations.size(); ++c) {
      points += space_.loads_of[c].size() - (c == configuration_ ? at_ : 0);
      ++configurations;
    }
    return {.trials = static_cast<double>(points),
            .loads = static_cast<double>(configurations),
            .most = kWithSecondLooks,
            .window = window_};
  }

  Nanos window_{0};
  size_t left_ = 0;
  size_t configuration_ = 0, at_ = 0;
  std::vector<size_t> retried_;
};

}  // namespace

std::unique_ptr<Search> MakeExhaustiveSearch(const Space& space, const SearchOptions& options) {
  return std::make_unique<ExhaustiveSearch>(space, options);
}

}  // namespace sextant::analyze
