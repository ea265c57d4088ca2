// backend: "onnxruntime" or "openvino": ONNX models on the CPU, run by the engine module.
#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <mutex>

#include "base/files.h"
#include "base/strings.h"
#include "serve/backend.h"
#include "serve/onnx_engine.h"
#include "serve/sequence_controls.h"

namespace sextant::serve {
namespace {

constexpr std::string_view kModuleName = "libsextant_openvino.so";
// Triton's default for models whose configuration leaves the batch size open.
constexpr int kDefaultMaxBatchSize = 4;

std::string ProgramDirectory() {
  char path[PATH_MAX];
  const ssize_t n = readlink("/proc/self/exe", path, sizeof path);
  if (n <= 0) return ".";
  const std::string_view text(path, static_cast<size_t>(n));
  return std::string(text.substr(0, text.rfind('/')));
}

}  // namespace

Result<std::unique_ptr<OnnxEngine>> LoadOnnxEngine(const std::string& module_path) {
  std::vector<std::string> candidates;
  if (!module_path.empty()) {
    candidates.push_back(module_path);
  } else {
    const std::string program = ProgramDirectory();
    candidates.push_back(JoinPath(program, kModuleName));
    candidates.push_back(JoinPath(program, Format("../lib/sextant/{}", kModuleName)));
  }
  for (const std::string& path : candidates) {
    if (!FileExists(path)) continue;
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      const char* reason = dlerror();
      return Unavailable(
          Format("the ONNX engine {} cannot be loaded: {}; is OpenVINO installed? "
                 "(scripts/setup.sh does it)",
                 path, reason == nullptr ? "no reason given" : reason));
    }
    const auto make = reinterpret_cast<MakeOnnxEngine>(dlsym(library, kMakeOnnxEngineSymbol));
    std::unique_ptr<OnnxEngine> engine(make == nullptr ? nullptr : make(kEngineAbi));
    if (engine == nullptr)
      return Unavailable(Format("{} belongs to another build of sextant: reinstall both", path));
    return engine;
  }
  return Unavailable(Format(
      "the ONNX engine {} is not installed: run scripts/setup.sh and build again, or give its path "
      "with --openvino-module",
      kModuleName));
}

namespace {

int IntParameter(const inference::ModelConfig& config, const std::string& key, int otherwise) {
  const std::optional<std::string> text = ConfigParameter(config, key);
  if (!text) return otherwise;
  return static_cast<int>(ParseInt(*text).value_or(otherwise));
}

// A batch as the engine sees it: each input's rows of all requests, one after the other.
class OnnxInstance final : public ModelInstance {
 public:
  OnnxInstance(const inference::ModelConfig& config, std::unique_ptr<EngineSession> session)
      : config_(config), session_(std::move(session)) {
    for (const auto& output : config_.output()) output_names_.push_back(output.name());
  }

  void Execute(std::span<PendingRequest> batch, std::vector<std::optional<Outcome>>& outcomes,
               ExecutionTimes& times) override {
    const Instant begin = SteadyNow();
    GatherInputs(batch);
    const Instant run = SteadyNow();
    std::vector<EngineOutput> results;
    const Result<void> ran = session_->Run(inputs_, output_names_, results);
    const Instant scatter = SteadyNow();
    for (size_t i = 0; i < batch.size(); ++i) {
      if (!ran.has_value()) outcomes[i] = Outcome{.response = ran.error()};
    }
    if (ran.has_value()) ScatterOutputs(batch, results, outcomes);
    times = {.compute_input = run - begin,
             .compute_infer = scatter - run,
             .compute_output = SteadyNow() - scatter};
  }

 private:
  void GatherInputs(std::span<PendingRequest> batch) {
    inputs_.clear();
    shapes_.clear();
    joined_.clear();
    const auto& first = batch[0].request->inputs;
    shapes_.resize(first.size());
    joined_.resize(first.size());
    for (size_t k = 0; k < first.size(); ++k) {
      shapes_[k] = first[k].shape;
      std::string_view data = first[k].data;
      if (batch.size() > 1) {
        int64_t rows = 0;
        for (const PendingRequest& request : batch) {
          const auto same =
              std::find_if(request.request->inputs.begin(), request.request->inputs.end(),
                           [&](const auto& input) { return input.name == first[k].name; });
          joined_[k].append(same->data);
          rows += request.batch_size;
        }
        shapes_[k][0] = rows;
        data = joined_[k];
      }
      inputs_.push_back({first[k].name, first[k].type, shapes_[k], data});
    }
  }

  void ScatterOutputs(std::span<PendingRequest> batch, std::vector<EngineOutput>& results,
                      std::vector<std::optional<Outcome>>& outcomes) {
    int64_t rows = 0;
    for (const PendingRequest& request : batch) rows += request.batch_size;
    int64_t row = 0;
    for (size_t i = 0; i < batch.size(); ++i) {
      kserve::InferResponse response;
      for (const int index : WantedOutputs(config_, *batch[i].request)) {
        EngineOutput& result = results[static_cast<size_t>(index)];
        kserve::InferOutput& out = response.outputs.emplace_back();
        out.name = config_.output(index).name();
        out.type = *kserve::DataTypeFromConfig(config_.output(index).data_type());
        out.shape = result.shape;
        if (batch.size() == 1) {
          out.data = std::move(result.data);
          continue;
        }
        if (out.shape.empty() || out.shape[0] != rows) {
          outcomes[i] =
              Outcome{.response = Internal(Format(
                          "output '{}' has shape {} for a batch of {}: the model does not batch",
                          out.name, kserve::FormatShape(out.shape), rows))};
          break;
        }
        const size_t row_bytes = result.data.size() / static_cast<size_t>(rows);
        out.shape[0] = batch[i].batch_size;
        out.data = result.data.substr(static_cast<size_t>(row) * row_bytes,
                                      static_cast<size_t>(batch[i].batch_size) * row_bytes);
      }
      row += batch[i].batch_size;
      if (!outcomes[i]) outcomes[i] = Outcome{.response = std::move(response)};
    }
  }

  const inference::ModelConfig& config_;
  std::unique_ptr<EngineSession> session_;
  std::vector<std::string> output_names_;
  std::vector<EngineTensor> inputs_;
  std::vector<kserve::Shape> shapes_;
  std::vector<std::string> joined_;
};

class OnnxModel final : public BackendModel {
 public:
  OnnxModel(const inference::ModelConfig& config, std::unique_ptr<EngineModel> engine)
      : config_(config), engine_(std::move(engine)) {
    for (const auto& group : config_.instance_group()) options_.sessions = group.count();
    options_.threads_per_session = std::max(1, IntParameter(config_, "intra_op_thread_count", 1));
  }
  Result<std::unique_ptr<ModelInstance>> CreateInstance(int) override {
    SEXTANT_ASSIGN(auto session, engine_->CreateSession(options_));
    return std::unique_ptr<ModelInstance>(
        std::make_unique<OnnxInstance>(config_, std::move(session)));
  }

 private:
  const inference::ModelConfig config_;
  std::unique_ptr<EngineModel> engine_;
  EngineOptions options_;
};

// Fills one side of the configuration, or checks what is there against the file.
template <typename Tensors, typename Add>
Result<void> CompleteTensors(const std::vector<kserve::TensorMetadata>& found,
                             std::string_view what, bool batched, const Tensors& configured,
                             Add&& add) {
  if (configured.empty()) {
    for (const kserve::TensorMetadata& tensor : found) {
      auto* entry = add();
      entry->set_name(tensor.name);
      entry->set_data_type(static_cast<inference::DataType>(kserve::ConfigTypeNumber(tensor.type)));
      for (size_t i = batched ? 1 : 0; i < tensor.shape.size(); ++i)
        entry->add_dims(tensor.shape[i]);
    }
    return {};
  }
  for (const auto& entry : configured) {
    const auto match = std::find_if(found.begin(), found.end(), [&](const auto& tensor) {
      return tensor.name == entry.name();
    });
    if (match == found.end()) {
      std::vector<std::string> names;
      for (const auto& tensor : found) names.push_back("'" + tensor.name + "'");
      return InvalidArgument(Format("unexpected inference {} '{}': the model has {}", what,
                                    entry.name(), Join(names, ", ")));
    }
    const auto type = kserve::DataTypeFromConfig(entry.data_type());
    if (type != match->type) {
      return InvalidArgument(Format("{} '{}' is configured as {}, the model has {}", what,
                                    entry.name(), type ? kserve::DataTypeName(*type) : "no type",
                                    kserve::DataTypeName(match->type)));
    }
    kserve::Shape shape(entry.dims().begin(), entry.dims().end());
    if (batched) shape.insert(shape.begin(), -1);
    const bool fits = std::equal(
        shape.begin(), shape.end(), match->shape.begin(), match->shape.end(),
        [](int64_t want, int64_t has) { return want == -1 || has == -1 || want == has; });
    if (!fits) {
      return InvalidArgument(Format("{} '{}' is configured with shape {}{}, the model has {}", what,
                                    entry.name(), kserve::FormatShape(shape),
                                    batched ? " (batch dimension first)" : "",
                                    kserve::FormatShape(match->shape)));
    }
  }
  return {};
}

// Takes the control inputs of sequences out of what the model has: the server makes them, clients
// do not. Errors: one that the model does not have, or has of another type.
Result<std::vector<kserve::TensorMetadata>> WithoutControls(
    const inference::ModelConfig& config, std::vector<kserve::TensorMetadata> inputs) {
  // What is wrong in the configuration alone is said with all else that is, later.
  std::vector<std::string> faults;
  CheckSequenceBatching(config, faults);
  if (!config.has_sequence_batching() || !faults.empty()) return inputs;
  const SequenceControls controls(config);
  for (const SequenceControls::Tensor& control : controls.tensors()) {
    const auto found = std::find_if(inputs.begin(), inputs.end(),
                                    [&](const auto& input) { return input.name == control.name; });
    if (found == inputs.end()) {
      return InvalidArgument(
          Format("the model has no input '{}' for sequence_batching's control", control.name));
    }
    if (found->type != control.type) {
      return InvalidArgument(Format("control input '{}' is configured as {}, the model has {}",
                                    control.name, kserve::DataTypeName(control.type),
                                    kserve::DataTypeName(found->type)));
    }
    inputs.erase(found);
  }
  return inputs;
}

class OnnxBackend final : public Backend {
 public:
  explicit OnnxBackend(const BackendContext& context) : context_(context) {}

  Result<void> CompleteConfig(inference::ModelConfig& config,
                              const std::string& version_directory) override {
    if (config.default_model_filename().empty()) config.set_default_model_filename("model.onnx");
    if (version_directory.empty()) return NotFound("the model has no version directory");
    SEXTANT_ASSIGN(const auto model,
                   Read(JoinPath(version_directory, config.default_model_filename())));
    // What Triton's ONNX backend does: a model whose every tensor leaves its first dimension open
    // takes batches, and unless the configuration says otherwise they are formed dynamically.
    const auto open = [](const kserve::TensorMetadata& t) {
      return !t.shape.empty() && t.shape[0] == -1;
    };
    const bool batches = std::all_of(model->inputs().begin(), model->inputs().end(), open) &&
                         std::all_of(model->outputs().begin(), model->outputs().end(), open);
    const bool untouched = config.input().empty() && config.output().empty();
    if (untouched && config.max_batch_size() == 0 && batches) {
      config.set_max_batch_size(kDefaultMaxBatchSize);
      if (config.scheduling_choice_case() == inference::ModelConfig::SCHEDULING_CHOICE_NOT_SET)
        config.mutable_dynamic_batching();
    }
    if (config.max_batch_size() > 0 && !batches) {
      return InvalidArgument(
          Format("max_batch_size is {}, but the model's tensors do not all leave their first "
                 "dimension open",
                 config.max_batch_size()));
    }
    const bool batched = config.max_batch_size() > 0;
    SEXTANT_ASSIGN(const auto inputs, WithoutControls(config, model->inputs()));
    SEXTANT_TRY(CompleteTensors(inputs, "input", batched, config.input(),
                                [&] { return config.add_input(); }));
    return CompleteTensors(model->outputs(), "output", batched, config.output(),
                           [&] { return config.add_output(); });
  }

  Result<void> CheckConfig(const inference::ModelConfig& config) override {
    constexpr std::array<std::string_view, 1> kParameters{"intra_op_thread_count"};
    for (const auto& [key, value] : config.parameters()) {
      if (std::find(kParameters.begin(), kParameters.end(), key) == kParameters.end()) {
        return Unsupported(
            Format("parameter '{}' is not supported here; there is intra_op_thread_count",
                   Printable(key, 60)));
      }
      if (const auto n = ParseInt(value.string_value()); !n || *n < 1 || *n > 1024) {
        return InvalidArgument(Format("parameter '{}' must be a number from 1 to 1024", key));
      }
    }
    if (config.model_transaction_policy().decoupled()) return Unsupported("a decoupled ONNX model");
    return {};
  }

  Result<std::unique_ptr<BackendModel>> Load(const inference::ModelConfig& config,
                                             const std::string& version_directory) override {
    SEXTANT_ASSIGN(auto model, Read(JoinPath(version_directory, config.default_model_filename())));
    return std::unique_ptr<BackendModel>(std::make_unique<OnnxModel>(config, std::move(model)));
  }
  bool NeedsFiles() const override { return true; }

 private:
  Result<std::unique_ptr<EngineModel>> Read(const std::string& path) {
    if (!FileExists(path)) return NotFound(Format("the model file {} does not exist", path));
    OnnxEngine* engine = nullptr;
    {
      const std::scoped_lock lock(mutex_);
      if (engine_ == nullptr) {
        SEXTANT_ASSIGN(engine_, LoadOnnxEngine(context_.openvino_module));
      }
      engine = engine_.get();
    }
    return engine->Read(path);
  }

  const BackendContext& context_;
  std::mutex mutex_;
  std::unique_ptr<OnnxEngine> engine_;
};

}  // namespace

std::unique_ptr<Backend> MakeOnnxBackend(const BackendContext& context) {
  return std::make_unique<OnnxBackend>(context);
}

}  // namespace sextant::serve
