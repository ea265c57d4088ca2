#include "analyze/space.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <map>
#include <tuple>

#include "analyze/owned_name.h"
#include "base/strings.h"
#include "kserve/config_fields.h"

namespace sextant::analyze {
namespace {

using text::Json;
constexpr std::array<std::string_view, 5> kLoadAxes = {"batch", "concurrency", "rate", "data",
                                                       "take"};
// No count that a server or a load could have is larger.
constexpr double kMostCount = 1e9;

Operand OperandOf(const Json& value) {
  if (const auto text = value.AsString()) return {.number = ParseDouble(*text), .text = *text};
  if (const auto truth = value.AsBool()) return {.number = *truth ? 1.0 : 0.0, .text = {}};
  return {.number = value.AsDouble(), .text = {}};
}

Result<Json> Canonical(std::string_view path, const Json& value) {
  return kserve::CanonicalValue(SplitOwner(path).name, value);
}

// Whether the field lies within the other.
bool Within(std::string_view path, std::string_view outer) {
  return path.size() > outer.size() && path.starts_with(outer) &&
         (path[outer.size()] == '.' || path[outer.size()] == '[');
}

// A load's coordinates, in the order in which loads are listed.
struct LoadKey {
  uint32_t data = 0;
  int64_t batch = 1;
  bool rate = false;
  double value = 1;
  int64_t take = 0;

  auto Order() const { return std::tie(data, batch, rate, value, take); }
  bool operator<(const LoadKey& other) const { return Order() < other.Order(); }
  bool operator==(const LoadKey& other) const { return Order() == other.Order(); }
};

// What a name of an expression stands for.
struct Binding {
  enum class Kind : uint8_t { kConstant, kAxis, kBatch, kConcurrency, kRate, kTake, kData };
  Kind kind = Kind::kConstant;
  size_t axis = 0;
  Operand constant;
};

struct Bound {
  const Expression* expression = nullptr;
  std::vector<Binding> bindings;
  bool of_load = false;
};

struct ConfigAxis {
  const AxisSpec* spec = nullptr;
  std::vector<Json> values;
  std::vector<Operand> operands;
  std::vector<bool> is_present;       // the value is the model's
  std::vector<size_t> outer;          // axes of what this one lies within
  std::optional<Bound> diagonal;      // then values are found as they come,
  std::map<int64_t, uint32_t> found;  // numbered in the order in which they came
  Operand present;
};

// A model's largest batch.
struct BatchLimit {
  std::optional<size_t> axis;  // that sets it
  Operand present;
};

struct LoadAxes {
  std::vector<std::string> data{""};
  std::vector<int64_t> batches{1}, takes{0};
  std::vector<double> concurrencies, rates;
  std::optional<Bound> batch, concurrency, rate;  // diagonals
};

class Builder {
 public:
  Builder(const SpaceSpec& spec, const SpaceModel& model) : spec_(spec), model_(model) {}

  Result<Space> Build() {
    AddAxes();
    for (const Expression& condition : spec_.where)
      where_.push_back(Bind(condition, kLoadAxes.size()));
    if (!faults_.empty()) return InvalidArgument(Join(faults_, "\n"));
    SEXTANT_TRY(CheckSize());
    SEXTANT_TRY(MakeConfigurations());
    SEXTANT_TRY(MakeLoads());
    for (const auto& [why, count] : left_out_) {
      out_.notes.push_back(
          Format("{} configuration{} left out: {}", count, count == 1 ? " is" : "s are", why));
    }
    return std::move(out_);
  }

 private:
  using Coordinates = std::vector<uint32_t>;

  void AddAxes() {
    for (const AxisSpec& spec : spec_.axes) {
      if (!IsLoadAxis(spec.name)) axes_.push_back({.spec = &spec});
    }
    for (size_t i = 0; i < axes_.size(); ++i) AddConfigAxis(i);
    for (const AxisSpec& spec : spec_.axes) {
      if (IsLoadAxis(spec.name)) AddLoadAxis(spec);
    }
    if (loads_.concurrencies.empty() && !loads_.concurrency && loads_.rates.empty() && !loads_.rate)
      loads_.concurrencies = {1};
  }

  void AddConfigAxis(size_t index) {
    ConfigAxis& axis = axes_[index];
    const std::string& name = axis.spec->name;
    const Json& present = Present(name);
    axis.present = OperandOf(present);
    for (size_t i = 0; i < axes_.size(); ++i) {
      if (Within(name, axes_[i].spec->name)) axis.outer.push_back(i);
    }
    if (axis.spec->expression) {
      axis.diagonal = Bind(*axis.spec->expression, 0, index);
      return;
    }
    axis.values = axis.spec->values;
    const bool numbers = std::all_of(axis.values.begin(), axis.values.end(),
                                     [](const Json& v) { return v.AsDouble().has_value(); });
    if (numbers) {
      std::stable_sort(axis.values.begin(), axis.values.end(),
                       [](const Json& a, const Json& b) { return *a.AsDouble() < *b.AsDouble(); });
    }
    axis.values.erase(std::unique(axis.values.begin(), axis.values.end()), axis.values.end());
    if (axis.values.empty()) faults_.push_back(Format("{} has no values", name));
    for (const Json& value : axis.values) {
      axis.operands.push_back(OperandOf(value));
      const Result<Json> canonical = Canonical(name, value);
      if (!canonical.has_value()) faults_.push_back(canonical.error().message());
      axis.is_present.push_back(canonical.has_value() && *canonical == present);
    }
  }

  template <typename T>
  void TakeNumbers(const AxisSpec& spec, double least, std::vector<T>& out) {
    out.clear();
    for (const Json& value : spec.values) {
      const auto number = value.AsDouble();
      const bool whole = number && (std::is_floating_point_v<T> || *number == std::floor(*number));
      if (!whole || *number < least || *number > kMostCount) {
        faults_.push_back(Format("{} cannot be {}", spec.name, text::FormatJson(value)));
        continue;
      }
      out.push_back(static_cast<T>(*number));
    }
    if (spec.values.empty()) faults_.push_back(Format("{} has no values", spec.name));
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
  }

  void AddLoadAxis(const AxisSpec& spec) {
    if (spec.expression) {
      // A batch follows from the configuration alone, a level also from the batch.
      if (spec.name == "batch") {
        loads_.batch = Bind(*spec.expression, 0);
      } else if (spec.name == "concurrency") {
        loads_.concurrency = Bind(*spec.expression, 1);
      } else if (spec.name == "rate") {
        loads_.rate = Bind(*spec.expression, 1);
      } else {
        faults_.push_back(Format("{} wants values, not an expression", spec.name));
      }
      return;
    }
    if (spec.name == "batch") return TakeNumbers(spec, 1, loads_.batches);
    if (spec.name == "take") return TakeNumbers(spec, 0, loads_.takes);
    if (spec.name == "rate") return TakeNumbers(spec, 1e-6, loads_.rates);
    if (spec.name == "concurrency") {
      TakeNumbers(spec, 1, loads_.concurrencies);
      for (const double value : loads_.concurrencies) {
        if (value != std::floor(value))
          faults_.push_back(Format("concurrency cannot be {}", value));
      }
      return;
    }
    loads_.data.clear();
    for (const Json& value : spec.values) {
      const auto name = value.AsString();
      loads_.data.push_back(name ? std::string(*name) : text::FormatJson(value));
    }
    if (loads_.data.empty()) faults_.push_back("data has no values");
  }

  // Present values live as long as the builder: operands refer to them.
  const Json& Present(const std::string& path) {
    presents_.push_back(model_.present ? model_.present(path) : Json());
    return presents_.back();
  }

  // `load_axes`: how many of kLoadAxes the expression may speak of; of the configuration's axes, a
  // diagonal may speak of those with values and of diagonals before it (`before`).
  Bound Bind(const Expression& expression, size_t load_axes, std::optional<size_t> before = {}) {
    Bound bound{.expression = &expression, .bindings = {}};
    for (const std::string& name : expression.names()) {
      Binding binding;
      const auto load = std::find(kLoadAxes.begin(), kLoadAxes.end(), name);
      const auto axis = std::find_if(axes_.begin(), axes_.end(),
                                     [&](const ConfigAxis& a) { return a.spec->name == name; });
      if (load != kLoadAxes.end()) {
        constexpr Binding::Kind kKinds[] = {Binding::Kind::kBatch, Binding::Kind::kConcurrency,
                                            Binding::Kind::kRate, Binding::Kind::kData,
                                            Binding::Kind::kTake};
        const auto index = static_cast<size_t>(load - kLoadAxes.begin());
        if (index >= load_axes)
          faults_.push_back(Format("'{}' cannot depend on {}", expression.text(), name));
        binding.kind = kKinds[index];
        bound.of_load = true;
      } else if (axis != axes_.end()) {
        binding.kind = Binding::Kind::kAxis;
        binding.axis = static_cast<size_t>(axis - axes_.begin());
        if (before && axis->spec->expression && binding.axis >= *before) {
          faults_.push_back(
              Format("'{}' depends on {}, which itself follows from others; put that first",
                     expression.text(), name));
        }
      } else {
        binding.constant = OperandOf(Present(name));
      }
      bound.bindings.push_back(binding);
    }
    return bound;
  }

  Result<void> CheckSize() const {
    double configurations = 1;
    for (const ConfigAxis& axis : axes_)
      configurations *= axis.diagonal ? 1.0 : static_cast<double>(axis.values.size());
    const double most = static_cast<double>(model_.most_points);
    if (configurations <= most) return {};
    return TooLarge(Format("{:.3g} configurations", configurations));
  }
  Error TooLarge(std::string_view what) const {
    return Error(ErrorCode::kResourceExhausted,
                 Format("the space has {}; {} points are the limit: fewer values, a range with "
                        "steps, log2(), or a condition make it smaller",
                        what, GroupDigits(model_.most_points)));
  }

  // Whether the axis says nothing here: what it lies within is removed.
  bool Dropped(const ConfigAxis& axis, std::span<const uint32_t> at) const {
    return std::any_of(axis.outer.begin(), axis.outer.end(), [&](size_t outer) {
      const ConfigAxis& o = axes_[outer];
      return !o.diagonal && o.values[at[outer]].IsNull();
    });
  }

  // `at`: empty for the default.
  std::span<const Operand> Values(const Bound& bound, std::span<const uint32_t> at,
                                  const LoadKey& load) {
    scratch_.clear();
    for (const Binding& binding : bound.bindings) {
      Operand value = binding.constant;
      switch (binding.kind) {
        case Binding::Kind::kConstant:
          break;
        case Binding::Kind::kAxis: {
          const ConfigAxis& axis = axes_[binding.axis];
          value = axis.present;
          if (!at.empty()) value = Dropped(axis, at) ? Operand() : axis.operands[at[binding.axis]];
          break;
        }
        case Binding::Kind::kBatch:
          value.number = static_cast<double>(load.batch);
          break;
        case Binding::Kind::kConcurrency:
          if (!load.rate) value.number = load.value;
          break;
        case Binding::Kind::kRate:
          if (load.rate) value.number = load.value;
          break;
        case Binding::Kind::kTake:
          value.number = static_cast<double>(load.take);
          break;
        case Binding::Kind::kData:
          value = {.number = {}, .text = loads_.data[load.data]};
          break;
      }
      scratch_.push_back(value);
    }
    return scratch_;
  }

  bool Allowed(std::span<const uint32_t> at, const LoadKey* load) {
    return std::all_of(where_.begin(), where_.end(), [&](const Bound& condition) {
      if (condition.of_load != (load != nullptr)) return true;
      const LoadKey none;
      const auto values = Values(condition, at, load != nullptr ? *load : none);
      return condition.expression->Holds(values).value_or(true);
    });
  }

  // The diagonals' values at these coordinates. Errors: one has none.
  Result<void> Follow(Coordinates& at) {
    for (size_t i = 0; i < axes_.size(); ++i) {
      ConfigAxis& axis = axes_[i];
      if (!axis.diagonal) continue;
      const auto number = axis.diagonal->expression->Number(Values(*axis.diagonal, at, {}));
      if (!number || std::abs(*number) > kMostCount) {
        return InvalidArgument(Format("{}={} has no value, for something in it has none",
                                      axis.spec->name, axis.diagonal->expression->text()));
      }
      const auto value = static_cast<int64_t>(std::floor(*number));
      const auto [found, is_new] =
          axis.found.emplace(value, static_cast<uint32_t>(axis.values.size()));
      if (is_new) {
        SEXTANT_ASSIGN(const Json canonical, Canonical(axis.spec->name, value));
        axis.values.emplace_back(value);
        axis.operands.push_back(OperandOf(axis.values.back()));
        axis.is_present.push_back(canonical == Present(axis.spec->name));
      }
      at[i] = found->second;
    }
    return {};
  }

  Result<void> MakeConfigurations() {
    out_.configurations.emplace_back();
    Coordinates at(axes_.size(), 0);
    // An odometer over the axes with values, the last one fastest.
    for (bool more = !axes_.empty(); more;) {
      SEXTANT_TRY(Visit(at));
      more = false;
      for (size_t i = axes_.size(); i-- > 0 && !more;) {
        if (axes_[i].diagonal) continue;
        more = ++at[i] < axes_[i].values.size();
        if (!more) at[i] = 0;
      }
    }
    for (ConfigAxis& axis : axes_) {
      if (axis.diagonal) SortDiagonal(axis);
      out_.axes.push_back({.name = axis.spec->name, .values = axis.values});
    }
    return {};
  }

  Result<void> Visit(Coordinates& at) {
    Configuration configuration;
    bool is_default = true;
    for (size_t i = 0; i < axes_.size(); ++i) {
      // Of all that differ only in what is dropped, the first stands for the rest.
      if (!axes_[i].diagonal && at[i] != 0 && Dropped(axes_[i], at)) return {};
    }
    SEXTANT_TRY(Follow(at));
    for (size_t i = 0; i < axes_.size(); ++i) {
      if (Dropped(axes_[i], at)) continue;
      is_default = is_default && axes_[i].is_present[at[i]];
    }
    if (is_default && !out_.default_coordinates) out_.default_coordinates = at;
    if (is_default || !Allowed(at, nullptr)) return {};
    for (size_t i = 0; i < axes_.size(); ++i) {
      if (!Dropped(axes_[i], at))
        configuration.settings.push_back({axes_[i].spec->name, axes_[i].values[at[i]]});
    }
    if (const auto why = model_.refuses ? model_.refuses(configuration.settings) : std::nullopt) {
      ++left_out_[*why];
      return {};
    }
    configuration.coordinates = at;
    out_.configurations.push_back(std::move(configuration));
    return {};
  }

  // Values were numbered as they came.
  void SortDiagonal(ConfigAxis& axis) {
    const auto index = static_cast<size_t>(&axis - axes_.data());
    std::vector<uint32_t> rank(axis.values.size());
    uint32_t next = 0;
    std::vector<Json> sorted;
    std::vector<Operand> operands;
    for (const auto& [value, old] : axis.found) {
      rank[old] = next++;
      sorted.emplace_back(value);
      operands.push_back(axis.operands[old]);
    }
    axis.values = std::move(sorted);
    axis.operands = std::move(operands);
    for (Configuration& c : out_.configurations) {
      if (!c.coordinates.empty()) c.coordinates[index] = rank[c.coordinates[index]];
    }
    if (out_.default_coordinates)
      (*out_.default_coordinates)[index] = rank[(*out_.default_coordinates)[index]];
  }

  // The largest batch that the configuration takes: all of its models.
  double MostBatch(std::span<const uint32_t> at) const {
    double least = kMostCount;
    for (const BatchLimit& limit : batch_limits_) {
      const Operand& most =
          limit.axis && !at.empty() ? axes_[*limit.axis].operands[at[*limit.axis]] : limit.present;
      if (most.number) least = std::min(least, std::max(1.0, *most.number));
    }
    return least;
  }
  void FindBatchLimits() {
    static constexpr std::string_view kField = "max_batch_size";
    std::vector<std::string> models = model_.models;
    if (models.empty()) models.emplace_back();
    for (const std::string& model : models) {
      const std::string name = WithOwner(model, kField);
      BatchLimit limit{.axis = {}, .present = OperandOf(Present(name))};
      const bool of_all = !models.front().empty();
      for (size_t i = 0; i < axes_.size(); ++i) {
        const std::string& axis = axes_[i].spec->name;
        if (axis == name || (of_all && axis == kField)) limit.axis = i;
      }
      batch_limits_.push_back(limit);
    }
  }

  void AddLevels(std::span<const uint32_t> at, LoadKey key, std::vector<LoadKey>& out) {
    const auto add = [&](double value) {
      key.value = value;
      for (const int64_t take : loads_.takes) {
        key.take = take;
        if (Allowed(at, &key)) out.push_back(key);
      }
    };
    const auto follow = [&](const std::optional<Bound>& diagonal) -> std::optional<double> {
      return diagonal ? diagonal->expression->Number(Values(*diagonal, at, key)) : std::nullopt;
    };
    for (const double value : loads_.concurrencies) add(value);
    if (const auto value = follow(loads_.concurrency); value && *value <= kMostCount)
      add(std::max(1.0, std::floor(*value)));
    key.rate = true;
    for (const double value : loads_.rates) add(value);
    if (const auto value = follow(loads_.rate); value && *value > 0 && *value <= kMostCount)
      add(*value);
  }

  std::vector<LoadKey> LoadsOf(std::span<const uint32_t> at) {
    std::vector<LoadKey> out;
    const double most = MostBatch(at);
    std::vector<int64_t> batches = loads_.batches;
    if (loads_.batch) {
      const auto value = loads_.batch->expression->Number(Values(*loads_.batch, at, {}));
      batches.clear();
      if (value && *value <= kMostCount)
        batches.push_back(std::max<int64_t>(1, static_cast<int64_t>(std::floor(*value))));
    }
    for (uint32_t data = 0; data < loads_.data.size(); ++data) {
      for (const int64_t batch : batches) {
        if (static_cast<double>(batch) <= most) AddLevels(at, {.data = data, .batch = batch}, out);
      }
    }
    std::sort(out.begin(), out.end());
    return out;
  }

  Result<void> MakeLoads() {
    FindBatchLimits();
    std::vector<std::vector<LoadKey>> keys;
    std::vector<Configuration> kept;
    size_t points = 0;
    for (Configuration& configuration : out_.configurations) {
      std::vector<LoadKey> loads = LoadsOf(configuration.coordinates);
      if (loads.empty() && !keys.empty()) {
        ++left_out_["no load is possible with it: a condition or max_batch_size rules out all"];
        continue;
      }
      points += loads.size();
      if (points > model_.most_points) return TooLarge("more points than that");
      keys.push_back(std::move(loads));
      kept.push_back(std::move(configuration));
    }
    out_.configurations = std::move(kept);
    NumberLoads(keys);
    return {};
  }

  void NumberLoads(const std::vector<std::vector<LoadKey>>& keys) {
    std::vector<LoadKey> all;
    for (const auto& of_one : keys) {
      // Most configurations have the same loads; what is there already is not gathered again.
      const auto middle = static_cast<ptrdiff_t>(all.size());
      std::copy_if(of_one.begin(), of_one.end(), std::back_inserter(all), [&](const LoadKey& key) {
        return !std::binary_search(all.begin(), all.begin() + middle, key);
      });
      std::inplace_merge(all.begin(), all.begin() + middle, all.end());
    }
    for (const LoadKey& key : all) {
      out_.loads.push_back(
          {.point = {.mode = key.rate ? run::LoadMode::kRequestRate : run::LoadMode::kConcurrency,
                     .value = key.value,
                     .batch_size = key.batch,
                     .arrivals = key.rate ? model_.arrivals : "closed"},
           .data = loads_.data[key.data],
           .take = static_cast<int>(key.take)});
    }
    for (const auto& of_one : keys) {
      std::vector<uint32_t> indices;
      indices.reserve(of_one.size());
      for (const LoadKey& key : of_one) {
        indices.push_back(
            static_cast<uint32_t>(std::lower_bound(all.begin(), all.end(), key) - all.begin()));
      }
      out_.loads_of.push_back(std::move(indices));
    }
  }

  const SpaceSpec& spec_;
  const SpaceModel& model_;
  std::vector<std::string> faults_;
  std::vector<ConfigAxis> axes_;
  LoadAxes loads_;
  std::vector<Bound> where_;
  std::deque<Json> presents_;
  std::vector<BatchLimit> batch_limits_;
  std::vector<Operand> scratch_;
  std::map<std::string, size_t> left_out_;
  Space out_;
};

std::string ShowJson(const Json& value) {
  const auto text = value.AsString();
  return text ? std::string(*text) : text::FormatJson(value);
}

}  // namespace

bool IsLoadAxis(std::string_view name) {
  return std::find(kLoadAxes.begin(), kLoadAxes.end(), name) != kLoadAxes.end();
}

const AxisSpec* SpaceSpec::Find(std::string_view name) const {
  const auto found =
      std::find_if(axes.begin(), axes.end(), [&](const AxisSpec& a) { return a.name == name; });
  return found == axes.end() ? nullptr : &*found;
}

size_t Space::points() const {
  size_t points = 0;
  for (const auto& loads : loads_of) points += loads.size();
  return points;
}

Result<Space> MakeSpace(const SpaceSpec& spec, const SpaceModel& model) {
  return Builder(spec, model).Build();
}

std::string ConfigurationName(std::string_view model, size_t configuration) {
  return configuration == 0 ? Format("{}_config_default", model)
                            : Format("{}_config_{}", model, configuration - 1);
}

bool IsConfigurationOf(std::string_view model, std::string_view name) {
  const std::string stem = Format("{}_config_", model);
  if (!name.starts_with(stem)) return false;
  name.remove_prefix(stem.size());
  return name == "default" || ParseUint(name).has_value();
}

std::string DescribeConfiguration(const Space& space, size_t configuration) {
  std::string out;
  for (const Setting& setting : space.configurations[configuration].settings) {
    const OwnedName split = SplitOwner(setting.path);
    const std::string name =
        split.name == "instance_group.count" ? WithOwner(split.model, "instances") : setting.path;
    AppendFormat(out, "{}{}={}", out.empty() ? "" : ", ", name, ShowJson(setting.value));
  }
  return out.empty() ? "default" : out;
}

std::string DescribeLoad(const Load& load) {
  const bool rate = load.point.mode == run::LoadMode::kRequestRate;
  std::string out = Format("batch {}, {} {:g}{}", load.point.batch_size,
                           rate ? "rate" : "concurrency", load.point.value, rate ? "/s" : "");
  if (!load.data.empty()) AppendFormat(out, ", data {}", load.data);
  if (load.take != 0) AppendFormat(out, ", take {}", load.take);
  return out;
}

PlanEstimate EstimatePlan(const Space& space, const PlanCosts& costs) {
  PlanEstimate out;
  for (const auto& loads : space.loads_of) {
    out.points += loads.size();
    out.configurations += loads.empty() ? 0 : 1;
  }
  out.server_loads = out.configurations;
  out.time = costs.load * static_cast<int64_t>(out.server_loads) +
             (costs.warmup + costs.window) * static_cast<int64_t>(out.points);
  return out;
}

}  // namespace sextant::analyze
