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

#include "analyze/automatic_space.h"
#include "analyze/meter.h"
#include "analyze/model_server.h"
#include "analyze/owned_name.h"
#include "analyze/stand.h"
#include "analyze/work_repository.h"
#include "cli/analyze_options.h"
#include "cli/perf_mixed.h"
#include "cli/perf_plan.h"
#include "cli/perf_shared_memory.h"
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
  // Reaches the server, loads the models as they are, and learns what they are. With --mix all are
  // measured together, else the first, and the others are behind it.
  static Result<std::unique_ptr<ModelStand>> Open(const Parts& parts,
                                                  const std::vector<std::string>& models);
  // Leaves the models as they were found, where the server is not ours.
  ~ModelStand() override;

  const Subject& subject() const { return subject_; }
  // Where it is: "triton:8000".
  std::string ServerNames() const { return plan_.target.names(); }
  ModelControl control() const { return control_mode_; }
  // Of each model the configuration that all others are made from: the repository's file, or what
  // the server says.
  const std::vector<analyze::NamedConfig>& bases() const { return bases_; }
  // bases(), with the batches that a model takes where the server tells no configuration.
  std::vector<analyze::NamedConfig> Limits() const;
  // What the server says of their inputs and outputs, as JSON.
  const std::string& metadata() const { return metadata_; }
  // What the parts of a load are called, where there are several.
  std::vector<std::string> PartLabels() const;
  // As it is written into the results: the model's base with the configuration's settings.
  Result<kserve::ModelConfig> ConfigOf(size_t configuration, size_t model) const;
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
  // One of the models that are served together, or the only one.
  struct Served {
    std::string name;
    bool was_loaded = false;     // before we came
    bool touched = false;        // loaded or unloaded by us since
    std::string refused_before;  // what a server that polls said of it last
  };
  static constexpr Nanos kPoll{std::chrono::milliseconds(20)};
  ModelStand(const Parts& parts, const std::vector<std::string>& models);

  // The plan of perf_; what was made for another goes.
  Result<void> Replan();
  Result<void> Connect();
  Result<void> FindModelControl();
  Result<void> AskForControl();
  Result<void> FindBases();
  Result<kserve::ModelConfig> FindBase(const std::string& model);
  Result<void> LearnModels();
  // The subjects of all models, and what their requests look like.
  Result<std::string> AskAll();
  Result<void> MakeMix();
  static void TakeAllBatches(Subject& subject, Plan& plan);
  Result<void> EnsureServer(analyze::LoadReport& report);
  Result<void> Unload();
  Result<void> AwaitGone(const std::string& model);
  // All models with this configuration; nothing: as they are.
  Result<void> LoadAll(std::optional<size_t> configuration);
  Result<void> LoadOne(std::optional<size_t> configuration, size_t model);
  Result<void> PollAll(std::optional<size_t> configuration);
  Result<void> AwaitPolled(Served& model);
  // What the model is loaded with; nothing: as it is.
  Result<std::optional<kserve::ModelConfig>> Changed(std::optional<size_t> configuration,
                                                     size_t model) const;
  analyze::Unowned unowned() const;
  // The options for one data set.
  Result<PerfOptions> OptionsFor(const std::string& data) const;
  Error Refusal(const Error& error);
  bool HasRequests(const analyze::Load& load) const;
  analyze::Baseline Sample(Nanos duration, std::string kind);
  Result<void> CheckMemory(analyze::LoadReport& report);
  load::LevelPlan PlanLevel(const analyze::Load& load) const;
  Result<std::vector<kserve::ModelStatistics>> FetchStatistics();
  run::Level RunLevel(const analyze::Trial& trial, const analyze::Load& load);

  const AnalyzeOptions& options_;
  PerfOptions perf_;  // of these models and this server
  analyze::ModelServer* const server_;
  analyze::Meter& meter_;
  const std::function<bool()> stop_;
  const std::function<void(const load::LiveFigures&)> progress_;
  std::vector<Served> models_;

  Plan plan_;
  std::unique_ptr<Credentials> credentials_;
  Connection connection_;
  std::unique_ptr<kserve::ControlClient> control_;
  ModelControl control_mode_ = ModelControl::kNone;
  std::optional<analyze::WorkRepository> work_repository_;
  Nanos longest_poll_{0};  // it took to see a change
  std::vector<analyze::NamedConfig> bases_;
  Subject subject_;  // the whole's, where there are several models
  MixedModels mix_;  // empty: one model
  std::string metadata_;
  // By name; there is one without a name where no data sets were named.
  struct Data {
    std::optional<load::DataSet> rows;
    std::unique_ptr<SharedMemory> shared;
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
