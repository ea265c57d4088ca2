// The ground truth of simulated models, one line of CSV per request, for tests of measurements.
//
// Times are nanoseconds of the steady clock (CLOCK_MONOTONIC), which all processes of a machine
// share. Lines are written by a thread of its own; a request costs one push under a mutex.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/files.h"
#include "base/result.h"

namespace sextant::serve {

struct TruthRecord {
  std::string model;
  Instant arrived;    // at the server's core
  int in_flight = 0;  // requests of this model in the server, this one included, at its arrival
  Instant started;    // execution
  Instant ended;
  Nanos service{0};     // as drawn from the law, with all factors
  int64_t items = 0;    // in this request
  int64_t batch = 0;    // items executed together
  std::string outcome;  // "ok" or the error's kind
};

class TruthLog {
 public:
  static Result<std::unique_ptr<TruthLog>> Create(const std::string& path);
  // Writes what is left.
  ~TruthLog();
  void Add(TruthRecord record);

 private:
  explicit TruthLog(Fd fd);
  void Run();

  Fd fd_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<TruthRecord> waiting_;
  bool stop_ = false;
  std::thread writer_;
};

}  // namespace sextant::serve
