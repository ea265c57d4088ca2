// libnvidia-ml-sim.so: a library with NVML's interface and GPUs that are not there, for tests of
// what reads them, and for machines without any.
//
//   SEXTANT_NVML_SIM=FILE        the scenario (scenario.h); without it, two GPUs: one that computes
//                                at 42 %, and one that tells little
//   SEXTANT_NVML_SIM_CALLS=FILE  written at nvmlShutdown and at exit: a line "CALL UUID COUNT
//                                SHORTEST" for each function and device, SHORTEST the seconds
//                                between the beginnings of two calls of it
//
// Each nvmlInit reads the scenario anew and begins at second 0; handles of an earlier one keep
// theirs. So a test may leave a call hanging and start the next. A bad scenario makes nvmlInit fail
// with INVALID_ARGUMENT, and says on stderr what is wrong with it.
//
// Threads: all functions from any.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>

#include "base/clock.h"
#include "base/files.h"
#include "base/strings.h"
#include "gpu/nvml_api.h"
#include "gpu/sim/scenario.h"

namespace sextant::gpu::sim {
namespace {

using namespace nvml;  // NOLINT(google-build-using-namespace): this is NVML

constexpr char kDefaultScenario[] =
    "gpu memory=80GiB power_limit=300\n"
    "utilization constant 0.42\nmemory_utilization constant 0.07\n"
    "memory_used constant 1GiB\npower constant 61.5\ntemperature constant 40\n"
    "gpu memory=80GiB\nmemory_used constant 1GiB\n";

struct World;
struct Handle {
  World* world;
  SimDevice* device;
  double energy_j = 0, energy_at = 0;  // so far
};

struct Counted {
  uint64_t calls = 0;
  double last = 0, shortest = kForever;
};

// What one nvmlInit began.
struct World {
  Scenario scenario;
  Instant began = SteadyNow();
  std::mutex mutex;
  std::map<const SimDevice*, std::unique_ptr<Handle>> handles;
  std::map<std::pair<std::string, std::string>, Counted> counted;

  double Now() const { return Seconds(SteadyNow() - began); }
  Handle* HandleOf(SimDevice* device) {
    const std::scoped_lock lock(mutex);
    auto& handle = handles[device];
    if (handle == nullptr) handle = std::make_unique<Handle>(Handle{this, device});
    return handle.get();
  }
};

std::mutex g_mutex;
// Never deleted: a call may hang in any of them.
std::vector<World*>& Worlds() {
  static auto* worlds = new std::vector<World*>;
  return *worlds;
}
World* Current() {
  const std::scoped_lock lock(g_mutex);
  return Worlds().empty() ? nullptr : Worlds().back();
}

void Dump() {
  const char* path = std::getenv("SEXTANT_NVML_SIM_CALLS");
  World* world = Current();
  if (path == nullptr || world == nullptr) return;
  std::string text;
  {
    const std::scoped_lock lock(world->mutex);
    for (const auto& [key, counted] : world->counted)
      AppendFormat(text, "{} {} {} {}\n", key.first, key.second, counted.calls, counted.shortest);
  }
  if (const auto written = WriteFileAtomic(path, text); !written)
    std::fprintf(stderr, "nvml-sim: %s\n", written.error().message().c_str());
}
struct DumpAtExit {
  ~DumpAtExit() { Dump(); }
} g_dump_at_exit;

bool Matches(std::string_view pattern, std::string_view call) {
  return pattern == "*" || pattern == call;
}

// As these faults want it; the last that holds wins.
int Suffer(const Faults& faults, std::string_view call, double now) {
  for (const Fault& hang : faults.hangs) {
    while (Matches(hang.call, call) && now >= hang.from && now < hang.until) pause();
  }
  double latency = 0;
  for (const auto& [pattern, seconds] : faults.latencies) {
    if (Matches(pattern, call)) latency = seconds;
  }
  if (latency > 0) std::this_thread::sleep_for(FromSeconds(latency));
  int code = kSuccess;
  for (const Fault& error : faults.errors) {
    if (Matches(error.call, call) && now >= error.from && now < error.until) code = error.code;
  }
  return code;
}

void Count(World& world, const char* call, std::string_view uuid, double now) {
  const std::scoped_lock lock(world.mutex);
  Counted& counted = world.counted[{call, std::string(uuid)}];
  if (counted.calls++ > 0) counted.shortest = std::min(counted.shortest, now - counted.last);
  counted.last = now;
}

// Every function begins with one of these, and goes on when it is a success.
int Enter(const char* call) {
  World* world = Current();
  if (world == nullptr) return kUninitialized;
  const double now = world->Now();
  Count(*world, call, "-", now);
  return Suffer(world->scenario.faults, call, now);
}
int Enter(const char* call, Device device) {
  auto* handle = static_cast<Handle*>(device);
  if (handle == nullptr) return kInvalidArgument;
  World& world = *handle->world;
  const double now = world.Now();
  Count(world, call, handle->device->uuid, now);
  int code = Suffer(world.scenario.faults, call, now);
  for (const SimDevice* d = handle->device; d != nullptr && code == kSuccess; d = d->parent) {
    code = Suffer(d->faults, call, now);
    if (now >= d->vanish) code = kInvalidArgument;
  }
  return code;
}

const SimDevice& Of(Device device) { return *static_cast<Handle*>(device)->device; }
double Now(Device device) { return static_cast<Handle*>(device)->world->Now(); }

struct Value {
  int code;
  std::optional<double> value;  // absent: not available
};
Value Read(Device device, std::string_view signal) {
  const auto& signals = Of(device).signals;
  const auto found = signals.find(signal);
  if (found == signals.end()) return {kNotSupported, {}};
  return {kSuccess, found->second.At(Now(device))};
}

template <typename T>
int Give(Device device, std::string_view signal, double scale, T* to) {
  const Value read = Read(device, signal);
  if (read.code != kSuccess) return read.code;
  *to = read.value ? static_cast<T>(std::llround(*read.value * scale)) : static_cast<T>(~T{0});
  return kSuccess;
}

int GiveText(std::string_view text, char* to, uint32_t size) {
  if (text.size() + 1 > size) return kInsufficientSize;
  std::memcpy(to, text.data(), text.size());
  to[text.size()] = '\0';
  return kSuccess;
}

uint64_t Bytes(std::optional<double> value) {
  return value ? static_cast<uint64_t>(*value) : kNotAvailable;
}

int GiveMemory(Device device, uint64_t& total, uint64_t& used, uint64_t& free) {
  const Value read = Read(device, "memory_used");
  if (read.code != kSuccess) return read.code;
  total = static_cast<uint64_t>(Of(device).memory);
  used = Bytes(read.value);
  free = used <= total ? total - used : 0;
  return kSuccess;
}

// The integral of the power, in steps as long as the time between two calls.
double EnergyUntilNow(Handle& handle) {
  const auto& power = handle.device->signals.find("power")->second;
  const std::scoped_lock lock(handle.world->mutex);
  const double now = handle.world->Now();
  const double at = power.refresh_s > 0 ? std::floor(now / power.refresh_s) * power.refresh_s : now;
  if (at > handle.energy_at) {
    handle.energy_j +=
        power.waveform.Mean(handle.energy_at, at).value_or(0) * (at - handle.energy_at);
    handle.energy_at = at;
  }
  return handle.energy_j;
}

int GiveProcesses(Device device, uint32_t* count, ProcessInfo* infos) {
  const double now = Now(device);
  std::vector<ProcessInfo> all;
  const auto add = [&](const SimDevice& d) {
    for (const SimProcess& process : d.processes) {
      if (now < process.from || now >= process.until) continue;
      all.push_back({process.pid, Bytes(process.memory), d.gpu_instance, d.compute_instance});
    }
  };
  add(Of(device));
  for (const auto& instance : Of(device).slots) {
    if (instance != nullptr) add(*instance);
  }
  const uint32_t room = *count;
  *count = static_cast<uint32_t>(all.size());
  if (room < all.size()) return kInsufficientSize;
  std::ranges::copy(all, infos);
  return kSuccess;
}

struct TakenGpm {
  Handle* of = nullptr;
  double at = 0;
};

void FillMetric(GpmMetric& metric, const TakenGpm& first, const TakenGpm& second) {
  constexpr std::pair<uint32_t, const char*> kNames[] = {{kGpmSmActive, "sm_active"},
                                                         {kGpmSmOccupancy, "sm_occupancy"},
                                                         {kGpmTensorActive, "tensor_active"},
                                                         {kGpmDramActive, "dram_active"}};
  metric.code = kNotSupported;
  for (const auto& [id, name] : kNames) {
    if (metric.id != id) continue;
    const auto& signals = first.of->device->signals;
    const auto found = signals.find(std::string_view(name));
    if (found == signals.end()) return;
    const auto mean = found->second.waveform.Mean(first.at, second.at);
    metric.code = kSuccess;
    // What real hardware says of samples too near to each other is nonsense.
    metric.value = second.at - first.at < 0.1 ? 8888 : mean ? *mean * 100 : std::nan("");
  }
}

int Begin() {
  const char* path = std::getenv("SEXTANT_NVML_SIM");
  std::string text = kDefaultScenario;
  if (path != nullptr) {
    auto read = ReadFile(path);
    if (!read) return std::fprintf(stderr, "nvml-sim: %s\n", read.error().message().c_str()), 2;
    text = *std::move(read);
  }
  auto scenario = ParseScenario(text);
  if (!scenario) {
    std::fprintf(stderr, "nvml-sim: %s: %s\n", path, scenario.error().message().c_str());
    return kInvalidArgument;
  }
  auto* world = new World;
  world->scenario = *std::move(scenario);
  const std::scoped_lock lock(g_mutex);
  Worlds().push_back(world);
  return kSuccess;
}

}  // namespace
}  // namespace sextant::gpu::sim

using namespace sextant::gpu::sim;   // NOLINT(google-build-using-namespace)
using namespace sextant::gpu::nvml;  // NOLINT(google-build-using-namespace)

#define ENTER(...)                                                                           \
  do {                                                                                       \
    if (const int entered = Enter(__func__ __VA_OPT__(, ) __VA_ARGS__); entered != kSuccess) \
      return entered;                                                                        \
  } while (false)

#pragma GCC visibility push(default)
extern "C" {

int nvmlInit_v2() {
  if (const int code = Begin(); code != kSuccess) return code;
  ENTER();
  return kSuccess;
}
int nvmlInitWithFlags(uint32_t) { return nvmlInit_v2(); }
int nvmlShutdown() {
  ENTER();
  Dump();
  return kSuccess;
}
const char* nvmlErrorString(int code) {
  const std::string_view name = CodeName(code);
  return name.empty() ? "unknown" : name.data();
}
int nvmlSystemGetDriverVersion(char* text, uint32_t size) {
  ENTER();
  return GiveText(Current()->scenario.driver, text, size);
}
int nvmlSystemGetNVMLVersion(char* text, uint32_t size) {
  ENTER();
  return GiveText(Current()->scenario.nvml, text, size);
}

int nvmlDeviceGetCount_v2(uint32_t* count) {
  ENTER();
  const World& world = *Current();
  *count = 0;
  for (const auto& gpu : world.scenario.gpus) *count += world.Now() < gpu->vanish ? 1 : 0;
  return kSuccess;
}
int nvmlDeviceGetHandleByIndex_v2(uint32_t index, Device* device) {
  World* world = Current();
  if (world == nullptr) return kUninitialized;
  for (const auto& gpu : world->scenario.gpus) {
    if (world->Now() >= gpu->vanish || index-- != 0) continue;
    *device = world->HandleOf(gpu.get());
    ENTER(*device);
    return kSuccess;
  }
  return kInvalidArgument;
}
int nvmlDeviceGetHandleByUUID(const char* uuid, Device* device) {
  ENTER();
  World* world = Current();
  for (const auto& gpu : world->scenario.gpus) {
    if (gpu->uuid == uuid) return *device = world->HandleOf(gpu.get()), kSuccess;
    for (const auto& instance : gpu->slots) {
      if (instance != nullptr && instance->uuid == uuid)
        return *device = world->HandleOf(instance.get()), kSuccess;
    }
  }
  return kNotFound;
}
int nvmlDeviceGetUUID(Device device, char* text, uint32_t size) {
  ENTER(device);
  return GiveText(Of(device).uuid, text, size);
}
int nvmlDeviceGetName(Device device, char* text, uint32_t size) {
  ENTER(device);
  return GiveText(Of(device).name, text, size);
}
int nvmlDeviceGetIndex(Device device, uint32_t* index) {
  ENTER(device);
  return *index = static_cast<uint32_t>(Of(device).index), kSuccess;
}

int nvmlDeviceGetUtilizationRates(Device device, Utilization* rates) {
  ENTER(device);
  const int code = Give(device, "utilization", 100, &rates->gpu);
  if (code != kSuccess) return code;
  if (Give(device, "memory_utilization", 100, &rates->memory) != kSuccess) rates->memory = 0;
  return kSuccess;
}
int nvmlDeviceGetMemoryInfo(Device device, Memory* memory) {
  ENTER(device);
  return GiveMemory(device, memory->total, memory->used, memory->free);
}
int nvmlDeviceGetMemoryInfo_v2(Device device, Memory2* memory) {
  ENTER(device);
  if (memory->version != kMemory2Version) return kArgumentVersionMismatch;
  memory->reserved = 0;
  return GiveMemory(device, memory->total, memory->used, memory->free);
}
int nvmlDeviceGetBAR1MemoryInfo(Device device, Bar1Memory* memory) {
  ENTER(device);
  *memory = {.total = uint64_t{1} << 36, .free = 0, .used = 0};
  const int code = Give(device, "bar1_used", 1, &memory->used);
  memory->free = memory->total - memory->used;
  return code;
}
int nvmlDeviceGetPowerUsage(Device device, uint32_t* milliwatts) {
  ENTER(device);
  return Give(device, "power", 1e3, milliwatts);
}
int nvmlDeviceGetEnforcedPowerLimit(Device device, uint32_t* milliwatts) {
  ENTER(device);
  if (Of(device).power_limit == 0) return kNotSupported;
  return *milliwatts = static_cast<uint32_t>(Of(device).power_limit * 1e3), kSuccess;
}
int nvmlDeviceGetTotalEnergyConsumption(Device device, uint64_t* millijoules) {
  ENTER(device);
  if (!Of(device).signals.contains("power")) return kNotSupported;
  const double joules = EnergyUntilNow(*static_cast<Handle*>(device));
  // A scenario may have negative power; a counter of whole numbers runs backwards then.
  const auto moved = static_cast<int64_t>(joules * 1e3);
  return *millijoules = static_cast<uint64_t>(moved), kSuccess;
}
int nvmlDeviceGetTemperature(Device device, uint32_t, uint32_t* celsius) {
  ENTER(device);
  return Give(device, "temperature", 1, celsius);
}
int nvmlDeviceGetClockInfo(Device device, uint32_t clock, uint32_t* megahertz) {
  ENTER(device);
  return Give(device, clock == kClockMemory ? "memory_clock" : "sm_clock", 1e-6, megahertz);
}
int nvmlDeviceGetCurrentClocksEventReasons(Device device, uint64_t* reasons) {
  ENTER(device);
  return Give(device, "throttle", 1, reasons);
}
int nvmlDeviceGetComputeRunningProcesses_v3(Device device, uint32_t* count, ProcessInfo* infos) {
  ENTER(device);
  return GiveProcesses(device, count, infos);
}
int nvmlDeviceGetMPSComputeRunningProcesses_v3(Device device, uint32_t* count, ProcessInfo*) {
  ENTER(device);
  return *count = 0, kSuccess;
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(Device device, uint32_t* count, ProcessInfo*) {
  ENTER(device);
  return *count = 0, kSuccess;
}
// Here so that tests can see that they are not called.
int nvmlDeviceGetFanSpeed(Device device, uint32_t* percent) {
  ENTER(device);
  return *percent = 30, kSuccess;
}
int nvmlDeviceGetPcieThroughput(Device device, uint32_t, uint32_t* kilobytes) {
  ENTER(device);
  return *kilobytes = 0, kSuccess;
}

int nvmlDeviceGetMigMode(Device device, uint32_t* current, uint32_t* pending) {
  ENTER(device);
  *current = *pending = Of(device).slots.empty() ? 0 : 1;
  return kSuccess;
}
int nvmlDeviceGetMaxMigDeviceCount(Device device, uint32_t* count) {
  ENTER(device);
  return *count = static_cast<uint32_t>(Of(device).slots.size()), kSuccess;
}
int nvmlDeviceGetMigDeviceHandleByIndex(Device device, uint32_t index, Device* instance) {
  ENTER(device);
  const auto& slots = Of(device).slots;
  if (index >= slots.size()) return kInvalidArgument;
  if (slots[index] == nullptr) return kNotFound;
  *instance = static_cast<Handle*>(device)->world->HandleOf(slots[index].get());
  return kSuccess;
}
int nvmlDeviceGetGpuInstanceId(Device device, uint32_t* id) {
  ENTER(device);
  return *id = Of(device).gpu_instance, Of(device).parent != nullptr ? kSuccess : kNotSupported;
}
int nvmlDeviceGetComputeInstanceId(Device device, uint32_t* id) {
  ENTER(device);
  return *id = Of(device).compute_instance, Of(device).parent != nullptr ? kSuccess : kNotSupported;
}
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(Device device, Device* gpu) {
  ENTER(device);
  if (Of(device).parent == nullptr) return kInvalidArgument;
  return *gpu = static_cast<Handle*>(device)->world->HandleOf(Of(device).parent), kSuccess;
}

int nvmlGpmQueryDeviceSupport(Device device, GpmSupport* support) {
  ENTER(device);
  return support->supported = Of(device).gpm ? 1 : 0, kSuccess;
}
int nvmlGpmSampleAlloc(GpmSample* sample) {
  ENTER();
  return *sample = new TakenGpm, kSuccess;
}
int nvmlGpmSampleFree(GpmSample sample) {
  ENTER();
  delete static_cast<TakenGpm*>(sample);
  return kSuccess;
}
int nvmlGpmSampleGet(Device device, GpmSample sample) {
  ENTER(device);
  if (!Of(device).gpm) return kNotSupported;
  *static_cast<TakenGpm*>(sample) = {static_cast<Handle*>(device), Now(device)};
  return kSuccess;
}
int nvmlGpmMigSampleGet(Device device, uint32_t gpu_instance, GpmSample sample) {
  ENTER(device);
  for (const auto& instance : Of(device).slots) {
    if (instance == nullptr || instance->gpu_instance != gpu_instance) continue;
    Handle* handle = static_cast<Handle*>(device)->world->HandleOf(instance.get());
    return *static_cast<TakenGpm*>(sample) = {handle, Now(device)}, kSuccess;
  }
  return kNotFound;
}
int nvmlGpmMetricsGet(GpmMetrics* metrics) {
  ENTER();
  const auto* first = static_cast<TakenGpm*>(metrics->first);
  const auto* second = static_cast<TakenGpm*>(metrics->second);
  if (metrics->version != kGpmVersion) return kArgumentVersionMismatch;
  if (first->of == nullptr || first->of != second->of) return kInvalidArgument;
  for (uint32_t i = 0; i < metrics->count; ++i) FillMetric(metrics->metrics[i], *first, *second);
  return kSuccess;
}
}
#pragma GCC visibility pop
