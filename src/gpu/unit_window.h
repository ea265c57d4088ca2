// What one GPU or MIG instance did in a window, gathered from what the driver said of it. Pure.
//
// Lies are not taken over: a value outside of what can be is dropped.
#pragma once

#include <array>
#include <cstdint>
#include <set>
#include <span>

#include "base/clock.h"
#include "gpu/nvml_api.h"
#include "gpu/sampler.h"
#include "gpu/signal_window.h"

namespace sextant::gpu {

enum class SignalId : uint8_t {
  kUtilization,
  kMemoryUtilization,
  kMemoryUsed,
  kMemoryTotal,
  kMemoryProcess,
  kBar1Used,
  kPower,
  kTemperature,
  kSmClock,
  kMemoryClock,
  kSmActive,
  kSmOccupancy,
  kTensorActive,
  kDramActive,
};
constexpr size_t kSignals = static_cast<size_t>(SignalId::kDramActive) + 1;

class UnitWindow {
 public:
  void Begin(Instant at);
  // `gap`: what lies further back from the sample before nobody has seen (signal_window.h).
  void Add(SignalId signal, Instant at, double value, Nanos gap);
  void AddEnergy(Instant at, double joules, Nanos gap) { energy_.Add(at, joules, gap); }
  void AddThrottling(Instant at, uint64_t reasons, Nanos gap);
  void AddForeign(std::span<const uint32_t> processes);
  // Into `window`, whose other members it leaves alone.
  void Close(Instant at, DeviceWindow& window) const;
  Instant begin() const { return begin_; }

 private:
  static constexpr size_t kReasons = std::size(nvml::kThrottleReasons);
  Instant begin_{};
  std::array<SignalWindow, kSignals> signals_;
  CounterWindow energy_;
  uint64_t throttle_samples_ = 0, reasons_ = 0;
  Instant reasons_at_{};
  Nanos reasons_gap_{0};
  std::array<double, kReasons> throttled_s_{};
  std::set<uint32_t> foreign_;
};

}  // namespace sextant::gpu
