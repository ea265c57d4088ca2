// Times and counts the driver calls of one thread, and lets others see the one that it is in.
//
// Threads: Time() and the stamps from the thread that calls; the rest from any.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <optional>
#include <string>

#include "base/clock.h"
#include "gpu/nvml_api.h"
#include "gpu/sampler.h"

namespace sextant::gpu {

class CallMeter {
 public:
  // The call's code; kFunctionNotFound, uncounted, where the driver has no such function.
  template <typename... Parameters, typename... Arguments>
  int Time(nvml::Call call, int (*function)(Parameters...), Arguments... arguments) {
    if (function == nullptr) return nvml::kFunctionNotFound;
    Begin(call);
    const int code = function(arguments...);
    End(call, code);
    return code;
  }
  // Of the last call.
  Instant ended() const { return ended_; }
  Nanos took() const { return ended_ - began_; }
  // All time inside the driver so far.
  Nanos inside() const { return inside_; }

  struct Running {
    nvml::Call call;
    Nanos since;
  };
  std::optional<Running> running(Instant now) const;
  void AddTo(std::map<std::string, CallCost>& costs, Instant now) const;

 private:
  // Written by one thread; so loads and stores do.
  struct Cost {
    std::atomic<uint64_t> calls{0}, failed{0};
    std::atomic<int64_t> total_ns{0}, longest_ns{0};
  };
  void Begin(nvml::Call call);
  void End(nvml::Call call, int code);

  std::array<Cost, nvml::kCalls> costs_;
  std::atomic<int64_t> running_since_ns_{0};  // 0: in no call
  std::atomic<nvml::Call> running_{};
  Instant began_{}, ended_{};
  Nanos inside_{0};
};

}  // namespace sextant::gpu
