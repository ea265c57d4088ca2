#include "gpu/nvml.h"

#include "base/strings.h"
#include "gpu/nvml_api.h"

namespace sextant::gpu {
namespace {

struct DeviceState {
  nvml::Device handle = nullptr;
  std::string uuid;
  std::optional<uint64_t> energy_mj_at_open;
};

std::optional<uint64_t> Energy(const nvml::Library& nvml, nvml::Device device) {
  uint64_t millijoules = 0;
  if (nvml.TotalEnergy == nullptr || nvml.TotalEnergy(device, &millijoules) != nvml::kSuccess)
    return {};
  return millijoules;
}

}  // namespace

struct NvmlGpus::State {
  std::shared_ptr<nvml::Library> nvml;
  std::vector<DeviceState> devices;
};

NvmlGpus::NvmlGpus(std::unique_ptr<State> state) : state_(std::move(state)) {}
NvmlGpus::~NvmlGpus() = default;

Result<std::unique_ptr<NvmlGpus>> NvmlGpus::Open(const std::string& name) {
  SEXTANT_ASSIGN(std::shared_ptr<nvml::Library> library, nvml::Library::Load(name));
  SEXTANT_TRY(library->Started(library->Init()));
  auto state = std::make_unique<State>();
  uint32_t count = 0;
  if (library->Count(&count) != nvml::kSuccess) count = 0;
  for (uint32_t i = 0; i < count; ++i) {
    DeviceState device;
    if (library->HandleByIndex(i, &device.handle) != nvml::kSuccess) continue;
    char uuid[96] = {};
    const bool named = library->Uuid != nullptr &&
                       library->Uuid(device.handle, uuid, sizeof uuid) == nvml::kSuccess;
    device.uuid = named ? std::string(uuid) : Format("GPU-{}", i);
    device.energy_mj_at_open = Energy(*library, device.handle);
    state->devices.push_back(std::move(device));
  }
  state->nvml = std::move(library);
  return std::unique_ptr<NvmlGpus>(new NvmlGpus(std::move(state)));
}

size_t NvmlGpus::count() const { return state_->devices.size(); }

std::vector<GpuReading> NvmlGpus::Read() {
  using nvml::kSuccess;
  const nvml::Library& nvml = *state_->nvml;
  std::vector<GpuReading> out;
  for (const DeviceState& device : state_->devices) {
    GpuReading reading{.uuid = device.uuid};
    nvml::Utilization utilization{};
    if (nvml.UtilizationRates && nvml.UtilizationRates(device.handle, &utilization) == kSuccess)
      reading.utilization = utilization.gpu / 100.0;
    nvml::Memory memory{};
    if (nvml.MemoryInfo && nvml.MemoryInfo(device.handle, &memory) == kSuccess) {
      reading.memory_total_bytes = static_cast<double>(memory.total);
      reading.memory_used_bytes = static_cast<double>(memory.used);
    }
    uint32_t milliwatts = 0;
    if (nvml.PowerUsage && nvml.PowerUsage(device.handle, &milliwatts) == kSuccess)
      reading.power_watts = milliwatts / 1e3;
    if (nvml.PowerLimit && nvml.PowerLimit(device.handle, &milliwatts) == kSuccess)
      reading.power_limit_watts = milliwatts / 1e3;
    const auto energy = Energy(nvml, device.handle);
    if (energy && device.energy_mj_at_open)
      reading.energy_joules = static_cast<double>(*energy - *device.energy_mj_at_open) / 1e3;
    const bool silent = !reading.utilization && !reading.memory_total_bytes && !reading.power_watts;
    if (!silent) out.push_back(std::move(reading));
  }
  return out;
}

}  // namespace sextant::gpu
