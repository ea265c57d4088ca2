// What `sextant analyze` measures on: a server, a model on it in one configuration at a time, and
// one resident load engine whose load is changed live.
//
// Threads: the driver's.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "analyze/meter.h"
#include "analyze/model_server.h"
#include "analyze/stand.h"
#include "analyze/work_repository.h"
#include "cli/analyze_options.h"
#include "cli/perf_plan.h"
#include "cli/perf_subject.h"

namespace sextant::cli {

// Whether the server lets clients choose what it serves.
enum class ModelControl : uint8_t {
  kExplicit,
  kPoll,  // it watches a directory of ours
  kNone
};

class ModelStand final : public analyze::Stand {
 public:
  // `server` is null when it is not ours. `progress` is told of the load while it runs.
  struct Parts {
    const AnalyzeOptions& options;
    analyze::ModelServer* server;
    analyze::Meter& meter;
    std::function<bool()> stop;
    std::function<void(const load::LiveFigures&)> progress;
  };
  // Reaches the server, loads the model as it is, and learns what it is.
  static Result<std::unique_ptr<ModelStand>> Open(const Parts& parts, const std::string& model);
  // Leaves the model as it was found, where the server is not ours.
  ~ModelStand() override;

  const Subject& subject() const { return subject_; }
  ModelControl control() const { return control_mode_; }
  // The configuration that all others are made from: the repository's file, or what the server
  // says.
  const kserve::ModelConfig& base() const { return base_; }
  // base(), with the batches that the model takes where the server tells no configuration.
  kserve::ModelConfig LimitsOfModel() const;
  // As it is written into the results: base() with the configuration's settings.
  Result<kserve::ModelConfig> ConfigOf(size_t configuration) const;
  // The server, unloaded, for so long.
  Result<analyze::Baseline> MeasureIdle(Nanos duration);
  // It was measured in a session before, of another process perhaps: what this one has is measured
  // before the first load, so that memory that is kept is seen.
  void LearnIdleMemory() { learn_idle_memory_ = true; }
  // What is to be tried from now on; it must outlive this.
  Result<void> Use(const analyze::Space& space);

  Result<analyze::LoadReport> LoadConfiguration(size_t configuration) override;
  analyze::Measured Measure(const analyze::Trial& trial) override;

 private:
  ModelStand(const Parts& parts, const std::string& model);

  // The plan of perf_; what was made for another goes.
  Result<void> Replan();
  Result<void> Connect();
  Result<void> FindModelControl();
  Result<void> AskForControl();
  Result<void> FindBase();
  Result<void> LearnModel();
  Result<void> EnsureServer(analyze::LoadReport& report);
  Result<void> Unload();
  // The model with this configuration, nothing: as it is.
  Result<void> Load(const std::optional<kserve::ModelConfig>& config);
  Result<void> AwaitPolled();
  // The options for one data set.
  Result<PerfOptions> OptionsFor(const std::string& data) const;
  Error Refusal(const Error& error);
  analyze::Baseline Sample(Nanos duration, std::string kind);
  Result<void> CheckMemory(analyze::LoadReport& report);
  load::LevelPlan PlanLevel(const analyze::Load& load) const;
  run::Level RunLevel(const analyze::Trial& trial, const analyze::Load& load);

  const AnalyzeOptions& options_;
  PerfOptions perf_;  // of this model and this server
  analyze::ModelServer* const server_;
  analyze::Meter& meter_;
  const std::function<bool()> stop_;
  const std::function<void(const load::LiveFigures&)> progress_;
  const std::string model_;

  Plan plan_;
  std::unique_ptr<Credentials> credentials_;
  Connection connection_;
  std::unique_ptr<kserve::ControlClient> control_;
  ModelControl control_mode_ = ModelControl::kNone;
  std::optional<analyze::WorkRepository> work_repository_;
  std::string refused_before_;  // what a server that polls said last
  Nanos longest_poll_{0};       // it took to see a change
  bool was_loaded_ = false;     // before we came
  kserve::ModelConfig base_;
  bool base_known_ = false;
  Subject subject_;
  // By name; there is one without a name where no data sets were named.
  struct Data {
    std::optional<load::DataSet> rows;
    std::map<int64_t, std::unique_ptr<load::RequestSet>> requests;  // by batch size
  };
  Result<void> MakeRequests(const std::string& name, Data& data);
  std::map<std::string, Data> data_;
  std::string signature_;  // of what data_ was made for
  std::unique_ptr<load::Generator> generator_;
  const analyze::Space* space_ = nullptr;
  bool needs_restart_ = false, learn_idle_memory_ = false;
  std::optional<double> idle_memory_;  // of the devices, the server by itself
};

}  // namespace sextant::cli
