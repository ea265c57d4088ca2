// sextant analyze: the driver. Each phase is a function; Run() is their order.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <utility>

#include <unistd.h>

#include "analyze/analysis.h"
#include "analyze/automatic_space.h"
#include "analyze/container_engine.h"
#include "analyze/owned_name.h"
#include "analyze/results.h"
#include "analyze/server_directory.h"
#include "base/host.h"
#include "base/stop.h"
#include "base/units.h"
#include "cli/analyze_identity.h"
#include "cli/analyze_names.h"
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

std::string JournalPath(const AnalyzeOptions& options, const std::string& directory) {
  return options.journal.empty() ? JoinPath(directory, "journal.jsonl") : options.journal;
}

// A directory that WriteConfigurations made, with nothing else in it; false, and it stays as it is,
// when it is another. What tells it, values.yaml, goes last: a kill leaves what the next one
// removes.
Result<bool> RemoveWrittenConfiguration(const std::string& directory) {
  std::error_code failed;
  std::vector<fs::path> files, folders;
  for (fs::recursive_directory_iterator entry(directory, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    const std::string name = entry->path().filename().string();
    const fs::file_type type = entry->symlink_status(failed).type();
    if (type == fs::file_type::directory && entry.depth() == 0) {
      folders.push_back(entry->path());  // of one of several models
    } else if (type == fs::file_type::regular && name == "config.pbtxt") {
      files.push_back(entry->path());
    } else if (type != fs::file_type::regular || name != "values.yaml" || entry.depth() > 0) {
      return false;
    }
  }
  if (failed) return IoError("list " + directory, failed.value());
  const std::string values = JoinPath(directory, "values.yaml");
  const Result<std::string> text = ReadFile(values);
  if (!text.has_value() || !text->starts_with(analyze::kHelmHead)) return false;
  files.insert(files.end(), folders.begin(), folders.end());
  files.insert(files.end(), {fs::path(values), fs::path(directory)});
  for (const fs::path& path : files) {
    fs::remove(path, failed);
    if (failed) return IoError("remove " + path.string(), failed.value());
  }
  return true;
}

// One model, from the questions to the results.
class ModelAnalysis {
 public:
  ModelAnalysis(const ModelPlan& plan, std::string directory, analyze::ModelServer* server,
                analyze::Meter& meter, const StopSignals& stop)
      : options_(plan.options),
        plan_(plan),
        model_(plan.name),
        several_(plan.models.size() > 1),
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
    if (result_.lost)
      return std::move(*result_.lost).In("the search ended early, --resume goes on");
    return Verdict();
  }

 private:
  Result<void> Learn() {
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
    const bool mixed = !options_.mix.empty();
    std::printf("%s %s on %s %s (%s)\n", mixed ? "Models, together:" : "Model", model_.c_str(),
                server.name.empty() ? "a server without metadata" : server.name.c_str(),
                server.version.c_str(),
                (server_ == nullptr ? stand_->ServerNames() : server_->Describe()).c_str());
    if (options_.leave_model) {
      std::printf("--leave-model: only the load is searched.\n");
    } else if (stand_->control() == ModelControl::kNone) {
      std::printf(
          "The server does not let clients load models (its model control mode is not explicit): "
          "only the load is searched.\n");
    }
    for (const std::string& line : stand_->subject().banner) std::printf("%s", line.c_str());
    if (several_ && !mixed) {
      const std::vector<std::string> behind(plan_.models.begin() + 1, plan_.models.end());
      std::printf("Models behind it: %s\n", Join(behind, ", ").c_str());
    }
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
          "with --model-control-mode=explicit (and leave out --leave-model), or leave out -u and "
          "give --model-repository");
    }
    devices_ = meter_.FindDevices();
    const bool choose = plan_.automatic.value_or(!loads_given);
    analyze::AutomaticSpace automatic =
        analyze::CompleteSpace(plan_.space, stand_->bases(),
                               {.cores = std::max(1, ReadHostFacts().cores_usable),
                                .gpus = static_cast<int>(devices_.size()),
                                .bounds = plan_.bounds,
                                .cpu_only = plan_.cpu_only,
                                .can_configure = can_configure() && (configured || choose),
                                .rates = plan_.rates});
    automatic_ = std::move(automatic.why);
    if (can_configure() && !configured && !choose)
      automatic_ = {"only the load is varied: --set gives fields of config.pbtxt to try as well"};
    analyze::SpaceModel model = analyze::ModelOf(stand_->Limits());
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
    if (options_.budget && *options_.budget < remaining.least_budget) {
      std::printf(
          "The search: nothing; a first point (loading, warming up, measuring, and a rest of the "
          "time to confirm it) needs a --budget of at least %s, not %s\n",
          HumanDuration(remaining.least_budget).c_str(), HumanDuration(*options_.budget).c_str());
      return;
    }
    std::printf("The search: about %s points and %s, rarely more than %s and %s%s%s\n",
                GroupDigits(remaining.trials).c_str(), HumanDuration(remaining.time).c_str(),
                GroupDigits(remaining.most_trials).c_str(),
                HumanDuration(remaining.most_time).c_str(), options_.budget ? "; stops at " : "",
                options_.budget ? HumanDuration(*options_.budget).c_str() : "");
  }

  Result<void> OpenJournal() {
    SEXTANT_TRY(MakeDirectories(directory_));
    const std::string path = JournalPath(options_, directory_);
    SEXTANT_TRY(MakeDirectories(DirectoryOf(path)));
    SEXTANT_ASSIGN(analyze::Journal journal,
                   analyze::Journal::Open({.path = path,
                                           .resume = options_.resume,
                                           .also = options_.merge_journals,
                                           .model = model_},
                                          MakeIdentity({.options = options_,
                                                        .models = plan_.models,
                                                        .stand = *stand_,
                                                        .devices = devices_,
                                                        .gpu_source = meter_.Describe(),
                                                        .remote = server_ == nullptr})));
    journal_.emplace(std::move(journal));
    // Another price costs no measuring.
    journal_->Revise([&](analyze::Measured& measured) {
      analyze::AddCost(measured.devices, PriceOf(options_), measured.figures);
    });
    for (const std::string& note : journal_->notes()) PrintWarning("analyze", note);
    if (journal_->reusable() > 0)
      std::printf("%zu points of the journal are used again.\n", journal_->reusable());
    return {};
  }

  Result<void> MeasureBaseline() {
    for (const analyze::Baseline& baseline : journal_->baselines()) {
      if (baseline.kind != "server_only") continue;
      if (analyze::FindFigure(baseline.figures, "gpu_memory_used") != nullptr && can_configure())
        stand_->LearnIdleMemory();
      return {};
    }
    if (options_.base_duration <= Nanos(0) || !can_configure()) return {};
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
    if (result_.lost && result_.points.empty()) return *result_.lost;
    return journal_->Finish(result_.interrupted ? "interrupted" : "complete");
  }

  // What the default has where tables have columns for it.
  std::vector<analyze::Setting> PresentValues() const {
    std::vector<analyze::Setting> out;
    for (const analyze::NamedConfig& base : stand_->bases()) {
      for (const char* path : {"instance_group.count", "max_batch_size"}) {
        Result<text::Json> value = kserve::GetField(base.config, path);
        if (value.has_value() && !value->IsNull())
          out.push_back({analyze::WithOwner(base.name, path), *std::move(value)});
      }
    }
    return out;
  }

  std::vector<std::string> Owners() const {
    std::vector<std::string> out;
    for (const analyze::NamedConfig& base : stand_->bases()) out.push_back(base.name);
    return several_ ? out : std::vector<std::string>();
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
            .models = Owners(),
            .parts = stand_->PartLabels()};
  }

  std::string ConfigurationsDirectory() const {
    return options_.configurations.empty() ? JoinPath(directory_, "configurations")
                                           : options_.configurations;
  }
  std::string ConfigurationDirectory(size_t configuration) const {
    return JoinPath(ConfigurationsDirectory(), names_[configuration]);
  }

  // Numbers are of a space: what a run before has left under a name may be another configuration
  // than the one that is in the results under it now.
  Result<void> RemoveOldConfigurations() {
    if (!IsDirectory(ConfigurationsDirectory())) return {};
    SEXTANT_ASSIGN(const std::vector<std::string> names, ListDirectory(ConfigurationsDirectory()));
    for (const std::string& name : names) {
      if (!analyze::IsConfigurationOf(model_, name)) continue;
      const std::string directory = JoinPath(ConfigurationsDirectory(), name);
      SEXTANT_ASSIGN(const bool removed, RemoveWrittenConfiguration(directory));
      if (!removed) {
        PrintWarning("analyze",
                     Format("{} was there before and has files that are not sextant's: it is left, "
                            "and may be another configuration than the one of that name in {}",
                            directory, JoinPath(directory_, "results.json")));
      }
    }
    return {};
  }

  Result<void> WriteConfigurations(const analyze::Report& report) {
    SEXTANT_TRY(RemoveOldConfigurations());
    size_t left = options_.top;
    for (const analyze::Standing& standing : result_.conclusion.ranking) {
      if (left == 0) break;
      if (!standing.load || standing.kind == analyze::Standing::Kind::kFailed) continue;
      --left;
      const std::string directory = ConfigurationDirectory(standing.configuration);
      std::vector<analyze::ModelText> models;
      for (size_t i = 0; i < plan_.models.size(); ++i) {
        SEXTANT_ASSIGN(const kserve::ModelConfig config,
                       stand_->ConfigOf(standing.configuration, i));
        models.push_back({plan_.models[i], kserve::FormatModelConfig(config)});
        // Several lie as in a repository.
        const std::string place = several_ ? JoinPath(directory, plan_.models[i]) : directory;
        SEXTANT_TRY(MakeDirectories(place));
        SEXTANT_TRY(WriteFileAtomic(JoinPath(place, "config.pbtxt"), models.back().config_pbtxt));
      }
      SEXTANT_TRY(WriteFileAtomic(JoinPath(directory, "values.yaml"),
                                  analyze::HelmValues(report, standing, models)));
    }
    return {};
  }

  // The files of the tool that --compat names, and its tables on stdout.
  std::vector<std::pair<std::string, analyze::PeerTable>> PeerTables(
      const analyze::Report& report) const {
    switch (options_.results_for) {
      case ResultsFor::kSextant:
        return {};
      case ResultsFor::kSeed000:
        return {{options_.filename_server_only, analyze::SeedServer(report)},
                {options_.filename_model, analyze::SeedModels(report)}};
      case ResultsFor::kModelAnalyzer:
        return {{options_.filename_server_only, analyze::ServerOnlyTable(report)},
                {options_.filename_model_inference, analyze::InferenceTable(report)},
                {options_.filename_model_gpu, analyze::GpuTable(report)}};
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
    for (const auto& [name, table] : PeerTables(report)) {
      std::printf("%s\n", analyze::FormatText(table).c_str());
      SEXTANT_TRY(file(name, analyze::FormatCsv(table)));
    }
    SEXTANT_TRY(WriteConfigurations(report));
    const std::string best =
        result_.conclusion.ranking.empty()
            ? ""
            : ConfigurationDirectory(result_.conclusion.ranking[0].configuration);
    std::printf(
        "Written to %s: %sresults.json, points.csv%s\n", directory_.c_str(),
        options_.journal.empty() ? "journal.jsonl, " : "",
        options_.results_for == ResultsFor::kSextant ? "" : " and the CSV files of --compat");
    if (!options_.journal.empty()) std::printf("The journal: %s\n", options_.journal.c_str());
    if (IsDirectory(best))
      std::printf("The best: %s/%sconfig.pbtxt, with Helm values beside it\n", best.c_str(),
                  several_ ? "MODEL/" : "");
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
  const bool several_;       // of whose configurations are set
  const std::string directory_;
  analyze::ModelServer* const server_;
  analyze::Meter& meter_;
  const StopSignals& stop_;

  std::unique_ptr<ModelStand> stand_;
  std::vector<std::string> devices_;  // GPUs that are told of
  analyze::Space space_;
  analyze::SearchOptions search_;
  std::vector<std::string> names_, automatic_;
  std::optional<analyze::Journal> journal_;
  std::optional<AnalyzeView> view_;
  analyze::AnalysisResult result_;
};

Result<std::unique_ptr<analyze::ModelServer>> StartOwnServer(const AnalyzeOptions& options,
                                                             analyze::ServerDirectory& directory,
                                                             const StopSignals& stop) {
  const std::string source = fs::absolute(options.repository).lexically_normal().string();
  const std::string& mirror = directory.path();
  // Of an analysis that was killed with everything that would have cleaned up behind it.
  for (const analyze::ServerDirectory::Left& left : directory.left_behind()) {
    if (!left.engine.empty()) analyze::ContainerEngine(left.engine).Remove(left.name);
    analyze::RemoveSharedMemory(left.name);
  }
  SEXTANT_TRY(analyze::WorkRepository(source, JoinPath(mirror, "repository")).MirrorAll());
  analyze::LaunchOptions launch{
      .kind = *options.launch,
      .repository = JoinPath(mirror, "repository"),
      .source = source,
      .program = {},
      .image = options.image,
      .name = analyze::UniqueServerName(),
      .arguments = options.server_arguments,
      .environment = options.server_environment,
      .container_arguments = options.container_arguments,
      .work_directory = mirror,
      .log = options.server_log,
      .start_limit = options.server_start_timeout,
      .note = [how = options.progress](const std::string& text) { PrintNote(how, text); },
      .stop = [&stop] { return stop.received().has_value(); }};
  switch (*options.launch) {
    case analyze::Launch::kEmbedded:
      launch.program = fs::read_symlink("/proc/self/exe").string();
      break;
    case analyze::Launch::kContainer:
      launch.program = options.container_engine;
      if (launch.program.empty()) {
        launch.program = analyze::ContainerEngine::Default();
        launch.note("container engine: " + launch.program);
      }
      break;
    default:
      launch.program = options.server_program.empty() ? "tritonserver" : options.server_program;
  }
  const bool container = options.launch == analyze::Launch::kContainer;
  SEXTANT_TRY(directory.Note({.name = launch.name, .engine = container ? launch.program : ""}));
  return analyze::StartServer(launch);
}

struct LinksGone {
  std::string path;
  ~LinksGone() { [[maybe_unused]] const auto removed = RemoveAll(path); }
};

// One model's results would be lost under another's.
Result<void> CheckResults(const std::string& directory, const std::string& model) {
  const std::string path = JoinPath(directory, "results.json");
  const Result<std::string> text = ReadFile(path);
  if (!text.has_value()) return {};
  const Result<text::Json> json = text::ParseJson(*text);
  const text::Json* of = json.has_value() ? json->Find("model") : nullptr;
  if (of == nullptr || !of->AsString() || *of->AsString() == model) return {};
  return Error(ErrorCode::kAlreadyExists,
               Format("{} has the results of the model '{}': give '{}' another --export-path, or "
                      "remove it",
                      path, Printable(*of->AsString(), 60), model));
}

// What is in the way is said before a server is started for nothing.
Result<void> CheckPlaces(const AnalyzePlan& plan) {
  std::vector<std::string> faults;
  ErrorCode first = ErrorCode::kIo;
  for (const ModelPlan& model : plan.models) {
    const std::string directory = DirectoryFor(plan, model);
    Result<void> usable =
        analyze::Journal::CheckUsable({.path = JournalPath(model.options, directory),
                                       .resume = model.options.resume,
                                       .also = model.options.merge_journals,
                                       .model = model.name});
    if (usable.has_value()) usable = CheckResults(directory, model.name);
    if (usable.has_value()) continue;
    if (faults.empty()) first = usable.error().code();
    faults.push_back(usable.error().message());
  }
  if (faults.empty()) return {};
  return Error(first, Join(faults, "\n"));
}

// `options`: of the server, which all models share.
Result<int> Analyze(const AnalyzeOptions& options, const AnalyzePlan& plan) {
  SEXTANT_ASSIGN(const StopSignals stop, StopSignals::Install());
  if (!options.plan) SEXTANT_TRY(CheckPlaces(plan));
  SEXTANT_TRY(CheckModelNames(options, plan));
  const std::string work = DirectoryFor(plan, plan.models.front());
  SEXTANT_TRY(MakeDirectories(work));
  std::optional<analyze::ServerDirectory> directory;
  std::unique_ptr<analyze::ModelServer> server;
  if (options.launch != analyze::Launch::kRemote) {
    const fs::path path = fs::absolute(JoinPath(work, "server")).lexically_normal();
    SEXTANT_ASSIGN(auto taken, analyze::ServerDirectory::Take(path.string()));
    directory.emplace(std::move(taken));
    Result<std::unique_ptr<analyze::ModelServer>> started =
        StartOwnServer(options, *directory, stop);
    if (!started.has_value() && stop.received()) return ExitCodeForSignal(*stop.received());
    SEXTANT_ASSIGN(server, std::move(started));
  }
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
