// NVIDIA's management library (NVML) as far as it is used: the few types and functions of its C
// interface, declared here so that nothing is linked and no toolkit is needed (NVIDIA, "NVML API
// Reference Guide"; sizes checked against nvml.h of driver 560 on x86-64). The library comes with
// the driver and is loaded when asked for.
//
// Functions return 0 or one of Nvml's codes. One that the installed driver lacks is a null pointer
// here: it tells nothing then, which is not an error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace sextant::gpu::nvml {

using Device = void*;
using GpmSample = void*;

enum Code : int {  // nvmlReturn_t
  kSuccess = 0,
  kUninitialized = 1,
  kInvalidArgument = 2,
  kNotSupported = 3,
  kNoPermission = 4,
  kNotFound = 6,
  kInsufficientSize = 7,
  kDriverNotLoaded = 9,
  kTimeout = 10,
  kFunctionNotFound = 13,
  kGpuIsLost = 15,
  kResetRequired = 16,
  kNoData = 21,
  kArgumentVersionMismatch = 25,
  kGpuNotFound = 28,
  kUnknown = 999,
};
std::string_view CodeName(int code);  // "GPU_IS_LOST"; empty when it is none of the above

// What the driver says instead of a size that it does not know.
constexpr uint64_t kNotAvailable = ~uint64_t{0};

struct Utilization {  // percent
  uint32_t gpu, memory;
};
struct Memory {  // bytes; what the driver keeps for itself counts as used
  uint64_t total, free, used;
};
struct Memory2 {
  uint32_t version;
  uint64_t total, reserved, free, used;
};
constexpr uint32_t kMemory2Version = 0x02000028;
struct Bar1Memory {
  uint64_t total, free, used;
};
struct ProcessInfo1 {  // of functions without a version
  uint32_t pid;
  uint64_t used_memory;
};
struct ProcessInfo {  // of _v2 and _v3
  uint32_t pid;
  uint64_t used_memory;
  uint32_t gpu_instance, compute_instance;
};
struct GpmMetric {
  uint32_t id;
  int code;
  double value;
  const char *short_name, *long_name, *unit;
};
// As long as in the newest header: it grew from 98 metrics to 333 under the same version, and an
// old driver reads only the first ones.
struct GpmMetrics {
  uint32_t version, count;
  GpmSample first, second;
  GpmMetric metrics[333];
};
struct GpmSupport {
  uint32_t version, supported;
};
constexpr uint32_t kGpmVersion = 1;

static_assert(sizeof(Utilization) == 8 && sizeof(Memory) == 24 && sizeof(Memory2) == 40);
static_assert((kMemory2Version & 0xffffff) == sizeof(Memory2));
static_assert(sizeof(Bar1Memory) == 24);
static_assert(sizeof(ProcessInfo1) == 16 && sizeof(ProcessInfo) == 24);
static_assert(sizeof(GpmMetric) == 40 && sizeof(GpmMetrics) == 13344);
static_assert(offsetof(GpmMetrics, first) == 8 && offsetof(GpmMetrics, metrics) == 24);
static_assert(sizeof(GpmSupport) == 8);

constexpr uint32_t kGpmSmActive = 2, kGpmSmOccupancy = 3, kGpmTensorActive = 5, kGpmDramActive = 10;
constexpr uint32_t kClockSm = 1, kClockMemory = 2;
constexpr uint32_t kSensorGpu = 0;

// Why clocks are lower than they could be: bits of CurrentClocksEventReasons.
struct ThrottleReason {
  uint64_t bit;
  const char* name;
};
// Without "idle" (bit 0), which holds nothing back.
constexpr ThrottleReason kThrottleReasons[] = {
    {0x02, "applications_clocks_setting"},
    {0x04, "sw_power_cap"},
    {0x08, "hw_slowdown"},
    {0x10, "sync_boost"},
    {0x20, "sw_thermal_slowdown"},
    {0x40, "hw_thermal_slowdown"},
    {0x80, "hw_power_brake_slowdown"},
    {0x100, "display_clocks_setting"},
};

// Every function that is called: its member's name, its symbol, the older symbol that does the same
// with the same types (or null), and its type. Of those whose older form has other types, both are
// here.
#define SEXTANT_NVML_FUNCTIONS(F)                                                              \
  F(Init, "nvmlInit_v2", nullptr, int())                                                       \
  F(Shutdown, "nvmlShutdown", nullptr, int())                                                  \
  F(DriverVersion, "nvmlSystemGetDriverVersion", nullptr, int(char*, uint32_t))                \
  F(NvmlVersion, "nvmlSystemGetNVMLVersion", nullptr, int(char*, uint32_t))                    \
  F(Count, "nvmlDeviceGetCount_v2", nullptr, int(uint32_t*))                                   \
  F(HandleByIndex, "nvmlDeviceGetHandleByIndex_v2", nullptr, int(uint32_t, Device*))           \
  F(Uuid, "nvmlDeviceGetUUID", nullptr, int(Device, char*, uint32_t))                          \
  F(Name, "nvmlDeviceGetName", nullptr, int(Device, char*, uint32_t))                          \
  F(UtilizationRates, "nvmlDeviceGetUtilizationRates", nullptr, int(Device, Utilization*))     \
  F(MemoryInfo, "nvmlDeviceGetMemoryInfo", nullptr, int(Device, Memory*))                      \
  F(MemoryInfo2, "nvmlDeviceGetMemoryInfo_v2", nullptr, int(Device, Memory2*))                 \
  F(Bar1MemoryInfo, "nvmlDeviceGetBAR1MemoryInfo", nullptr, int(Device, Bar1Memory*))          \
  F(PowerUsage, "nvmlDeviceGetPowerUsage", nullptr, int(Device, uint32_t*))                    \
  F(PowerLimit, "nvmlDeviceGetEnforcedPowerLimit", nullptr, int(Device, uint32_t*))            \
  F(TotalEnergy, "nvmlDeviceGetTotalEnergyConsumption", nullptr, int(Device, uint64_t*))       \
  F(Temperature, "nvmlDeviceGetTemperature", nullptr, int(Device, uint32_t, uint32_t*))        \
  /* Twice, as one clock may be told and the other not. */                                     \
  F(SmClockInfo, "nvmlDeviceGetClockInfo", nullptr, int(Device, uint32_t, uint32_t*))          \
  F(MemoryClockInfo, "nvmlDeviceGetClockInfo", nullptr, int(Device, uint32_t, uint32_t*))      \
  F(ClocksEventReasons, "nvmlDeviceGetCurrentClocksEventReasons",                              \
    "nvmlDeviceGetCurrentClocksThrottleReasons", int(Device, uint64_t*))                       \
  F(ComputeProcesses, "nvmlDeviceGetComputeRunningProcesses_v3",                               \
    "nvmlDeviceGetComputeRunningProcesses_v2", int(Device, uint32_t*, ProcessInfo*))           \
  F(ComputeProcesses1, "nvmlDeviceGetComputeRunningProcesses", nullptr,                        \
    int(Device, uint32_t*, ProcessInfo1*))                                                     \
  F(MpsProcesses, "nvmlDeviceGetMPSComputeRunningProcesses_v3",                                \
    "nvmlDeviceGetMPSComputeRunningProcesses_v2", int(Device, uint32_t*, ProcessInfo*))        \
  F(MaxMigDevices, "nvmlDeviceGetMaxMigDeviceCount", nullptr, int(Device, uint32_t*))          \
  F(MigMode, "nvmlDeviceGetMigMode", nullptr, int(Device, uint32_t*, uint32_t*))               \
  F(MigDevice, "nvmlDeviceGetMigDeviceHandleByIndex", nullptr, int(Device, uint32_t, Device*)) \
  F(GpuInstanceId, "nvmlDeviceGetGpuInstanceId", nullptr, int(Device, uint32_t*))              \
  F(GpmSupported, "nvmlGpmQueryDeviceSupport", nullptr, int(Device, GpmSupport*))              \
  F(GpmSampleAlloc, "nvmlGpmSampleAlloc", nullptr, int(GpmSample*))                            \
  F(GpmSampleFree, "nvmlGpmSampleFree", nullptr, int(GpmSample))                               \
  F(GpmSampleGet, "nvmlGpmSampleGet", nullptr, int(Device, GpmSample))                         \
  F(GpmMigSampleGet, "nvmlGpmMigSampleGet", nullptr, int(Device, uint32_t, GpmSample))         \
  F(GpmMetricsGet, "nvmlGpmMetricsGet", nullptr, int(GpmMetrics*))

enum class Call : uint8_t {
#define SEXTANT_NVML_MEMBER(member, symbol, older, type) k##member,
  SEXTANT_NVML_FUNCTIONS(SEXTANT_NVML_MEMBER)
#undef SEXTANT_NVML_MEMBER
};
#define SEXTANT_NVML_COUNT(member, symbol, older, type) +1
constexpr size_t kCalls = SEXTANT_NVML_FUNCTIONS(SEXTANT_NVML_COUNT);
#undef SEXTANT_NVML_COUNT
const char* CallName(Call call);  // its symbol

// The loaded library. Unloads when the last user lets go of it, after nvmlShutdown where Init()
// succeeded; so who lets go may wait as long as that takes.
struct Library {
  template <typename T>
  using Pointer = T*;

  // Loads and finds symbols only; nothing of the driver is called. Errors: kNotFound without the
  // library, kUnavailable when it is another one or too old.
  static Result<std::shared_ptr<Library>> Load(const std::string& name);
  Library() = default;
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library();

  // Init() has returned this; where it is a success, the destructor shuts down. kUnavailable with
  // the library's reason.
  Result<void> Started(int code);
  std::string ErrorText(int code) const;

#define SEXTANT_NVML_MEMBER(member, symbol, older, type) Pointer<type> member = nullptr;
  SEXTANT_NVML_FUNCTIONS(SEXTANT_NVML_MEMBER)
#undef SEXTANT_NVML_MEMBER
  const char* (*ErrorString)(int) = nullptr;
  std::string name;

 private:
  bool Bind();
  void* handle_ = nullptr;
  bool started_ = false;
};

// Where the library lies on machines whose linker does not know it: the usual name first, then
// those of containers and of NVIDIA's driver operator.
std::vector<std::string> UsualPlaces();

}  // namespace sextant::gpu::nvml
