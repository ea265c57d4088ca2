// backend: "simulated" behaves as its configuration declares, so that measurements can be checked.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>

#include "base/strings.h"
#include "net/event_loop.h"
#include "serve/backend.h"
#include "serve/simulated_model.h"
#include "serve/truth_log.h"

namespace sextant::serve {
namespace {

// What a shell reports of a segmentation fault.
constexpr int kCrashExitCode = 139;

// What the instances of a model share.
struct Shared {
  explicit Shared(const BackendContext& c) : context(c) {}

  const BackendContext& context;
  inference::ModelConfig config;
  SimulatedModel model;
  int instances = 0;
  int gpu_handle = -1;

  std::mutex mutex;  // guards what follows
  std::condition_variable interrupted_changed;
  bool interrupted = false;
  int busy = 0;
  int64_t items_executing = 0;
  std::optional<Instant> first_request;
  std::deque<PendingRequest> hanging;
};

Error FaultError(FaultKind kind) {
  switch (kind) {
    case FaultKind::kUnavailable:
      return Unavailable("simulated fault: unavailable");
    case FaultKind::kInvalidArgument:
      return InvalidArgument("simulated fault: invalid argument");
    case FaultKind::kDeadlineExceeded:
      return {ErrorCode::kDeadlineExceeded, "simulated fault: deadline exceeded"};
    default:
      return Internal("simulated fault: internal");
  }
}

template <typename T>
void AddElements(std::string_view added, std::string& sum) {
  for (size_t at = 0; at + sizeof(T) <= std::min(added.size(), sum.size()); at += sizeof(T)) {
    T a, b;
    std::memcpy(&a, sum.data() + at, sizeof a);
    std::memcpy(&b, added.data() + at, sizeof b);
    a = static_cast<T>(a + b);
    std::memcpy(sum.data() + at, &a, sizeof a);
  }
}

// Integers wrap around, signed ones as well: the bits are those of unsigned addition.
void AddTensor(kserve::DataType type, std::string_view added, std::string& sum) {
  if (type == kserve::DataType::kFp32) return AddElements<float>(added, sum);
  if (type == kserve::DataType::kFp64) return AddElements<double>(added, sum);
  switch (kserve::ElementSize(type)) {
    case 1:
      return AddElements<uint8_t>(added, sum);
    case 2:
      return AddElements<uint16_t>(added, sum);
    case 4:
      return AddElements<uint32_t>(added, sum);
    default:
      return AddElements<uint64_t>(added, sum);
  }
}

class SimulatedInstance final : public ModelInstance {
 public:
  SimulatedInstance(std::shared_ptr<Shared> shared, int index)
      : shared_(std::move(shared)),
        random_(Random(shared_->model.seed).Fork(static_cast<uint64_t>(index))) {}

  void Execute(std::span<PendingRequest> batch, std::vector<std::optional<Outcome>>& outcomes,
               ExecutionTimes& times) override;

 private:
  kserve::InferResponse MakeResponse(const PendingRequest& request) const;
  // Adds the request's inputs to what its sequence has brought so far.
  void AddToSequence(const PendingRequest& request) const;
  // False when the model is going away.
  bool SleepUntil(Instant when);
  // Sends a decoupled model's responses; false when the model went away meanwhile.
  bool SendResponses(std::span<PendingRequest> batch, const std::vector<FaultKind>& faults);
  void Conclude(std::span<PendingRequest> batch, const std::vector<FaultKind>& faults,
                std::vector<std::optional<Outcome>>& outcomes, bool finished);

  std::shared_ptr<Shared> shared_;
  Random random_;
};

bool SimulatedInstance::SleepUntil(Instant when) {
  // The default slack would make every service 50 us late.
  thread_local const bool precise = (net::SetTimerSlack(Nanos(1)), true);
  static_cast<void>(precise);
  std::unique_lock lock(shared_->mutex);
  return !shared_->interrupted_changed.wait_until(lock, when, [&] { return shared_->interrupted; });
}

void SimulatedInstance::Execute(std::span<PendingRequest> batch,
                                std::vector<std::optional<Outcome>>& outcomes,
                                ExecutionTimes& times) {
  Shared& s = *shared_;
  const Instant start = SteadyNow();
  int64_t items = 0;
  std::vector<FaultKind> faults;
  for (const PendingRequest& request : batch) {
    items += request.batch_size;
    faults.push_back(request.padding ? FaultKind::kNone : s.model.DrawFault(random_));
  }
  if (std::find(faults.begin(), faults.end(), FaultKind::kCrash) != faults.end()) {
    s.context.log.Write(LogLevel::kError, "model '{}': simulated crash", s.config.name());
    // As of a fault in a backend's library: nobody is told, nothing is put in order.
    std::_Exit(kCrashExitCode);
  }
  const Nanos drawn = s.model.service.Draw(random_);
  Nanos service;
  Instant origin;
  {
    const std::scoped_lock lock(s.mutex);
    if (!s.first_request) s.first_request = batch.front().arrived;
    origin = *s.first_request;
    ++s.busy;
    s.items_executing += items;
    service = s.model.ExecutionTime(drawn, items, s.busy, s.instances, s.items_executing);
  }
  if (s.gpu_handle >= 0) s.context.gpus->Begin(s.gpu_handle, start);
  const Instant ready = SteadyNow();
  bool finished = SleepUntil(origin + s.model.EndOfWork(start - origin, service));
  for (size_t i = 0; i < batch.size() && finished; ++i) {
    if (faults[i] == FaultKind::kNone && batch[i].sequence.memory != nullptr)
      AddToSequence(batch[i]);
  }
  if (finished && s.config.model_transaction_policy().decoupled())
    finished = SendResponses(batch, faults);
  const Instant computed = SteadyNow();
  Conclude(batch, faults, outcomes, finished);
  const Instant end = SteadyNow();
  if (s.gpu_handle >= 0) s.context.gpus->End(s.gpu_handle, end);
  {
    const std::scoped_lock lock(s.mutex);
    --s.busy;
    s.items_executing -= items;
  }
  times = {.compute_input = ready - start,
           .compute_infer = computed - ready,
           .compute_output = end - computed};
  if (s.context.truth == nullptr) return;
  for (size_t i = 0; i < batch.size(); ++i) {
    if (batch[i].padding) continue;
    s.context.truth->Add({.model = s.config.name(),
                          .arrived = batch[i].arrived,
                          .in_flight = static_cast<int>(batch[i].in_flight),
                          .started = start,
                          .ended = end,
                          .service = service,
                          .items = batch[i].batch_size,
                          .batch = items,
                          .outcome = std::string(kFaultNames[static_cast<size_t>(faults[i])])});
  }
}

bool SimulatedInstance::SendResponses(std::span<PendingRequest> batch,
                                      const std::vector<FaultKind>& faults) {
  const SimulatedModel& model = shared_->model;
  for (int response = 0; response < model.responses; ++response) {
    if (response > 0 && !SleepUntil(SteadyNow() + model.response_gap)) return false;
    for (size_t i = 0; i < batch.size(); ++i) {
      if (faults[i] == FaultKind::kNone)
        batch[i].Answer({.response = MakeResponse(batch[i]), .final = false});
    }
  }
  return true;
}

void SimulatedInstance::Conclude(std::span<PendingRequest> batch,
                                 const std::vector<FaultKind>& faults,
                                 std::vector<std::optional<Outcome>>& outcomes, bool finished) {
  Shared& s = *shared_;
  const bool decoupled = s.config.model_transaction_policy().decoupled();
  for (size_t i = 0; i < batch.size(); ++i) {
    if (!finished) {
      outcomes[i] = Outcome{.response = Unavailable("the model is being unloaded")};
    } else if (faults[i] == FaultKind::kHang) {
      // Answered when the model goes away; until then nobody hears of it.
      const std::scoped_lock lock(s.mutex);
      s.hanging.push_back(std::move(batch[i]));
      outcomes[i].reset();
    } else if (faults[i] == FaultKind::kReset) {
      outcomes[i] = Outcome{.response = Unavailable("simulated fault: connection reset"),
                            .reset_connection = true};
    } else if (faults[i] != FaultKind::kNone) {
      outcomes[i] = Outcome{.response = FaultError(faults[i])};
    } else if (decoupled) {
      outcomes[i] = Outcome{.response = kserve::InferResponse(), .empty = true};
    } else {
      outcomes[i] = Outcome{.response = MakeResponse(batch[i])};
    }
  }
}

// Where in the request input `index` of the configuration is; it is there.
size_t InputOf(const PendingRequest& request, const inference::ModelConfig& config, int index) {
  const auto& inputs = request.request->inputs;
  const auto found = std::find_if(inputs.begin(), inputs.end(), [&](const auto& input) {
    return input.name == config.input(index).name();
  });
  SEXTANT_CHECK(found != inputs.end(), "a checked request without its input");
  return static_cast<size_t>(found - inputs.begin());
}

void SimulatedInstance::AddToSequence(const PendingRequest& request) const {
  const inference::ModelConfig& config = shared_->config;
  if (shared_->model.output != SimulatedModel::Output::kSequenceSum) return;
  std::vector<std::string>& sums = request.sequence.memory->tensors;
  const bool anew = request.sequence.start || sums.empty();
  sums.resize(static_cast<size_t>(config.output_size()));
  for (int i = 0; i < config.output_size(); ++i) {
    const kserve::InferInput& input = request.request->inputs[InputOf(request, config, i)];
    std::string& sum = sums[static_cast<size_t>(i)];
    if (anew) {
      sum = input.data;
    } else {
      AddTensor(input.type, input.data, sum);
    }
  }
}

kserve::InferResponse SimulatedInstance::MakeResponse(const PendingRequest& request) const {
  const Shared& s = *shared_;
  kserve::InferResponse response;
  for (const int index : WantedOutputs(s.config, *request.request)) {
    const inference::ModelOutput& output = s.config.output(index);
    kserve::InferOutput out{.name = output.name(),
                            .type = *kserve::DataTypeFromConfig(output.data_type())};
    if (s.model.output == SimulatedModel::Output::kSequenceSum && !request.padding) {
      out.shape = request.request->inputs[InputOf(request, s.config, index)].shape;
      out.data = request.sequence.memory->tensors[static_cast<size_t>(index)];
      response.outputs.push_back(std::move(out));
      continue;
    }
    if (s.model.output == SimulatedModel::Output::kEcho) {
      for (const kserve::InferInput& input : request.request->inputs) {
        if (input.name != s.config.input(index).name()) continue;
        out.shape = input.shape;
        out.data = input.data;
        response.outputs.push_back(std::move(out));
        break;
      }
      continue;  // without the optional input there is nothing to repeat
    }
    if (s.config.max_batch_size() > 0) out.shape.push_back(request.batch_size);
    for (const int64_t dim : output.dims()) out.shape.push_back(dim < 0 ? 1 : dim);
    const uint64_t count = kserve::ElementCount(out.shape).value_or(0);
    std::string element;
    if (out.type == kserve::DataType::kBytes) {
      kserve::AppendBytesElement(
          s.model.output == SimulatedModel::Output::kConstant ? Format("{}", s.model.constant) : "",
          element);
    } else if (!kserve::AppendElement(out.type, s.model.constant, element).has_value()) {
      element.assign(kserve::ElementSize(out.type), '\0');
    }
    out.data.reserve(count * element.size());
    for (uint64_t i = 0; i < count; ++i) out.data += element;
    response.outputs.push_back(std::move(out));
  }
  return response;
}

class SimulatedBackendModel final : public BackendModel {
 public:
  explicit SimulatedBackendModel(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {
    if (shared_->model.gpu)
      shared_->gpu_handle = shared_->context.gpus->Add(*shared_->model.gpu, SteadyNow());
  }
  ~SimulatedBackendModel() override {
    Interrupt();
    if (shared_->gpu_handle >= 0) shared_->context.gpus->Remove(shared_->gpu_handle, SteadyNow());
  }
  Result<std::unique_ptr<ModelInstance>> CreateInstance(int index) override {
    ++shared_->instances;
    return std::unique_ptr<ModelInstance>(std::make_unique<SimulatedInstance>(shared_, index));
  }
  void Interrupt() override {
    std::deque<PendingRequest> hanging;
    {
      const std::scoped_lock lock(shared_->mutex);
      shared_->interrupted = true;
      hanging.swap(shared_->hanging);
    }
    shared_->interrupted_changed.notify_all();
    for (PendingRequest& request : hanging)
      request.Fail(Unavailable("the model is being unloaded"));
  }

 private:
  std::shared_ptr<Shared> shared_;
};

class SimulatedBackend final : public Backend {
 public:
  explicit SimulatedBackend(const BackendContext& context) : context_(context) {}
  Result<void> CompleteConfig(inference::ModelConfig&, const std::string&) override { return {}; }
  Result<void> CheckConfig(const inference::ModelConfig& config) override {
    SEXTANT_TRY(SimulatedModel::Parse(config));
    return {};
  }
  Result<std::unique_ptr<BackendModel>> Load(const inference::ModelConfig& config,
                                             const std::string&) override {
    auto shared = std::make_shared<Shared>(context_);
    shared->config = config;
    SEXTANT_ASSIGN(shared->model, SimulatedModel::Parse(config));
    std::this_thread::sleep_for(shared->model.load_time);
    return std::unique_ptr<BackendModel>(
        std::make_unique<SimulatedBackendModel>(std::move(shared)));
  }
  bool NeedsFiles() const override { return false; }

 private:
  const BackendContext& context_;
};

}  // namespace

std::unique_ptr<Backend> MakeSimulatedBackend(const BackendContext& context) {
  return std::make_unique<SimulatedBackend>(context);
}

}  // namespace sextant::serve
