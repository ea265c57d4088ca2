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
#include "kserve/config_fields.h"

namespace sextant::cli {
namespace {

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
  if (!options_.repository.empty()) {
    SEXTANT_ASSIGN(auto kept, kserve::ReadModelConfig(JoinPath(options_.repository, model)));
    if (kept && kept->name().empty()) kept->set_name(model);
    if (kept) return *std::move(kept);
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
  SEXTANT_TRY(Replan());
  // Data that does not fit is known before anything is measured, and once for all configurations.
  return LearnModels();
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
  data_.clear();  // and with it what shares memory with the server
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

// Requests are made of all batch sizes that some configuration takes, whatever this one takes: what
// a configuration does not take is not among its loads.
void ModelStand::TakeAllBatches(Subject& subject, Plan& plan) {
  int64_t& most = subject.signature.max_batch_size;
  if (most > 0) {
    most = INT32_MAX;
  } else {
    std::erase_if(plan.points, [](const run::LoadPoint& point) { return point.batch_size > 1; });
  }
}

Result<void> ModelStand::MakeMix() {
  SEXTANT_ASSIGN(mix_, LearnMix(perf_, plan_, *control_));
  subject_ = DescribeMixed(mix_);
  Plan plan = plan_;
  for (const auto& model : mix_) TakeAllBatches(model->subject, plan);
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
  SEXTANT_ASSIGN(data.rows, MakeData(options, plan_, subject_.signature),
                 name.empty() ? "" : Format("data set '{}'", name));
  if (FromFiles(options)) UseDataStreams(*data.rows, subject_.streams);
  SEXTANT_TRY(FollowData(options, *data.rows, plan_));
  Subject subject = subject_;
  Plan plan = plan_;
  TakeAllBatches(subject, plan);
  SEXTANT_ASSIGN(data.shared,
                 SharedMemory::Open("analyze", options, plan, subject, *data.rows, *control_));
  SEXTANT_ASSIGN(data.requests,
                 EncodeRequests(options, plan, subject, *data.rows, connection_, *credentials_,
                                data.shared ? &data.shared->tensors() : nullptr));
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
                      .max_in_flight = perf_.max_in_flight,
                      .connections = perf_.connections,
                      .seed = plan_.seed,
                      .sequences = perf_.sequences,
                      .serial_sequences = perf_.serial_sequences};
  if (mix_.empty()) {
    const Data& data = data_.at(load.data);
    out.requests = data.requests.at(load.point.batch_size).get();
    out.max_in_flight = MaxInFlight(perf_, data.shared.get());
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
