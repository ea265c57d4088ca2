#include "gpu/cuda_memory.h"

#include <dlfcn.h>

#include <algorithm>

#include "base/check.h"
#include "base/strings.h"
#include "base/units.h"

namespace sextant::gpu {
namespace {

// The driver's types and figures, as far as they are used.
using DevicePointer = unsigned long long;
enum : int {
  kSuccess = 0,
  kInvalidValue = 1,
  kOutOfMemory = 2,
  kNoDevice = 100,
  kInvalidDevice = 101,
  kInvalidContext = 201,
  kInvalidHandle = 400,
};
constexpr unsigned kLazyPeerAccess = 1;
// Smaller allocations share a piece of this size, of which a handle would show the whole.
constexpr uint64_t kGranularity = uint64_t{2} << 20;

ErrorCode CodeOf(int code) {
  switch (code) {
    case kOutOfMemory:
      return ErrorCode::kResourceExhausted;
    case kInvalidValue:
    case kInvalidDevice:
    case kInvalidContext:
    case kInvalidHandle:
      return ErrorCode::kInvalidArgument;
    default:
      return ErrorCode::kUnavailable;
  }
}

}  // namespace

struct CudaDriver::Api {
  explicit Api(void* library) : handle(library) {}

  template <typename F>
  bool Bind(F& function, const char* name) {
    function = reinterpret_cast<F>(dlsym(handle, name));
    return function != nullptr;
  }
  bool BindAll() {
    Bind(GetErrorString, "cuGetErrorString");
    return Bind(Init, "cuInit") && Bind(DeviceGetCount, "cuDeviceGetCount") &&
           Bind(DeviceGet, "cuDeviceGet") && Bind(PrimaryCtxRetain, "cuDevicePrimaryCtxRetain") &&
           Bind(PrimaryCtxRelease, "cuDevicePrimaryCtxRelease_v2") &&
           Bind(CtxPushCurrent, "cuCtxPushCurrent_v2") &&
           Bind(CtxPopCurrent, "cuCtxPopCurrent_v2") && Bind(CtxSynchronize, "cuCtxSynchronize") &&
           Bind(MemAlloc, "cuMemAlloc_v2") && Bind(MemFree, "cuMemFree_v2") &&
           Bind(MemGetAddressRange, "cuMemGetAddressRange_v2") &&
           Bind(MemcpyHtoD, "cuMemcpyHtoD_v2") && Bind(MemcpyDtoH, "cuMemcpyDtoH_v2") &&
           Bind(MemsetD8, "cuMemsetD8_v2") && Bind(IpcGetMemHandle, "cuIpcGetMemHandle") &&
           Bind(IpcOpenMemHandle, "cuIpcOpenMemHandle_v2") &&
           Bind(IpcCloseMemHandle, "cuIpcCloseMemHandle");
  }

  Result<void> Check(std::string_view call, int code) const {
    if (code == kSuccess) return {};
    const char* text = nullptr;
    if (GetErrorString != nullptr) GetErrorString(code, &text);
    return Error(CodeOf(code), Format("{}: {} (CUDA error {})", call,
                                      text == nullptr ? "it failed" : text, code));
  }

  void* const handle;
  int (*GetErrorString)(int, const char**) = nullptr;
  int (*Init)(unsigned) = nullptr;
  int (*DeviceGetCount)(int*) = nullptr;
  int (*DeviceGet)(int*, int) = nullptr;
  int (*PrimaryCtxRetain)(void**, int) = nullptr;
  int (*PrimaryCtxRelease)(int) = nullptr;
  int (*CtxPushCurrent)(void*) = nullptr;
  int (*CtxPopCurrent)(void**) = nullptr;
  int (*CtxSynchronize)() = nullptr;
  int (*MemAlloc)(DevicePointer*, size_t) = nullptr;
  int (*MemFree)(DevicePointer) = nullptr;
  int (*MemGetAddressRange)(DevicePointer*, size_t*, DevicePointer) = nullptr;
  int (*MemcpyHtoD)(DevicePointer, const void*, size_t) = nullptr;
  int (*MemcpyDtoH)(void*, DevicePointer, size_t) = nullptr;
  int (*MemsetD8)(DevicePointer, unsigned char, size_t) = nullptr;
  int (*IpcGetMemHandle)(CudaIpcHandle*, DevicePointer) = nullptr;
  int (*IpcOpenMemHandle)(DevicePointer*, CudaIpcHandle, unsigned) = nullptr;
  int (*IpcCloseMemHandle)(DevicePointer) = nullptr;
};

CudaDriver::CudaDriver(std::unique_ptr<Api> api) : api_(std::move(api)) {}
CudaDriver::~CudaDriver() = default;

Result<std::shared_ptr<const CudaDriver>> CudaDriver::Load(const std::string& library) {
  void* handle = dlopen(library.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* reason = dlerror();
    return NotFound(Format("NVIDIA's driver cannot be loaded: {}",
                           reason != nullptr ? reason : library.c_str()));
  }
  auto api = std::make_unique<Api>(handle);
  if (!api->BindAll()) {
    dlclose(handle);
    return Unavailable(Format("{} is not NVIDIA's CUDA driver, or too old", library));
  }
  return std::shared_ptr<const CudaDriver>(new CudaDriver(std::move(api)));
}

Result<std::shared_ptr<const CudaDevice>> CudaDevice::Open(std::shared_ptr<const CudaDriver> driver,
                                                           int64_t index) {
  const CudaDriver::Api& api = *driver->api_;
  SEXTANT_TRY(api.Check("cuInit", api.Init(0)));
  int count = 0;
  SEXTANT_TRY(api.Check("cuDeviceGetCount", api.DeviceGetCount(&count)));
  if (index < 0 || index >= count) {
    return InvalidArgument(Format("there is no CUDA device {}: {}", index,
                                  count == 0 ? std::string("the driver shows none")
                                             : Format("the driver shows 0 to {}", count - 1)));
  }
  std::shared_ptr<CudaDevice> out(new CudaDevice(std::move(driver), static_cast<int>(index)));
  SEXTANT_TRY(api.Check("cuDeviceGet", api.DeviceGet(&out->device_, out->index_)));
  SEXTANT_TRY(api.Check(Format("cuDevicePrimaryCtxRetain of device {}", index),
                        api.PrimaryCtxRetain(&out->context_, out->device_)));
  return std::shared_ptr<const CudaDevice>(std::move(out));
}

CudaDevice::~CudaDevice() {
  if (context_ != nullptr) driver_->api_->PrimaryCtxRelease(device_);
}

// The call's result, made with the device's context current.
template <typename Call>
Result<void> CudaMemory::InContext(const char* name, Call&& call) const {
  SEXTANT_TRY(api().Check("cuCtxPushCurrent_v2", api().CtxPushCurrent(device_->context_)));
  Result<void> result = api().Check(name, call());
  void* popped = nullptr;
  api().CtxPopCurrent(&popped);
  return result;
}

Result<std::unique_ptr<CudaMemory>> CudaMemory::Allocate(std::shared_ptr<const CudaDevice> device,
                                                         uint64_t bytes) {
  std::unique_ptr<CudaMemory> out(new CudaMemory(std::move(device), bytes, true));
  uint64_t whole = 0;
  if (__builtin_add_overflow(bytes, kGranularity - 1, &whole))
    return Error(ErrorCode::kResourceExhausted, Format("{} bytes of GPU memory", bytes));
  whole = std::max(whole / kGranularity * kGranularity, kGranularity);
  DevicePointer address = 0;
  SEXTANT_TRY(out->InContext("cuMemAlloc_v2", [&] { return out->api().MemAlloc(&address, whole); }),
              Format("{} on CUDA device {}", HumanBytes(static_cast<double>(whole)),
                     out->device_->index()));
  out->address_ = address;
  return out;
}

Result<std::unique_ptr<CudaMemory>> CudaMemory::Open(std::shared_ptr<const CudaDevice> device,
                                                     const CudaIpcHandle& handle, uint64_t bytes) {
  std::unique_ptr<CudaMemory> out(new CudaMemory(std::move(device), bytes, false));
  const CudaDriver::Api& api = out->api();
  DevicePointer address = 0;
  SEXTANT_TRY(out->InContext("cuIpcOpenMemHandle_v2", [&] {
    return api.IpcOpenMemHandle(&address, handle, kLazyPeerAccess);
  }));
  out->address_ = address;
  size_t whole = 0;
  SEXTANT_TRY(out->InContext("cuMemGetAddressRange_v2",
                             [&] { return api.MemGetAddressRange(nullptr, &whole, address); }));
  if (bytes > whole)
    return InvalidArgument(Format("the memory has {} bytes, not {}", whole, bytes));
  return out;
}

CudaMemory::~CudaMemory() {
  if (address_ == 0) return;
  // A driver that is shutting down refuses, and has let go of everything then.
  static_cast<void>(InContext("release", [&] {
    return own_ ? api().MemFree(address_) : api().IpcCloseMemHandle(address_);
  }));
}

Result<CudaIpcHandle> CudaMemory::Handle() const {
  CudaIpcHandle handle{};
  SEXTANT_TRY(
      InContext("cuIpcGetMemHandle", [&] { return api().IpcGetMemHandle(&handle, address_); }));
  return handle;
}

// A copy to the device, and a fill, may be still under way when the call is back.
Result<void> CudaMemory::Write(uint64_t offset, std::string_view bytes) const {
  SEXTANT_CHECK(offset <= size_ && bytes.size() <= size_ - offset, "beyond the memory");
  if (bytes.empty()) return {};
  return InContext("cuMemcpyHtoD_v2", [&] {
    const int code = api().MemcpyHtoD(address_ + offset, bytes.data(), bytes.size());
    return code != kSuccess ? code : api().CtxSynchronize();
  });
}

Result<void> CudaMemory::Read(uint64_t offset, char* to, uint64_t bytes) const {
  SEXTANT_CHECK(offset <= size_ && bytes <= size_ - offset, "beyond the memory");
  if (bytes == 0) return {};
  return InContext("cuMemcpyDtoH_v2",
                   [&] { return api().MemcpyDtoH(to, address_ + offset, bytes); });
}

Result<void> CudaMemory::Fill(uint64_t offset, uint64_t bytes, uint8_t value) const {
  SEXTANT_CHECK(offset <= size_ && bytes <= size_ - offset, "beyond the memory");
  if (bytes == 0) return {};
  return InContext("cuMemsetD8_v2", [&] {
    const int code = api().MemsetD8(address_ + offset, value, bytes);
    return code != kSuccess ? code : api().CtxSynchronize();
  });
}

}  // namespace sextant::gpu
