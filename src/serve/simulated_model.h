// The declared truth of one simulated model, read from its config.pbtxt parameters.
//
// docs/serve.md lists the parameters; this header is what they become. Pure, but for Parse()'s
// input.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "model_config.pb.h"
#include "serve/service_law.h"
#include "serve/simulated_gpus.h"

namespace sextant::serve {

// Kinds of failure a simulated model can be told to show.
enum class FaultKind : uint8_t {
  kNone,
  kInternal,
  kUnavailable,
  kInvalidArgument,
  kDeadlineExceeded,
  kReset,
  kHang,
  kCrash  // of the whole server
};
constexpr std::array<std::string_view, 8> kFaultNames{
    "ok",    "internal", "unavailable", "invalid_argument", "deadline_exceeded",
    "reset", "hang",     "crash"};

struct Stall {
  Nanos at{0};  // after the model's first request
  Nanos length{0};
};

struct SimulatedModel {
  ServiceLaw service;
  Nanos per_item{0};
  double contention = 0;
  Nanos load_time{0};
  uint64_t memory_base = 0, memory_per_instance = 0, memory_per_item = 0, memory_limit = 0;
  double cliff = 4;                                  // factor beyond memory_limit
  std::vector<std::pair<FaultKind, double>> faults;  // with their probabilities
  std::vector<Stall> stalls;                         // in order, apart
  int responses = 1;
  Nanos response_gap{0};
  enum class Output : uint8_t { kZero, kEcho, kConstant, kSequenceSum } output = Output::kZero;
  double constant = 0;
  std::optional<GpuLoad> gpu;
  uint64_t seed = 1;

  static Result<SimulatedModel> Parse(const inference::ModelConfig& config);

  // The declared time of one execution; `drawn` comes from the law.
  Nanos ExecutionTime(Nanos drawn, int64_t items, int busy_instances, int instances,
                      int64_t items_executing) const;
  FaultKind DrawFault(Random& random) const;
  // When work of this length that begins at `start` (both since the first request) ends, given that
  // nothing moves during a stall.
  Nanos EndOfWork(Nanos start, Nanos work) const;
};

}  // namespace sextant::serve
