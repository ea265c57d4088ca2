#include "analyze/automatic_space.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>

#include "analyze/owned_name.h"
#include "base/strings.h"
#include "kserve/config_fields.h"

namespace sextant::analyze {
namespace {

using kserve::ModelConfig;
using text::Json;
constexpr std::string_view kInstances = "instance_group.count";
constexpr std::string_view kMaxBatch = "max_batch_size";
constexpr int64_t kFewestInFlight = 16;

std::vector<Json> Powers(int64_t factor, int64_t from, int64_t to) {
  std::vector<Json> out;
  for (int64_t value = std::max<int64_t>(1, from); value <= to; value *= factor)
    out.emplace_back(value);
  return out;
}

bool OnCpuOnly(const ModelConfig& config, const AutomaticOptions& options) {
  const auto& groups = config.instance_group();
  const bool all_cpu =
      !groups.empty() && std::all_of(groups.begin(), groups.end(), [](const auto& group) {
        return group.kind() == inference::ModelInstanceGroup::KIND_CPU;
      });
  return all_cpu || options.cpu_only || options.gpus == 0;
}

// Several models have so many configurations at most that nobody asked for.
constexpr size_t kMostTogether = 20'000;

// What one of the models wants, under its name; empty: there is one.
class Completer {
 public:
  Completer(AutomaticSpace& out, std::string_view owner, const ModelConfig& config,
            const AutomaticOptions& options)
      : out_(out), owner_(owner), config_(config), options_(options) {}

  // A model that is analyzed with others has its batch sizes in fewer steps.
  void CompleteConfiguration(bool wanted, int64_t batch_factor) {
    batch_factor_ = batch_factor;
    if (wanted) AddConfiguration();
    AddKind();
  }

  // Twice what is worked on at once keeps every instance busy; twice that again shows the queue.
  struct InFlight {
    int64_t enough = 0, instances = 0, batch = 0;
  };
  InFlight Enough() const {
    int64_t present = 0;
    for (const auto& group : config_.instance_group())
      present += std::clamp<int64_t>(group.count(), 1, 1000);
    const int64_t instances = std::min<int64_t>(Largest(kInstances, present), 1 << 20);
    const int64_t batch = std::min<int64_t>(Largest(kMaxBatch, config_.max_batch_size()), 1 << 20);
    const int64_t devices = OnCpuOnly(config_, options_) ? 1 : std::max(1, options_.gpus);
    return {4 * instances * batch * devices, instances * devices, batch};
  }

 private:
  void Add(std::string_view name, std::vector<Json> values, std::string why) {
    out_.spec.axes.push_back(
        {.name = WithOwner(owner_, name), .values = std::move(values), .expression = {}});
    Say(name, why);
  }
  void Say(std::string_view name, std::string_view why) {
    out_.why.push_back(Format("{}: {}", WithOwner(owner_, name), why));
  }
  // Of this model, or of all.
  const AxisSpec* Find(std::string_view name) const {
    const AxisSpec* own = out_.spec.Find(WithOwner(owner_, name));
    return own != nullptr ? own : out_.spec.Find(name);
  }

  void AddConfiguration() {
    if (!options_.can_configure) {
      return Say("configuration",
                 "only the load is varied, for this server loads no configurations "
                 "that it is given");
    }
    if (config_.has_ensemble_scheduling()) {
      return Say("configuration",
                 "only the load is varied, for an ensemble has no instances and no "
                 "batcher of its own; its parts are models that can be analysed");
    }
    AddInstances();
    AddBatching();
  }

  void AddInstances() {
    const SearchBounds& bounds = options_.bounds;
    const bool cpu = OnCpuOnly(config_, options_);
    int64_t most = bounds.max_instances;
    std::string why = Format("up to {} per GPU, of which there {} {}", most,
                             options_.gpus == 1 ? "is" : "are", options_.gpus);
    if (cpu) {
      // More instances than cores only wait for each other.
      most = std::max(bounds.min_instances, std::min<int64_t>(most, options_.cores));
      why = Format("up to {} on a CPU with {} core{}", most, options_.cores,
                   options_.cores == 1 ? "" : "s");
    }
    std::vector<Json> counts;
    for (int64_t n = std::max<int64_t>(1, bounds.min_instances); n <= most; ++n)
      counts.emplace_back(n);
    if (!counts.empty()) Add(kInstances, std::move(counts), std::move(why));
  }

  void AddKind() {
    const bool said = Find("instance_group") != nullptr || Find("instance_group.kind") != nullptr;
    if (!options_.cpu_only || !options_.can_configure || said || config_.has_ensemble_scheduling())
      return;
    Add("instance_group.kind", {Json("KIND_CPU")},
        "on the CPU, in all configurations but the default");
  }

  void AddBatching() {
    const SearchBounds& bounds = options_.bounds;
    if (config_.max_batch_size() < 1) {
      return Say(kMaxBatch,
                 "not varied, for the model has no batch dimension (max_batch_size is 0)");
    }
    const bool engine = config_.platform() == "tensorrt_plan" || config_.backend() == "tensorrt";
    const int64_t most =
        engine ? std::min<int64_t>(bounds.max_batch, config_.max_batch_size()) : bounds.max_batch;
    std::vector<Json> sizes = Powers(batch_factor_, bounds.min_batch, most);
    if (!sizes.empty()) {
      Add(kMaxBatch, std::move(sizes),
          Format("powers of {} up to {}{}", batch_factor_ == 2 ? "two" : "four", most,
                 engine ? ", for which the engine was built" : ""));
    }
    if (config_.has_sequence_batching())
      return Say("dynamic_batching", "not possible beside sequence_batching");
    if (config_.has_dynamic_batching())
      return Say("dynamic_batching", "as the model has it; its queue delay can be varied by --set");
    Add("dynamic_batching", {Json(Json::Object())},
        "on in all configurations but the default, for without it the server makes no batches");
  }

  // The largest value that the axis or else the model has.
  int64_t Largest(std::string_view name, int64_t present) const {
    const AxisSpec* axis = Find(name);
    int64_t most = std::max<int64_t>(1, present);
    if (axis == nullptr) return most;
    for (const Json& value : axis->values) most = std::max(most, value.AsInt().value_or(1));
    return most;
  }

  AutomaticSpace& out_;
  const std::string_view owner_;
  const ModelConfig& config_;
  const AutomaticOptions& options_;
  int64_t batch_factor_ = 2;
};

void AddLoad(std::span<const Completer> models, const AutomaticOptions& options,
             AutomaticSpace& out) {
  const SearchBounds& bounds = options.bounds;
  const auto add = [&](std::string_view name, std::vector<Json> values, std::string_view why) {
    out.spec.axes.push_back(
        {.name = std::string(name), .values = std::move(values), .expression = {}});
    out.why.push_back(Format("{}: {}", name, why));
  };
  if (options.rates) {
    return add("rate", Powers(2, bounds.min_rate, bounds.max_rate),
               Format("doubled from {} to {} per second", bounds.min_rate, bounds.max_rate));
  }
  Completer::InFlight all;
  for (const Completer& model : models) {
    const Completer::InFlight one = model.Enough();
    all.enough += one.enough, all.instances += one.instances;
    all.batch = std::max(all.batch, one.batch);
  }
  const auto enough = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(all.enough)));
  const int64_t most = bounds.exact_concurrency
                           ? bounds.max_concurrency
                           : std::min(bounds.max_concurrency, std::max(kFewestInFlight, enough));
  add("concurrency", Powers(2, bounds.min_concurrency, std::max(most, bounds.min_concurrency)),
      most < bounds.max_concurrency
          ? Format("powers of two up to {}: four times what {} instance{} with batches of {} can "
                   "work on at once; beyond that requests only wait",
                   most, all.instances, all.instances == 1 ? "" : "s", all.batch)
          : Format("powers of two up to {}", most));
}

// The axes of several models multiply: what has the most values goes first.
void LimitTogether(AutomaticSpace& out) {
  const auto configurations = [&] {
    double product = 1;
    for (const AxisSpec& axis : out.spec.axes)
      product *= IsLoadAxis(axis.name) ? 1.0 : static_cast<double>(axis.values.size());
    return product;
  };
  for (const std::string_view name : {kMaxBatch, kInstances}) {
    if (configurations() <= static_cast<double>(kMostTogether)) return;
    std::erase_if(out.spec.axes,
                  [&](const AxisSpec& axis) { return SplitOwner(axis.name).name == name; });
    std::erase_if(out.why, [&](const std::string& why) {
      return why.find(Format(":{}: ", name)) != std::string::npos;
    });
    out.why.push_back(
        Format("{}: not varied, for so many models have too many configurations together; --set "
               "MODEL:{}=... names those to try",
               name, name));
  }
}

}  // namespace

AutomaticSpace CompleteSpace(SpaceSpec given, std::span<const NamedConfig> models,
                             const AutomaticOptions& options) {
  AutomaticSpace out{.spec = std::move(given), .why = {}};
  const auto& axes = out.spec.axes;
  const bool has_configuration =
      std::any_of(axes.begin(), axes.end(), [](const AxisSpec& a) { return !IsLoadAxis(a.name); });
  const bool several = models.size() > 1;
  std::vector<Completer> completers;
  for (const NamedConfig& model : models) {
    completers.emplace_back(out, several ? std::string_view(model.name) : "", model.config,
                            options);
    completers.back().CompleteConfiguration(!has_configuration, several ? 4 : 2);
  }
  if (several && !has_configuration) LimitTogether(out);
  if (out.spec.Find("concurrency") == nullptr && out.spec.Find("rate") == nullptr)
    AddLoad(completers, options, out);
  return out;
}

AutomaticSpace CompleteSpace(SpaceSpec given, const ModelConfig& config,
                             const AutomaticOptions& options) {
  const NamedConfig only{.name = {}, .config = config};
  return CompleteSpace(std::move(given), {&only, 1}, options);
}

SpaceModel ModelOf(const ModelConfig& config) {
  const auto copy = std::make_shared<const ModelConfig>(config);
  const std::vector<std::string> known = kserve::CheckSense(config);
  SpaceModel model;
  model.present = [copy](const std::string& path) -> Json {
    Result<Json> value = kserve::GetField(*copy, path);
    if (!value.has_value()) return {};
    // A model that says nothing of its instances has one.
    const bool none = value->IsNull() || value->AsInt() == 0;
    if (path == kInstances && none && !copy->has_ensemble_scheduling()) return 1;
    return *std::move(value);
  };
  model.refuses = [copy, known](std::span<const Setting> settings) -> std::optional<std::string> {
    const Result<ModelConfig> changed = kserve::WithSettings(*copy, settings);
    if (!changed.has_value()) return changed.error().message();
    for (std::string& fault : kserve::CheckSense(*changed)) {
      if (std::find(known.begin(), known.end(), fault) == known.end()) return std::move(fault);
    }
    return std::nullopt;
  };
  return model;
}

SpaceModel ModelOf(std::span<const NamedConfig> models) {
  if (models.size() == 1) return ModelOf(models.front().config);
  struct One {
    std::string name;
    SpaceModel model;
  };
  std::vector<One> each;
  SpaceModel out;
  for (const NamedConfig& model : models) {
    each.push_back({model.name, ModelOf(model.config)});
    out.models.push_back(model.name);
  }
  out.present = [each](const std::string& path) -> Json {
    const OwnedName split = SplitOwner(path);
    Json::Array values;
    for (const One& one : each) {
      if (split.model.empty() || split.model == one.name)
        values.push_back(one.model.present(std::string(split.name)));
    }
    const bool same = std::all_of(values.begin(), values.end(),
                                  [&](const Json& value) { return value == values.front(); });
    return same && !values.empty() ? values.front() : Json(std::move(values));
  };
  out.refuses = [each](std::span<const Setting> settings) -> std::optional<std::string> {
    for (const One& one : each) {
      if (auto why = one.model.refuses(SettingsOf(settings, one.name)))
        return Format("{}: {}", one.name, *why);
    }
    return std::nullopt;
  };
  return out;
}

}  // namespace sextant::analyze
