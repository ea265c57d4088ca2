// What runs a model: the interface between the server and its backends.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "model_config.pb.h"
#include "serve/request_queue.h"
#include "serve/statistics.h"

namespace sextant::serve {

class TruthLog;
class SimulatedGpus;

// What a backend may need beside the configuration. Everything outlives the models.
struct BackendContext {
  Log& log;
  TruthLog* truth = nullptr;  // null: nobody asked for it
  SimulatedGpus* gpus = nullptr;
  std::string openvino_module;  // path of the engine module; empty: looked for beside the program
};

// One instance of a model. Execute() is called by one thread at a time unless the model runs
// inline.
class ModelInstance {
 public:
  virtual ~ModelInstance() = default;
  // Executes the requests as one batch: outcomes[i] for batch[i], or nothing where the instance has
  // taken the request over and will answer it itself. The input tensors hold their bytes by now,
  // wherever they came from.
  virtual void Execute(std::span<PendingRequest> batch,
                       std::vector<std::optional<Outcome>>& outcomes, ExecutionTimes& times) = 0;
};

// One version of a model, loaded.
class BackendModel {
 public:
  virtual ~BackendModel() = default;
  // Called once per instance, before any request.
  virtual Result<std::unique_ptr<ModelInstance>> CreateInstance(int index) = 0;
  // True: no queue, no threads; instance 0 executes wherever a request arrives, also concurrently.
  virtual bool RunsInline() const { return false; }
  // True: there are neither instances nor a queue. Each request is given to Start(), on the thread
  // where it arrives, and answered from any thread later; the final outcome has its times.
  virtual bool AnswersLater() const { return false; }
  virtual void Start(PendingRequest&&) {}
  // The model goes away: executions in progress end as soon as they can, requests taken over are
  // answered. Any thread, more than once.
  virtual void Interrupt() {}
};

class Backend {
 public:
  virtual ~Backend() = default;
  // Fills in what the configuration leaves out, from the files of a version (empty: there are
  // none).
  virtual Result<void> CompleteConfig(inference::ModelConfig& config,
                                      const std::string& version_directory) = 0;
  // Errors: what this backend cannot do of the configuration, by name.
  virtual Result<void> CheckConfig(const inference::ModelConfig& config) = 0;
  virtual Result<std::unique_ptr<BackendModel>> Load(const inference::ModelConfig& config,
                                                     const std::string& version_directory) = 0;
  // Whether the model's versions have files of their own.
  virtual bool NeedsFiles() const = 0;
};

std::unique_ptr<Backend> MakeNullBackend();
std::unique_ptr<Backend> MakeSimulatedBackend(const BackendContext& context);
std::unique_ptr<Backend> MakeOnnxBackend(const BackendContext& context);

// The value of a `parameters` entry, if set.
std::optional<std::string> ConfigParameter(const inference::ModelConfig& config,
                                           const std::string& key);

// The outputs a request asks for, or all of the model's: their position in config.output().
std::vector<int> WantedOutputs(const inference::ModelConfig& config,
                               const kserve::InferRequest& request);

}  // namespace sextant::serve
