#include "cli/analyze_plan.h"

#include <algorithm>

#include "analyze/model_analyzer_yaml.h"
#include "analyze/owned_name.h"
#include "analyze/parse_space.h"
#include "base/files.h"
#include "cli/analyze_from_file.h"
#include "cli/analyze_together.h"
#include "cli/perf_plan.h"
#include "text/yaml.h"

namespace sextant::cli {
namespace {

std::vector<std::string> SplitWords(std::string_view text) {
  std::vector<std::string> out;
  for (const std::string_view word : Split(text, ',')) {
    if (!TrimSpace(word).empty()) out.emplace_back(TrimSpace(word));
  }
  return out;
}

// How the server is had, where nobody said.
void ChooseLaunch(AnalyzeOptions& options) {
  if (options.launch) return;
  options.launch = analyze::Launch::kEmbedded;
  if (!options.urls.empty()) {
    options.launch = analyze::Launch::kRemote;
  } else if (!options.image.empty()) {
    options.launch = analyze::Launch::kContainer;
  } else if (!options.server_program.empty()) {
    options.launch = analyze::Launch::kLocal;
  }
}

void CheckServer(const AnalyzeOptions& options, const AddMistake& add) {
  const bool ours = options.launch != analyze::Launch::kRemote;
  if (ours && options.repository.empty())
    add("--model-repository DIR is needed for a server that is started; for one that is there "
        "give -u HOST:PORT");
  if (!options.repository.empty() && !IsDirectory(options.repository))
    add(Format("--model-repository '{}': is not a directory", options.repository));
  if (ours && !options.urls.empty())
    add("-u is of a server that is there: it goes with --launch remote only");
  if (options.launch == analyze::Launch::kContainer && options.image.empty())
    add("--launch container needs --image");
  if (!options.work_repository.empty() && (ours || options.repository.empty()))
    add("--work-repository is for a remote server that polls it (-u), and needs "
        "--model-repository, where the models are");
  if (options.leave_model && ours)
    add("--leave-model is of a server that is there (-u): one that is started has nothing loaded");
  if (options.leave_model && !options.work_repository.empty())
    add("--leave-model and --work-repository exclude each other");
}

// The axes of the command line and of the space file. `models`: several that are served together.
analyze::SpaceSpec ReadSpace(const AnalyzeOptions& options, std::span<const std::string> models,
                             const AddMistake& add) {
  std::vector<std::string> set = options.set;
  for (const auto& [name, values] : {std::pair("batch", &options.batches),
                                     {"concurrency", &options.concurrencies},
                                     {"rate", &options.rates}}) {
    if (!values->empty()) set.push_back(Format("{}={}", name, *values));
  }
  std::string names;
  for (const std::string& data : options.data_sets) {
    const size_t equals = data.find('=');
    if (equals == std::string::npos || equals == 0) {
      add(Format("--data-set '{}': write NAME=SOURCE", Printable(data, 60)));
    } else {
      AppendFormat(names, "{}{}", names.empty() ? "" : ",", data.substr(0, equals));
    }
  }
  const bool chosen = std::any_of(
      set.begin(), set.end(), [](const std::string& text) { return text.starts_with("data="); });
  if (!names.empty() && !chosen) set.push_back("data=" + names);
  if (!options.concurrencies.empty() && !options.rates.empty())
    add("--concurrency and --request-rate exclude each other");
  analyze::SpaceSpec out;
  if (auto space = analyze::ParseSpace(set, options.where, models); space.has_value()) {
    out = *std::move(space);
  } else {
    add(space.error().message());
  }
  if (options.space_file.empty()) return out;
  const Result<std::string> text = ReadFile(options.space_file);
  if (!text.has_value()) return add("--space: " + text.error().message()), out;
  const Result<text::Json> yaml = text::ParseYaml(*text);
  if (!yaml.has_value())
    return add(Format("--space {}: {}", options.space_file, yaml.error().message())), out;
  auto file = analyze::ParseSpaceYaml(*yaml, *text, models);
  if (!file.has_value())
    return add(Format("--space {}: {}", options.space_file, file.error().message())), out;
  // What the command line says goes before.
  for (analyze::AxisSpec& axis : file->axes) {
    if (out.Find(axis.name) == nullptr) out.axes.push_back(std::move(axis));
  }
  for (analyze::Expression& condition : file->where) out.where.push_back(std::move(condition));
  return out;
}

// `behind`: models whose statistics goals may speak of.
analyze::SearchOptions ReadSearch(const AnalyzeOptions& options,
                                  std::span<const std::string> behind, const AddMistake& add) {
  analyze::SearchOptions search;
  search.kind = options.search;
  if (auto objectives = analyze::ParseObjectives(options.objectives); objectives.has_value()) {
    search.goal.objectives = *std::move(objectives);
  } else {
    add("--objective: " + objectives.error().message());
  }
  if (!options.constraints.empty()) {
    if (auto constraints = analyze::ParseConstraints(options.constraints);
        constraints.has_value()) {
      search.goal.constraints = *std::move(constraints);
    } else {
      add("--constraint: " + constraints.error().message());
    }
  }
  search.pareto_fields = SplitWords(options.pareto);
  for (std::string& name : search.pareto_fields) {
    std::string figure = analyze::FigureName(name);
    if (figure.empty()) {
      add(Format("--pareto: '{}' is no field{}; docs/analyze.md lists them", Printable(name, 60),
                 analyze::SplitOwner(name).model.empty() ? "" : " of a single model"));
    } else {
      name = std::move(figure);
    }
  }
  if (search.pareto_fields.size() < 2 || search.pareto_fields.size() > 3)
    add("--pareto takes two or three fields");
  search.budget = options.budget;
  search.shortest_window = options.shortest_window;
  search.longest_window = std::max(options.longest_window, options.shortest_window);
  search.seed = *options.seed;
  CheckOwners(options, behind, search, add);
  return search;
}

// What is asked for, and that no point would have.
void CheckKnowable(const ModelPlan& plan, const AddMistake& add) {
  const auto check = [&](std::string_view option, const std::string& name) {
    const std::string_view field = analyze::SplitOwner(name).name;
    if (field == "cost_per_million" && plan.options.gpu_hour_price <= 0)
      add(Format("{} {}: it needs --gpu-hour-price, what an hour of a GPU costs", option, name));
    constexpr std::string_view kPercentile = "latency_p";
    const auto wanted = field.starts_with(kPercentile)
                            ? ParseDouble(field.substr(kPercentile.size()))
                            : std::nullopt;
    const std::vector<std::string> computed = SplitWords(plan.options.percentiles);
    if (wanted && std::none_of(computed.begin(), computed.end(), [&](const std::string& text) {
          return ParseDouble(text) == wanted;
        }))
      add(Format("{} {}: it is not computed: --percentiles {} lacks {:g}", option, name,
                 plan.options.percentiles, *wanted));
  };
  for (const auto& objective : plan.search.goal.objectives) check("--objective", objective.field);
  for (const auto& constraint : plan.search.goal.constraints)
    check("--constraint", constraint.field);
}

// One model, with those behind it.
ModelPlan PlanOne(const AnalyzeOptions& options, const std::string& name, const AddMistake& add) {
  std::vector<std::string> models = WithModelsBehind(options, name);
  // As names are written: those behind it.
  std::vector<std::string> owners = models;
  owners.front().clear();
  const auto behind = std::span<const std::string>(models).subspan(1);
  return {.name = name,
          .models = models,
          .options = options,
          .space = ReadSpace(options, behind.empty() ? behind : owners, add),
          .bounds = {},
          .rates = !options.rates.empty(),
          .search = ReadSearch(options, behind, add)};
}

// One model of the file: its axes, its goal, and its words of a command line.
void AddFileModel(const analyze::ModelAnalyzerConfig& file,
                  const analyze::ModelAnalyzerModel& model, const AnalyzeOptions& options,
                  AnalyzePlan& plan, const AddMistake& add) {
  ModelPlan out = PlanOne(options, model.name, add);
  out.bounds = file.bounds;
  out.rates |= file.rate_search;
  for (const analyze::AxisSpec& axis : model.axes) {
    out.rates |= axis.name == "rate";
    if (out.space.Find(axis.name) == nullptr) out.space.axes.push_back(axis);
  }
  static const AnalyzeOptions kDefault;
  if (options.objectives == kDefault.objectives && !model.goal.objectives.empty())
    out.search.goal.objectives = model.goal.objectives;
  if (options.constraints.empty()) out.search.goal.constraints = model.goal.constraints;
  std::vector<std::string_view> words(model.perf_flags.begin(), model.perf_flags.end());
  PerfOptions perf = options;
  options::Common common;
  for (const options::Mistake& mistake :
       PerfTable().Parse(perf,
                         {.arguments = words,
                          .environment = [](const char*) -> const char* { return nullptr; },
                          .read_file = [](const std::string& path) { return ReadFile(path); }},
                         common)) {
    if (!mistake.missing) add(Format("perf_analyzer_flags of '{}': {}", model.name, mistake.text));
  }
  static_cast<PerfOptions&>(out.options) = std::move(perf);
  TakeModelFromFile(file, model, out);
  plan.models.push_back(std::move(out));
}

void ReadModelAnalyzerFile(AnalyzeOptions& options, const std::vector<std::string>& wanted,
                           AnalyzePlan& plan, const AddMistake& add) {
  const Result<std::string> text = ReadFile(options.model_analyzer_config);
  if (!text.has_value()) return add("--model-analyzer-config: " + text.error().message());
  auto file = analyze::ReadModelAnalyzerYaml(*text);
  if (!file.has_value()) {
    for (const std::string_view line : Split(file.error().message(), '\n'))
      add(Format("{}: {}", options.model_analyzer_config, line));
    return;
  }
  TakeFromFile(*file, options, file->notes);
  for (std::string& note : file->notes)
    plan.notes.push_back(Format("{}: {}", options.model_analyzer_config, note));
  for (const analyze::ModelAnalyzerModel& model : file->models) {
    if (wanted.empty() || std::find(wanted.begin(), wanted.end(), model.name) != wanted.end())
      AddFileModel(*file, model, options, plan, add);
  }
  if (file->models_together && plan.models.size() > 1) {
    std::vector<std::string> notes;
    plan.models = {JoinPlans(std::move(plan.models), *file, notes)};
    for (const std::string& note : notes)
      plan.notes.push_back(Format("{}: {}", options.model_analyzer_config, note));
  }
}

// The models of --mix, which are analyzed as one.
void AddMix(const AnalyzeOptions& options, AnalyzePlan& plan, const AddMistake& add) {
  CheckTogether(options, add);
  const std::vector<std::string> models = MixModels(options);
  if (models.empty()) return;  // said by the plan of the load
  ModelPlan out{.name = Join(models, "+"),
                .models = models,
                .options = options,
                .space = ReadSpace(options, models, add),
                .bounds = {},
                .rates = !options.rates.empty(),
                .search = ReadSearch(options, {}, add)};
  AddOwnLoad(options, out.space);
  plan.models.push_back(std::move(out));
}

}  // namespace

std::vector<options::Mistake> MakeAnalyzePlan(AnalyzeOptions& options, AnalyzePlan& plan) {
  std::vector<options::Mistake> mistakes;
  const AddMistake add = [&](const std::string& text) {
    for (const std::string_view line : Split(text, '\n'))
      mistakes.push_back({"command line", std::string(line)});
  };
  // The same data and the same order of decisions in every run, unless somebody wants others.
  if (!options.seed) options.seed = 1;
  std::vector<std::string> names;
  for (const std::string& list : options.models) {
    for (std::string& name : SplitWords(list)) {
      if (std::find(names.begin(), names.end(), name) == names.end())
        names.push_back(std::move(name));
    }
  }
  if (names.empty() && options.model_analyzer_config.empty() && options.mix.empty())
    mistakes.push_back({"command line", "-m, --model-names NAMES (or --mix) is required", true});
  // There is a constraint for it, and it costs nothing.
  if (options.percentiles == AnalyzeOptions().percentiles) options.percentiles += ",99.9";
  if (!options.model_analyzer_config.empty()) ReadModelAnalyzerFile(options, names, plan, add);
  ChooseLaunch(options);
  CheckServer(options, add);
  if (!options.mix.empty()) AddMix(options, plan, add);
  for (const std::string& name : names) {
    // By the file, alone or with others.
    const bool planned = std::any_of(
        plan.models.begin(), plan.models.end(),
        [&](const ModelPlan& model) { return model.name == name || !model.options.mix.empty(); });
    if (planned) continue;
    // What is wrong with the options is said once.
    const AddMistake once = plan.models.empty() ? add : [](const std::string&) {};
    plan.models.push_back(PlanOne(options, name, once));
  }
  for (const ModelPlan& model : plan.models) {
    // What several models are asked alike is said once.
    CheckKnowable(model, [&](const std::string& text) {
      if (std::none_of(mistakes.begin(), mistakes.end(),
                       [&](const options::Mistake& said) { return said.text == text; }))
        add(text);
    });
  }
  if (plan.models.size() > 1 && !options.journal.empty())
    add("--journal FILE is of one model; with several, each has its own in --export-path");
  for (const std::string& url : options.metrics_urls) {
    if (const auto endpoint = metrics::ParseEndpoint(url); !endpoint.has_value())
      add("--metrics-url: " + endpoint.error().message());
  }
  // What the options of requests amount to, checked before anything is started.
  PerfOptions perf = plan.models.empty() ? options : plan.models.front().options;
  if (perf.mix.empty()) perf.model = std::string("m");
  perf.collect_metrics = true;
  Plan ignored;
  for (options::Mistake& mistake : MakePlan(perf, ignored)) mistakes.push_back(std::move(mistake));
  return mistakes;
}

}  // namespace sextant::cli
