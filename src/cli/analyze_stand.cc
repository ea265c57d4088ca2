#include "cli/analyze_stand.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "analyze/owned_name.h"
#include "base/files.h"
#include "cli/command.h"
#include "cli/perf_arrivals.h"
#include "cli/perf_data.h"
#include "cli/perf_server.h"
#include "cli/perf_shared_memory.h"
#include "kserve/config_fields.h"

namespace sextant::cli {
namespace {

constexpr Nanos kPoll = 20ms;
// What a server that polls says of a model for so long, and twice as long as it ever took to see a
// change, is of its present configuration.
constexpr Nanos kStale = 3s;
// Long enough for a few samples of GPUs at rest.
constexpr Nanos kRest = 300ms;
// Memory that a server may keep after a model has gone, beyond what it had before.
constexpr double kKeptShare = 0.05, kKeptBytes = 64.0 * 1024 * 1024;

std::string SignatureText(const load::ModelSignature& signature) {
  std::string out = Format("{}", signature.max_batch_size > 0);
  for (const auto* tensors : {&signature.inputs, &signature.outputs}) {
    for (const kserve::TensorMetadata& tensor : *tensors)
      AppendFormat(out, "|{}:{}:{}", tensor.name, static_cast<int>(tensor.type),
                   kserve::FormatShape(tensor.shape));
  }
  return out;
}

}  // namespace

ModelStand::ModelStand(const Parts& parts, const std::vector<std::string>& models)
    : options_(parts.options),
      perf_(parts.options),
      server_(parts.server),
      meter_(parts.meter),
      stop_(parts.stop),
      progress_(parts.progress) {
  for (const std::string& model : models) models_.push_back({.name = model});
  // A mix names its models itself.
  if (perf_.mix.empty()) perf_.model = models.front();
  // Metrics are the meter's business, and it has the endpoints.
  perf_.collect_metrics = true;
}

ModelStand::~ModelStand() {
  generator_.reset();
  if (work_repository_) {
    for (const Served& model : models_) [[maybe_unused]]
      const auto removed = work_repository_->Remove(model.name);
    return;
  }
  if (server_ != nullptr || control_ == nullptr || control_mode_ == ModelControl::kNone) return;
  // Somebody else's server serves again what it did.
  for (const Served& model : models_) {
    if (!model.was_loaded) {
      [[maybe_unused]] const auto unloaded =
          control_->UnloadModel(model.name, true, options_.unload_timeout);
      continue;
    }
    if (const auto loaded = control_->LoadModel(model.name, {}, options_.load_timeout);
        !loaded.has_value())
      PrintWarning("analyze", Format("'{}' could not be loaded again as it was: {}", model.name,
                                     loaded.error().message()));
  }
}

Result<std::unique_ptr<ModelStand>> ModelStand::Open(const Parts& parts,
                                                     const std::vector<std::string>& models) {
  std::unique_ptr<ModelStand> stand(new ModelStand(parts, models));
  SEXTANT_TRY(stand->Connect());
  SEXTANT_TRY(stand->FindModelControl());
  return stand;
}

Result<void> ModelStand::Replan() {
  generator_.reset();
  data_.clear();
  mix_.clear();
  signature_.clear();
  plan_ = Plan();
  if (const auto mistakes = MakePlan(perf_, plan_); !mistakes.empty())
    return InvalidArgument(mistakes.front().text);
  return {};
}

Result<void> ModelStand::Connect() {
  if (server_ != nullptr) {
    const analyze::ServerPlaces& places = server_->places();
    perf_.urls = {perf_.protocol == kserve::Protocol::kHttp ? places.http : places.grpc};
  }
  SEXTANT_TRY(Replan());
  credentials_.reset();
  SEXTANT_ASSIGN(credentials_, Credentials::Create(perf_, plan_.target, [](const Error& error) {
                   PrintWarning("analyze", error.message());
                 }));
  SEXTANT_TRY(WaitReady(perf_, plan_.target, *credentials_));
  control_.reset();
  SEXTANT_ASSIGN(connection_, Reach(plan_.target, perf_.control_timeout));
  SEXTANT_ASSIGN(control_,
                 MakeControl(plan_.target, connection_, *credentials_, perf_.control_timeout));
  std::string metrics;
  if (server_ != nullptr) {
    metrics = "http://" + server_->places().metrics + "/metrics";
  } else if (const std::string& host = plan_.target.servers.front().where.host;
             options_.metrics_urls.empty() && !host.empty()) {
    metrics = Format("http://{}:8002/metrics",
                     host.find(':') == std::string::npos ? host : "[" + host + "]");
  }
  return meter_.Follow(server_ == nullptr ? std::vector<uint32_t>() : server_->Processes(),
                       metrics);
}

Result<void> ModelStand::FindModelControl() {
  for (Served& model : models_) {
    const Result<bool> ready = control_->ModelReady(model.name, perf_.model_version);
    model.was_loaded = ready.has_value() && *ready;
  }
  if (!options_.work_repository.empty()) {
    control_mode_ = ModelControl::kPoll;
    work_repository_.emplace(options_.repository, options_.work_repository);
  } else if (options_.leave_model) {
    control_mode_ = ModelControl::kNone;
  } else if (server_ != nullptr) {
    control_mode_ = ModelControl::kExplicit;
  } else {
    SEXTANT_TRY(AskForControl());
  }
  // Of the repository; a server tells the configuration of what is loaded.
  SEXTANT_TRY(FindBases());
  const bool all_there = std::all_of(models_.begin(), models_.end(),
                                     [](const Served& model) { return model.was_loaded; });
  if (control_mode_ != ModelControl::kNone && !all_there) {
    if (const auto loaded = LoadAll({}); !loaded.has_value()) return Refusal(loaded.error());
    SEXTANT_TRY(FindBases());
  }
  if (plan_.mix.empty()) {
    SEXTANT_ASSIGN(subject_, ExplainFailure(AskServer(perf_, plan_, *control_), perf_, plan_.target,
                                            connection_.endpoints.front(), *control_));
    metadata_ = kserve::ToJson(subject_.metadata);
    return {};
  }
  // Whether the models go together is known before anything is measured.
  SEXTANT_ASSIGN(mix_, LearnMix(perf_, plan_, *control_));
  subject_ = DescribeMixed(mix_);
  for (const auto& model : mix_) metadata_ += kserve::ToJson(model->subject.metadata) + "\n";
  return {};
}

// A server with explicit control does not know this model; any other does not take the call.
Result<void> ModelStand::AskForControl() {
  const Result<void> probe =
      control_->LoadModel("sextant-analyze-probe", {}, perf_.control_timeout);
  if (probe.has_value() || probe.error().code() == ErrorCode::kUnsupported ||
      probe.error().message().find("not allowed") != std::string::npos) {
    control_mode_ = ModelControl::kNone;
    return {};
  }
  // Triton says 503 of servers without explicit control in some versions, in words caught above.
  const bool lost = probe.error().code() == ErrorCode::kUnavailable ||
                    probe.error().code() == ErrorCode::kDeadlineExceeded;
  if (lost && probe.error().message().find("503") == std::string::npos) return probe.error();
  control_mode_ = ModelControl::kExplicit;
  return {};
}

analyze::Unowned ModelStand::unowned() const {
  return perf_.mix.empty() ? analyze::Unowned::kMain : analyze::Unowned::kAll;
}

Result<std::optional<kserve::ModelConfig>> ModelStand::Changed(std::optional<size_t> configuration,
                                                               size_t model) const {
  std::optional<kserve::ModelConfig> out;
  if (!configuration) return out;
  const auto& settings = space_->configurations[*configuration].settings;
  if (analyze::SettingsOf(settings, bases_[model].name, unowned()).empty()) return out;
  Result<kserve::ModelConfig> config = ConfigOf(*configuration, model);
  if (!config.has_value()) return Internal(config.error().message());
  out = *std::move(config);
  return out;
}

Result<void> ModelStand::LoadOne(std::optional<size_t> configuration, size_t model) {
  SEXTANT_ASSIGN(const auto changed, Changed(configuration, model));
  std::optional<std::string> json;
  if (changed) json = kserve::ModelConfigToJson(*changed);
  const std::string& name = models_[model].name;
  Result<void> loaded = control_->LoadModel(name, json, options_.load_timeout);
  if (loaded.has_value()) return loaded;
  return std::move(loaded).error().In(Format("model '{}'", name));
}

// One after the other, so that a refusal is of one of them.
Result<void> ModelStand::LoadAll(std::optional<size_t> configuration) {
  if (work_repository_) return PollAll(configuration);
  if (!bases_.front().config.has_ensemble_scheduling()) {
    // What a model calls is there before it.
    for (size_t i = models_.size(); i-- > 0;) SEXTANT_TRY(LoadOne(configuration, i));
    return {};
  }
  // Loading an ensemble makes Triton load its steps as the repository has them, whatever they were
  // loaded with before; they may be exchanged below it.
  SEXTANT_TRY(LoadOne(configuration, 0));
  for (size_t i = 1; i < models_.size(); ++i) {
    SEXTANT_ASSIGN(const bool ready, control_->ModelReady(models_[i].name, ""));
    SEXTANT_ASSIGN(const auto changed, Changed(configuration, i));
    if (!ready || changed) SEXTANT_TRY(LoadOne(configuration, i));
  }
  return {};
}

// All appear before any is awaited: an ensemble needs its steps.
Result<void> ModelStand::PollAll(std::optional<size_t> configuration) {
  for (size_t i = 0; i < models_.size(); ++i) {
    SEXTANT_ASSIGN(const auto changed, Changed(configuration, i));
    SEXTANT_TRY(work_repository_->Put(
        models_[i].name, kserve::FormatModelConfig(changed ? *changed : bases_[i].config)));
  }
  for (Served& model : models_) SEXTANT_TRY(AwaitPolled(model));
  return {};
}

// The server finds what has changed when it next looks.
Result<void> ModelStand::AwaitPolled(Served& served) {
  const Instant begin = SteadyNow(), deadline = begin + options_.load_timeout;
  while (!stop_()) {
    const Result<bool> ready = control_->ModelReady(served.name, "");
    if (ready.has_value() && *ready) {
      longest_poll_ = std::max(longest_poll_, SteadyNow() - begin);
      return {};
    }
    const auto index = control_->FetchRepositoryIndex();
    if (!index.has_value() && index.error().code() == ErrorCode::kUnavailable) return index.error();
    std::string reason;
    for (const kserve::IndexedModel& model :
         index.has_value() ? *index : std::vector<kserve::IndexedModel>()) {
      if (model.name == served.name && model.state == "UNAVAILABLE" && model.reason != "unloaded")
        reason = model.reason;
    }
    // The words of the configuration before are repeated until the server looks again; and a server
    // may try what it refused whenever it looks, with the same words each time.
    if (!reason.empty() &&
        (reason != served.refused_before || SteadyNow() - begin > kStale + 2 * longest_poll_)) {
      served.refused_before = reason;
      return InvalidArgument(reason);
    }
    if (SteadyNow() > deadline) {
      return Error(ErrorCode::kDeadlineExceeded,
                   Format("'{}' did not appear within {:.0f} s (--load-timeout): does the server "
                          "poll '{}'?",
                          served.name, Seconds(options_.load_timeout), options_.work_repository));
    }
    std::this_thread::sleep_for(kPoll);
  }
  return Error(ErrorCode::kCancelled, "stopped");
}

Result<void> ModelStand::FindBases() {
  bases_.clear();
  for (const Served& model : models_) {
    SEXTANT_ASSIGN(kserve::ModelConfig config, FindBase(model.name));
    const bool main = perf_.mix.empty() && bases_.empty();
    bases_.push_back({.name = main ? "" : model.name, .config = std::move(config)});
  }
  return {};
}

Result<kserve::ModelConfig> ModelStand::FindBase(const std::string& model) {
  const std::string file = JoinPath(JoinPath(options_.repository, model), "config.pbtxt");
  if (!options_.repository.empty() && FileExists(file)) {
    SEXTANT_ASSIGN(const std::string text, ReadFile(file));
    SEXTANT_ASSIGN(kserve::ModelConfig config, kserve::ParseModelConfig(text), file);
    if (config.name().empty()) config.set_name(model);
    return config;
  }
  Result<kserve::ModelConfig> config = control_->FetchModelConfig(model, perf_.model_version);
  return config.has_value() ? *std::move(config) : kserve::ModelConfig();
}

std::vector<std::string> ModelStand::PartLabels() const {
  std::vector<std::string> out;
  for (const MixEntry& entry : plan_.mix) out.push_back(entry.label);
  return out;
}

Result<kserve::ModelConfig> ModelStand::ConfigOf(size_t configuration, size_t model) const {
  return kserve::WithSettings(bases_[model].config,
                              analyze::SettingsOf(space_->configurations[configuration].settings,
                                                  bases_[model].name, unowned()));
}

std::vector<analyze::NamedConfig> ModelStand::Limits() const {
  std::vector<analyze::NamedConfig> out = bases_;
  for (analyze::NamedConfig& base : out) {
    // One that nobody told has no name.
    if (!base.config.name().empty()) continue;
    for (const auto& part : mix_) {
      if (part->entry.model.name == base.name)
        base.config.set_max_batch_size(part->subject.signature.max_batch_size);
    }
    if (base.name.empty()) base.config.set_max_batch_size(subject_.signature.max_batch_size);
  }
  return out;
}

Result<void> ModelStand::Use(const analyze::Space& space) {
  space_ = &space;
  perf_.batch.values.clear();
  double most = 1;
  bool rates = false;
  for (const analyze::Load& load : space.loads) {
    const auto batch = static_cast<double>(load.point.batch_size);
    if (std::find(perf_.batch.values.begin(), perf_.batch.values.end(), batch) ==
        perf_.batch.values.end())
      perf_.batch.values.push_back(batch);
    most = std::max(most, load.point.value);
    rates |= load.point.mode == run::LoadMode::kRequestRate;
  }
  const bool own = !plan_.mix.empty() && plan_.mix.front().concurrency > 0;
  if (own) {
    // The mix says it.
    perf_.concurrency.reset();
    perf_.rate.reset();
  } else if (rates) {
    perf_.rate = load::RateList{.values = {most}, .text = Format("{:g}", most), .range = {}};
    perf_.concurrency.reset();
  } else {
    perf_.concurrency =
        load::CountList{.values = {most}, .text = Format("{:g}", most), .range = {}};
    perf_.rate.reset();
  }
  return Replan();
}

analyze::Baseline ModelStand::Sample(Nanos duration, std::string kind) {
  meter_.Begin();
  const Instant end = SteadyNow() + duration;
  while (SteadyNow() < end && !stop_()) std::this_thread::sleep_for(kPoll);
  meter_.End();
  std::vector<std::string> flags;
  analyze::Baseline out = meter_.Take(flags);
  out.kind = std::move(kind);
  return out;
}

Result<analyze::Baseline> ModelStand::MeasureIdle(Nanos duration) {
  SEXTANT_TRY(Unload());
  analyze::Baseline out = Sample(duration, "server_only");
  if (const auto* memory = analyze::FindFigure(out.figures, "gpu_memory_used"))
    idle_memory_ = memory->value;
  return out;
}

// The models are gone when this returns: unloading goes on behind the call.
Result<void> ModelStand::Unload() {
  if (control_mode_ == ModelControl::kNone) return {};
  for (const Served& model : models_) {
    if (work_repository_) {
      SEXTANT_TRY(work_repository_->Remove(model.name));
    } else {
      SEXTANT_TRY(control_->UnloadModel(model.name, false, options_.unload_timeout));
    }
  }
  for (const Served& model : models_) SEXTANT_TRY(AwaitGone(model.name));
  return {};
}

Result<void> ModelStand::AwaitGone(const std::string& model) {
  const Instant deadline = SteadyNow() + options_.unload_timeout;
  while (true) {
    const Result<bool> ready = control_->ModelReady(model, "");
    if (ready.has_value() && !*ready) return {};
    if (!ready.has_value() && ready.error().code() == ErrorCode::kUnavailable) return ready.error();
    if (SteadyNow() > deadline)
      return Error(ErrorCode::kDeadlineExceeded, Format("'{}' was still there after {:.0f} s",
                                                        model, Seconds(options_.unload_timeout)));
    std::this_thread::sleep_for(kPoll);
  }
}

// What the server's own log says belongs to why it refused.
Error ModelStand::Refusal(const Error& error) {
  if (server_ == nullptr) return {ErrorCode::kInternal, error.message()};
  const bool alive = server_->Alive();
  const std::string tail = server_->LogTail();
  return {ErrorCode::kInternal,
          Format("{}{}{}", error.message(), alive ? "" : " (the server died of it)",
                 !tail.empty() ? "; the server's last words:\n" + tail
                 : alive       ? ""
                               : "; it wrote nothing about it")};
}

// A server that died, or that we could not get rid of a model in, is started anew.
Result<void> ModelStand::EnsureServer(analyze::LoadReport& report) {
  if (server_ == nullptr) {
    if (!needs_restart_) return {};
    needs_restart_ = false;
    // One that polls is there; it says that it is not ready as long as it refuses a model.
    if (work_repository_) return {};
    // Somebody else's: it may come back.
    perf_.wait_ready = std::max(perf_.wait_ready, options_.server_start_timeout);
    return Connect();
  }
  const bool alive = server_->Alive();
  if (alive && !needs_restart_) return {};
  report.notes.push_back(alive ? "the server is started anew"
                               : "the server had died and is started anew");
  needs_restart_ = false;
  SEXTANT_TRY(server_->Restart());
  return Connect();
}

// A server that keeps memory of models that are gone would charge it to the next.
Result<void> ModelStand::CheckMemory(analyze::LoadReport& report) {
  if (!idle_memory_ && !learn_idle_memory_) return {};
  analyze::Baseline after = Sample(kRest, "unloaded");
  const analyze::Figure* memory = analyze::FindFigure(after.figures, "gpu_memory_used");
  if (std::exchange(learn_idle_memory_, false) && memory != nullptr) idle_memory_ = memory->value;
  const bool kept = idle_memory_ && memory != nullptr &&
                    memory->value > *idle_memory_ * (1 + kKeptShare) + kKeptBytes;
  const double extra = kept ? memory->value - *idle_memory_ : 0;
  report.baselines.push_back(std::move(after));
  if (!kept) return {};
  if (server_ == nullptr) {
    report.notes.push_back(
        Format("the server keeps {} of GPU memory without the model: memory "
               "figures are upper bounds",
               analyze::ShowValue(extra, "bytes")));
    return {};
  }
  report.notes.push_back(
      Format("the server kept {} of GPU memory without the model and is started "
             "anew",
             analyze::ShowValue(extra, "bytes")));
  SEXTANT_TRY(server_->Restart());
  return Connect();
}

Result<analyze::LoadReport> ModelStand::LoadConfiguration(size_t configuration) {
  analyze::LoadReport report;
  // The old load's requests end with it.
  if (generator_ != nullptr) generator_->Drain(1s);
  SEXTANT_TRY(EnsureServer(report));
  const Instant begin = SteadyNow();
  if (control_mode_ != ModelControl::kNone) {
    if (const Result<void> unloaded = Unload(); !unloaded.has_value()) {
      needs_restart_ = true;
      SEXTANT_TRY(EnsureServer(report));
    }
    SEXTANT_TRY(CheckMemory(report));
    // What it says from now on is of this configuration.
    if (server_ != nullptr) server_->MarkLog();
    if (const Result<void> loaded = LoadAll(configuration); !loaded.has_value()) {
      Error refusal = Refusal(loaded.error());
      // Nobody knows what a load that did not end has left behind.
      needs_restart_ = loaded.error().code() == ErrorCode::kDeadlineExceeded ||
                       loaded.error().code() == ErrorCode::kUnavailable;
      return refusal;
    }
  }
  Result<void> learned = LearnModels();
  if (!learned.has_value()) return Refusal(learned.error());
  report.cost_s = Seconds(SteadyNow() - begin);
  if (idle_memory_) report.baselines.push_back(Sample(kRest, "loaded"));
  return report;
}

Result<std::string> ModelStand::AskAll() {
  if (plan_.mix.empty()) {
    SEXTANT_ASSIGN(subject_, AskServer(perf_, plan_, *control_));
    return SignatureText(subject_.signature);
  }
  std::string out;
  for (const MixEntry& entry : plan_.mix) {
    const ModelOptions as = cli::OptionsFor(perf_, plan_, entry, [](const std::string&) {});
    SEXTANT_ASSIGN(const Subject subject, AskServer(as.options, as.plan, *control_),
                   Format("model '{}'", entry.label));
    AppendFormat(out, "{}\n", SignatureText(subject.signature));
  }
  return out;
}

Result<void> ModelStand::LearnModels() {
  SEXTANT_ASSIGN(const std::string signature, AskAll());
  // How large a batch may be changes between configurations; the requests do not.
  if (signature == signature_ && generator_ != nullptr) return {};
  generator_.reset();
  data_.clear();
  mix_.clear();
  bool check_outputs = false;
  if (plan_.mix.empty()) {
    for (const analyze::Load& load : space_->loads) {
      if (data_.contains(load.data)) continue;
      Data& data = data_[load.data];
      SEXTANT_TRY(MakeRequests(load.data, data));
      check_outputs |= !data.rows->expected().empty();
    }
  } else {
    SEXTANT_TRY(MakeMix());
    for (const auto& model : mix_) check_outputs |= !model->data->expected().empty();
  }
  load::WorkerOptions worker = MakeWorkerOptions(perf_, plan_.target.protocol, subject_,
                                                 connection_, *credentials_, check_outputs);
  worker.models = mix_.size();
  SEXTANT_ASSIGN(generator_, load::Generator::Start(worker, plan_.workers));
  signature_ = signature;
  return {};
}

Result<void> ModelStand::MakeMix() {
  SEXTANT_ASSIGN(mix_, LearnMix(perf_, plan_, *control_));
  subject_ = DescribeMixed(mix_);
  Plan plan = plan_;
  for (const auto& model : mix_) {
    int64_t& most = model->subject.signature.max_batch_size;
    // As for one model: of what a configuration does not take there is no load.
    if (most == 0)
      std::erase_if(plan.points, [](const run::LoadPoint& point) { return point.batch_size > 1; });
    if (most > 0) most = INT32_MAX;
  }
  return EncodeMix(plan, connection_, *credentials_, mix_);
}

Result<PerfOptions> ModelStand::OptionsFor(const std::string& data) const {
  PerfOptions out = perf_;
  if (data.empty()) return out;
  for (const std::string& named : options_.data_sets) {
    if (named.starts_with(data + "=")) {
      out.input_data = {named.substr(data.size() + 1)};
      return out;
    }
  }
  return InvalidArgument(
      Format("the data set '{}' is not named by a --data-set NAME=SOURCE", Printable(data, 60)));
}

Result<void> ModelStand::MakeRequests(const std::string& name, Data& data) {
  SEXTANT_ASSIGN(const PerfOptions options, OptionsFor(name));
  SEXTANT_ASSIGN(data.rows, MakeData(options, plan_, subject_.signature));
  if (FromFiles(options)) UseDataStreams(*data.rows, subject_.streams);
  SEXTANT_TRY(FollowData(options, *data.rows, plan_));
  // All batch sizes that some configuration takes, whatever this one takes: what a configuration
  // does not take is not among its loads.
  Subject subject = subject_;
  if (subject.signature.max_batch_size > 0) subject.signature.max_batch_size = INT32_MAX;
  Plan plan = plan_;
  if (subject.signature.max_batch_size == 0)
    std::erase_if(plan.points, [](const run::LoadPoint& point) { return point.batch_size > 1; });
  SEXTANT_ASSIGN(data.requests, EncodeRequests(options, plan, subject, *data.rows, connection_,
                                               *credentials_, nullptr));
  return {};
}

bool ModelStand::HasRequests(const analyze::Load& load) const {
  const int64_t batch = load.point.batch_size;
  if (mix_.empty()) return data_.at(load.data).requests.contains(batch);
  return std::all_of(mix_.begin(), mix_.end(),
                     [&](const auto& model) { return model->requests.contains(batch); });
}

load::LevelPlan ModelStand::PlanLevel(const analyze::Load& load) const {
  load::LevelPlan out{.load = load.point,
                      .requests = nullptr,
                      .arrivals = plan_.arrivals,
                      .order = plan_.order,
                      .rate = load.point.value,
                      .max_in_flight = MaxInFlight(perf_, nullptr),
                      .connections = perf_.connections,
                      .seed = plan_.seed,
                      .sequences = perf_.sequences,
                      .serial_sequences = perf_.serial_sequences};
  if (mix_.empty()) {
    out.requests = data_.at(load.data).requests.at(load.point.batch_size).get();
  } else {
    FillMix(mix_, out);
  }
  return out;
}

Result<std::vector<kserve::ModelStatistics>> ModelStand::FetchStatistics() {
  if (!mix_.empty()) return FetchMixStatistics(*control_, mix_);
  return FetchAllStatistics(*control_, {perf_.model, perf_.model_version}, subject_.composing);
}

run::Level ModelStand::RunLevel(const analyze::Trial& trial, const analyze::Load& load) {
  load::MeasureOptions measure = plan_.measure;
  measure.window = {.kind = load::WindowRule::Kind::kTime, .time = trial.window};
  if (measure.warmup.kind == load::WarmupRule::Kind::kAuto) {
    // Of a model that was loaded a moment ago, or that had another load until now.
    measure.warmup.shortest = 300ms;
    measure.warmup.longest = 3s;
  }
  // One that does not answer any more is not waited for.
  measure.drain_limit = std::min<Nanos>(measure.drain_limit, 10s);
  bool begun = false, ended = false;
  const load::MeasureHooks hooks{
      .progress = progress_,
      // A server of ours that died answers nothing more: neither the window nor the requests that
      // are open are waited for.
      .stop = [&] { return stop_() || (server_ != nullptr && !server_->Alive()); },
      .edge =
          [&] {
            if (begun) {
              meter_.End();
              ended = true;
            } else {
              meter_.Begin();
              begun = true;
            }
          },
      .statistics = subject_.statistics
                        ? std::function<Result<std::vector<kserve::ModelStatistics>>()>(
                              [&] { return FetchStatistics(); })
                        : nullptr,
      .model = perf_.model};
  run::Level level = generator_->Measure(PlanLevel(load), measure, hooks);
  if (!begun) meter_.Begin();
  if (!ended) meter_.End();
  return level;
}

analyze::Measured ModelStand::Measure(const analyze::Trial& trial) {
  const analyze::Load& load = space_->loads[trial.load];
  analyze::Measured out;
  if (!HasRequests(load)) {
    out.status = analyze::Outcome::Status::kFailed;
    out.error = Format("the model takes no batch of {}", load.point.batch_size);
    return out;
  }
  const Instant begin = SteadyNow();
  run::Level level = RunLevel(trial, load);
  out.cost_s = Seconds(SteadyNow() - begin);
  analyze::Baseline beside = meter_.Take(out.flags);
  out.devices = std::move(beside.devices);
  out.figures = analyze::FiguresOf(level);
  for (auto& [name, figure] : beside.figures) out.figures.emplace(name, figure);
  analyze::AddDerived(
      out.devices,
      static_cast<double>(level.completed * static_cast<uint64_t>(load.point.batch_size)),
      level.window_s, out.figures);
  analyze::AddCost(out.devices, PriceOf(options_), out.figures);
  if (level.client.limited)
    for (const std::string& limit : level.client.limits) out.flags.push_back("client: " + limit);
  if (level.state == stats::LevelState::kDrifting) out.flags.emplace_back("drifting");
  if (level.succeeded == 0) {
    out.status = analyze::Outcome::Status::kFailed;
    out.error = level.outcomes.empty()
                    ? "no request was answered"
                    : Format("no request succeeded: {}: {}", level.outcomes.front().name,
                             level.outcomes.front().example);
    // Requests that were never answered may still hold the model.
    needs_restart_ = level.unanswered() || level.unfinished > 0;
  }
  if (server_ != nullptr && !server_->Alive()) {
    out.status = analyze::Outcome::Status::kRefused;
    out.error = Refusal(Internal("the load was not answered to its end")).message();
  }
  out.level = std::move(level);
  return out;
}

}  // namespace sextant::cli
