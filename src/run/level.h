// What was measured at one level of load: the record that every report, table and file is made
// from.
//
// Times are nanoseconds unless a name says otherwise. Missing is an empty optional, never zero.
// Threads: plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "stats/histogram.h"
#include "stats/interval.h"
#include "stats/quantile.h"
#include "stats/steady_state.h"

namespace sextant::run {

enum class LoadMode : uint8_t { kConcurrency, kRequestRate };

struct LoadPoint {
  LoadMode mode = LoadMode::kConcurrency;
  double value = 1;  // requests in flight, or requests per second
  int64_t batch_size = 1;
  std::string arrivals;  // "closed", "constant", "poisson"
};

// Latencies of one kind, of successful requests scheduled in the window.
struct LatencyRecord {
  stats::Histogram histogram;
  stats::IntervalEstimate mean;                      // nanoseconds
  std::vector<stats::QuantileEstimate> percentiles;  // nanoseconds
};

// Requests that ended in one way.
struct OutcomeRecord {
  std::string name;  // "timeout", "connect", "HTTP 503", "gRPC UNAVAILABLE", "wrong output", ...
  uint64_t count = 0;
  stats::Histogram latency;  // from schedule
  std::string example;       // the first message
};

// One second of the window.
struct SecondRecord {
  double start_s = 0;  // since the window's start
  double length_s = 1;
  uint64_t answered = 0, failed = 0;
  double p50_ns = 0, p99_ns = 0, max_ns = 0;
  int64_t in_flight = 0;  // at its end
};

// Differences of one model version's statistics over the window.
struct ServerRecord {
  std::string model, version;
  uint64_t inference_count = 0, execution_count = 0, success_count = 0, fail_count = 0;
  // Mean per successful request, microseconds.
  double request_us = 0, queue_us = 0, compute_input_us = 0, compute_infer_us = 0,
         compute_output_us = 0;
};

// One quantity that a metrics endpoint told, over the window.
struct MetricRecord {
  std::string source;  // the endpoint's URL
  std::string
      quantity;        // "gpu_utilization", "cpu_utilization", ...; or a further metric's own name
  std::string family;  // the metric it was read from
  std::string device;  // a GPU's UUID; empty: the machine
  std::string labels;  // of further metrics: {a="b",...}
  std::string unit;    // "ratio", "bytes", "W", "J", ...; empty: not known
  uint64_t samples = 0;
  std::optional<double> min, mean, max;  // of what goes up and down; the mean is over time
  std::optional<double> increase;        // of a counter, restarts included, over
  double span_s = 0;                     // the time between first and last reading
};

// How reading one endpoint went, over the window.
struct MetricSourceRecord {
  std::string source;
  uint64_t scrapes = 0, failed = 0;
  uint64_t missed = 0;  // times to read that passed while the one before still ran
  double longest_s = 0;
  std::string fault;  // of the first that failed
  uint64_t bad_lines = 0;
};

// What one of several servers did.
struct EndpointRecord {
  std::string name;  // as in the URL
  uint64_t succeeded = 0, failed = 0;
  double request_rate = 0;  // successful requests per second
  double p50_ns = 0, p99_ns = 0;
  stats::Histogram latency;  // from schedule, of successes
};

// What the measurement itself cost, and whether that limited it.
struct ClientRecord {
  int workers = 0;
  double cpu_share = 0;      // of one core per worker, mean over workers
  double cpu_share_max = 0;  // of the busiest worker
  double cpu_us_per_request = 0;
  std::optional<double> run_queue_share;  // time ready to run but without a core
  double loop_lag_p99_us = 0;  // how long an answer could wait for the worker's attention
  uint64_t bytes_sent = 0, bytes_received = 0;
  uint64_t connects = 0, disconnects = 0;  // within the level, warm-up included
  int64_t connections = 0;
  bool limited = false;
  std::vector<std::string> limits;  // why: sentences
};

// The responses of a decoupled model, which answers a request with any number of them.
struct ResponseRecord {
  uint64_t arrived = 0;           // within the window
  stats::IntervalEstimate rate;   // responses per second
  uint64_t requests_without = 0;  // successful, but ended without one
  stats::Histogram first;         // from schedule, of successful requests that had one
  stats::Histogram between;       // of neighbours, of the window's requests
  stats::Histogram per_request;   // numbers, not times; of successful requests
};

// Sequences that ended within the window.
struct SequenceRecord {
  uint64_t completed = 0, abandoned = 0;  // abandoned: one of its requests failed
  double rate = 0;                        // completed per second
  stats::Histogram latency;               // from its first request's schedule to its last answer
  stats::Histogram requests;              // how many it had
};

// Which of several models a part of a level is of, and what was asked of it.
struct ModelPart {
  std::string name, version;          // as asked for; no version: the server's choice
  std::optional<double> share;        // of the requests
  std::optional<double> concurrency;  // instead, so many of its own in flight
  double seen = 0;                    // its share of the level's scheduled requests
  // "resnet", "resnet@2"
  std::string label() const { return version.empty() ? name : name + "@" + version; }
};

struct Level {
  LoadPoint load;
  WallTime started{};
  double window_s = 0;
  std::string
      window_rule;  // what ended the window: "duration", "requests", "interval", "interrupted", ...
  std::string warmup_rule;  // "none", "mser", "requests", "time", "cap"
  double warmup_s = 0;
  uint64_t warmup_requests = 0;

  // Requests scheduled in the window, by what became of them.
  uint64_t scheduled = 0, succeeded = 0, failed = 0, unfinished = 0;
  uint64_t overflow = 0;                // arrivals that the in-flight cap kept from being sent
  uint64_t retries = 0;                 // requests sent again, each time; no request of their own
  std::vector<OutcomeRecord> outcomes;  // of those that failed, and wrong outputs
  uint64_t checked_outputs = 0, wrong_outputs = 0;  // inferences compared with expected outputs

  uint64_t completed = 0;                // successful requests that ended within the window
  stats::IntervalEstimate throughput;    // inferences per second
  stats::IntervalEstimate request_rate;  // successful requests per second
  double send_rate = 0;                  // requests sent per second
  LatencyRecord latency;                 // from schedule
  LatencyRecord service;                 // from send
  stats::Histogram slip;                 // send minus schedule
  double in_flight_mean = 0;
  int64_t in_flight_max = 0;
  std::optional<double>
      little_ratio;  // in_flight_mean / (rate * mean latency): 1 in a steady state

  std::optional<ResponseRecord> responses;
  std::optional<SequenceRecord> sequences;

  ClientRecord client;
  std::vector<ServerRecord> server;     // the measured model's versions
  std::vector<ServerRecord> composing;  // models that it calls: an ensemble's, a BLS model's
  std::vector<MetricSourceRecord> metric_sources;
  std::vector<MetricRecord> metrics;
  std::vector<EndpointRecord> endpoints;  // empty where there is one
  std::vector<SecondRecord> series;
  // Requests of the load before that had no answer when this level began: the server may have been
  // busy with them in it.
  uint64_t backlog = 0;
  stats::LevelState state = stats::LevelState::kShort;
  std::vector<std::string> notes;  // for people

  // Several models under one load: the level itself is the whole, and here is each one's part of
  // it, by which they add up. What is the whole's alone is empty in a part: `client`, metrics,
  // warm-up, notes and models. `part` is set in parts only.
  std::vector<Level> models;
  std::optional<ModelPart> part;

  double error_rate() const {
    return scheduled == 0
               ? 0
               : static_cast<double>(failed + unfinished) / static_cast<double>(scheduled);
  }
  // Of the arrivals of the window, those that the in-flight cap kept from being sent.
  double not_sent_share() const {
    return overflow == 0
               ? 0
               : static_cast<double>(overflow) / static_cast<double>(scheduled + overflow);
  }
  // So many that the figures are those of a lower load than was asked for.
  bool capped() const { return not_sent_share() > 0.001; }
  // Nothing came back, not even an error, though requests were in flight.
  bool unanswered() const;
};

// "Concurrency: 4", "Request Rate: 100"
std::string DescribeLoad(const LoadPoint& load);

}  // namespace sextant::run
