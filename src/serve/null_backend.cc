// backend: "null" answers at once with zeros: what is left is the transport.
#include "serve/backend.h"

#include "kserve/tensor.h"

namespace sextant::serve {

std::optional<std::string> ConfigParameter(const inference::ModelConfig& config,
                                           const std::string& key) {
  const auto it = config.parameters().find(key);
  if (it == config.parameters().end()) return std::nullopt;
  return it->second.string_value();
}

std::vector<int> WantedOutputs(const inference::ModelConfig& config,
                               const kserve::InferRequest& request) {
  std::vector<int> out;
  for (int i = 0; i < config.output_size(); ++i) {
    bool wanted = request.outputs.empty();
    for (const kserve::RequestedOutput& output : request.outputs)
      wanted |= output.name == config.output(i).name();
    if (wanted) out.push_back(i);
  }
  return out;
}

namespace {

class NullInstance final : public ModelInstance {
 public:
  explicit NullInstance(const inference::ModelConfig& config) : config_(config) {}

  void Execute(std::span<PendingRequest> batch, std::vector<std::optional<Outcome>>& outcomes,
               ExecutionTimes&) override {
    for (size_t i = 0; i < batch.size(); ++i) {
      kserve::InferResponse response;
      for (const int index : WantedOutputs(config_, *batch[i].request)) {
        const inference::ModelOutput& output = config_.output(index);
        kserve::InferOutput& out = response.outputs.emplace_back();
        out.name = output.name();
        out.type = *kserve::DataTypeFromConfig(output.data_type());
        if (config_.max_batch_size() > 0) out.shape.push_back(batch[i].batch_size);
        for (const int64_t dim : output.dims()) out.shape.push_back(dim < 0 ? 1 : dim);
        // Zeros; of BYTES, empty strings.
        const size_t size = kserve::ElementSize(out.type) == 0 ? 4 : kserve::ElementSize(out.type);
        out.data.assign(kserve::ElementCount(out.shape).value_or(0) * size, '\0');
      }
      outcomes[i] = Outcome{.response = std::move(response)};
    }
  }

 private:
  const inference::ModelConfig& config_;
};

class NullModel final : public BackendModel {
 public:
  explicit NullModel(const inference::ModelConfig& config) : config_(config) {}
  Result<std::unique_ptr<ModelInstance>> CreateInstance(int) override {
    return std::unique_ptr<ModelInstance>(std::make_unique<NullInstance>(config_));
  }
  bool RunsInline() const override { return true; }

 private:
  const inference::ModelConfig config_;
};

class NullBackend final : public Backend {
 public:
  Result<void> CompleteConfig(inference::ModelConfig&, const std::string&) override { return {}; }
  Result<void> CheckConfig(const inference::ModelConfig& config) override {
    if (config.has_dynamic_batching())
      return Unsupported("dynamic_batching with backend \"null\", which has no queue");
    if (config.model_transaction_policy().decoupled())
      return Unsupported("a decoupled model with backend \"null\"");
    return {};
  }
  Result<std::unique_ptr<BackendModel>> Load(const inference::ModelConfig& config,
                                             const std::string&) override {
    return std::unique_ptr<BackendModel>(std::make_unique<NullModel>(config));
  }
  bool NeedsFiles() const override { return false; }
};

}  // namespace

std::unique_ptr<Backend> MakeNullBackend() { return std::make_unique<NullBackend>(); }

}  // namespace sextant::serve
