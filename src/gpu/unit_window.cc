#include "gpu/unit_window.h"

#include <algorithm>
#include <cmath>

namespace sextant::gpu {
namespace {

enum class Kind : uint8_t { kShare, kBytes, kWatts, kCelsius, kHertz };
struct SignalRow {
  const char* name;
  Kind kind;
};
constexpr SignalRow kRows[kSignals] = {
    {"utilization", Kind::kShare},    {"memory_utilization", Kind::kShare},
    {"memory_used", Kind::kBytes},    {"memory_total", Kind::kBytes},
    {"memory_process", Kind::kBytes}, {"bar1_used", Kind::kBytes},
    {"power", Kind::kWatts},          {"temperature", Kind::kCelsius},
    {"sm_clock", Kind::kHertz},       {"memory_clock", Kind::kHertz},
    {"sm_active", Kind::kShare},      {"sm_occupancy", Kind::kShare},
    {"tensor_active", Kind::kShare},  {"dram_active", Kind::kShare},
};

// The value, made possible where it is nearly so; nothing where it cannot be.
std::optional<double> Plausible(Kind kind, double value) {
  if (!std::isfinite(value) || value < 0) return {};
  switch (kind) {
    case Kind::kShare:
      // Counters of two clocks divided by each other: MIG instances have been seen a little
      // beyond.
      if (value > 1.1) return {};
      return std::min(value, 1.0);
    case Kind::kBytes:
      return value < 0x1p50 ? std::optional(value) : std::nullopt;
    case Kind::kWatts:
      return value < 1e4 ? std::optional(value) : std::nullopt;
    case Kind::kCelsius:
      return value < 200 ? std::optional(value) : std::nullopt;
    case Kind::kHertz:
      return value < 1e11 ? std::optional(value) : std::nullopt;
  }
  return {};
}

}  // namespace

void UnitWindow::Begin(Instant at) {
  begin_ = at;
  for (SignalWindow& signal : signals_) signal.Begin(at);
  energy_.Begin(at);
  throttle_samples_ = 0;
  throttled_s_ = {};
  foreign_.clear();
}

void UnitWindow::Add(SignalId signal, Instant at, double value, Nanos gap) {
  const auto i = static_cast<size_t>(signal);
  if (const auto plausible = Plausible(kRows[i].kind, value)) signals_[i].Add(at, *plausible, gap);
}

void UnitWindow::AddThrottling(Instant at, uint64_t reasons, Nanos gap) {
  const Instant from = throttle_samples_++ == 0 ? begin_ : reasons_at_;
  const double span = Seconds(std::clamp(at - from, Nanos(0), gap));
  for (size_t i = 0; i < kReasons; ++i) {
    if ((reasons & nvml::kThrottleReasons[i].bit) != 0) throttled_s_[i] += span;
  }
  reasons_ = reasons, reasons_at_ = at, reasons_gap_ = gap;
}

void UnitWindow::AddForeign(std::span<const uint32_t> processes) {
  foreign_.insert(processes.begin(), processes.end());
}

void UnitWindow::Close(Instant at, DeviceWindow& window) const {
  for (size_t i = 0; i < kSignals; ++i) {
    Signal signal = signals_[i].Close(at);
    if (signal.samples > 0) window.signals.emplace(kRows[i].name, signal);
  }
  const auto process = window.signals.find("memory_process"),
             total = window.signals.find("memory_total");
  if (process != window.signals.end() && total != window.signals.end() &&
      *process->second.max > *total->second.max)
    window.signals.erase(process);
  // A counter may stand anywhere, but not run faster than a device can take.
  const std::optional<double> energy = energy_.Close(at);
  if (energy && Plausible(Kind::kWatts, *energy / Seconds(at - begin_))) window.energy_j = energy;
  window.foreign_processes.assign(foreign_.begin(), foreign_.end());
  if (throttle_samples_ == 0) return;
  const double tail = Seconds(std::clamp(at - reasons_at_, Nanos(0), reasons_gap_));
  for (size_t i = 0; i < kReasons; ++i) {
    const auto& reason = nvml::kThrottleReasons[i];
    window.throttled_s[reason.name] = throttled_s_[i] + ((reasons_ & reason.bit) != 0 ? tail : 0);
  }
}

}  // namespace sextant::gpu
