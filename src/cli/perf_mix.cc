#include "cli/perf_mix.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "base/files.h"
#include "cli/perf_arrivals.h"
#include "cli/perf_data.h"
#include "cli/perf_sweep.h"

namespace sextant::cli {
namespace {

constexpr std::string_view kConcurrency = "concurrency=";
constexpr size_t kMostModels = 1000;

Result<MixEntry> ParseEntry(std::string_view text) {
  const auto fault = [&](std::string_view what) {
    return InvalidArgument(Format("'{}': {}", Printable(text, 80), what));
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0)
    return fault("write NAME:WEIGHT, such as resnet:0.7, or NAME:concurrency=N");
  MixEntry out{.label = std::string(TrimSpace(text.substr(0, colon)))};
  const size_t at = out.label.rfind('@');
  out.model.name = out.label.substr(0, at);
  if (at != std::string::npos) out.model.version = out.label.substr(at + 1);
  if (out.model.name.empty()) return fault("the model has no name");
  if (at != std::string::npos && !ParseUint(out.model.version))
    return fault("a version is a number, as in NAME@2");
  std::string_view amount = TrimSpace(text.substr(colon + 1));
  if (amount.starts_with(kConcurrency)) {
    const auto count = ParseUint(amount.substr(kConcurrency.size()));
    if (!count || *count < 1 || *count > 1'000'000)
      return fault("a concurrency is a whole number from 1 to 1000000");
    out.concurrency = *count;
    return out;
  }
  const auto weight = ParseDouble(amount);
  if (!weight || !(*weight > 0) || *weight > 1e12)
    return fault("a weight is a positive number; a model that is to have none is left out");
  out.share = *weight;
  return out;
}

// Options that one model's requests only can have, and why.
void CheckCombinations(const PerfOptions& options, const std::function<void(std::string)>& add) {
  const auto refuse = [&](bool given, std::string_view option, std::string_view why) {
    if (given) add(Format("--mix and {} exclude each other: {}", option, why));
  };
  refuse(!options.model.empty(), "-m, --model-name", "the mix names the models");
  refuse(!options.model_version.empty(), "-x, --model-version",
         "a version belongs to its model, as in NAME@2:0.3");
  refuse(options.compat != Compat::kNone, "--compat perf_analyzer", "it knows one model");
  if (options.compat == Compat::kNone) {
    refuse(options.windows(), "perf_analyzer's windows (--measurement-interval and its neighbours)",
           "they are records of one model; --duration and --requests measure several");
  }
  refuse(options.shared_memory != SharedMemoryKind::kNone, "--shared-memory",
         "its regions are laid out for one model's tensors");
  refuse(options.streaming, "--streaming", "requests of several models are unary");
  refuse(options.fixed_schedule, "--fixed-schedule", "its times are those of one model's rows");
  refuse(options.data_order == load::DataOrder::kTrace, "--data-order trace",
         "the rows that a trace names are of one model");
  refuse(!options.trace_levels.empty(), "--trace-level", "it sets the tracing of one model");
  refuse(!options.profile_export_file.empty(), "--profile-export-file",
         "its experiments are of one model");
  refuse(!options.periodic_concurrency_range.empty(), "--periodic-concurrency-range",
         "it counts the responses of one model's streams");
  refuse(options.self_test, "--self-test", "it measures this machine");
  refuse(!options.merge.empty(), "--merge", "what run files hold is known");
}

// Where each model has so many of its own in flight.
void CheckOwnConcurrency(const PerfOptions& options, const std::function<void(std::string)>& add) {
  if (options.concurrency) {
    add("--mix with concurrency=N and --concurrency-range exclude each other: each model has its "
        "own; with weights, the range is that of all models together");
  }
  if (IsOpenLoop(options)) {
    add("--mix with concurrency=N is a closed loop: an open one (--request-rate-range and its "
        "neighbours) takes weights, such as A:0.7,B:0.3");
  }
  if (options.find_max || options.binary_search)
    add("--mix with concurrency=N is one load: a search takes weights, such as A:0.7,B:0.3");
}

bool Names(const MixEntry& entry, std::string_view word) {
  return word == entry.label || word == entry.model.name;
}

// The model that a value is for, and the rest, where the value has that form.
struct Addressed {
  std::string model, rest;
};
using IsAddressed = bool (*)(std::string_view rest);
std::optional<Addressed> Address(std::string_view text, IsAddressed is_addressed) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0) return std::nullopt;
  if (!is_addressed(text.substr(equals + 1))) return std::nullopt;
  return Addressed{std::string(text.substr(0, equals)), std::string(text.substr(equals + 1))};
}

bool Always(std::string_view) { return true; }
bool HasEquals(std::string_view rest) { return rest.find('=') != std::string_view::npos; }
// NAME=HOW, where HOW may have '=' within parentheses.
bool HasRule(std::string_view rest) {
  return rest.substr(0, rest.find('(')).find('=') != std::string_view::npos;
}

// The options about inputs.
struct InputOption {
  std::string_view name;
  std::vector<std::string> PerfOptions::* values;
  IsAddressed is_addressed;
};
const InputOption kInputOptions[] = {{"--input-data", &PerfOptions::input_data, Always},
                                     {"--data", &PerfOptions::data, HasRule},
                                     {"--dim", &PerfOptions::dims, HasEquals},
                                     {"--shape", &PerfOptions::shapes, Always},
                                     {"--random-range", &PerfOptions::random_ranges, HasEquals}};

bool PathExists(const std::string& path) { return FileExists(path) || IsDirectory(path); }

// Whether the text is for this model, for another, or for all.
enum class For { kThis, kOther, kAll };
For WhomFor(const InputOption& option, std::string_view text, const std::vector<MixEntry>& mix,
            const MixEntry* entry, std::string& rest) {
  const auto addressed = Address(text, option.is_addressed);
  if (!addressed) return For::kAll;
  const bool known = std::any_of(mix.begin(), mix.end(),
                                 [&](const MixEntry& e) { return Names(e, addressed->model); });
  // A path may have '=' in it.
  if (!known) return For::kAll;
  rest = addressed->rest;
  return entry != nullptr && Names(*entry, addressed->model) ? For::kThis : For::kOther;
}

void CheckModelNames(const PerfOptions& options, const std::vector<MixEntry>& mix,
                     const std::function<void(std::string)>& add) {
  for (const InputOption& option : kInputOptions) {
    for (const std::string& text : options.*option.values) {
      const auto addressed = Address(text, option.is_addressed);
      std::string rest;
      if (!addressed || WhomFor(option, text, mix, nullptr, rest) != For::kAll) continue;
      if (option.values == &PerfOptions::input_data && PathExists(text)) continue;
      add(Format("{} '{}': there is no model '{}' in {}", option.name, Printable(text, 60),
                 Printable(addressed->model, 60), NameMix(mix)));
    }
  }
}

// What is left when all that is said of one model is taken out.
PerfOptions CommonOptions(const PerfOptions& options, const std::vector<MixEntry>& mix) {
  PerfOptions out = options;
  out.mix.clear();
  for (const InputOption& option : kInputOptions) {
    std::erase_if(out.*option.values, [&](const std::string& text) {
      std::string rest;
      const auto addressed = Address(text, option.is_addressed);
      const bool is_path = option.values == &PerfOptions::input_data && PathExists(text);
      // What names a model that is not there is a mistake that has been said.
      return WhomFor(option, text, mix, nullptr, rest) != For::kAll || (addressed && !is_path);
    });
  }
  return out;
}

}  // namespace

std::string NameMix(const std::vector<MixEntry>& mix) {
  std::vector<std::string> labels;
  for (const MixEntry& entry : mix) labels.push_back(entry.label);
  return Format("--mix ({})", Join(labels, ", "));
}

Result<std::vector<MixEntry>> ParseMix(std::string_view text) {
  std::vector<MixEntry> out;
  std::vector<std::string> faults;
  for (const std::string_view part : Split(text, ',')) {
    Result<MixEntry> entry = ParseEntry(TrimSpace(part));
    if (!entry.has_value()) {
      faults.push_back("--mix " + entry.error().message());
      continue;
    }
    const bool twice = std::any_of(out.begin(), out.end(),
                                   [&](const MixEntry& e) { return e.label == entry->label; });
    if (twice) faults.push_back(Format("--mix: '{}' is given twice", Printable(entry->label, 60)));
    out.push_back(*std::move(entry));
  }
  if (faults.empty() && out.size() < 2)
    faults.emplace_back("--mix needs two models or more; one is measured with -m");
  if (out.size() > kMostModels) faults.push_back(Format("--mix: at most {} models", kMostModels));
  const auto own = std::count_if(out.begin(), out.end(),
                                 [](const MixEntry& entry) { return entry.concurrency > 0; });
  if (own > 0 && static_cast<size_t>(own) < out.size() && faults.empty()) {
    faults.emplace_back(
        "--mix: either all models have a weight, or all have concurrency=N: shares are of the "
        "requests, a concurrency is of a model");
  }
  if (!faults.empty()) return InvalidArgument(Join(faults, "\n"));
  const double whole = std::accumulate(out.begin(), out.end(), 0.0,
                                       [](double sum, const MixEntry& e) { return sum + e.share; });
  for (MixEntry& entry : out) {
    if (whole > 0) entry.share /= whole;
  }
  return out;
}

std::vector<options::Mistake> MakeMixPlan(const PerfOptions& options, Plan& plan) {
  std::vector<options::Mistake> mistakes;
  const auto add = [&](std::string text) { mistakes.push_back({"command line", std::move(text)}); };
  CheckCombinations(options, add);
  Result<std::vector<MixEntry>> mix = ParseMix(options.mix);
  if (!mix.has_value()) {
    for (const std::string_view fault : Split(mix.error().message(), '\n')) add(std::string(fault));
    return mistakes;
  }
  plan.mix = *std::move(mix);
  CheckModelNames(options, plan.mix, add);
  PerfOptions common = CommonOptions(options, plan.mix);
  common.model = plan.mix.front().model.name;
  if (plan.mix.front().concurrency > 0) {
    CheckOwnConcurrency(options, add);
    size_t total = 0;
    for (const MixEntry& entry : plan.mix) total += entry.concurrency;
    if (!options.concurrency && !IsOpenLoop(options)) {
      const auto value = static_cast<double>(total);
      common.concurrency =
          load::CountList{{value},
                          Format("{}", total),
                          load::LevelRange{.start = value, .end = value, .single = true}};
    }
  }
  for (options::Mistake& mistake : MakePlan(common, plan)) mistakes.push_back(std::move(mistake));
  if (mistakes.empty() && plan.order == load::DataOrder::kTrace)
    add("--mix: the trace names rows, which are of one model; give --data-order sequential or "
        "random");
  if (mistakes.empty()) {
    for (const MixEntry& entry : plan.mix) OptionsFor(options, plan, entry, add);
  }
  return mistakes;
}

ModelOptions OptionsFor(const PerfOptions& options, const Plan& plan, const MixEntry& entry,
                        const std::function<void(std::string)>& add) {
  ModelOptions out{CommonOptions(options, plan.mix), plan, {}};
  out.options.model = entry.model.name;
  out.options.model_version = entry.model.version;
  PerfOptions own;
  own.batch = options.batch;
  for (const InputOption& option : kInputOptions) {
    for (const std::string& text : options.*option.values) {
      std::string rest;
      if (WhomFor(option, text, plan.mix, &entry, rest) == For::kThis)
        (own.*option.values).push_back(std::move(rest));
    }
  }
  const bool own_source = !own.input_data.empty();
  if (own_source) out.options.input_data = own.input_data;
  own.input_data = out.options.input_data;
  const auto named = [&](std::string text) { add(Format("{} (model {})", text, entry.label)); };
  for (const std::string& text : own.shapes) {
    const auto parsed = ParseShape(text, out.own.shapes);
    if (!parsed.has_value()) named(parsed.error().message());
  }
  for (const std::string& text : own.random_ranges) {
    const auto parsed = ParseRandomRange(text, out.own.ranges);
    if (!parsed.has_value()) named(parsed.error().message());
  }
  PlanData(own, out.own, named);
  if (own_source && FromFiles(own)) {
    // What is said of data that is made up is for the others.
    out.plan.value_rules.clear();
    out.plan.dims.clear();
    out.plan.ranges.clear();
    out.options.rows = 0;
  }
  return out;
}

}  // namespace sextant::cli
