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

// The regions of both kinds that tensors may lie in.
struct Regions {
  const kserve::SharedMemoryRegistry& system;
  const kserve::CudaMemoryRegistry& cuda;
};

// Puts an output where it was asked for.
Result<void> PlaceOutput(const Regions& regions, const kserve::SharedMemoryReference& place,
                         InferOutput& output) {
  const auto check = [&](uint64_t size) -> Result<void> {
    if (size >= output.data.size()) return {};
    return Internal(
        Format("shared memory size specified with the request for output '{}' ({} bytes) should be "
               "at least {} bytes to hold the results",
               output.name, size, output.data.size()));
  };
  if (regions.cuda.Has(place.region)) {
    SEXTANT_TRY(check(place.byte_size));
    SEXTANT_TRY(regions.cuda.Write(place, output.data), Format("output '{}'", output.name));
  } else {
    SEXTANT_ASSIGN(const auto view, regions.system.Find(place));
    SEXTANT_TRY(check(view.size));
    std::memcpy(view.data, output.data.data(), output.data.size());
  }
  output.shared_memory = place;
  output.shared_memory->byte_size = output.data.size();
  output.data.clear();
  return {};
}

// Turns a model's outputs into what was asked for: classes, shared memory.
Result<void> FinishOutputs(const LoadedModel& model, const Regions& regions,
                           const InferRequest& request, InferResponse& response) {
  for (InferOutput& output : response.outputs) {
    const auto wanted =
        std::find_if(request.outputs.begin(), request.outputs.end(),
                     [&](const kserve::RequestedOutput& o) { return o.name == output.name; });
    if (wanted == request.outputs.end()) continue;
    if (wanted->class_count > 0) {
      size_t index = 0;
      for (int i = 0; i < model.config().output_size(); ++i) {
        if (model.config().output(i).name() == output.name) index = static_cast<size_t>(i);
      }
      SEXTANT_ASSIGN(output, Classify(output, wanted->class_count,
                                      model.config().max_batch_size() > 0, model.labels(index)));
    }
    if (wanted->shared_memory) SEXTANT_TRY(PlaceOutput(regions, *wanted->shared_memory, output));
  }
  return {};
}

// Between a model and the way back.
class FinishingSink final : public OutcomeSink {
 public:
  FinishingSink(std::shared_ptr<LoadedModel> model, const Regions& regions,
                std::unique_ptr<OutcomeSink> next)
      : model_(std::move(model)), regions_(regions), next_(std::move(next)) {}
  void OnOutcome(const InferRequest& request, Outcome&& outcome) override {
    if (outcome.response.has_value()) {
      outcome.response->model_name = model_->name();
      outcome.response->id = request.id;
      // An end without a response of its own has no version in Triton's answers either.
      if (!outcome.empty) outcome.response->model_version = model_->version_text();
      if (Result<void> finished = FinishOutputs(*model_, regions_, request, *outcome.response);
          !finished.has_value()) {
        outcome.response = std::move(finished).error();
      }
    }
    next_->OnOutcome(request, std::move(outcome));
  }

 private:
  std::shared_ptr<LoadedModel> model_;
  const Regions regions_;
  std::unique_ptr<OutcomeSink> next_;
};

std::string QuotedNames(const std::vector<InferInput>& inputs) {
  constexpr size_t kMost = 20;  // a message is for reading
  std::vector<std::string> names;
  for (const InferInput& input : inputs) {
    if (names.size() == kMost) {
      names.emplace_back("...");
      break;
    }
    names.push_back("'" + Printable(input.name, 80) + "'");
  }
  return "[" + Join(names, ",") + "]";
}

// No two inputs of one name, and only outputs that there are: Triton looks at these before it looks
// at the tensors.
Result<void> CheckNames(const inference::ModelConfig& config, const InferRequest& request) {
  const size_t count = request.inputs.size();
  const bool too_many = count > static_cast<size_t>(config.input_size());
  // How many there are is the sender's choice; each is compared with each only where there may be
  // as many, or few.
  for (size_t i = 0; i < count && (!too_many || count < 64); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (request.inputs[i].name == request.inputs[j].name) {
        return InvalidArgument(
            Format("input '{}' already exists in request", Printable(request.inputs[i].name, 80)));
      }
    }
  }
  for (const kserve::RequestedOutput& output : request.outputs) {
    const bool known = std::any_of(config.output().begin(), config.output().end(),
                                   [&](const auto& o) { return o.name() == output.name; });
    if (!known)
      return InvalidArgument(Format("unexpected inference output '{}' for model '{}'",
                                    Printable(output.name, 80), config.name()));
  }
  return {};
}

Result<void> CheckInputCount(const inference::ModelConfig& config, const InferRequest& request) {
  const size_t count = request.inputs.size();
  const bool too_many = count > static_cast<size_t>(config.input_size());
  std::vector<std::string> missing;
  int required = 0;
  for (const inference::ModelInput& input : config.input()) {
    if (input.optional()) continue;
    ++required;
    const bool there = std::any_of(request.inputs.begin(), request.inputs.end(),
                                   [&](const InferInput& i) { return i.name == input.name(); });
    if (!there) missing.push_back("'" + input.name() + "'");
  }
  if (!missing.empty() || too_many) {
    const std::string expected =
        required == config.input_size()
            ? Format("{} inputs", required)
            : Format("number of inputs between {} and {}", required, config.input_size());
    return InvalidArgument(
        Format("expected {} but got {} inputs for model '{}'. Got input(s) {}, but missing "
               "required input(s) [{}]. "
               "Please provide all required input(s).",
               expected, count, config.name(), QuotedNames(request.inputs), Join(missing, ",")));
  }
  return {};
}

// The batch size that all inputs agree on; 1 for a model without a batch dimension.
Result<int64_t> BatchSizeOf(const inference::ModelConfig& config, const InferRequest& request) {
  if (config.max_batch_size() == 0) return 1;
  std::optional<int64_t> batch;
  for (const InferInput& input : request.inputs) {
    if (input.shape.empty()) {
      return InvalidArgument(
          Format("input '{}' has no shape but model requires batch dimension for '{}'",
                 Printable(input.name, 80), config.name()));
    }
    if (batch && *batch != input.shape[0]) {
      return InvalidArgument(Format("input '{}' batch size does not match other inputs for '{}'",
                                    Printable(input.name, 80), config.name()));
    }
    batch = input.shape[0];
  }
  if (batch.value_or(1) < 1)
    return InvalidArgument(
        Format("inference request batch-size must be >= 1 for '{}'", config.name()));
  if (batch.value_or(1) > config.max_batch_size()) {
    return InvalidArgument(Format("inference request batch-size must be <= {} for '{}'",
                                  config.max_batch_size(), config.name()));
  }
  return batch.value_or(1);
}

Result<void> CheckInput(const inference::ModelConfig& config, const InferInput& input) {
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
  if (config.max_batch_size() > 0) shape = shape.subspan(1);
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

// Gives the input of a raw binary request the name, type and shape that the model's only input can
// have with that much data.
Result<void> CompleteRawInput(const inference::ModelConfig& config, InferRequest& request) {
  if (config.input_size() != 1) {
    return InvalidArgument(Format("a raw binary request needs a model with one input: '{}' has {}",
                                  config.name(), config.input_size()));
  }
  const inference::ModelInput& definition = config.input(0);
  InferInput& input = request.inputs[0];
  input.name = definition.name();
  input.type = *kserve::DataTypeFromConfig(definition.data_type());
  if (config.max_batch_size() > 0) input.shape.push_back(1);
  uint64_t elements = 1;
  std::optional<size_t> open;
  for (const int64_t dim : definition.dims()) {
    if (dim != -1) {
      elements *= static_cast<uint64_t>(dim);
    } else if (open) {
      return InvalidArgument(
          Format("the shape of raw input '{}' cannot be told: more than one dimension is variable",
                 input.name));
    } else {
      open = input.shape.size();
    }
    input.shape.push_back(dim);
  }
  if (input.type == kserve::DataType::kBytes) {
    if (open || elements != 1) {
      return InvalidArgument(
          Format("raw input '{}' of type BYTES must have shape [1] in the model", input.name));
    }
    std::string& framed = request.converted.emplace_back();
    kserve::AppendBytesElement(input.data, framed);
    input.data = framed;
  } else if (open) {
    input.shape[*open] =
        static_cast<int64_t>(input.data.size() / elements / kserve::ElementSize(input.type));
  }
  return kserve::CheckDataSize(input, Format("raw input '{}'", input.name));
}

// Points inputs that lie in shared memory at their bytes, and keeps those mapped; those on a GPU at
// a copy.
Result<void> MapInputs(const Regions& regions, PendingRequest& pending) {
  for (InferInput& input : pending.request->inputs) {
    if (!input.shared_memory) continue;
    if (regions.cuda.Has(input.shared_memory->region)) {
      std::string& copy = pending.request->converted.emplace_back();
      SEXTANT_TRY(regions.cuda.Read(*input.shared_memory, copy), Format("input '{}'", input.name));
      input.data = copy;
    } else {
      SEXTANT_ASSIGN(auto view, regions.system.Find(*input.shared_memory));
      pending.mappings.push_back(std::move(view.mapping));
      input.data = {view.data, view.size};
    }
    SEXTANT_TRY(kserve::CheckDataSize(input, Format("input '{}'", input.name)));
  }
  return {};
}

}  // namespace

Result<int64_t> CheckRequest(const inference::ModelConfig& config, const InferRequest& request) {
  SEXTANT_TRY(CheckNames(config, request));
  SEXTANT_TRY(CheckInputCount(config, request));
  SEXTANT_ASSIGN(const int64_t batch, BatchSizeOf(config, request));
  for (const InferInput& input : request.inputs) SEXTANT_TRY(CheckInput(config, input));
  return batch;
}

Result<InferOutput> Classify(const InferOutput& output, uint64_t count, bool batched,
                             const std::vector<std::string>& labels) {
  switch (output.type) {
    case kserve::DataType::kBytes:
    case kserve::DataType::kBool:
    case kserve::DataType::kFp16:
    case kserve::DataType::kBf16:
      return InvalidArgument(
          Format("class result not available for output '{}' due to unsupported type '{}'",
                 output.name, kserve::DataTypeName(output.type)));
    default:
      break;
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
    const auto element = [&](uint64_t column) { return row * columns + column; };
    std::iota(order.begin(), order.end(), 0);
    std::partial_sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(count), order.end(),
                      [&](uint64_t a, uint64_t b) {
                        const int by_value = kserve::CompareElements(output.type, output.data,
                                                                     element(a), element(b));
                        return by_value != 0 ? by_value > 0 : a < b;
                      });
    for (uint64_t i = 0; i < count; ++i) {
      std::string text = Format(
          "{}:{}", kserve::ElementText(output.type, output.data, element(order[i])), order[i]);
      if (order[i] < labels.size()) text += ":" + labels[order[i]];
      kserve::AppendBytesElement(text, out.data);
    }
  }
  return out;
}

Core::Core(std::vector<std::string> repository, const BackendContext& context,
           bool strict_readiness)
    : repository_(std::move(repository), context), strict_readiness_(strict_readiness) {}

Result<std::shared_ptr<LoadedModel>> Core::FindToInfer(const std::string& name,
                                                       const std::string& version) const {
  if (!serving_.load(std::memory_order_relaxed)) return Unavailable("the server is shutting down");
  return repository_.Find(name, version);
}

void Core::Infer(std::unique_ptr<InferRequest> request, std::unique_ptr<OutcomeSink> sink,
                 bool many) {
  PendingRequest pending{.request = std::move(request), .arrived = SteadyNow()};
  std::shared_ptr<LoadedModel> model;
  const auto prepare = [&]() -> Result<void> {
    SEXTANT_ASSIGN(model, FindToInfer(pending.request->model_name, pending.request->model_version));
    if (model->decoupled() && !many) {
      return Unsupported("ModelInfer RPC doesn't support models with decoupled transaction policy");
    }
    if (pending.request->raw_input)
      SEXTANT_TRY(CompleteRawInput(model->config(), *pending.request));
    SEXTANT_ASSIGN(pending.batch_size, CheckRequest(model->config(), *pending.request));
    return MapInputs({shared_memory_, cuda_memory_}, pending);
  };
  if (Result<void> prepared = prepare(); !prepared.has_value()) {
    return sink->OnOutcome(*pending.request, {.response = std::move(prepared).error()});
  }
  LoadedModel& target = *model;
  pending.sink = std::make_unique<FinishingSink>(
      std::move(model), Regions{shared_memory_, cuda_memory_}, std::move(sink));
  target.Infer(std::move(pending));
}

kserve::ServerMetadata Core::Metadata() const {
  kserve::ServerMetadata out{
      .name = "sextant",
      .version = std::string(Version()),
      .extensions = {"classification", "model_repository", "schedule_policy", "model_configuration",
                     "system_shared_memory", "binary_tensor_data", "parameters", "statistics"}};
  if (cuda_memory_.available()) out.extensions.emplace_back("cuda_shared_memory");
  return out;
}

bool Core::Ready() const {
  return serving_.load() && (!strict_readiness_ || repository_.AllLoaded());
}

Result<kserve::ModelMetadata> Core::ModelMetadata(const std::string& name,
                                                  const std::string& version) const {
  SEXTANT_ASSIGN(const auto model, repository_.Find(name, version));
  kserve::ModelMetadata metadata = model->Metadata();
  // Asked for one version, that one; else all there are.
  if (!version.empty()) return metadata;
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
