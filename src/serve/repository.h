// The model repository: which models there are, which are loaded, loading and unloading them.
//
// Threads: all calls from any thread; Load() and Unload() run one at a time and block until done.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "kserve/metadata.h"
#include "serve/backend.h"
#include "serve/loaded_model.h"

namespace sextant::serve {

class Repository {
 public:
  Repository(std::vector<std::string> directories, const BackendContext& context);
  // Unloads everything.
  ~Repository();

  // Names of all models in the directories, sorted.
  std::vector<std::string> Names() const;

  // Loads or reloads a model; `config_json` replaces its config.pbtxt when given. On failure a
  // model that was loaded before stays loaded. The models of an ensemble's steps are loaded before
  // it, unless they are; ensembles that were unloaded because of this model are loaded after it.
  Result<void> Load(const std::string& name, const std::optional<std::string>& config_json);
  // Waits for requests in flight. Ensembles with this model in them are unloaded before it, and
  // loaded again when it is. `dependents`: then also the models of its steps that were loaded for
  // it alone.
  Result<void> Unload(const std::string& name, Nanos grace, bool dependents = false);
  // Ends everything that is loaded.
  void UnloadAll(Nanos grace);

  // The version asked for, or the highest loaded when `version` is empty. kNotFound with Triton's
  // text.
  Result<std::shared_ptr<LoadedModel>> Find(const std::string& name,
                                            const std::string& version) const;
  // Says that a model should be there, as one that has been loaded once should.
  void Expect(const std::string& name);
  // Whether every model that should be there is. A client's failed attempt with a new one is none
  // of these.
  bool AllLoaded() const;
  // All loaded versions, of one model or (empty name) of all.
  std::vector<std::shared_ptr<LoadedModel>> Loaded(const std::string& name) const;
  std::vector<kserve::IndexEntry> Index(bool only_ready) const;

  // The configuration of a model as it would be loaded: parsed, completed, checked.
  Result<inference::ModelConfig> ReadConfig(const std::string& name,
                                            const std::optional<std::string>& config_json) const;

 private:
  struct Entry {
    std::map<int, std::shared_ptr<LoadedModel>> versions;
    std::string state;  // "READY", "UNAVAILABLE", ""
    std::string reason;
    bool expected = false;
    std::vector<int> known_versions;  // for the index, when not loaded
    std::vector<std::string> steps;   // of an ensemble: the models in it
    bool suspended = false;           // an ensemble unloaded because a model of it was
    bool implicit = false;            // loaded for an ensemble only
  };

  Result<std::string> FindDirectory(const std::string& name) const;
  Result<std::vector<std::shared_ptr<LoadedModel>>> LoadVersions(
      const std::string& name, const inference::ModelConfig& config);
  // With loading_ held. `outer`: the ensembles on the way to this model.
  Result<void> LoadOne(const std::string& name, const std::optional<std::string>& config_json,
                       std::vector<std::string>& outer);
  Result<void> LoadSteps(const inference::ModelConfig& config, std::vector<std::string>& outer);
  void ResumeEnsembles(const std::string& model);
  void UnloadOne(const std::string& name, Nanos grace, bool suspend);
  // Ensembles that have this model in a step: those loaded, or those suspended.
  std::vector<std::string> EnsemblesWith(const std::string& name, bool suspended) const;
  bool IsLoaded(const std::string& name) const { return Find(name, "").has_value(); }
  Backend* BackendFor(const inference::ModelConfig& config) const;

  const std::vector<std::string> directories_;
  const BackendContext& context_;
  std::unique_ptr<Backend> null_, simulated_, onnx_, ensemble_;
  std::mutex loading_;        // one load or unload at a time
  mutable std::mutex mutex_;  // guards entries_
  std::map<std::string, Entry> entries_;
};

}  // namespace sextant::serve
