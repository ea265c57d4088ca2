#include "serve/loaded_model.h"

#include <pthread.h>

#include <utility>

#include "base/strings.h"
#include "serve/batch_queue.h"
#include "serve/sequence_queue.h"

namespace sextant::serve {
namespace {

FailureReason ReasonOf(const Error& error) {
  return error.code() == ErrorCode::kCancelled ? FailureReason::kCanceled : FailureReason::kBackend;
}

std::unique_ptr<RequestQueue> MakeQueue(const inference::ModelConfig& config) {
  if (!config.has_sequence_batching()) return std::make_unique<BatchQueue>(config);
  size_t instances = 0;
  for (const auto& group : config.instance_group()) instances += static_cast<size_t>(group.count());
  return std::make_unique<SequenceQueue>(config, instances);
}

}  // namespace

LoadedModel::LoadedModel(const inference::ModelConfig& config, int version,
                         std::unique_ptr<BackendModel> backend,
                         std::vector<std::vector<std::string>> labels)
    : config_(config),
      version_(version),
      version_text_(std::to_string(version)),
      backend_(std::move(backend)),
      labels_(std::move(labels)),
      queue_(MakeQueue(config)) {}

Result<std::shared_ptr<LoadedModel>> LoadedModel::Create(
    const inference::ModelConfig& config, int version, std::unique_ptr<BackendModel> backend,
    std::vector<std::vector<std::string>> labels) {
  std::shared_ptr<LoadedModel> model(
      new LoadedModel(config, version, std::move(backend), std::move(labels)));
  int count = 0;
  for (const auto& group : config.instance_group()) count += group.count();
  for (int i = 0; i < count; ++i) {
    SEXTANT_ASSIGN(auto instance, model->backend_->CreateInstance(i), Format("instance {}", i));
    model->instances_.push_back(std::move(instance));
  }
  if (model->backend_->RunsInline() || model->backend_->AnswersLater()) return model;
  for (size_t i = 0; i < model->instances_.size(); ++i) {
    std::thread& thread =
        model->threads_.emplace_back([raw = model.get(), i] { raw->RunInstance(i); });
    pthread_setname_np(thread.native_handle(),
                       Format("i{}-{}", i, config.name()).substr(0, 15).c_str());
  }
  if (model->queue_->has_timeouts())
    model->threads_.emplace_back([raw = model.get()] { raw->RunExpiry(); });
  return model;
}

LoadedModel::~LoadedModel() { Stop(Nanos(0)); }

void LoadedModel::Infer(PendingRequest&& request) {
  request.in_flight = in_flight_.fetch_add(1) + 1;
  if (backend_->AnswersLater()) return InferLater(std::move(request));
  if (backend_->RunsInline()) {
    // Taken out while in use: in an ensemble an answer may be the next model's request.
    thread_local std::vector<PendingRequest> spare;
    std::vector<PendingRequest> batch = std::exchange(spare, {});
    request.queued = request.arrived;
    batch.push_back(std::move(request));
    Execute(*instances_[0], batch);
    spare = std::move(batch);
    return;
  }
  std::optional<Error> refused;
  bool wake_expiry = false;
  {
    const std::scoped_lock lock(mutex_);
    if (stopping_) {
      refused = Unavailable(Format("Request for unknown model: '{}' is not found", name()));
    } else if (Result<void> pushed = queue_->Push(request, SteadyNow()); !pushed.has_value()) {
      refused = std::move(pushed).error();
    }
    // A sequence's request puts its end off: who waits for the next end need not hear of it.
    wake_expiry = queue_->has_timeouts() && (!queue_->chooses_instance() || expiry_idle_);
  }
  if (refused) return Refuse(request, *std::move(refused), FailureReason::kRejected);
  queue_->chooses_instance() ? queue_changed_.notify_all() : queue_changed_.notify_one();
  if (wake_expiry) expiry_changed_.notify_one();
}

// Counts what is answered at some later time.
class LoadedModel::LateSink final : public OutcomeSink {
 public:
  LateSink(std::shared_ptr<LoadedModel> model, const PendingRequest& request,
           std::unique_ptr<OutcomeSink> next)
      : model_(std::move(model)),
        arrived_(request.arrived),
        items_(static_cast<uint64_t>(request.batch_size)),
        next_(std::move(next)) {}
  void OnOutcome(const kserve::InferRequest& request, Outcome&& outcome) override {
    const Nanos total = SteadyNow() - arrived_;
    const bool final = outcome.final;
    if (final && outcome.response.has_value()) {
      model_->counters_.RecordExecution(items_, outcome.times);
      model_->counters_.RecordSuccess({.total = total, .queue = Nanos(0)}, outcome.times, items_);
    } else if (final) {
      model_->counters_.RecordFailure(FailureReason::kOther, total);
    }
    next_->OnOutcome(request, std::move(outcome));
    if (final) model_->Done(1);
  }

 private:
  const std::shared_ptr<LoadedModel> model_;
  const Instant arrived_;
  const uint64_t items_;
  const std::unique_ptr<OutcomeSink> next_;
};

void LoadedModel::InferLater(PendingRequest&& request) {
  auto sink = std::make_unique<LateSink>(shared_from_this(), request, std::move(request.sink));
  request.sink = std::move(sink);
  backend_->Start(std::move(request));
}

void LoadedModel::Refuse(PendingRequest& request, Error error, FailureReason reason) {
  // A request that is wrong in itself is counted nowhere, whoever finds that out.
  if (error.code() != ErrorCode::kInvalidArgument)
    counters_.RecordFailure(reason, SteadyNow() - request.arrived);
  request.Fail(std::move(error));
  Done(1);
}

void LoadedModel::Done(size_t count) {
  if (in_flight_.fetch_sub(count) == count) {
    // Under the lock, so that a waiter between its look and its wait does not miss it.
    const std::scoped_lock lock(mutex_);
    idle_.notify_all();
  }
}

void LoadedModel::RunInstance(size_t index) {
  std::vector<PendingRequest> batch, expired;
  for (;;) {
    batch.clear();
    expired.clear();
    {
      std::unique_lock lock(mutex_);
      for (;;) {
        if (stopped_) return;
        const Instant look_again = queue_->Take(index, SteadyNow(), batch, expired);
        if (!batch.empty() || !expired.empty()) break;
        if (look_again == Instant::max()) {
          queue_changed_.wait(lock);
        } else {
          queue_changed_.wait_until(lock, look_again);
        }
      }
    }
    for (PendingRequest& request : expired) {
      Refuse(request, Unavailable("Request timeout expired"), FailureReason::kRejected);
    }
    if (!batch.empty()) Execute(*instances_[index], batch);
  }
}

void LoadedModel::RunExpiry() {
  std::vector<PendingRequest> expired;
  for (;;) {
    expired.clear();
    {
      std::unique_lock lock(mutex_);
      if (stopped_) return;
      const Instant next = queue_->TakeExpired(SteadyNow(), expired);
      expiry_idle_ = next == Instant::max();
      // A sequence that has ended may have made room for one that waits.
      if (queue_->chooses_instance()) queue_changed_.notify_all();
      if (expired.empty() && next == Instant::max()) {
        expiry_changed_.wait(lock);
      } else if (expired.empty()) {
        expiry_changed_.wait_until(lock, next);
      }
    }
    for (PendingRequest& request : expired) {
      Refuse(request, Unavailable("Request timeout expired"), FailureReason::kRejected);
    }
  }
}

void LoadedModel::Execute(ModelInstance& instance, std::vector<PendingRequest>& batch) {
  // Taken out while in use, as in Infer().
  thread_local std::vector<std::optional<Outcome>> spare;
  std::vector<std::optional<Outcome>> outcomes = std::exchange(spare, {});
  outcomes.resize(batch.size());
  ExecutionTimes times;
  const Instant start = SteadyNow();
  instance.Execute(batch, outcomes, times);
  const Instant end = SteadyNow();
  uint64_t items = 0;
  size_t answered = 0;
  for (size_t i = 0; i < batch.size(); ++i) {
    if (!outcomes[i]) continue;
    if (!batch[i].padding) ++answered;
    items += static_cast<uint64_t>(batch[i].batch_size);
  }
  // Counted before they are answered, so that a client that asks after its answer finds itself
  // counted. An execution that failed was one all the same, as in Triton.
  if (items > 0) counters_.RecordExecution(items, times);
  for (size_t i = 0; i < batch.size(); ++i) {
    if (!outcomes[i] || batch[i].padding) continue;
    Outcome& outcome = *outcomes[i];
    if (outcome.response.has_value()) {
      counters_.RecordSuccess({.total = end - batch[i].arrived, .queue = start - batch[i].queued},
                              times, static_cast<uint64_t>(batch[i].batch_size));
    } else {
      counters_.RecordFailure(ReasonOf(outcome.response.error()), end - batch[i].arrived);
    }
    outcome.times = times;
    batch[i].Answer(std::move(outcome));
  }
  // Requests that an instance has taken over stay in flight until the model stops.
  batch.clear();
  outcomes.clear();
  spare = std::move(outcomes);
  if (answered > 0) Done(answered);
}

kserve::ModelMetadata LoadedModel::Metadata() const {
  kserve::ModelMetadata out{.name = name(), .versions = {version_text_}};
  out.platform = config_.platform().empty() ? config_.backend() : config_.platform();
  const auto add = [&](const auto& tensors, std::vector<kserve::TensorMetadata>& list) {
    for (const auto& tensor : tensors) {
      kserve::TensorMetadata& entry = list.emplace_back();
      entry.name = tensor.name();
      entry.type = *kserve::DataTypeFromConfig(tensor.data_type());
      if (config_.max_batch_size() > 0) entry.shape.push_back(-1);
      entry.shape.insert(entry.shape.end(), tensor.dims().begin(), tensor.dims().end());
    }
  };
  add(config_.input(), out.inputs);
  add(config_.output(), out.outputs);
  return out;
}

kserve::ModelStatistics LoadedModel::Statistics() const {
  kserve::ModelStatistics out = counters_.Snapshot();
  out.name = name();
  out.version = version_text_;
  return out;
}

size_t LoadedModel::pending() const {
  const std::scoped_lock lock(mutex_);
  return queue_->size();
}

void LoadedModel::Stop(Nanos grace) {
  std::vector<PendingRequest> left;
  {
    std::unique_lock lock(mutex_);
    if (stopped_) return;
    stopping_ = true;
    idle_.wait_for(lock, grace, [this] { return in_flight_.load() == 0; });
    left = queue_->Clear();
    stopped_ = true;
  }
  for (PendingRequest& request : left) {
    Refuse(request, Unavailable(Format("model '{}' is being unloaded", name())),
           FailureReason::kCanceled);
  }
  backend_->Interrupt();
  queue_changed_.notify_all();
  expiry_changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

}  // namespace sextant::serve
