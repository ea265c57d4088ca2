#include "serve/repository.h"

#include <algorithm>
#include <climits>

#include "base/files.h"
#include "base/strings.h"
#include "kserve/model_config.h"
#include "serve/config_rules.h"
#include "serve/ensemble.h"

namespace sextant::serve {
namespace {

// Numbered subdirectories, ascending.
std::vector<int> ListVersions(const std::string& directory) {
  std::vector<int> out;
  const Result<std::vector<std::string>> names = ListDirectory(directory);
  if (!names.has_value()) return out;
  for (const std::string& name : *names) {
    const std::optional<int64_t> number = ParseInt(name);
    if (number && *number >= 1 && *number < 1'000'000'000 && name[0] != '0' &&
        IsDirectory(JoinPath(directory, name))) {
      out.push_back(static_cast<int>(*number));
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<int> ChooseVersions(const inference::ModelVersionPolicy& policy,
                                std::vector<int> available) {
  switch (policy.policy_choice_case()) {
    case inference::ModelVersionPolicy::kAll:
      return available;
    case inference::ModelVersionPolicy::kSpecific: {
      std::vector<int> out;
      for (const int version : available) {
        const auto& wanted = policy.specific().versions();
        if (std::find(wanted.begin(), wanted.end(), version) != wanted.end())
          out.push_back(version);
      }
      return out;
    }
    default: {
      const size_t count = std::max<size_t>(1, policy.latest().num_versions());
      if (available.size() > count)
        available.erase(available.begin(), available.end() - static_cast<ptrdiff_t>(count));
      return available;
    }
  }
}

Result<std::vector<std::vector<std::string>>> ReadLabels(const inference::ModelConfig& config,
                                                         const std::string& directory) {
  std::vector<std::vector<std::string>> out;
  for (const inference::ModelOutput& output : config.output()) {
    std::vector<std::string>& labels = out.emplace_back();
    if (output.label_filename().empty()) continue;
    SEXTANT_ASSIGN(const std::string text, ReadFile(JoinPath(directory, output.label_filename())),
                   "label_filename");
    for (const std::string_view line : Split(TrimSpace(text), '\n'))
      labels.emplace_back(TrimSpace(line));
  }
  return out;
}

}  // namespace

Repository::Repository(std::vector<std::string> directories, const BackendContext& context)
    : directories_(std::move(directories)),
      context_(context),
      null_(MakeNullBackend()),
      simulated_(MakeSimulatedBackend(context)),
      onnx_(MakeOnnxBackend(context)),
      ensemble_(MakeEnsembleBackend([this](const std::string& name, const std::string& version) {
        return Find(name, version);
      })) {}

Repository::~Repository() { UnloadAll(Nanos(0)); }

std::vector<std::string> Repository::Names() const {
  std::vector<std::string> out;
  for (const std::string& directory : directories_) {
    const Result<std::vector<std::string>> names = ListDirectory(directory);
    if (!names.has_value()) continue;
    for (const std::string& name : *names) {
      if (name[0] != '.' && IsDirectory(JoinPath(directory, name)) &&
          std::find(out.begin(), out.end(), name) == out.end()) {
        out.push_back(name);
      }
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

Result<std::string> Repository::FindDirectory(const std::string& name) const {
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos) {
    return InvalidArgument(Format("'{}' is not a model name", Printable(name, 80)));
  }
  for (const std::string& directory : directories_) {
    std::string path = JoinPath(directory, name);
    if (IsDirectory(path)) return path;
  }
  return NotFound(Format("no directory '{}' in the model repository", Printable(name, 80)));
}

Backend* Repository::BackendFor(const inference::ModelConfig& config) const {
  if (config.has_ensemble_scheduling() || config.platform() == "ensemble") return ensemble_.get();
  const std::string& backend = config.backend();
  if (backend == "null") return null_.get();
  if (backend == "simulated") return simulated_.get();
  if (backend == "onnxruntime" || backend == "openvino" || config.platform() == "onnxruntime_onnx")
    return onnx_.get();
  return nullptr;
}

Result<inference::ModelConfig> Repository::ReadConfig(
    const std::string& name, const std::optional<std::string>& config_json) const {
  SEXTANT_ASSIGN(const std::string directory, FindDirectory(name));
  inference::ModelConfig config;
  if (config_json) {
    SEXTANT_ASSIGN(config, kserve::ParseModelConfigJson(*config_json), "config override");
  } else {
    SEXTANT_ASSIGN(std::optional<inference::ModelConfig> found, kserve::ReadModelConfig(directory));
    if (found) config = std::move(*found);
  }
  if (config.name().empty()) config.set_name(name);
  if (config.has_ensemble_scheduling() && config.platform().empty())
    config.set_platform("ensemble");
  if (config.name() != name) {
    return InvalidArgument(
        Format("unexpected directory name '{}' for model '{}': directory and model must have the "
               "same name",
               name, config.name()));
  }
  const std::vector<int> versions = ListVersions(directory);
  const std::string version_directory =
      versions.empty() ? "" : JoinPath(directory, std::to_string(versions.back()));
  // Without a word on what runs it, the file's name tells, as it does for Triton.
  if (config.backend().empty() && config.platform().empty() &&
      FileExists(JoinPath(version_directory, "model.onnx"))) {
    config.set_platform("onnxruntime_onnx");
  }
  if (config.platform() == "onnxruntime_onnx" && config.backend().empty())
    config.set_backend("onnxruntime");
  if (config.backend() == "onnxruntime" && config.platform().empty())
    config.set_platform("onnxruntime_onnx");
  Backend* backend = BackendFor(config);
  if (backend == nullptr) {
    return Unsupported(
        Format("unexpected platform type '{}' and backend '{}' for {}: sextant serve runs "
               "onnxruntime and openvino "
               "(ONNX models), simulated and null",
               Printable(config.platform(), 60), Printable(config.backend(), 60), name));
  }
  SEXTANT_TRY(backend->CompleteConfig(config, version_directory));
  NormalizeConfig(config);
  SEXTANT_TRY(CheckConfig(config));
  SEXTANT_TRY(backend->CheckConfig(config));
  return config;
}

Result<std::vector<std::shared_ptr<LoadedModel>>> Repository::LoadVersions(
    const std::string& name, const inference::ModelConfig& config) {
  SEXTANT_ASSIGN(const std::string directory, FindDirectory(name));
  Backend& backend = *BackendFor(config);
  std::vector<int> available = ListVersions(directory);
  // A model that is all configuration needs no empty version directory.
  if (available.empty() && !backend.NeedsFiles()) available.push_back(1);
  const std::vector<int> versions = ChooseVersions(config.version_policy(), available);
  if (versions.empty())
    return NotFound(Format(
        "at least one version must be available under the version policy of model '{}'", name));
  std::vector<std::shared_ptr<LoadedModel>> out;
  for (const int version : versions) {
    SEXTANT_ASSIGN(auto labels, ReadLabels(config, directory));
    SEXTANT_ASSIGN(auto model, backend.Load(config, JoinPath(directory, std::to_string(version))),
                   Format("version {}", version));
    SEXTANT_ASSIGN(auto loaded,
                   LoadedModel::Create(config, version, std::move(model), std::move(labels)),
                   Format("version {}", version));
    out.push_back(std::move(loaded));
  }
  return out;
}

Result<void> Repository::Load(const std::string& name,
                              const std::optional<std::string>& config_json) {
  const std::scoped_lock one_at_a_time(loading_);
  std::vector<std::string> outer;
  SEXTANT_TRY(LoadOne(name, config_json, outer));
  const std::scoped_lock lock(mutex_);
  entries_[name].implicit = false;
  return {};
}

Result<void> Repository::LoadSteps(const inference::ModelConfig& config,
                                   std::vector<std::string>& outer) {
  for (const auto& step : config.ensemble_scheduling().step()) {
    const std::string& model = step.model_name();
    if (std::find(outer.begin(), outer.end(), model) != outer.end()) {
      return InvalidArgument(
          Format("circular dependency between ensembles: {} -> {}", Join(outer, " -> "), model));
    }
    // What is not there is named, with all else that does not fit, when the ensemble is made.
    if (IsLoaded(model) || !FindDirectory(model).has_value()) continue;
    SEXTANT_TRY(LoadOne(model, std::nullopt, outer), Format("model '{}' of a step", model));
    const std::scoped_lock lock(mutex_);
    entries_[model].implicit = true;
  }
  return {};
}

Result<void> Repository::LoadOne(const std::string& name,
                                 const std::optional<std::string>& config_json,
                                 std::vector<std::string>& outer) {
  inference::ModelConfig config;
  outer.push_back(name);
  const auto load = [&]() -> Result<std::vector<std::shared_ptr<LoadedModel>>> {
    SEXTANT_ASSIGN(config, ReadConfig(name, config_json));
    SEXTANT_TRY(LoadSteps(config, outer));
    return LoadVersions(name, config);
  };
  Result<std::vector<std::shared_ptr<LoadedModel>>> loaded = load();
  outer.pop_back();
  std::map<int, std::shared_ptr<LoadedModel>> old;
  {
    const std::scoped_lock lock(mutex_);
    if (!loaded.has_value()) {
      // Remembered for the index, unless nobody has such a model.
      if (FindDirectory(name).has_value() && entries_[name].versions.empty()) {
        entries_[name].state = "UNAVAILABLE";
        entries_[name].reason = loaded.error().message();
      }
      context_.log.Write(LogLevel::kError, "failed to load model '{}': {}", name,
                         loaded.error().message());
      return std::move(loaded).error();
    }
    Entry& entry = entries_[name];
    old.swap(entry.versions);
    entry.state = "READY";
    entry.expected = true;
    entry.suspended = false;
    entry.reason.clear();
    entry.known_versions.clear();
    entry.steps.clear();
    for (const auto& step : config.ensemble_scheduling().step())
      entry.steps.push_back(step.model_name());
    for (std::shared_ptr<LoadedModel>& model : *loaded) {
      entry.known_versions.push_back(model->version());
      entry.versions[model->version()] = std::move(model);
    }
  }
  // The new versions serve already; the old ones finish what they have.
  for (auto& [version, model] : old) model->Stop(30s);
  context_.log.Write(LogLevel::kInfo, "loaded model '{}'", name);
  ResumeEnsembles(name);
  return {};
}

void Repository::ResumeEnsembles(const std::string& model) {
  for (const std::string& ensemble : EnsemblesWith(model, true)) {
    std::vector<std::string> steps;
    {
      const std::scoped_lock lock(mutex_);
      steps = entries_[ensemble].steps;
    }
    // One that lacks another model waits on; a failure is in the log and in the index.
    std::vector<std::string> outer;
    if (std::all_of(steps.begin(), steps.end(), [&](const auto& s) { return IsLoaded(s); }))
      static_cast<void>(LoadOne(ensemble, std::nullopt, outer));
  }
}

std::vector<std::string> Repository::EnsemblesWith(const std::string& name, bool suspended) const {
  const std::scoped_lock lock(mutex_);
  std::vector<std::string> out;
  for (const auto& [ensemble, entry] : entries_) {
    const bool looked_for = suspended ? entry.suspended : !entry.versions.empty();
    if (looked_for && std::find(entry.steps.begin(), entry.steps.end(), name) != entry.steps.end())
      out.push_back(ensemble);
  }
  return out;
}

void Repository::UnloadOne(const std::string& name, Nanos grace, bool suspend) {
  // Its ensembles first: what they have in flight still needs it.
  for (const std::string& ensemble : EnsemblesWith(name, false)) UnloadOne(ensemble, grace, true);
  std::map<int, std::shared_ptr<LoadedModel>> versions;
  {
    const std::scoped_lock lock(mutex_);
    const auto it = entries_.find(name);
    if (it == entries_.end()) return;
    versions.swap(it->second.versions);
    it->second.state = "UNAVAILABLE";
    it->second.reason = "unloaded";
    it->second.suspended = suspend;
  }
  for (auto& [version, model] : versions) model->Stop(grace);
  if (!versions.empty()) context_.log.Write(LogLevel::kInfo, "unloaded model '{}'", name);
}

Result<void> Repository::Unload(const std::string& name, Nanos grace, bool dependents) {
  const std::scoped_lock one_at_a_time(loading_);
  std::vector<std::string> names{name};
  for (size_t i = 0; i < names.size(); ++i) {
    std::vector<std::string> steps;
    {
      const std::scoped_lock lock(mutex_);
      const auto it = entries_.find(names[i]);
      if (it == entries_.end() || (i > 0 && !it->second.implicit)) continue;
      steps = it->second.steps;
    }
    if (i > 0 && !EnsemblesWith(names[i], false).empty()) continue;
    UnloadOne(names[i], grace, false);
    if (dependents) names.insert(names.end(), steps.begin(), steps.end());
  }
  return {};
}

void Repository::UnloadAll(Nanos grace) {
  const Instant deadline = SteadyNow() + grace;
  for (const auto& model : Loaded("")) {
    // Each waits for its own requests; together they have the grace.
    static_cast<void>(Unload(model->name(), std::max(deadline - SteadyNow(), Nanos(0))));
  }
}

Result<std::shared_ptr<LoadedModel>> Repository::Find(const std::string& name,
                                                      const std::string& version) const {
  const std::scoped_lock lock(mutex_);
  const auto it = entries_.find(name);
  if (it == entries_.end() || it->second.versions.empty()) {
    return NotFound(Format("Request for unknown model: '{}' is not found", Printable(name, 80)));
  }
  if (version.empty()) return it->second.versions.rbegin()->second;
  const std::optional<int64_t> number = ParseInt(version);
  if (!number || *number < 0)
    return InvalidArgument(
        Format("failed to get model version from specified version string '{}': it should be an "
               "integer > 0",
               Printable(version, 40)));
  const auto found = *number > INT_MAX ? it->second.versions.end()
                                       : it->second.versions.find(static_cast<int>(*number));
  if (found == it->second.versions.end()) {
    return NotFound(Format("Request for unknown model: '{}' version {} is not found",
                           Printable(name, 80), *number));
  }
  return found->second;
}

bool Repository::AllLoaded() const {
  const std::scoped_lock lock(mutex_);
  return std::all_of(entries_.begin(), entries_.end(), [](const auto& entry) {
    return !entry.second.expected || !entry.second.versions.empty();
  });
}

void Repository::Expect(const std::string& name) {
  const std::scoped_lock lock(mutex_);
  entries_[name].expected = true;
}

std::vector<std::shared_ptr<LoadedModel>> Repository::Loaded(const std::string& name) const {
  const std::scoped_lock lock(mutex_);
  std::vector<std::shared_ptr<LoadedModel>> out;
  for (const auto& [entry_name, entry] : entries_) {
    if (!name.empty() && entry_name != name) continue;
    for (const auto& [version, model] : entry.versions) out.push_back(model);
  }
  return out;
}

std::vector<kserve::IndexEntry> Repository::Index(bool only_ready) const {
  std::vector<std::string> names = Names();
  const std::scoped_lock lock(mutex_);
  std::vector<kserve::IndexEntry> out;
  for (const std::string& name : names) {
    const auto it = entries_.find(name);
    if (it == entries_.end()) {
      if (!only_ready) out.push_back({.name = name});
    } else if (!it->second.versions.empty()) {
      for (const auto& [version, model] : it->second.versions)
        out.push_back({name, std::to_string(version), "READY", ""});
    } else if (!only_ready) {
      const Entry& entry = it->second;
      if (entry.known_versions.empty()) out.push_back({name, "", entry.state, entry.reason});
      for (const int version : entry.known_versions)
        out.push_back({name, std::to_string(version), entry.state, entry.reason});
    }
  }
  return out;
}

}  // namespace sextant::serve
