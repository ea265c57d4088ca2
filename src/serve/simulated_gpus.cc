#include "serve/simulated_gpus.h"

#include <algorithm>

#include "base/strings.h"

namespace sextant::serve {

void SimulatedGpus::Advance(Instant now) {
  for (auto& [index, device] : devices_) {
    double utilization = 0, watts = device.shape.idle_watts;
    for (const auto& [handle, entry] : entries_) {
      if (entry.load.device != index || entry.executing == 0) continue;
      utilization += entry.load.utilization;
      watts += entry.load.busy_watts;
    }
    const double seconds = Seconds(now - device.since);
    device.busy_integral += std::min(utilization, 1.0) * seconds;
    device.energy += watts * seconds;
    device.since = now;
  }
}

int SimulatedGpus::Add(const GpuLoad& load, Instant now) {
  const std::scoped_lock lock(mutex_);
  Advance(now);
  if (!devices_.contains(load.device))
    devices_[load.device] = {.shape = load, .since = now, .read_at = now};
  entries_[next_handle_] = {load, 0};
  return next_handle_++;
}

void SimulatedGpus::Remove(int handle, Instant now) {
  const std::scoped_lock lock(mutex_);
  Advance(now);
  entries_.erase(handle);
}

void SimulatedGpus::Begin(int handle, Instant now) {
  const std::scoped_lock lock(mutex_);
  Advance(now);
  ++entries_[handle].executing;
}

void SimulatedGpus::End(int handle, Instant now) {
  const std::scoped_lock lock(mutex_);
  Advance(now);
  --entries_[handle].executing;
}

std::vector<gpu::GpuReading> SimulatedGpus::Read(Instant now) {
  const std::scoped_lock lock(mutex_);
  Advance(now);
  std::vector<gpu::GpuReading> out;
  for (auto& [index, device] : devices_) {
    uint64_t memory = 0;
    double watts = device.shape.idle_watts;
    for (const auto& [handle, entry] : entries_) {
      if (entry.load.device != index) continue;
      memory += entry.load.memory_bytes +
                entry.load.busy_memory_bytes * static_cast<uint64_t>(entry.executing);
      watts += entry.load.busy_watts;
    }
    const double seconds = Seconds(now - device.read_at);
    if (seconds > 0) {
      device.last_utilization = (device.busy_integral - device.read_busy) / seconds;
      device.last_watts = (device.energy - device.read_energy) / seconds;
      device.read_busy = device.busy_integral;
      device.read_energy = device.energy;
      device.read_at = now;
    }
    out.push_back({.uuid = Format("GPU-5e87a111-0000-0000-0000-{:012}", index),
                   .utilization = device.last_utilization,
                   .memory_used_bytes = static_cast<double>(memory),
                   .memory_total_bytes = static_cast<double>(device.shape.total_memory_bytes),
                   .power_watts = device.last_watts,
                   .power_limit_watts = watts,
                   .energy_joules = device.energy});
  }
  return out;
}

}  // namespace sextant::serve
