// Measures levels of load: warm-up, window, drain, and what can be said of it.
//
// A level goes through named phases. The load runs on through all of them, so that the last
// requests of the window meet the same load as the first; what belongs to the window is decided by
// when a request was due. Window edges lie on block boundaries and are known to the workers before
// they come.
//
// A schedule that ends ends the window; with the automatic warm-up the window is the whole of it.
//
// Threads: the controller (one thread) calls this; the workers run below it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kserve/metadata.h"
#include "load/mix.h"
#include "load/requests.h"
#include "load/trials.h"
#include "load/worker.h"
#include "run/level.h"

namespace sextant::load {

struct WarmupRule {
  enum class Kind : uint8_t { kAuto, kRequests, kTime } kind = Kind::kAuto;
  uint64_t requests = 0;
  Nanos time{0};
  // Automatic: at least, and at most before the level goes on and says so.
  Nanos shortest{500ms}, longest{10s};
};

struct WindowRule {
  enum class Kind : uint8_t { kAuto, kRequests, kTime, kTrials } kind = Kind::kAuto;
  uint64_t requests = 0;
  Nanos time{0};
  TrialRule trials;  // windows until three agree; the last three, merged, are the level's
  // Automatic: ends when the throughput's interval is this narrow and p99 is supported.
  Nanos shortest{2s}, longest{10s};
  double relative_half_width = 0.02;
};

struct MeasureOptions {
  WarmupRule warmup;
  WindowRule window;
  std::vector<double> percentiles{0.5, 0.9, 0.95, 0.99};
  Nanos drain_limit{60s};
  Nanos connect_limit{5s};  // a level begins after this with the connections there are
  bool spin = false;        // the workers' CPU share says nothing then
  stats::StateRule state;
};

// What a level looks like while it runs.
struct LiveFigures {
  std::string_view phase;     // "connecting", "warm-up", "measuring", "draining"
  double elapsed_s = 0;       // of the phase
  double expected_s = 0;      // of the phase, 0: unknown
  double requests_per_s = 0;  // answered, over the last second
  double failed_per_s = 0;
  double p99_ns = 0;          // over the last second
  double not_sent_per_s = 0;  // arrivals that the in-flight cap kept from being sent
  int64_t in_flight = 0;
  uint64_t answered = 0;  // since the phase began
};

struct LevelPlan {
  run::LoadPoint load;
  const RequestSet* requests = nullptr;
  // Several models, as many as WorkerOptions::models, `requests` being the first one's. With a
  // concurrency of their own, these add up to that of `load` before it was divided by shards.
  std::vector<MixModel> mix;
  ArrivalPlan arrivals;  // open loop
  DataOrder order = DataOrder::kSequential;
  // What of the whole is this generator's: arrivals of a schedule of `rate` per second (0: that of
  // `load`), and requests of the data.
  Part shard;
  double rate = 0;
  Instant start_at = Instant::min();  // the load does not begin before
  size_t max_in_flight = 0;
  size_t connections = 0;  // 0: chosen
  uint64_t seed = 1;
  // Open loop with sequences (WorkerOptions::sequences): how many, and whether each has one request
  // at a time.
  size_t sequences = 0;
  bool serial_sequences = false;
  // Closed loop: requests are started step by step, `load` being how many in the end. With one
  // worker, no warm-up, and a window of so many requests.
  std::optional<PeriodicPlan> periodic;
};

// What a measurement asks of the world around it.
struct MeasureHooks {
  std::function<void(const LiveFigures&)> progress;  // about four times a second
  std::function<bool()> stop;                        // true: end early
  // The window begins or ends now; must not wait.
  std::function<void()> edge;
  // The server's counters; absent where the server has none.
  std::function<Result<std::vector<kserve::ModelStatistics>>()> statistics;
  // Whose statistics are the measured model's (of several, see LevelPlan::mix); those of others are
  // of models that it calls. Empty: all are.
  std::string model;
  std::function<void(const TrialFigures&)> trial;  // one of a level's windows has ended
  // All is recorded: where the level's windows began and ended, one behind the other.
  std::function<void(std::span<const Instant>)> windows;
};

class Generator {
 public:
  // `options.channel.max_connections` is of all workers together: each may open its share of it,
  // and at least one.
  static Result<std::unique_ptr<Generator>> Start(const WorkerOptions& options, size_t workers);
  ~Generator();

  run::Level Measure(const LevelPlan& plan, const MeasureOptions& options,
                     const MeasureHooks& hooks);
  size_t workers() const { return workers_.size(); }
  // Waits until what the last level left in flight is answered, or the time is over.
  void Drain(Nanos limit);

 private:
  class LevelRun;
  Generator() = default;
  std::vector<std::string> endpoints_;  // their names, where there are several
  std::vector<std::unique_ptr<Worker>> workers_;
};

// gRPC connections for so many requests in flight: one per six, as perf_analyzer's clients share
// them.
size_t GrpcConnectionsFor(size_t concurrency);

}  // namespace sextant::load
