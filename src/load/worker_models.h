// What a worker keeps of each of several models: what worker.cc and worker_mix.cc share. Nobody
// else includes it.
//
// Threads: the worker's; blocks are handed over as those of the whole.
#pragma once

#include <memory>
#include <queue>
#include <vector>

#include "load/recorder.h"
#include "load/worker.h"

namespace sextant::load {

struct Worker::Models {
  struct One {
    BlockExchange blocks;
    Recorder recorder{blocks};
    // With a concurrency of its own.
    size_t in_flight = 0;  // waiting restarts included
    uint64_t next = 0;     // the number of its next request
    std::priority_queue<Instant, std::vector<Instant>, std::greater<>> restarts;
  };
  explicit Models(size_t count) {
    for (size_t i = 0; i < count; ++i) each.push_back(std::make_unique<One>());
  }
  std::vector<std::unique_ptr<One>> each;
};

inline Recorder& Worker::ModelRecorder(const RequestSet& set) {
  return models_->each[set.model()]->recorder;
}

template <typename F>
void Worker::ForAllRecorders(F&& f) {
  f(recorder_);
  if (models_ == nullptr) return;
  for (const auto& model : models_->each) f(model->recorder);
}

template <typename F>
void Worker::ForRecordersOf(const RequestSet& set, F&& f) {
  f(recorder_);
  if (models_ != nullptr) f(ModelRecorder(set));
}

}  // namespace sextant::load
