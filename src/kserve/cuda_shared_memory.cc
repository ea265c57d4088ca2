#include "kserve/cuda_shared_memory.h"

#include <algorithm>

#include "base/strings.h"
#include "text/json.h"

namespace sextant::kserve {
namespace {

// Of one tensor, as of a request's body: a peer is not to choose how much memory is taken.
constexpr uint64_t kMostBytes = uint64_t{1} << 31;

}  // namespace

Result<CudaRegion> ParseCudaRegion(std::string_view name, std::string_view body) {
  CudaRegion out{.name = std::string(name)};
  const Result<text::Json> json = text::ParseJson(body);
  if (!json.has_value())
    return Internal("failed to parse the request JSON: " + json.error().message());
  const text::Json* handle = json->Find("raw_handle");
  if (handle == nullptr)
    return InvalidArgument("Shared memory register request has no 'raw_handle' field");
  const text::Json* base64 = handle->Find("b64");
  if (base64 == nullptr || !base64->AsString())
    return InvalidArgument("Shared memory register request has no 'raw_handle.b64' field");
  if (!Base64Decode(*base64->AsString(), out.handle) ||
      out.handle.size() != gpu::kCudaIpcHandleBytes)
    return InvalidArgument("'raw_handle' must be a valid base64 encoded cudaIpcMemHandle_t");
  const text::Json* size = json->Find("byte_size");
  const text::Json* device = json->Find("device_id");
  for (const auto& [member, key] : {std::pair(size, "byte_size"), std::pair(device, "device_id")}) {
    if (member == nullptr)
      return InvalidArgument(Format("Shared memory register request has no '{}' field", key));
  }
  if (!size->AsUint() || !device->AsUint() || *device->AsUint() > INT32_MAX)
    return Internal("'byte_size' and 'device_id' must be non-negative integers");
  out.byte_size = *size->AsUint();
  out.device = static_cast<int64_t>(*device->AsUint());
  return out;
}

std::string CudaRegionToJson(const CudaRegion& region) {
  text::JsonWriter out;
  out.BeginObject().Key("raw_handle").BeginObject();
  out.Member("b64", Base64Encode(region.handle)).EndObject();
  out.Member("device_id", region.device).Member("byte_size", region.byte_size).EndObject();
  return out.Take();
}

std::string ToJson(const std::vector<CudaRegion>& regions) {
  text::JsonWriter out;
  out.BeginArray();
  for (const CudaRegion& region : regions) {
    out.BeginObject()
        .Member("name", region.name)
        .Member("device_id", region.device)
        .Member("byte_size", region.byte_size)
        .EndObject();
  }
  out.EndArray();
  return out.Take();
}

CudaMemoryRegistry::CudaMemoryRegistry(SharedMemoryRegistry& system, const std::string& driver)
    : system_(system), driver_([&] {
        auto loaded = gpu::CudaDriver::Load(driver);
        return loaded.has_value() ? *std::move(loaded) : nullptr;
      }()) {}

Result<std::shared_ptr<const gpu::CudaMemory>> CudaMemoryRegistry::Open(const CudaRegion& region) {
  std::shared_ptr<const gpu::CudaDevice> device;
  {
    const std::scoped_lock lock(devices_mutex_);
    auto& known = devices_[region.device];
    if (known == nullptr) {
      auto opened = gpu::CudaDevice::Open(driver_, region.device);
      if (!opened.has_value()) {
        devices_.erase(region.device);
        return std::move(opened).error();
      }
      known = *std::move(opened);
    }
    device = known;
  }
  gpu::CudaIpcHandle handle{};
  std::copy(region.handle.begin(), region.handle.end(), handle.begin());
  SEXTANT_ASSIGN(auto memory, gpu::CudaMemory::Open(device, handle, region.byte_size));
  return std::shared_ptr<const gpu::CudaMemory>(std::move(memory));
}

Result<void> CudaMemoryRegistry::Register(const CudaRegion& region) {
  if (driver_ == nullptr) return Unsupported("CUDA shared memory is not supported without a GPU");
  if (region.name.empty())
    return InvalidArgument("'region name' is necessary to register cuda shared memory region");
  if (region.handle.size() != gpu::kCudaIpcHandleBytes || region.byte_size == 0) {
    return InvalidArgument(Format(
        "failed to register shared memory region '{}': invalid args: a handle has {} bytes, a "
        "region at least one",
        Printable(region.name, 80), gpu::kCudaIpcHandleBytes));
  }
  SEXTANT_TRY(system_.Reserve(region.name));
  auto memory = Open(region);
  if (!memory.has_value()) {
    system_.Release(region.name);
    return InvalidArgument(Format("failed to register shared memory region '{}': invalid args: {}",
                                  Printable(region.name, 80), memory.error().message()));
  }
  const std::scoped_lock lock(mutex_);
  entries_[region.name] = {
      {.name = region.name, .handle = {}, .device = region.device, .byte_size = region.byte_size},
      *std::move(memory)};
  count_.store(entries_.size(), std::memory_order_relaxed);
  return {};
}

void CudaMemoryRegistry::Unregister(const std::string& name) {
  std::map<std::string, Entry> gone;  // closed without the lock
  {
    const std::scoped_lock lock(mutex_);
    if (name.empty()) {
      gone.swap(entries_);
    } else if (auto node = entries_.extract(name)) {
      gone.insert(std::move(node));
    }
    count_.store(entries_.size(), std::memory_order_relaxed);
  }
  for (auto& [key, entry] : gone) {
    entry.memory.reset();
    system_.Release(key);
  }
}

Result<std::vector<CudaRegion>> CudaMemoryRegistry::Status(const std::string& name) const {
  {
    const std::scoped_lock lock(mutex_);
    std::vector<CudaRegion> out;
    for (const auto& [key, entry] : entries_) {
      if (name.empty() || key == name) out.push_back(entry.region);
    }
    if (name.empty() || !out.empty()) return out;
  }
  if (system_.Status(name).has_value()) {
    return NotFound(Format(
        "The region named '{}' is registered as system shared memory, not CUDA shared memory",
        Printable(name, 80)));
  }
  return NotFound(Format("Unable to find cuda shared memory region: '{}'", Printable(name, 80)));
}

bool CudaMemoryRegistry::Has(const std::string& name) const {
  if (count_.load(std::memory_order_relaxed) == 0) return false;
  const std::scoped_lock lock(mutex_);
  return entries_.contains(name);
}

Result<std::shared_ptr<const gpu::CudaMemory>> CudaMemoryRegistry::Find(
    const SharedMemoryReference& reference) const {
  const std::scoped_lock lock(mutex_);
  SEXTANT_ASSIGN(const Entry* entry, FindRegion(entries_, reference));
  return entry->memory;
}

Result<void> CudaMemoryRegistry::Read(const SharedMemoryReference& reference,
                                      std::string& to) const {
  SEXTANT_ASSIGN(const auto memory, Find(reference));
  if (reference.byte_size > kMostBytes) {
    return InvalidArgument(
        Format("a tensor of {} bytes in CUDA shared memory region '{}': {} is "
               "the most that is copied from a GPU",
               reference.byte_size, Printable(reference.region, 80), kMostBytes));
  }
  to.resize(reference.byte_size);
  return memory->Read(reference.offset, to.data(), to.size());
}

Result<void> CudaMemoryRegistry::Write(const SharedMemoryReference& reference,
                                       std::string_view bytes) const {
  SEXTANT_ASSIGN(const auto memory, Find(reference));
  return memory->Write(reference.offset, bytes.substr(0, reference.byte_size));
}

}  // namespace sextant::kserve
