#include "gpu/nvml_api.h"

#include <dlfcn.h>

#include "base/strings.h"

namespace sextant::gpu::nvml {

std::string_view CodeName(int code) {
  switch (code) {
    case kSuccess:
      return "SUCCESS";
    case kUninitialized:
      return "UNINITIALIZED";
    case kInvalidArgument:
      return "INVALID_ARGUMENT";
    case kNotSupported:
      return "NOT_SUPPORTED";
    case kNoPermission:
      return "NO_PERMISSION";
    case kNotFound:
      return "NOT_FOUND";
    case kInsufficientSize:
      return "INSUFFICIENT_SIZE";
    case kDriverNotLoaded:
      return "DRIVER_NOT_LOADED";
    case kTimeout:
      return "TIMEOUT";
    case kFunctionNotFound:
      return "FUNCTION_NOT_FOUND";
    case kGpuIsLost:
      return "GPU_IS_LOST";
    case kResetRequired:
      return "RESET_REQUIRED";
    case kNoData:
      return "NO_DATA";
    case kArgumentVersionMismatch:
      return "ARGUMENT_VERSION_MISMATCH";
    case kGpuNotFound:
      return "GPU_NOT_FOUND";
    case kUnknown:
      return "UNKNOWN";
    default:
      return {};
  }
}

const char* CallName(Call call) {
  static constexpr const char* kNames[] = {
#define SEXTANT_NVML_NAME(member, symbol, older, type) symbol,
      SEXTANT_NVML_FUNCTIONS(SEXTANT_NVML_NAME)
#undef SEXTANT_NVML_NAME
  };
  return kNames[static_cast<size_t>(call)];
}

Library::~Library() {
  if (started_) Shutdown();
  if (handle_ != nullptr) dlclose(handle_);
}

bool Library::Bind() {
  const auto find = [this](const char* symbol, const char* older) {
    void* found = dlsym(handle_, symbol);
    return found == nullptr && older != nullptr ? dlsym(handle_, older) : found;
  };
#define SEXTANT_NVML_BIND(member, symbol, older, type) \
  member = reinterpret_cast<Pointer<type>>(find(symbol, older));
  SEXTANT_NVML_FUNCTIONS(SEXTANT_NVML_BIND)
#undef SEXTANT_NVML_BIND
  ErrorString = reinterpret_cast<decltype(ErrorString)>(dlsym(handle_, "nvmlErrorString"));
  // Only these must be there; a driver that lacks another does not tell that figure.
  return Init != nullptr && Shutdown != nullptr && Count != nullptr && HandleByIndex != nullptr;
}

Result<std::shared_ptr<Library>> Library::Load(const std::string& name) {
  auto library = std::make_shared<Library>();
  library->name = name;
  library->handle_ = dlopen(name.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (library->handle_ == nullptr) return NotFound(Format("{} is absent", name));
  if (!library->Bind()) return Unavailable(Format("{} is not NVIDIA's library, or too old", name));
  return library;
}

Result<void> Library::Started(int code) {
  if (code != kSuccess) return Unavailable(Format("{} does not start: {}", name, ErrorText(code)));
  started_ = true;
  return {};
}

std::string Library::ErrorText(int code) const {
  const char* text = ErrorString != nullptr ? ErrorString(code) : nullptr;
  return text != nullptr ? std::string(text) : Format("error {}", code);
}

std::vector<std::string> UsualPlaces() {
  return {"libnvidia-ml.so.1", "/usr/local/nvidia/lib64/libnvidia-ml.so.1",
          "/run/nvidia/driver/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1",
          "/run/nvidia/driver/usr/lib64/libnvidia-ml.so.1"};
}

}  // namespace sextant::gpu::nvml
