#include "gpu/sampler.h"

#include <sys/prctl.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/strings.h"
#include "base/units.h"
#include "gpu/device_sampler.h"

namespace sextant::gpu {
namespace {

using nvml::Call;

using Devices = std::vector<std::shared_ptr<DeviceSampler>>;

// What a driver's start leaves behind.
struct Opened {
  Devices devices;
  std::string versions;  // "NVML 12.555.43, driver 550.90"
};

// A driver's start, on a thread that may never come back: who waits and who starts both own it.
struct Opening {
  std::mutex mutex;
  std::condition_variable done;
  bool abandoned = false;
  std::optional<Result<Opened>> result;
  CallMeter meter;
};

bool Asked(const SamplerOptions& options, int index, const std::string& uuid) {
  if (options.devices.empty()) return true;
  return std::ranges::any_of(options.devices, [&](const std::string& device) {
    return device == Format("{}", index) ||
           (device.size() >= 5 && uuid.starts_with(device));  // "GPU-1": as CUDA_VISIBLE_DEVICES
  });
}

// Finds what there is to sample.
class Finder {
 public:
  Finder(std::shared_ptr<nvml::Library> library, const SamplerOptions& options, CallMeter& meter)
      : library_(std::move(library)), options_(options), meter_(meter) {}

  Result<Opened> Find() {
    uint32_t count = 0;
    const int code = meter_.Time(Call::kCount, library_->Count, &count);
    if (code != nvml::kSuccess || count == 0)
      return Unavailable(Format("{} has no GPU{}", library_->name,
                                code == nvml::kSuccess ? "" : ": " + library_->ErrorText(code)));
    for (uint32_t i = 0; i < count; ++i) FindGpu(i);
    if (found_.empty())
      return InvalidArgument(
          Format("no GPU is {}; there are: {}", Join(options_.devices, ", "), Join(seen_, ", ")));
    Opened opened{.versions =
                      Format("NVML {}, driver {}", Text(Call::kNvmlVersion, library_->NvmlVersion),
                             Text(Call::kDriverVersion, library_->DriverVersion))};
    SamplerOptions options = options_;
    if (gpm_ && options.interval < kGpmInterval && options.interval > 9 * kGpmInterval / 10)
      options.interval = kGpmInterval;  // all in one go
    const auto budget = std::make_shared<SharedBudget>(options_.budget, found_.size());
    for (Found& gpu : found_)
      opened.devices.push_back(std::make_shared<DeviceSampler>(library_, gpu.index, gpu.handle,
                                                               std::move(gpu.units), options_,
                                                               budget, opened.devices.size()));
    return opened;
  }

 private:
  struct Found {
    int index;
    nvml::Device handle;
    std::vector<Unit> units;
  };

  template <typename F, typename... A>
  std::string Text(Call call, F function, A... arguments) {
    char text[96] = {};
    const int code =
        meter_.Time(call, function, arguments..., text, static_cast<uint32_t>(sizeof text));
    return code == nvml::kSuccess ? std::string(text, strnlen(text, sizeof text)) : "";
  }

  Unit Describe(nvml::Device handle) {
    return Unit{.handle = handle,
                .uuid = Text(Call::kUuid, library_->Uuid, handle),
                .name = Text(Call::kName, library_->Name, handle)};
  }

  void FindGpu(uint32_t i) {
    const int index = static_cast<int>(i);
    nvml::Device handle = nullptr;
    const int code = meter_.Time(Call::kHandleByIndex, library_->HandleByIndex, i, &handle);
    Unit gpu;
    if (code == nvml::kSuccess) {
      gpu = Describe(handle);
    } else {
      gpu.trouble = Format("the GPU cannot be asked ({} says {})",
                           nvml::CallName(Call::kHandleByIndex), library_->ErrorText(code));
    }
    if (gpu.uuid.empty()) gpu.uuid = Format("GPU-{}", i);
    seen_.push_back(gpu.uuid);
    Found found{.index = index, .handle = handle};
    if (code == nvml::kSuccess) {
      nvml::GpmSupport support{.version = nvml::kGpmVersion};
      gpu.gpm = meter_.Time(Call::kGpmSupported, library_->GpmSupported, handle, &support) ==
                    nvml::kSuccess &&
                support.supported != 0;
    }
    gpm_ = gpm_ || gpu.gpm;
    const bool whole = Asked(options_, index, gpu.uuid);
    if (whole) found.units.push_back(gpu);
    if (code == nvml::kSuccess) FindInstances(gpu, whole, index, found.units);
    if (!found.units.empty()) found_.push_back(std::move(found));
  }

  void FindInstances(const Unit& gpu, bool whole, int index, std::vector<Unit>& units) {
    uint32_t current = 0, pending = 0, most = 0;
    if (meter_.Time(Call::kMigMode, library_->MigMode, gpu.handle, &current, &pending) !=
            nvml::kSuccess ||
        current == 0)
      return;
    if (meter_.Time(Call::kMaxMigDevices, library_->MaxMigDevices, gpu.handle, &most) !=
        nvml::kSuccess)
      return;
    for (uint32_t i = 0; i < most; ++i) {
      nvml::Device handle = nullptr;
      // There are holes where instances were destroyed.
      if (meter_.Time(Call::kMigDevice, library_->MigDevice, gpu.handle, i, &handle) !=
          nvml::kSuccess)
        continue;
      Unit instance = Describe(handle);
      instance.parent = gpu.uuid;
      instance.scope = Scope::kMigInstance;
      instance.gpm = gpu.gpm && meter_.Time(Call::kGpuInstanceId, library_->GpuInstanceId, handle,
                                            &instance.gpu_instance) == nvml::kSuccess;
      if (instance.uuid.empty()) instance.uuid = Format("MIG-{}-{}", index, i);
      seen_.push_back(instance.uuid);
      if (whole || Asked(options_, -1, instance.uuid)) units.push_back(std::move(instance));
    }
  }

  std::shared_ptr<nvml::Library> library_;
  const SamplerOptions& options_;
  CallMeter& meter_;
  std::vector<Found> found_;
  std::vector<std::string> seen_;
  bool gpm_ = false;
};

Result<std::shared_ptr<nvml::Library>> LoadLibrary(const SamplerOptions& options) {
  if (!options.library.empty()) return nvml::Library::Load(options.library);
  const std::vector<std::string> places = nvml::UsualPlaces();
  for (const std::string& place : places) {
    auto library = nvml::Library::Load(place);
    if (library || library.error().code() != ErrorCode::kNotFound) return library;
  }
  return NotFound(Format("{} is absent", places.front()));
}

Result<Opened> Open(const SamplerOptions& options, CallMeter& meter) {
  SEXTANT_ASSIGN(std::shared_ptr<nvml::Library> library, LoadLibrary(options));
  SEXTANT_TRY(library->Started(meter.Time(Call::kInit, library->Init)));
  return Finder(std::move(library), options, meter).Find();
}

class NvmlSampler final : public Sampler {
 public:
  NvmlSampler(std::shared_ptr<Opening> opening, Opened opened)
      : opening_(std::move(opening)),
        devices_(std::move(opened.devices)),
        versions_(std::move(opened.versions)) {
    Mark();
    // All at the same instants: a core that wakes for eight threads at once takes a third of the
    // time of one that wakes eight times.
    const Instant origin = SteadyNow();
    for (const auto& device : devices_) {
      std::thread([device, origin] {
        prctl(PR_SET_NAME, "gpu-sampler");
        device->Run(origin);
      }).detach();
    }
  }

  ~NvmlSampler() override {
    for (const auto& device : devices_) device->Stop();
    const Instant until = SteadyNow() + 100ms;
    for (const auto& device : devices_) device->WaitForEnd(until);
  }

  void Mark() override {
    const Instant now = SteadyNow();
    for (const auto& device : devices_) device->Mark(now);
  }

  std::vector<DeviceWindow> Take() override {
    const Instant now = SteadyNow();
    std::vector<DeviceWindow> out;
    for (const auto& device : devices_) device->Take(now, out);
    return out;
  }

  void Watch(std::vector<uint32_t> processes) override {
    for (const auto& device : devices_) device->Watch(processes);
  }

  std::map<std::string, CallCost> Costs() const override {
    std::map<std::string, CallCost> costs;
    opening_->meter.AddTo(costs, SteadyNow());
    for (const auto& device : devices_) device->AddCosts(costs);
    return costs;
  }

  std::vector<std::string> Degraded() const override {
    std::vector<std::string> out;
    for (const auto& device : devices_) {
      if (std::string text = device->Degraded(); !text.empty()) out.push_back(std::move(text));
    }
    return out;
  }

  std::string Describe() const override {
    size_t instances = 0;
    for (const auto& device : devices_) instances += device->mig_instances();
    std::string text =
        Format("{}, {} GPU{}", versions_, devices_.size(), devices_.size() == 1 ? "" : "s");
    if (instances > 0)
      AppendFormat(text, ", {} MIG instance{}", instances, instances == 1 ? "" : "s");
    return text;
  }

 private:
  const std::shared_ptr<Opening> opening_;
  const Devices devices_;
  const std::string versions_;
};

void RunOpening(const std::shared_ptr<Opening>& opening, const SamplerOptions& options) {
  Result<Opened> opened = Open(options, opening->meter);
  const std::scoped_lock lock(opening->mutex);
  // Where nobody waits any more, the library goes here and not where somebody would wait for it.
  if (!opening->abandoned) opening->result = std::move(opened);
  opening->done.notify_all();
}

}  // namespace

std::string_view ScopeName(Scope scope) {
  switch (scope) {
    case Scope::kDevice:
      return "device";
    case Scope::kMigInstance:
      return "mig_instance";
    case Scope::kProcess:
      return "process";
  }
  return "";
}

Result<std::unique_ptr<Sampler>> Sampler::Start(const SamplerOptions& options) {
  auto opening = std::make_shared<Opening>();
  std::thread([opening, options] { RunOpening(opening, options); }).detach();
  std::unique_lock lock(opening->mutex);
  opening->done.wait_for(lock, options.start_limit, [&] { return opening->result.has_value(); });
  if (!opening->result) {
    opening->abandoned = true;
    const auto call = opening->meter.running(SteadyNow());
    return Unavailable(
        Format("the GPUs' driver has not started within {}{}", HumanDuration(options.start_limit),
               call ? Format(" ({} does not return)", nvml::CallName(call->call)) : std::string()));
  }
  SEXTANT_ASSIGN(Opened opened, *std::move(opening->result));
  opening->result.reset();
  lock.unlock();
  return std::unique_ptr<Sampler>(
      std::make_unique<NvmlSampler>(std::move(opening), std::move(opened)));
}

}  // namespace sextant::gpu
