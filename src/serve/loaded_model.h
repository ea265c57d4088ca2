// One version of a model, ready to infer: its queue, its instances' threads, its counters.
//
// Threads: Infer() from any thread. Stop() once, before destruction, not from an instance's thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "kserve/metadata.h"
#include "serve/backend.h"
#include "serve/request_queue.h"
#include "serve/statistics.h"

namespace sextant::serve {

class LoadedModel : public std::enable_shared_from_this<LoadedModel> {
 public:
  // `labels[i]` are the lines of output i's label file, empty when it has none.
  static Result<std::shared_ptr<LoadedModel>> Create(const inference::ModelConfig& config,
                                                     int version,
                                                     std::unique_ptr<BackendModel> backend,
                                                     std::vector<std::vector<std::string>> labels);
  ~LoadedModel();

  const inference::ModelConfig& config() const { return config_; }
  const std::string& name() const { return config_.name(); }
  int version() const { return version_; }
  const std::string& version_text() const { return version_text_; }
  bool decoupled() const { return config_.model_transaction_policy().decoupled(); }
  const std::vector<std::string>& labels(size_t output) const { return labels_[output]; }

  // Takes a request that has been checked against the configuration.
  void Infer(PendingRequest&& request);

  kserve::ModelMetadata Metadata() const;
  kserve::ModelStatistics Statistics() const;
  std::array<uint64_t, 4> Failures() const { return counters_.Failures(); }
  // Requests in the queue.
  size_t pending() const;
  // Requests taken and not yet answered.
  size_t in_flight() const { return in_flight_.load(); }

  // Refuses new requests, gives those in flight `grace` to finish, ends the rest, joins the
  // threads.
  void Stop(Nanos grace);

 private:
  LoadedModel(const inference::ModelConfig& config, int version,
              std::unique_ptr<BackendModel> backend, std::vector<std::vector<std::string>> labels);
  void RunInstance(size_t index);
  // Fails requests whose time in the queue is over while all instances are busy.
  void RunExpiry();
  void Execute(ModelInstance& instance, std::vector<PendingRequest>& batch);
  class LateSink;
  void InferLater(PendingRequest&& request);
  void Refuse(PendingRequest& request, Error error, FailureReason reason);
  void Done(size_t count);

  const inference::ModelConfig config_;
  const int version_;
  const std::string version_text_;
  const std::unique_ptr<BackendModel> backend_;
  const std::vector<std::vector<std::string>> labels_;
  std::vector<std::unique_ptr<ModelInstance>> instances_;
  ModelCounters counters_;
  std::atomic<size_t> in_flight_{0};

  mutable std::mutex mutex_;  // guards queue_, stopping_
  std::condition_variable queue_changed_, expiry_changed_, idle_;
  std::unique_ptr<RequestQueue> queue_;
  bool expiry_idle_ = false;  // nothing in the queue is a matter of time
  bool stopping_ = false;     // takes no requests
  bool stopped_ = false;      // threads end
  std::vector<std::thread> threads_;
};

}  // namespace sextant::serve
