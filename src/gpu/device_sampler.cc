#include "gpu/device_sampler.h"

#include <algorithm>

#include "base/strings.h"
#include "base/units.h"

namespace sextant::gpu {
namespace {

using nvml::Call;

constexpr Nanos kAskUnsupportedAgain{60s};
constexpr Nanos kAskLostFirst{1s}, kAskLostAtMost{60s};
constexpr int kMediumTimes = 5;
struct GpmRow {
  uint32_t id;
  SignalId signal;
};
constexpr GpmRow kGpmRows[] = {
    {nvml::kGpmSmActive, SignalId::kSmActive},
    {nvml::kGpmSmOccupancy, SignalId::kSmOccupancy},
    {nvml::kGpmTensorActive, SignalId::kTensorActive},
    {nvml::kGpmDramActive, SignalId::kDramActive},
};

std::array<Nanos, kTiers> Periods(const SamplerOptions& options) {
  std::array<Nanos, kTiers> periods;
  periods[static_cast<size_t>(Tier::kSlow)] = options.slow_interval;
  periods[static_cast<size_t>(Tier::kMedium)] = options.interval * kMediumTimes;
  periods[static_cast<size_t>(Tier::kGpm)] = std::max(options.interval, kGpmInterval);
  periods[static_cast<size_t>(Tier::kFast)] = options.interval;
  return periods;
}

std::string_view TierWhat(size_t tier) {
  constexpr std::string_view kWhat[kTiers] = {"process lists", "power and clocks", "GPM",
                                              "utilization and memory"};
  return kWhat[tier];
}

ProcessMemory ToProcess(uint32_t pid, uint64_t bytes) {
  ProcessMemory process{.pid = pid};
  if (bytes != nvml::kNotAvailable) process.bytes = bytes;
  return process;
}

}  // namespace

double SharedBudget::Allow(size_t device, double share) {
  shares_[device] = share;
  double left = budget_;
  for (size_t i = 0; i < shares_.size(); ++i) left -= i == device ? 0 : shares_[i].load();
  return std::max(left, budget_ / static_cast<double>(shares_.size()));
}

struct DeviceSampler::Sampled {
  Unit unit;
  std::array<Instant, nvml::kCalls> ask_again{};
  std::array<bool, nvml::kCalls> answered{};
  nvml::GpmSample older = nullptr, newer = nullptr;
  std::optional<Instant> older_at;
  UnitWindow window;  // under the mutex
};

DeviceSampler::DeviceSampler(std::shared_ptr<nvml::Library> library, int index, nvml::Device gpu,
                             std::vector<Unit> units, const SamplerOptions& options,
                             std::shared_ptr<SharedBudget> budget, size_t place)
    : library_(std::move(library)),
      gpu_(gpu),
      process_buffer_(64),
      index_(index),
      options_(options),
      budget_(std::move(budget)),
      place_(place),
      watched_(options.processes),
      guard_(Periods(options)) {
  for (Unit& unit : units) {
    auto sampled = std::make_unique<Sampled>();
    sampled->unit = std::move(unit);
    units_.push_back(std::move(sampled));
  }
}

DeviceSampler::~DeviceSampler() = default;

// --- asking ---

template <typename F, typename... A>
bool DeviceSampler::Ask(Sampled& unit, Call call, F function, A... arguments) {
  const Instant now = SteadyNow();
  if (now < unit.ask_again[static_cast<size_t>(call)] || (lost_ && now < ask_lost_at_))
    return false;
  return Judge(unit, call, meter_.Time(call, function, arguments...));
}

bool DeviceSampler::Judge(Sampled& unit, Call call, int code) {
  const auto i = static_cast<size_t>(call);
  if (code != nvml::kFunctionNotFound && meter_.took() > options_.call_limit) {
    const std::scoped_lock lock(mutex_);
    window_trouble_ = Format("{} took {}", nvml::CallName(call), HumanDuration(meter_.took()));
  }
  switch (code) {
    case nvml::kSuccess:
      unit.answered[i] = true;
      if (lost_) {
        lost_ = false;
        const std::scoped_lock lock(mutex_);
        trouble_.clear();
      }
      return true;
    case nvml::kGpuIsLost:
    case nvml::kResetRequired:
    case nvml::kGpuNotFound:
    case nvml::kUninitialized:
      Lose(call, code);
      return false;
    case nvml::kInvalidArgument:
    case nvml::kNotFound:
      // Every device tells its memory, and this one did: it is gone.
      if (unit.answered[i] && (call == Call::kMemoryInfo2 || call == Call::kMemoryInfo)) {
        Lose(call, code);
        return false;
      }
      [[fallthrough]];
    case nvml::kNotSupported:
    case nvml::kNoPermission:
    case nvml::kFunctionNotFound:
    case nvml::kArgumentVersionMismatch:
      unit.ask_again[i] = SteadyNow() + kAskUnsupportedAgain;
      return false;
    default:
      return false;  // may be better next time
  }
}

void DeviceSampler::Lose(Call call, int code) {
  const Instant now = SteadyNow();
  lost_backoff_ = lost_ ? std::min(2 * lost_backoff_, kAskLostAtMost) : kAskLostFirst;
  ask_lost_at_ = now + lost_backoff_;
  if (lost_) return;
  lost_ = true;
  for (auto& unit : units_) {
    unit->older_at.reset();
    unit->ask_again.fill({});  // a device that is gone supports nothing; when it is back, it may
  }
  const std::scoped_lock lock(mutex_);
  trouble_ = Format("the GPU is lost ({} says {})", nvml::CallName(call), nvml::CodeName(code));
  trouble_since_ = now;
  window_trouble_ = trouble_;
}

bool DeviceSampler::Unsupported(const Sampled& unit, Call call) const {
  return unit.ask_again[static_cast<size_t>(call)] > Instant{};
}

void DeviceSampler::Add(Sampled& unit, SignalId signal, double value, Tier tier) {
  const std::scoped_lock lock(mutex_);
  unit.window.Add(signal, meter_.ended(), value, Gap(tier));
}

// A few missed samples are bridged, and what a busy machine keeps this thread waiting.
Nanos DeviceSampler::Gap(Tier tier) const {
  return std::max(4 * guard_.Period(tier), Nanos(250ms));
}

// --- what is asked ---

void DeviceSampler::Fast(Sampled& unit) {
  const nvml::Library& nvml = *library_;
  const nvml::Device handle = unit.unit.handle;
  nvml::Utilization rates{};
  if (Ask(unit, Call::kUtilizationRates, nvml.UtilizationRates, handle, &rates)) {
    Add(unit, SignalId::kUtilization, rates.gpu / 100.0, Tier::kFast);
    Add(unit, SignalId::kMemoryUtilization, rates.memory / 100.0, Tier::kFast);
  }
  Memory(unit);
  if (unit.unit.scope != Scope::kDevice) return;
  uint64_t millijoules = 0;
  if (Ask(unit, Call::kTotalEnergy, nvml.TotalEnergy, handle, &millijoules)) {
    const std::scoped_lock lock(mutex_);
    unit.window.AddEnergy(meter_.ended(), static_cast<double>(millijoules) / 1e3, Gap(Tier::kFast));
  }
}

void DeviceSampler::Memory(Sampled& unit) {
  nvml::Memory2 memory{.version = nvml::kMemory2Version};
  uint64_t used = 0, total = 0;
  if (Ask(unit, Call::kMemoryInfo2, library_->MemoryInfo2, unit.unit.handle, &memory)) {
    used = memory.used, total = memory.total;
  } else {
    nvml::Memory old{};
    if (!Unsupported(unit, Call::kMemoryInfo2) ||
        !Ask(unit, Call::kMemoryInfo, library_->MemoryInfo, unit.unit.handle, &old))
      return;
    used = old.used, total = old.total;
  }
  if (total == 0 || total == nvml::kNotAvailable) return;
  Add(unit, SignalId::kMemoryTotal, static_cast<double>(total), Tier::kFast);
  if (used <= total) Add(unit, SignalId::kMemoryUsed, static_cast<double>(used), Tier::kFast);
}

void DeviceSampler::Medium(Sampled& unit) {
  if (unit.unit.scope != Scope::kDevice) return;
  const nvml::Library& nvml = *library_;
  const nvml::Device handle = unit.unit.handle;
  uint32_t value = 0;
  if (Ask(unit, Call::kPowerUsage, nvml.PowerUsage, handle, &value))
    Add(unit, SignalId::kPower, value / 1e3, Tier::kMedium);
  if (Ask(unit, Call::kTemperature, nvml.Temperature, handle, nvml::kSensorGpu, &value))
    Add(unit, SignalId::kTemperature, value, Tier::kMedium);
  if (Ask(unit, Call::kSmClockInfo, nvml.SmClockInfo, handle, nvml::kClockSm, &value))
    Add(unit, SignalId::kSmClock, value * 1e6, Tier::kMedium);
  if (Ask(unit, Call::kMemoryClockInfo, nvml.MemoryClockInfo, handle, nvml::kClockMemory, &value))
    Add(unit, SignalId::kMemoryClock, value * 1e6, Tier::kMedium);
  nvml::Bar1Memory bar1{};
  if (Ask(unit, Call::kBar1MemoryInfo, nvml.Bar1MemoryInfo, handle, &bar1) &&
      bar1.used <= bar1.total)
    Add(unit, SignalId::kBar1Used, static_cast<double>(bar1.used), Tier::kMedium);
  uint64_t reasons = 0;
  if (Ask(unit, Call::kClocksEventReasons, nvml.ClocksEventReasons, handle, &reasons)) {
    const std::scoped_lock lock(mutex_);
    unit.window.AddThrottling(meter_.ended(), reasons, Gap(Tier::kMedium));
  }
}

bool DeviceSampler::AskProcesses(Sampled& unit, Call call,
                                 int (*list)(nvml::Device, uint32_t*, nvml::ProcessInfo*),
                                 std::vector<ProcessMemory>& out) {
  for (int attempt = 0; attempt < 3; ++attempt) {
    auto count = static_cast<uint32_t>(process_buffer_.size());
    const Instant before = meter_.ended();
    if (Ask(unit, call, list, unit.unit.handle, &count, process_buffer_.data())) {
      count = std::min<uint32_t>(count, static_cast<uint32_t>(process_buffer_.size()));
      for (uint32_t i = 0; i < count; ++i)
        out.push_back(ToProcess(process_buffer_[i].pid, process_buffer_[i].used_memory));
      return true;
    }
    // Too small: `count` is what it should have been, and grows meanwhile.
    if (meter_.ended() == before || count <= process_buffer_.size() || count > 100'000)
      return false;
    process_buffer_.resize(count + 16);
  }
  return false;
}

bool DeviceSampler::AskOldProcesses(Sampled& unit, std::vector<ProcessMemory>& out) {
  old_process_buffer_.resize(process_buffer_.size());
  auto count = static_cast<uint32_t>(old_process_buffer_.size());
  if (!Ask(unit, Call::kComputeProcesses1, library_->ComputeProcesses1, unit.unit.handle, &count,
           old_process_buffer_.data()))
    return false;
  count = std::min<uint32_t>(count, static_cast<uint32_t>(old_process_buffer_.size()));
  for (uint32_t i = 0; i < count; ++i)
    out.push_back(ToProcess(old_process_buffer_[i].pid, old_process_buffer_[i].used_memory));
  return true;
}

std::optional<std::vector<ProcessMemory>> DeviceSampler::ListProcesses(Sampled& unit) {
  std::vector<ProcessMemory> out;
  bool listed = AskProcesses(unit, Call::kComputeProcesses, library_->ComputeProcesses, out);
  if (!listed && Unsupported(unit, Call::kComputeProcesses)) listed = AskOldProcesses(unit, out);
  if (!listed) return {};
  AskProcesses(unit, Call::kMpsProcesses, library_->MpsProcesses, out);
  return out;
}

void DeviceSampler::Processes(Sampled& unit) {
  const auto listed = ListProcesses(unit);
  if (!listed) return;
  const Attribution attribution = family_.Attribute(*listed);
  if (attribution.bytes)
    Add(unit, SignalId::kMemoryProcess, static_cast<double>(*attribution.bytes), Tier::kSlow);
  const std::scoped_lock lock(mutex_);
  unit.window.AddForeign(attribution.foreign);
}

// --- GPM ---

void DeviceSampler::AllocateGpm() {
  for (auto& unit : units_) {
    if (!unit->unit.gpm) continue;
    const auto allocate = [&](nvml::GpmSample* sample) {
      return Ask(*unit, Call::kGpmSampleAlloc, library_->GpmSampleAlloc, sample);
    };
    unit->unit.gpm =
        library_->GpmSampleFree != nullptr && allocate(&unit->older) && allocate(&unit->newer);
    if (gpm_metrics_ == nullptr) gpm_metrics_ = std::make_unique<nvml::GpmMetrics>();
  }
}

void DeviceSampler::FreeGpm() {
  for (auto& unit : units_) {
    for (nvml::GpmSample* sample : {&unit->older, &unit->newer}) {
      if (*sample != nullptr) meter_.Time(Call::kGpmSampleFree, library_->GpmSampleFree, *sample);
      *sample = nullptr;
    }
  }
}

void DeviceSampler::Gpm(Sampled& unit) {
  // Values of samples nearer to each other are not valid (NVIDIA/DCGM#310).
  if (unit.older_at && SteadyNow() - *unit.older_at < 100ms) return;
  const nvml::Library& nvml = *library_;
  const bool got = unit.unit.scope == Scope::kMigInstance
                       ? Ask(unit, Call::kGpmMigSampleGet, nvml.GpmMigSampleGet, gpu_,
                             unit.unit.gpu_instance, unit.newer)
                       : Ask(unit, Call::kGpmSampleGet, nvml.GpmSampleGet, gpu_, unit.newer);
  if (!got) {
    unit.older_at.reset();
    return;
  }
  const Instant at = meter_.ended();
  const std::optional<Instant> from = unit.older_at;
  unit.older_at = at;
  std::swap(unit.older, unit.newer);  // from now on the newest is `older`
  if (!from) return;
  nvml::GpmMetrics& metrics = *gpm_metrics_;
  metrics.version = nvml::kGpmVersion;
  metrics.count = std::size(kGpmRows);
  metrics.first = unit.newer, metrics.second = unit.older;
  for (size_t i = 0; i < std::size(kGpmRows); ++i)
    metrics.metrics[i] = {.id = kGpmRows[i].id, .code = nvml::kNotSupported};
  if (!Ask(unit, Call::kGpmMetricsGet, nvml.GpmMetricsGet, &metrics)) return;
  const std::scoped_lock lock(mutex_);
  if (*from < unit.window.begin()) return;  // partly of the time before the window
  for (size_t i = 0; i < std::size(kGpmRows); ++i) {
    if (metrics.metrics[i].code == nvml::kSuccess)
      unit.window.Add(kGpmRows[i].signal, at, metrics.metrics[i].value / 100, Gap(Tier::kGpm));
  }
}

// --- when ---

void DeviceSampler::RunTier(Tier tier) {
  const Nanos before = meter_.inside();
  if (tier == Tier::kSlow) {
    const std::scoped_lock lock(mutex_);
    family_.Watch(watched_);
  }
  for (auto& unit : units_) {
    if (!unit->unit.trouble.empty()) continue;
    switch (tier) {
      case Tier::kSlow:
        Processes(*unit);
        break;
      case Tier::kMedium:
        Medium(*unit);
        break;
      case Tier::kGpm:
        if (unit->unit.gpm) Gpm(*unit);
        break;
      case Tier::kFast:
        Fast(*unit);
        break;
    }
  }
  const Nanos inside = meter_.inside() - before;
  if (lost_) return;  // costs nothing now, and will again
  const std::scoped_lock lock(mutex_);
  guard_.Ran(tier, inside, budget_->Allow(place_, guard_.Share()));
  if (std::string text = DegradedText(); !text.empty()) degraded_ = std::move(text);
}

void DeviceSampler::Run(Instant origin) {
  // GPM first, as what counts there is the time between two samples.
  constexpr Tier kAll[kTiers] = {Tier::kGpm, Tier::kFast, Tier::kMedium, Tier::kSlow};
  AllocateGpm();
  Due due;
  due.fill(origin);
  const bool gpm = std::ranges::any_of(units_, [](const auto& unit) { return unit->unit.gpm; });
  if (!gpm) due[static_cast<size_t>(Tier::kGpm)] = Instant::max();
  std::unique_lock lock(mutex_);
  // A GPU that could not be asked when it was looked for is not asked later.
  const bool any =
      std::ranges::any_of(units_, [](const auto& unit) { return unit->unit.trouble.empty(); });
  while (any && !stop_) {
    if (wake_.wait_until(lock, std::ranges::min(due), [this] { return stop_; })) break;
    for (const Tier tier : kAll) {
      Instant& next = due[static_cast<size_t>(tier)];
      if (SteadyNow() < next || stop_) continue;
      lock.unlock();
      RunTier(tier);
      lock.lock();
      // What was missed is not made up for.
      const Nanos period = guard_.Period(tier);
      next += period * ((SteadyNow() - next) / period + 1);
    }
  }
  lock.unlock();
  FreeGpm();
  library_.reset();
  lock.lock();
  finished_ = true;
  ended_.notify_all();
}

void DeviceSampler::Stop() {
  const std::scoped_lock lock(mutex_);
  stop_ = true;
  wake_.notify_all();
}

bool DeviceSampler::WaitForEnd(Instant until) {
  std::unique_lock lock(mutex_);
  const auto call = meter_.running(SteadyNow());
  if (!finished_ && call && call->since > options_.call_limit) return false;
  return ended_.wait_until(lock, until, [this] { return finished_; });
}

// --- what others ask ---

void DeviceSampler::Mark(Instant at) {
  const std::scoped_lock lock(mutex_);
  for (auto& unit : units_) unit->window.Begin(at);
  window_trouble_ = trouble_;
  degraded_ = DegradedText();
}

std::string DeviceSampler::StaleText(Instant at) const {
  if (const auto call = meter_.running(at); call && call->since > options_.call_limit)
    return Format("{} has not returned for {}", nvml::CallName(call->call),
                  HumanDuration(call->since));
  if (!trouble_.empty()) return Format("{} for {}", trouble_, HumanDuration(at - trouble_since_));
  return window_trouble_;
}

void DeviceSampler::Take(Instant at, std::vector<DeviceWindow>& out) {
  const std::scoped_lock lock(mutex_);
  for (const auto& sampled : units_) {
    const Unit& unit = sampled->unit;
    DeviceWindow window{.uuid = unit.uuid,
                        .parent = unit.parent,
                        .index = index_,
                        .name = unit.name,
                        .scope = unit.scope};
    sampled->window.Close(at, window);
    window.stale = unit.trouble.empty() ? StaleText(at) : unit.trouble;
    out.push_back(std::move(window));
  }
}

void DeviceSampler::Watch(std::vector<uint32_t> processes) {
  const std::scoped_lock lock(mutex_);
  watched_ = std::move(processes);
}

void DeviceSampler::AddCosts(std::map<std::string, CallCost>& costs) const {
  meter_.AddTo(costs, SteadyNow());
}

std::string DeviceSampler::DegradedText() const {
  std::string what;
  for (size_t i = 0; i < kTiers; ++i) {
    const auto tier = static_cast<Tier>(i);
    if (!guard_.stretched(tier)) continue;
    AppendFormat(what, "{}{} every {} instead of {}", what.empty() ? "" : ", ", TierWhat(i),
                 HumanDuration(guard_.Period(tier)), HumanDuration(Periods(options_)[i]));
  }
  if (what.empty()) return {};
  return Format(
      "GPU {}: {}, as driver calls would take {:.2g} % of a core, and all GPUs' may take {:.2g} %",
      index_, what, 100 * guard_.ShareUnguarded(), 100 * budget_->total());
}

std::string DeviceSampler::Degraded() const {
  const std::scoped_lock lock(mutex_);
  return degraded_;
}

size_t DeviceSampler::mig_instances() const {
  return static_cast<size_t>(std::ranges::count_if(
      units_, [](const auto& unit) { return unit->unit.scope == Scope::kMigInstance; }));
}

}  // namespace sextant::gpu
