// How a stand's models come into its server, with which configuration, and out of it again.
#include <algorithm>
#include <thread>
#include <utility>

#include "cli/analyze_stand.h"
#include "cli/command.h"
#include "cli/perf_server.h"
#include "kserve/config_fields.h"

namespace sextant::cli {
namespace {

// What a server that polls says of a model for so long, and twice as long as it ever took to see a
// change, is of its present configuration.
constexpr Nanos kStale = 3s;
// Long enough for a few samples of GPUs at rest.
constexpr Nanos kRest = 300ms;
// Memory that a server may keep after a model has gone, beyond what it had before.
constexpr double kKeptShare = 0.05, kKeptBytes = 64.0 * 1024 * 1024;

// What is more than that; 0: nothing, or it is not known.
double Beyond(std::optional<double> idle, const analyze::Figure* memory) {
  const bool beyond =
      idle && memory != nullptr && memory->value > *idle * (1 + kKeptShare) + kKeptBytes;
  return beyond ? memory->value - *idle : 0;
}

}  // namespace

ModelStand::~ModelStand() {
  if (generator_ != nullptr) generator_->Drain(1s);
  generator_.reset();
  data_.clear();
  if (work_repository_) {
    for (const Served& model : models_) [[maybe_unused]]
      const auto removed = work_repository_->Remove(model.name);
    return;
  }
  if (server_ != nullptr || control_ == nullptr || control_mode_ == ModelControl::kNone) return;
  // Somebody else's server serves again what it did.
  for (const Served& model : models_) {
    if (!model.touched) continue;
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
  models_[model].touched = true;
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

// The models are gone when this returns: unloading goes on behind the call.
Result<void> ModelStand::Unload() {
  if (control_mode_ == ModelControl::kNone) return {};
  for (Served& model : models_) {
    if (work_repository_) {
      SEXTANT_TRY(work_repository_->Remove(model.name));
    } else {
      model.touched = true;
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
  const double extra = Beyond(idle_memory_, memory);
  report.baselines.push_back(std::move(after));
  if (extra == 0) return {};
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
  SEXTANT_TRY(Connect());
  const analyze::Baseline anew = Sample(kRest, "unloaded");
  const analyze::Figure* now = analyze::FindFigure(anew.figures, "gpu_memory_used");
  if (Beyond(idle_memory_, now) > 0) {
    report.notes.push_back(
        Format("it was not the server's: {} of GPU memory are in use without it from now on",
               analyze::ShowValue(now->value, "bytes")));
    idle_memory_ = now->value;
  }
  return {};
}

Result<analyze::LoadReport> ModelStand::LoadConfiguration(size_t configuration) {
  analyze::LoadReport report;
  // The old load's requests end with it.
  if (generator_ != nullptr) generator_->Drain(1s);
  const Instant begin = SteadyNow();
  SEXTANT_TRY(EnsureServer(report));
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
  if (idle_memory_) report.baselines.push_back(Sample(kRest, "loaded"));
  report.cost_s = Seconds(SteadyNow() - begin);
  return report;
}

}  // namespace sextant::cli
