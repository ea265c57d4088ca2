#include "gpu/nvml.h"

#include <dlfcn.h>

#include "base/strings.h"

namespace sextant::gpu {
namespace {

// NVML's C interface, as far as it is used (NVIDIA, "NVML API Reference Guide"): plain C types, all
// functions return 0 on success.
using Device = void*;
using Utilization = unsigned[2];       // of the GPU and of its memory, percent
using Memory = unsigned long long[3];  // total, free, used; bytes
constexpr int kSuccess = 0;

struct DeviceState {
  Device handle = nullptr;
  std::string uuid;
  std::optional<unsigned long long> energy_mj_at_open;
};

}  // namespace

struct NvmlGpus::Library {
  ~Library() {
    if (started) Shutdown();
    if (handle != nullptr) dlclose(handle);
  }

  template <typename F>
  bool Bind(F& function, const char* name) {
    function = reinterpret_cast<F>(dlsym(handle, name));
    return function != nullptr;
  }
  // Only the first ones must be there; a driver that lacks another does not tell that figure.
  bool BindAll() {
    Bind(ErrorString, "nvmlErrorString");
    Bind(Uuid, "nvmlDeviceGetUUID");
    Bind(UtilizationRates, "nvmlDeviceGetUtilizationRates");
    Bind(MemoryInfo, "nvmlDeviceGetMemoryInfo");
    Bind(PowerUsage, "nvmlDeviceGetPowerUsage");
    Bind(PowerLimit, "nvmlDeviceGetEnforcedPowerLimit");
    Bind(TotalEnergy, "nvmlDeviceGetTotalEnergyConsumption");
    return Bind(Init, "nvmlInit_v2") && Bind(Shutdown, "nvmlShutdown") &&
           Bind(Count, "nvmlDeviceGetCount_v2") &&
           Bind(HandleByIndex, "nvmlDeviceGetHandleByIndex_v2");
  }

  std::optional<unsigned long long> Energy(Device device) const {
    unsigned long long millijoules = 0;
    if (TotalEnergy == nullptr || TotalEnergy(device, &millijoules) != kSuccess) return {};
    return millijoules;
  }

  void* handle = nullptr;
  bool started = false;
  std::vector<DeviceState> devices;

  int (*Init)() = nullptr;
  int (*Shutdown)() = nullptr;
  const char* (*ErrorString)(int) = nullptr;
  int (*Count)(unsigned*) = nullptr;
  int (*HandleByIndex)(unsigned, Device*) = nullptr;
  int (*Uuid)(Device, char*, unsigned) = nullptr;
  int (*UtilizationRates)(Device, unsigned*) = nullptr;
  int (*MemoryInfo)(Device, unsigned long long*) = nullptr;
  int (*PowerUsage)(Device, unsigned*) = nullptr;  // milliwatts
  int (*PowerLimit)(Device, unsigned*) = nullptr;  // milliwatts
  int (*TotalEnergy)(Device, unsigned long long*) = nullptr;
};

NvmlGpus::NvmlGpus(std::unique_ptr<Library> library) : library_(std::move(library)) {}
NvmlGpus::~NvmlGpus() = default;

Result<std::unique_ptr<NvmlGpus>> NvmlGpus::Open(const std::string& name) {
  auto library = std::make_unique<Library>();
  library->handle = dlopen(name.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (library->handle == nullptr) return NotFound(Format("{} is absent", name));
  if (!library->BindAll())
    return Unavailable(Format("{} is not NVIDIA's library, or too old", name));
  if (const int code = library->Init(); code != kSuccess) {
    const char* reason = library->ErrorString != nullptr ? library->ErrorString(code) : nullptr;
    return Unavailable(Format("{} does not start: {}", name,
                              reason != nullptr ? reason : Format("error {}", code)));
  }
  library->started = true;
  unsigned count = 0;
  if (library->Count(&count) != kSuccess) count = 0;
  for (unsigned i = 0; i < count; ++i) {
    DeviceState device;
    if (library->HandleByIndex(i, &device.handle) != kSuccess) continue;
    char uuid[96] = {};
    const bool named =
        library->Uuid != nullptr && library->Uuid(device.handle, uuid, sizeof uuid) == kSuccess;
    device.uuid = named ? std::string(uuid) : Format("GPU-{}", i);
    device.energy_mj_at_open = library->Energy(device.handle);
    library->devices.push_back(std::move(device));
  }
  return std::unique_ptr<NvmlGpus>(new NvmlGpus(std::move(library)));
}

size_t NvmlGpus::count() const { return library_->devices.size(); }

std::vector<GpuReading> NvmlGpus::Read() {
  const Library& nvml = *library_;
  std::vector<GpuReading> out;
  for (const DeviceState& device : nvml.devices) {
    GpuReading reading{.uuid = device.uuid};
    Utilization utilization{};
    if (nvml.UtilizationRates && nvml.UtilizationRates(device.handle, utilization) == kSuccess)
      reading.utilization = utilization[0] / 100.0;
    Memory memory{};
    if (nvml.MemoryInfo && nvml.MemoryInfo(device.handle, memory) == kSuccess) {
      reading.memory_total_bytes = static_cast<double>(memory[0]);
      reading.memory_used_bytes = static_cast<double>(memory[2]);
    }
    unsigned milliwatts = 0;
    if (nvml.PowerUsage && nvml.PowerUsage(device.handle, &milliwatts) == kSuccess)
      reading.power_watts = milliwatts / 1e3;
    if (nvml.PowerLimit && nvml.PowerLimit(device.handle, &milliwatts) == kSuccess)
      reading.power_limit_watts = milliwatts / 1e3;
    const auto energy = nvml.Energy(device.handle);
    if (energy && device.energy_mj_at_open)
      reading.energy_joules = static_cast<double>(*energy - *device.energy_mj_at_open) / 1e3;
    const bool silent = !reading.utilization && !reading.memory_total_bytes && !reading.power_watts;
    if (!silent) out.push_back(std::move(reading));
  }
  return out;
}

}  // namespace sextant::gpu
