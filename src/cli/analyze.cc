// sextant analyze: the driver. Each phase is a function; Run() is their order.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <utility>

#include <unistd.h>

#include "analyze/analysis.h"
#include "analyze/automatic_space.h"
#include "analyze/owned_name.h"
#include "analyze/results.h"
#include "base/host.h"
#include "base/stop.h"
#include "base/units.h"
#include "cli/analyze_identity.h"
#include "cli/analyze_plan.h"
#include "cli/analyze_stand.h"
#include "cli/analyze_view.h"
#include "cli/command.h"
#include "kserve/config_fields.h"

namespace sextant::cli {
namespace {

namespace fs = std::filesystem;

// Where a model's journal and results go.
std::string DirectoryFor(const AnalyzePlan& plan, const ModelPlan& model) {
  const std::string& path = model.options.export_path;
  if (path.empty()) return JoinPath("analysis", model.name);
  return plan.models.size() > 1 ? JoinPath(path, model.name) : path;
}

// One model, from the questions to the results.
class ModelAnalysis {
 public:
  ModelAnalysis(const ModelPlan& plan, std::string directory, analyze::ModelServer* server,
                analyze::Meter& meter, const StopSignals& stop)
      : options_(plan.options),
        plan_(plan),
        model_(plan.name),
        together_(plan.models.size() > 1 || !plan.options.mix.empty()),
        directory_(std::move(directory)),
        server_(server),
        meter_(meter),
        stop_(stop) {}

  Result<int> Run() {
    SEXTANT_TRY(Learn());
    SEXTANT_TRY(MakeTheSpace());
    if (options_.plan) return PrintPlan(), kExitOk;
    SEXTANT_TRY(OpenJournal());
    SEXTANT_TRY(MeasureBaseline());
    SEXTANT_TRY(Search());
    SEXTANT_TRY(Write());
    return Verdict();
  }

 private:
  // A name that the repository does not have needs no server to be told.
  Result<void> CheckName(const std::string& model) const {
    if (options_.repository.empty() || IsDirectory(JoinPath(options_.repository, model))) return {};
    SEXTANT_ASSIGN(const std::vector<std::string> names, ListDirectory(options_.repository));
    const std::vector<std::string_view> views(names.begin(), names.end());
    const auto nearest = NearestName(model, views);
    return InvalidArgument(Format("model '{}': there is none in {}{}", Printable(model, 60),
                                  options_.repository,
                                  nearest ? Format("; did you mean '{}'?", *nearest) : ""));
  }

  Result<void> Learn() {
    for (const std::string& model : plan_.models) SEXTANT_TRY(CheckName(model));
    SEXTANT_ASSIGN(stand_,
                   ModelStand::Open({.options = options_,
                                     .server = server_,
                                     .meter = meter_,
                                     .stop = [this] { return stop_.received().has_value(); },
                                     .progress =
                                         [this](const load::LiveFigures& figures) {
                                           if (view_) view_->Live(figures);
                                         }},
                                    plan_.models));
    const kserve::ServerMetadata& server = stand_->subject().server;
    std::printf("%s %s on %s %s (%s)\n", together_ ? "Models, together:" : "Model", model_.c_str(),
                server.name.empty() ? "a server without metadata" : server.name.c_str(),
                server.version.c_str(),
                server_ == nullptr ? options_.urls.front().c_str() : server_->Describe().c_str());
    if (stand_->control() == ModelControl::kNone) {
      std::printf(
          "The server does not let clients load models (its model control mode is not explicit): "
          "only the load is searched.\n");
    }
    for (const std::string& line : stand_->subject().banner) std::printf("%s", line.c_str());
    std::fflush(stdout);
    return {};
  }

  bool can_configure() const { return stand_->control() != ModelControl::kNone; }

  Result<void> MakeTheSpace() {
    const bool loads_given = std::any_of(plan_.space.axes.begin(), plan_.space.axes.end(),
                                         [](const auto& a) { return analyze::IsLoadAxis(a.name); });
    const bool configured = std::any_of(plan_.space.axes.begin(), plan_.space.axes.end(),
                                        [](const auto& a) { return !analyze::IsLoadAxis(a.name); });
    if (configured && !can_configure()) {
      return InvalidArgument(
          "--set of a field of config.pbtxt needs a server that loads configurations: start it "
          "with --model-control-mode=explicit, or leave out -u and give --model-repository");
    }
    // Who gives loads and nothing else wants these measured.
    analyze::AutomaticSpace automatic =
        analyze::CompleteSpace(plan_.space, stand_->bases(),
                               {.cores = std::max(1, ReadHostFacts().cores_usable),
                                .gpus = static_cast<int>(meter_.CountDevices()),
                                .bounds = plan_.bounds,
                                .can_configure = can_configure() && (configured || !loads_given),
                                .rates = plan_.rates});
    automatic_ = std::move(automatic.why);
    if (can_configure() && loads_given && !configured)
      automatic_ = {"only the load is varied: --set gives fields of config.pbtxt to try as well"};
    analyze::SpaceModel model = analyze::ModelOf(stand_->bases());
    model.arrivals = load::ArrivalLawName(options_.distribution);
    SEXTANT_ASSIGN(space_, analyze::MakeSpace(automatic.spec, model));
    if (space_.points() == 0) {
      return InvalidArgument(Format(
          "nothing is left to try: {}",
          space_.notes.empty() ? "no configuration takes such a load (a batch is at most the "
                                 "model's max_batch_size)"
                               : Join(space_.notes, "; ")));
    }
    for (size_t i = 0; i < space_.configurations.size(); ++i)
      names_.push_back(analyze::ConfigurationName(model_, i));
    search_ = plan_.search;
    search_.names = names_;
    return stand_->Use(space_);
  }

  // Of the space: what was chosen and what was left out.
  void PrintNotes() const {
    for (const std::string& why : automatic_) std::printf("  %s\n", why.c_str());
    for (const std::string& note : space_.notes) std::printf("  %s\n", note.c_str());
  }

  void PrintPlan() const {
    const analyze::PlanEstimate estimate =
        analyze::EstimatePlan(space_, {.load = plan_.search.load_cost,
                                       .warmup = plan_.search.warmup_cost,
                                       .window = plan_.search.shortest_window});
    PrintNotes();
    for (const analyze::Axis& axis : space_.axes) {
      std::string values;
      for (const text::Json& value : axis.values)
        AppendFormat(values, "{}{}", values.empty() ? "" : ", ", text::FormatJson(value));
      std::printf("  %s: %s\n", axis.name.c_str(), values.c_str());
    }
    std::printf(
        "Plan: %zu configurations, %zu points; every point once: %zu loads of the server, "
        "about %s\n",
        estimate.configurations, estimate.points, estimate.server_loads,
        HumanDuration(estimate.time).c_str());
    const auto search = analyze::MakeSearch(space_, search_);
    const analyze::Search::Remaining remaining = search->Estimate();
    std::printf("The search: about %s points and %s, rarely more than %s and %s%s%s\n",
                GroupDigits(remaining.trials).c_str(), HumanDuration(remaining.time).c_str(),
                GroupDigits(remaining.most_trials).c_str(),
                HumanDuration(remaining.most_time).c_str(), options_.budget ? "; stops at " : "",
                options_.budget ? HumanDuration(*options_.budget).c_str() : "");
  }

  Result<void> OpenJournal() {
    SEXTANT_TRY(MakeDirectories(directory_));
    const std::string path =
        options_.journal.empty() ? JoinPath(directory_, "journal.jsonl") : options_.journal;
    SEXTANT_ASSIGN(analyze::Journal journal,
                   analyze::Journal::Open(
                       {.path = path, .resume = options_.resume, .also = options_.merge_journals},
                       MakeIdentity(options_, *stand_, server_ == nullptr)));
    journal_.emplace(std::move(journal));
    for (const std::string& note : journal_->notes()) PrintWarning("analyze", note);
    if (journal_->reusable() > 0)
      std::printf("%zu points of the journal are used again.\n", journal_->reusable());
    return {};
  }

  Result<void> MeasureBaseline() {
    const bool known = std::any_of(journal_->baselines().begin(), journal_->baselines().end(),
                                   [](const auto& b) { return b.kind == "server_only"; });
    if (known || options_.base_duration <= Nanos(0) || !can_configure()) return {};
    SEXTANT_ASSIGN(const analyze::Baseline baseline, stand_->MeasureIdle(options_.base_duration));
    if (stop_.received()) return {};
    return journal_->Append(baseline);
  }

  Result<void> Search() {
    std::printf("GPU figures: %s\n", meter_.Describe().c_str());
    if (!options_.metrics_urls.empty()) {
      for (const std::string& complaint : meter_.Complaints()) PrintWarning("analyze", complaint);
    }
    PrintNotes();
    std::printf("%zu configurations, %zu points\n\n", space_.configurations.size(),
                space_.points());
    std::fflush(stdout);
    view_.emplace(options_.progress, space_, model_);
    if (!options_.listen_metrics.empty()) SEXTANT_TRY(view_->Listen(options_.listen_metrics));
    const auto search = analyze::MakeSearch(space_, search_);
    auto result = analyze::RunAnalysis(
        space_,
        {.model = model_, .names = names_, .stop = [this] { return stop_.received().has_value(); }},
        *search, *stand_, *journal_, *view_);
    view_->Finish();
    if (!result.has_value()) return std::move(result).error();
    result_ = *std::move(result);
    return journal_->Finish(result_.interrupted ? "interrupted" : "complete");
  }

  // What the default has where tables have columns for it.
  std::vector<analyze::Setting> PresentValues() const {
    std::vector<analyze::Setting> out;
    for (const analyze::NamedConfig& base : stand_->bases()) {
      for (const char* path : {"instance_group.count", "max_batch_size"}) {
        Result<text::Json> value = kserve::GetField(base.config, path);
        if (value.has_value() && !value->IsNull())
          out.push_back({analyze::WithOwner(together_ ? base.name : "", path), *std::move(value)});
      }
    }
    return out;
  }

  analyze::Report MakeReport() const {
    return {.space = space_,
            .names = names_,
            .result = result_,
            .goal = plan_.search.goal,
            .model = model_,
            .gpu_source = meter_.Describe(),
            .identity = journal_->identity(),
            .baselines = journal_->baselines(),
            .base = PresentValues(),
            .models = together_ ? plan_.models : std::vector<std::string>(),
            .parts = stand_->PartLabels()};
  }

  Result<void> WriteConfigurations(const analyze::Report& report) {
    size_t left = options_.top;
    for (const analyze::Standing& standing : result_.conclusion.ranking) {
      if (left == 0) break;
      if (!standing.load || standing.kind == analyze::Standing::Kind::kFailed) continue;
      --left;
      const std::string directory =
          JoinPath(JoinPath(directory_, "configurations"), names_[standing.configuration]);
      std::vector<analyze::ModelText> models;
      for (size_t i = 0; i < plan_.models.size(); ++i) {
        SEXTANT_ASSIGN(const kserve::ModelConfig config,
                       stand_->ConfigOf(standing.configuration, i));
        models.push_back({plan_.models[i], kserve::FormatModelConfig(config)});
        // Several lie as in a repository.
        const std::string place = together_ ? JoinPath(directory, plan_.models[i]) : directory;
        SEXTANT_TRY(MakeDirectories(place));
        SEXTANT_TRY(WriteFileAtomic(JoinPath(place, "config.pbtxt"), models.back().config_pbtxt));
      }
      SEXTANT_TRY(WriteFileAtomic(JoinPath(directory, "values.yaml"),
                                  analyze::HelmValues(report, standing, models)));
    }
    return {};
  }

  Result<void> Write() {
    const analyze::Report report = MakeReport();
    if (space_.configurations.size() == 1)
      std::printf("%s\n", analyze::FormatLoads(report).c_str());
    std::printf("%s\n", analyze::FormatRanking(report, isatty(STDOUT_FILENO) != 0).c_str());
    std::fflush(stdout);
    const auto file = [&](const std::string& name, const std::string& text) {
      return WriteFileAtomic(JoinPath(directory_, name), text);
    };
    SEXTANT_TRY(file("results.json", text::FormatJson(analyze::ResultsJson(report), 1) + "\n"));
    SEXTANT_TRY(file("points.csv", analyze::FormatPointsCsv(report)));
    if (options_.results_for == ResultsFor::kSeed000) {
      SEXTANT_TRY(file(options_.filename_model, analyze::SeedModelCsv(report)));
      SEXTANT_TRY(file(options_.filename_server_only, analyze::SeedServerCsv(report)));
    } else if (options_.results_for == ResultsFor::kModelAnalyzer) {
      SEXTANT_TRY(file("metrics-model-inference.csv", analyze::InferenceCsv(report)));
      SEXTANT_TRY(file("metrics-model-gpu.csv", analyze::GpuCsv(report)));
      SEXTANT_TRY(file(options_.filename_server_only, analyze::ServerOnlyCsv(report)));
    }
    SEXTANT_TRY(WriteConfigurations(report));
    const std::string best = result_.conclusion.ranking.empty()
                                 ? ""
                                 : JoinPath(JoinPath(directory_, "configurations"),
                                            names_[result_.conclusion.ranking[0].configuration]);
    std::printf(
        "Written to %s: journal.jsonl, results.json, points.csv%s\n", directory_.c_str(),
        options_.results_for == ResultsFor::kSextant ? "" : " and the CSV files of --compat");
    if (IsDirectory(best))
      std::printf("The best: %s/%sconfig.pbtxt, with Helm values beside it\n", best.c_str(),
                  together_ ? "MODEL/" : "");
    return {};
  }

  int Verdict() const {
    if (const auto signal = stop_.received()) return ExitCodeForSignal(*signal);
    using Kind = analyze::Standing::Kind;
    bool measured = false, satisfied = false;
    for (const analyze::Standing& s : result_.conclusion.ranking) {
      measured |= s.load.has_value() || s.kind == Kind::kInfeasible || s.kind == Kind::kUnknown;
      satisfied |= s.kind == Kind::kWins || s.kind == Kind::kTies || s.kind == Kind::kLoses;
    }
    return !measured ? kExitFailure : satisfied ? kExitOk : kExitVerdict;
  }

  const AnalyzeOptions& options_;
  const ModelPlan& plan_;
  const std::string model_;  // or several models'
  const bool together_;
  const std::string directory_;
  analyze::ModelServer* const server_;
  analyze::Meter& meter_;
  const StopSignals& stop_;

  std::unique_ptr<ModelStand> stand_;
  analyze::Space space_;
  analyze::SearchOptions search_;
  std::vector<std::string> names_, automatic_;
  std::optional<analyze::Journal> journal_;
  std::optional<AnalyzeView> view_;
  analyze::AnalysisResult result_;
};

Result<std::unique_ptr<analyze::ModelServer>> StartOwnServer(const AnalyzeOptions& options,
                                                             const std::string& work) {
  if (options.launch == analyze::Launch::kRemote) return std::unique_ptr<analyze::ModelServer>();
  const std::string source = fs::absolute(options.repository).lexically_normal().string();
  const std::string mirror = fs::absolute(JoinPath(work, "server")).lexically_normal().string();
  SEXTANT_TRY(RemoveAll(mirror));
  SEXTANT_TRY(analyze::WorkRepository(source, JoinPath(mirror, "repository")).MirrorAll());
  analyze::LaunchOptions launch{.kind = *options.launch,
                                .repository = JoinPath(mirror, "repository"),
                                .source = source,
                                .program = {},
                                .image = options.image,
                                .arguments = options.server_arguments,
                                .environment = options.server_environment,
                                .container_arguments = options.container_arguments,
                                .work_directory = mirror,
                                .start_limit = options.server_start_timeout};
  switch (*options.launch) {
    case analyze::Launch::kEmbedded:
      launch.program = fs::read_symlink("/proc/self/exe").string();
      break;
    case analyze::Launch::kContainer:
      launch.program = options.container_engine;
      break;
    default:
      launch.program = options.server_program.empty() ? "tritonserver" : options.server_program;
  }
  return analyze::StartServer(launch);
}

struct LinksGone {
  std::string path;
  ~LinksGone() { [[maybe_unused]] const auto removed = RemoveAll(path); }
};

// `options`: of the server, which all models share.
Result<int> Analyze(const AnalyzeOptions& options, const AnalyzePlan& plan) {
  SEXTANT_ASSIGN(const StopSignals stop, StopSignals::Install());
  const std::string work = DirectoryFor(plan, plan.models.front());
  SEXTANT_TRY(MakeDirectories(work));
  SEXTANT_ASSIGN(const auto server, StartOwnServer(options, work));
  SEXTANT_ASSIGN(const auto meter,
                 analyze::Meter::Start({.gpus = options.gpu_source,
                                        .local = server != nullptr,
                                        .nvml_library = options.nvml_library,
                                        .devices = options.gpus,
                                        .interval = std::chrono::milliseconds(options.frequency_ms),
                                        .metrics_urls = options.metrics_urls,
                                        .tls = TlsOptionsOf(options, /*grpc=*/false)}));
  // The links are of no use to anybody afterwards; the server's log stays.
  const LinksGone links{JoinPath(JoinPath(work, "server"), "repository")};
  int worst = kExitOk;
  for (const ModelPlan& model : plan.models) {
    ModelAnalysis analysis(model, DirectoryFor(plan, model), server.get(), *meter, stop);
    Result<int> ended = analysis.Run();
    if (!ended.has_value()) {
      // The other models are analyzed all the same.
      PrintError("analyze", ended.error());
      worst = ended.error().code() == ErrorCode::kInvalidArgument ? kExitUsage : kExitFailure;
    } else if (*ended != kExitOk) {
      worst = *ended;
    }
    if (stop.received()) return ExitCodeForSignal(*stop.received());
  }
  return worst;
}

int Run(std::span<const std::string_view> arguments) {
  static const AnalyzeOptions defaults;
  AnalyzeOptions options;
  AnalyzePlan plan;
  if (const auto exit_code = ParseOrExit(AnalyzeTable(), &options, &defaults, arguments,
                                         [&] { return MakeAnalyzePlan(options, plan); }))
    return *exit_code;
  RaiseOpenFileLimit();
  for (const std::string& note : plan.notes) std::fprintf(stderr, "note: %s\n", note.c_str());
  const Result<int> ended = Analyze(options, plan);
  if (ended.has_value()) return *ended;
  PrintError("analyze", ended.error());
  return ended.error().code() == ErrorCode::kInvalidArgument ? kExitUsage : kExitFailure;
}

}  // namespace

Command AnalyzeCommand() {
  static const AnalyzeOptions defaults;
  return {&AnalyzeTable(), &defaults, Run};
}

}  // namespace sextant::cli
