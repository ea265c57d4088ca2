#include "gpu/call_meter.h"

#include <algorithm>

namespace sextant::gpu {
namespace {

template <typename T>
void Increase(std::atomic<T>& counter, T n) {
  counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

}  // namespace

void CallMeter::Begin(nvml::Call call) {
  began_ = SteadyNow();
  Increase(costs_[static_cast<size_t>(call)].calls, uint64_t{1});
  running_ = call;
  running_since_ns_ = began_.time_since_epoch().count();
}

void CallMeter::End(nvml::Call call, int code) {
  running_since_ns_ = 0;
  ended_ = SteadyNow();
  const Nanos took = ended_ - began_;
  inside_ += took;
  Cost& cost = costs_[static_cast<size_t>(call)];
  Increase(cost.total_ns, took.count());
  if (took.count() > cost.longest_ns.load(std::memory_order_relaxed))
    cost.longest_ns.store(took.count(), std::memory_order_relaxed);
  if (code != nvml::kSuccess) Increase(cost.failed, uint64_t{1});
}

std::optional<CallMeter::Running> CallMeter::running(Instant now) const {
  const int64_t since = running_since_ns_;
  const nvml::Call call = running_;
  // The same before and after: `call` belongs to it.
  if (since == 0 || running_since_ns_ != since) return {};
  return Running{call, std::max(Nanos(0), now - Instant(Nanos(since)))};
}

void CallMeter::AddTo(std::map<std::string, CallCost>& costs, Instant now) const {
  for (size_t i = 0; i < nvml::kCalls; ++i) {
    const Cost& cost = costs_[i];
    const uint64_t calls = cost.calls.load(std::memory_order_relaxed);
    if (calls == 0) continue;
    CallCost& sum = costs[nvml::CallName(static_cast<nvml::Call>(i))];
    sum.calls += calls;
    sum.failed += cost.failed.load(std::memory_order_relaxed);
    sum.total_s += Seconds(Nanos(cost.total_ns.load(std::memory_order_relaxed)));
    sum.longest_s =
        std::max(sum.longest_s, Seconds(Nanos(cost.longest_ns.load(std::memory_order_relaxed))));
  }
  if (const auto call = running(now)) {
    CallCost& sum = costs[nvml::CallName(call->call)];
    sum.total_s += Seconds(call->since);
    sum.longest_s = std::max(sum.longest_s, Seconds(call->since));
  }
}

}  // namespace sextant::gpu
