#include "analyze/joint_search.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "analyze/owned_name.h"
#include "analyze/takes.h"
#include "base/strings.h"

namespace sextant::analyze {
namespace {

// The space without data sets and takes, and which loads each of its loads stands for.
struct Joined {
  Space space;
  std::vector<std::vector<uint32_t>>
      members;                    // by load of `space`: of the whole, by data, then take
  std::vector<std::string> data;  // the names
  size_t takes = 1;
};

std::optional<Joined> Join(const Space& whole) {
  Joined out;
  std::set<std::string> data;
  std::set<int> takes;
  const auto rest = [](const Load& load) {
    return std::tuple(load.point.batch_size, load.point.mode, load.point.arrivals,
                      load.point.value);
  };
  std::map<decltype(rest(Load{})), std::vector<uint32_t>> groups;
  for (uint32_t i = 0; i < whole.loads.size(); ++i) {
    const Load& load = whole.loads[i];
    if (data.insert(load.data).second) out.data.push_back(load.data);
    takes.insert(load.take);
    groups[rest(load)].push_back(i);
  }
  out.takes = takes.size();
  const size_t size = data.size() * takes.size();
  if (size < 2) return std::nullopt;
  out.space.axes = whole.axes;
  out.space.configurations = whole.configurations;
  out.space.default_coordinates = whole.default_coordinates;
  // Those that lack a data set because of a condition cannot be compared with those that do not.
  std::erase_if(groups, [&](const auto& group) { return group.second.size() != size; });
  for (auto& [key, members] : groups) {
    std::stable_sort(members.begin(), members.end(), [&](uint32_t a, uint32_t b) {
      return std::pair(whole.loads[a].data, whole.loads[a].take) <
             std::pair(whole.loads[b].data, whole.loads[b].take);
    });
    Load& load = out.space.loads.emplace_back(whole.loads[members.front()]);
    if (out.data.size() > 1) load.data.clear();
    if (out.takes > 1) load.take = 0;
    out.members.push_back(std::move(members));
  }
  for (const auto& loads : whole.loads_of) {
    auto& of = out.space.loads_of.emplace_back();
    for (uint32_t g = 0; g < out.members.size(); ++g) {
      if (std::all_of(out.members[g].begin(), out.members[g].end(), [&](uint32_t load) {
            return std::binary_search(loads.begin(), loads.end(), load);
          }))
        of.push_back(g);
    }
    if (of.empty() && !loads.empty()) return std::nullopt;
  }
  std::sort(out.data.begin(), out.data.end());
  return out;
}

// One data set's figures each.
Figure MeanOf(const std::vector<const Figure*>& figures) {
  const auto n = static_cast<double>(figures.size());
  bool positive = true, known = true;
  for (const Figure* figure : figures) {
    positive = positive && figure->value > 0;
    known = known && figure->lower && figure->upper;
  }
  double sum = 0, variance = 0;
  for (const Figure* figure : figures) {
    sum += (positive ? std::log(figure->value) : figure->value) / n;
    if (!known) continue;
    const double sd = (*figure->upper - *figure->lower) / 2 / kNormal95 / n;
    variance += std::pow(positive ? sd / figure->value : sd, 2);
  }
  const double half = kNormal95 * std::sqrt(variance);
  if (!positive) {
    if (!known) return {.value = sum, .lower = {}, .upper = {}};
    return {sum, std::max(0.0, sum - half), sum + half};
  }
  if (!known) return {.value = std::exp(sum), .lower = {}, .upper = {}};
  return {std::exp(sum), std::exp(sum - half), std::exp(sum + half)};
}

Figure OverData(std::string_view name, const std::vector<const Figure*>& figures) {
  if (const Figure* extreme = Extreme(FindField(name), figures)) return *extreme;
  return MeanOf(figures);
}

class JointSearch final : public Search {
 public:
  JointSearch(const Space& space, const SearchOptions& options, Joined joined)
      : space_(space), goal_(options.goal), joined_(std::move(joined)) {
    SearchOptions inner = options;
    inner.parts = options.parts * joined_.data.size() * joined_.takes;
    if (joined_.data.size() > 1) {
      inner.goal.constraints.clear();
      for (const Constraint& constraint : options.goal.constraints) {
        for (const std::string& data : joined_.data) {
          Constraint& one = inner.goal.constraints.emplace_back(constraint);
          one.field = WithOwner(data, constraint.field);
          one.text = Format("{} ({})", constraint.text, data);
        }
      }
    }
    inner_ = MakeSearch(joined_.space, inner);
  }

  std::optional<Trial> Next() override {
    if (!trial_) trial_ = inner_->Next();
    if (!trial_) return std::nullopt;
    Trial trial = *trial_;
    trial.load = joined_.members[trial_->load][parts_.size()];
    return trial;
  }

  void Report(const Outcome& outcome) override {
    if (!trial_) return;
    parts_.push_back(outcome);
    const bool measured = outcome.status == Outcome::Status::kMeasured;
    if (measured) {
      const std::string& data = space_.loads[outcome.trial.load].data;
      takes_[{outcome.trial.configuration, trial_->load}][data].push_back(
          {outcome.trial.window, outcome.figures});
    }
    if (measured && parts_.size() < joined_.members[trial_->load].size()) return;
    inner_->Report(Together());
    parts_.clear();
    trial_.reset();
  }

  Conclusion Conclude() const override {
    Conclusion out = inner_->Conclude();
    const bool several = joined_.data.size() > 1;
    for (Standing& standing : out.ranking) {
      if (standing.knee) standing.knee = joined_.members[*standing.knee].front();
      std::optional<size_t>& load = standing.load ? standing.load : standing.nearest_load;
      if (!load) continue;
      standing.shared_load = joined_.space.loads[*load];
      const auto takes = takes_.find({standing.configuration, *load});
      if (several && takes != takes_.end()) {
        for (const auto& [data, of] : takes->second) standing.by_data[data] = CombineTakes(of);
      }
      load = joined_.members[*load].front();
      if (!several) continue;
      for (const Constraint& constraint : goal_.constraints) {
        for (const std::string& data : joined_.data)
          standing.figures.erase(WithOwner(data, constraint.field));
      }
    }
    if (several && !out.ranking.empty() && out.ranking.front().load)
      out.verdict += Format(" (over the data sets {} together)", JoinText(joined_.data));
    return out;
  }

  Remaining Estimate() const override {
    Remaining out = inner_->Estimate();
    const size_t parts = joined_.data.size() * joined_.takes;
    for (uint64_t* trials : {&out.trials, &out.most_trials})
      *trials = *trials * parts - std::min<uint64_t>(parts_.size(), *trials * parts);
    return out;
  }

 private:
  static std::string JoinText(const std::vector<std::string>& names) {
    std::string out;
    for (size_t i = 0; i < names.size(); ++i)
      AppendFormat(out, "{}{}", i == 0 ? "" : (i + 1 == names.size() ? " and " : ", "), names[i]);
    return out;
  }

  // What was measured with each data set and take, as one.
  Outcome Together() const {
    Outcome out;
    out.trial = *trial_;
    out.status = parts_.back().status;
    std::map<std::string, std::vector<Take>> by_data;
    for (const Outcome& part : parts_) {
      out.cost_s += part.cost_s, out.load_cost_s += part.load_cost_s;
      out.trial.window = std::min(out.trial.window, part.trial.window);
      by_data[space_.loads[part.trial.load].data].push_back({part.trial.window, part.figures});
    }
    if (out.status != Outcome::Status::kMeasured) return out;
    std::map<std::string, Figures> figures;
    for (const auto& [data, takes] : by_data) figures[data] = CombineTakes(takes);
    if (figures.size() == 1) {
      out.figures = figures.begin()->second;
      return out;
    }
    for (const auto& [name, first] : figures.begin()->second) {
      std::vector<const Figure*> values;
      for (const auto& [data, of] : figures) {
        if (const Figure* figure = FindFigure(of, name)) values.push_back(figure);
      }
      if (values.size() == figures.size()) out.figures[name] = OverData(name, values);
    }
    for (const Constraint& constraint : goal_.constraints) {
      for (const auto& [data, of] : figures) {
        if (const Figure* figure = FindFigure(of, constraint.field))
          out.figures[WithOwner(data, constraint.field)] = *figure;
      }
    }
    return out;
  }

  const Space& space_;
  const Goal goal_;
  const Joined joined_;
  std::unique_ptr<Search> inner_;
  std::optional<Trial> trial_;  // of the inner search, under way
  std::vector<Outcome> parts_;  // of it
  // Of a configuration and load, by data set.
  std::map<std::pair<size_t, size_t>, std::map<std::string, std::vector<Take>>> takes_;
};

}  // namespace

std::unique_ptr<Search> MakeJointSearch(const Space& space, const SearchOptions& options) {
  std::optional<Joined> joined = Join(space);
  if (!joined) return nullptr;
  return std::make_unique<JointSearch>(space, options, *std::move(joined));
}

}  // namespace sextant::analyze
