#include "serve/core.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/strings.h"
#include "base/version.h"

namespace sextant::serve {
namespace {

using kserve::InferInput;
using kserve::InferOutput;
using kserve::InferRequest;
using kserve::InferResponse;

// Turns a model's outputs into what was asked for: classes, shared memory.
Result<void> FinishOutputs(const LoadedModel& model,
                           const kserve::SharedMemoryRegistry& shared_memory,
                           const InferRequest& request, InferResponse& response) {
  for (const kserve::RequestedOutput& wanted : request.outputs) {
    if (wanted.class_count == 0 && !wanted.shared_memory) continue;
    const auto output = std::find_if(response.outputs.begin(), response.outputs.end(),
                                     [&](const InferOutput& o) { return o.name == wanted.name; });
    if (output == response.outputs.end()) continue;
    if (wanted.class_count > 0) {
      size_t index = 0;
      for (int i = 0; i < model.config().output_size(); ++i) {
        if (model.config().output(i).name() == wanted.name) index = static_cast<size_t>(i);
      }
      SEXTANT_ASSIGN(*output, Classify(*output, wanted.class_count,
                                       model.config().max_batch_size() > 0, model.labels(index)));
    }
    if (wanted.shared_memory) {
      SEXTANT_ASSIGN(const auto view, shared_memory.Find(*wanted.shared_memory));
      if (view.size < output->data.size()) {
        return InvalidArgument(
            Format("shared memory size specified with the request for output '{}' ({} bytes) "
                   "should be at least {} bytes "
                   "to hold the results",
                   output->name, view.size, output->data.size()));
      }
      std::memcpy(view.data, output->data.data(), output->data.size());
      output->shared_memory = *wanted.shared_memory;
      output->shared_memory->byte_size = output->data.size();
      output->data.clear();
    }
  }
  return {};
}

// Between a model and the way back.
class FinishingSink final : public OutcomeSink {
 public:
  FinishingSink(std::shared_ptr<LoadedModel> model,
                const kserve::SharedMemoryRegistry& shared_memory,
                std::unique_ptr<OutcomeSink> next)
      : model_(std::move(model)), shared_memory_(shared_memory), next_(std::move(next)) {}
  void OnOutcome(const InferRequest& request, Outcome&& outcome) override {
    if (outcome.response.has_value() && !outcome.empty) {
      if (Result<void> finished =
              FinishOutputs(*model_, shared_memory_, request, *outcome.response);
          !finished.has_value()) {
        outcome.response = std::move(finished).error();
      } else if (!outcome.final) {
        outcome.response->model_name = model_->name();
        outcome.response->model_version = model_->version_text();
        outcome.response->id = request.id;
      }
    } else if (outcome.response.has_value()) {
      outcome.response->model_name = model_->name();
      outcome.response->model_version = model_->version_text();
      outcome.response->id = request.id;
    }
    next_->OnOutcome(request, std::move(outcome));
  }

 private:
  std::shared_ptr<LoadedModel> model_;
  const kserve::SharedMemoryRegistry& shared_memory_;
  std::unique_ptr<OutcomeSink> next_;
};

template <typename Tensors>
std::string QuotedNames(const Tensors& tensors) {
  std::vector<std::string> names;
  for (const auto& tensor : tensors) names.push_back("'" + tensor.name + "'");
  return "[" + Join(names, ",") + "]";
}

Result<void> CheckInputNames(const inference::ModelConfig& config, const InferRequest& request) {
  for (size_t i = 0; i < request.inputs.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (request.inputs[i].name == request.inputs[j].name) {
        return InvalidArgument(
            Format("input '{}' already exists in request", request.inputs[i].name));
      }
    }
  }
  std::vector<std::string> missing;
  int required = 0;
  for (const inference::ModelInput& input : config.input()) {
    if (input.optional()) continue;
    ++required;
    const bool there = std::any_of(request.inputs.begin(), request.inputs.end(),
                                   [&](const InferInput& i) { return i.name == input.name(); });
    if (!there) missing.push_back("'" + input.name() + "'");
  }
  const bool too_many = request.inputs.size() > static_cast<size_t>(config.input_size());
  if (!missing.empty() || too_many) {
    return InvalidArgument(
        Format("expected {} inputs but got {} inputs for model '{}'. Got input(s) {}, but missing "
               "required input(s) [{}]. "
               "Please provide all required input(s).",
               required, request.inputs.size(), config.name(), QuotedNames(request.inputs),
               Join(missing, ",")));
  }
  return {};
}

Result<void> CheckInput(const inference::ModelConfig& config, const InferInput& input,
                        std::optional<int64_t>& batch) {
  const auto definition = std::find_if(config.input().begin(), config.input().end(),
                                       [&](const auto& i) { return i.name() == input.name; });
  if (definition == config.input().end()) {
    return InvalidArgument(Format("unexpected inference input '{}' for model '{}'",
                                  Printable(input.name, 80), config.name()));
  }
  const std::optional<kserve::DataType> expected =
      kserve::DataTypeFromConfig(definition->data_type());
  if (input.type != *expected) {
    return InvalidArgument(
        Format("inference input '{}' data-type is '{}', but model '{}' expects '{}'", input.name,
               kserve::DataTypeName(input.type), config.name(), kserve::DataTypeName(*expected)));
  }
  std::span<const int64_t> shape = input.shape;
  if (config.max_batch_size() > 0) {
    if (shape.empty()) {
      return InvalidArgument(
          Format("input '{}' has no shape but model requires batch dimension for '{}'", input.name,
                 config.name()));
    }
    if (batch && *batch != shape[0]) {
      return InvalidArgument(Format("input '{}' batch size does not match other inputs for '{}'",
                                    input.name, config.name()));
    }
    batch = shape[0];
    shape = shape.subspan(1);
  }
  const bool fits =
      std::equal(shape.begin(), shape.end(), definition->dims().begin(), definition->dims().end(),
                 [](int64_t got, int64_t want) { return want == -1 || got == want; });
  if (!fits) {
    kserve::Shape expected_shape;
    if (config.max_batch_size() > 0) expected_shape.push_back(-1);
    expected_shape.insert(expected_shape.end(), definition->dims().begin(),
                          definition->dims().end());
    return InvalidArgument(Format(
        "unexpected shape for input '{}' for model '{}'. Expected {}, got {}. {}", input.name,
        config.name(), kserve::FormatShape(expected_shape), kserve::FormatShape(input.shape),
        config.max_batch_size() > 0
            ? "NOTE: a non-zero max_batch_size in the model config requires a batch "
              "dimension in front of each input's shape"
            : ""));
  }
  return {};
}

// Points inputs that lie in shared memory at their bytes, and keeps those mapped.
Result<void> MapInputs(const kserve::SharedMemoryRegistry& shared_memory, PendingRequest& pending) {
  for (InferInput& input : pending.request->inputs) {
    if (!input.shared_memory) continue;
    SEXTANT_ASSIGN(auto view, shared_memory.Find(*input.shared_memory));
    pending.mappings.push_back(std::move(view.mapping));
    input.data = {view.data, view.size};
    const std::optional<uint64_t> expected = kserve::ByteSize(input.type, input.shape);
    if (input.type == kserve::DataType::kBytes) {
      SEXTANT_TRY(kserve::SplitBytes(input.data, kserve::ElementCount(input.shape).value_or(0)),
                  Format("input '{}'", input.name));
    } else if (!expected || *expected != input.data.size()) {
      return InvalidArgument(Format("input byte size mismatch for input '{}'. Expected {}, got {}",
                                    input.name, expected.value_or(0), input.data.size()));
    }
  }
  return {};
}

}  // namespace

Result<int64_t> CheckRequest(const inference::ModelConfig& config, const InferRequest& request) {
  SEXTANT_TRY(CheckInputNames(config, request));
  std::optional<int64_t> batch;
  for (const InferInput& input : request.inputs) SEXTANT_TRY(CheckInput(config, input, batch));
  for (const kserve::RequestedOutput& output : request.outputs) {
    const bool known = std::any_of(config.output().begin(), config.output().end(),
                                   [&](const auto& o) { return o.name() == output.name; });
    if (!known)
      return InvalidArgument(Format("unexpected inference output '{}' for model '{}'",
                                    Printable(output.name, 80), config.name()));
  }
  if (config.max_batch_size() == 0) return 1;
  if (batch.value_or(1) < 1)
    return InvalidArgument(
        Format("inference request batch-size must be >= 1 for '{}'", config.name()));
  if (batch.value_or(1) > config.max_batch_size()) {
    return InvalidArgument(Format("inference request batch-size must be <= {} for '{}'",
                                  config.max_batch_size(), config.name()));
  }
  return batch.value_or(1);
}

Result<InferOutput> Classify(const InferOutput& output, uint64_t count, bool batched,
                             const std::vector<std::string>& labels) {
  if (output.type == kserve::DataType::kBytes) {
    return InvalidArgument(Format(
        "class result not available for output '{}' due to unsupported type 'BYTES'", output.name));
  }
  const uint64_t rows =
      batched && !output.shape.empty() ? static_cast<uint64_t>(output.shape[0]) : 1;
  const uint64_t total = kserve::ElementCount(output.shape).value_or(0);
  const uint64_t columns = rows == 0 ? 0 : total / rows;
  count = std::min(count, columns);
  InferOutput out{.name = output.name,
                  .type = kserve::DataType::kBytes,
                  .shape = {static_cast<int64_t>(count)}};
  if (batched) out.shape.insert(out.shape.begin(), static_cast<int64_t>(rows));
  std::vector<uint64_t> order(columns);
  for (uint64_t row = 0; row < rows; ++row) {
    const auto value = [&](uint64_t column) {
      return kserve::ElementAsDouble(output.type, output.data, row * columns + column);
    };
    std::iota(order.begin(), order.end(), 0);
    std::partial_sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(count), order.end(),
                      [&](uint64_t a, uint64_t b) {
                        return value(a) > value(b) || (value(a) == value(b) && a < b);
                      });
    for (uint64_t i = 0; i < count; ++i) {
      std::string text = Format("{:f}:{}", value(order[i]), order[i]);
      if (order[i] < labels.size()) text += ":" + labels[order[i]];
      kserve::AppendBytesElement(text, out.data);
    }
  }
  return out;
}

Core::Core(std::vector<std::string> repository, const BackendContext& context,
           bool strict_readiness)
    : repository_(std::move(repository), context), strict_readiness_(strict_readiness) {}

void Core::Infer(std::unique_ptr<InferRequest> request, std::unique_ptr<OutcomeSink> sink,
                 bool many) {
  PendingRequest pending{.request = std::move(request), .arrived = SteadyNow()};
  std::shared_ptr<LoadedModel> model;
  const auto prepare = [&]() -> Result<void> {
    SEXTANT_ASSIGN(model,
                   repository_.Find(pending.request->model_name, pending.request->model_version));
    if (model->decoupled() && !many) {
      return Unsupported("ModelInfer RPC doesn't support models with decoupled transaction policy");
    }
    SEXTANT_ASSIGN(pending.batch_size, CheckRequest(model->config(), *pending.request));
    return MapInputs(shared_memory_, pending);
  };
  if (Result<void> prepared = prepare(); !prepared.has_value()) {
    return sink->OnOutcome(*pending.request, {.response = std::move(prepared).error()});
  }
  LoadedModel& target = *model;
  pending.sink = std::make_unique<FinishingSink>(std::move(model), shared_memory_, std::move(sink));
  target.Infer(std::move(pending));
}

kserve::ServerMetadata Core::Metadata() const {
  return {
      .name = "sextant",
      .version = std::string(Version()),
      .extensions = {"classification", "model_repository", "schedule_policy", "model_configuration",
                     "system_shared_memory", "binary_tensor_data", "parameters", "statistics"}};
}

bool Core::Ready() const { return !strict_readiness_ || ready_.load(); }

Result<kserve::ModelMetadata> Core::ModelMetadata(const std::string& name,
                                                  const std::string& version) const {
  SEXTANT_ASSIGN(const auto model, repository_.Find(name, version));
  kserve::ModelMetadata metadata = model->Metadata();
  metadata.versions.clear();
  for (const auto& loaded : repository_.Loaded(name))
    metadata.versions.push_back(loaded->version_text());
  return metadata;
}

Result<std::vector<kserve::ModelStatistics>> Core::Statistics(const std::string& name,
                                                              const std::string& version) const {
  std::vector<kserve::ModelStatistics> out;
  for (const auto& model : repository_.Loaded(name)) {
    if (version.empty() || model->version_text() == version) out.push_back(model->Statistics());
  }
  if (out.empty() && !name.empty()) {
    return InvalidArgument(
        Format("requested model '{}'{} is not available", Printable(name, 80),
               version.empty() ? "" : Format(" version {}", Printable(version, 20))));
  }
  return out;
}

}  // namespace sextant::serve
