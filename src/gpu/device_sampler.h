// Samples one GPU and its MIG instances: which calls, when, and what their answers mean.
//
// Threads: Run() on a thread of its own, which alone calls the driver; all others from any thread,
// and never for longer than it takes to copy figures.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gpu/budget_guard.h"
#include "gpu/call_meter.h"
#include "gpu/nvml_api.h"
#include "gpu/processes.h"
#include "gpu/sampler.h"
#include "gpu/unit_window.h"

namespace sextant::gpu {

// 100 ms is the least; the rest is for a thread that is late once and then in time.
constexpr Nanos kGpmInterval{102ms};

// A GPU or a MIG instance, as the driver showed it at the start.
struct Unit {
  nvml::Device handle = nullptr;
  std::string uuid, parent, name;
  Scope scope = Scope::kDevice;
  uint32_t gpu_instance = 0;  // of a MIG instance
  bool gpm = false;
  // What the driver said then instead of showing it; empty: it can be asked.
  std::string trouble;
};

// The share of time inside the driver that all devices of a sampler have together. Threads: any.
class SharedBudget {
 public:
  SharedBudget(double budget, size_t devices) : budget_(budget), shares_(devices) {}
  double total() const { return budget_; }
  // `device` now takes this share; what it may take: what the others leave, or its equal part.
  double Allow(size_t device, double share);

 private:
  const double budget_;
  std::vector<std::atomic<double>> shares_;
};

class DeviceSampler {
 public:
  // `place`: its own in the budget.
  DeviceSampler(std::shared_ptr<nvml::Library> library, int index, nvml::Device gpu,
                std::vector<Unit> units, const SamplerOptions& options,
                std::shared_ptr<SharedBudget> budget, size_t place);
  DeviceSampler(const DeviceSampler&) = delete;
  DeviceSampler& operator=(const DeviceSampler&) = delete;
  ~DeviceSampler();

  // Until Stop(). Lets go of the library in the end. Samples are due at `origin` and from there on.
  void Run(Instant origin);
  void Stop();
  // Whether Run() has returned, or has come to its end within the time; not waited for when it
  // hangs in a call.
  bool WaitForEnd(Instant until);

  void Mark(Instant at);
  void Take(Instant at, std::vector<DeviceWindow>& out);
  void Watch(std::vector<uint32_t> processes);
  void AddCosts(std::map<std::string, CallCost>& costs) const;
  std::string Degraded() const;  // empty: it is not
  size_t mig_instances() const;

 private:
  struct Sampled;
  // When a tier runs next.
  using Due = std::array<Instant, kTiers>;

  template <typename F, typename... A>
  bool Ask(Sampled& unit, nvml::Call call, F function, A... arguments);
  bool Judge(Sampled& unit, nvml::Call call, int code);
  void Lose(nvml::Call call, int code);
  // Whether it has no answer of this for a longer time, so that an older function may be tried.
  bool Unsupported(const Sampled& unit, nvml::Call call) const;
  void Add(Sampled& unit, SignalId signal, double value, Tier tier);

  void RunTier(Tier tier);
  void Fast(Sampled& unit);
  void Memory(Sampled& unit);
  void Medium(Sampled& unit);
  void Processes(Sampled& unit);
  std::optional<std::vector<ProcessMemory>> ListProcesses(Sampled& unit);
  bool AskProcesses(Sampled& unit, nvml::Call call,
                    int (*list)(nvml::Device, uint32_t*, nvml::ProcessInfo*),
                    std::vector<ProcessMemory>& out);
  bool AskOldProcesses(Sampled& unit, std::vector<ProcessMemory>& out);
  void AllocateGpm();
  void FreeGpm();
  void Gpm(Sampled& unit);
  Nanos Gap(Tier tier) const;
  std::string StaleText(Instant at) const;
  std::string DegradedText() const;

  // Only Run() uses these.
  std::shared_ptr<nvml::Library> library_;
  const nvml::Device gpu_;
  std::unique_ptr<nvml::GpmMetrics> gpm_metrics_;
  std::vector<nvml::ProcessInfo> process_buffer_;
  std::vector<nvml::ProcessInfo1> old_process_buffer_;
  ProcessFamily family_;
  bool lost_ = false;
  Instant ask_lost_at_{};
  Nanos lost_backoff_{0};

  const int index_;
  const SamplerOptions options_;
  const std::shared_ptr<SharedBudget> budget_;
  const size_t place_;
  CallMeter meter_;

  mutable std::mutex mutex_;
  std::condition_variable wake_, ended_;
  bool stop_ = false, finished_ = false;
  std::vector<uint32_t> watched_;
  std::vector<std::unique_ptr<Sampled>> units_;  // their windows; the rest is Run()'s
  BudgetGuard guard_;
  std::string degraded_;        // since the mark
  std::string trouble_;         // the device is lost; empty: it is not
  std::string window_trouble_;  // what was, since the mark
  Instant trouble_since_{};
};

}  // namespace sextant::gpu
