// A library with the CUDA driver's interface and two GPUs that are not there. Their memory is
// ordinary memory without a name, which other processes open through the owner's descriptor: it is
// gone when nobody has it, however they ended. For tests.
//
//   SEXTANT_FAKE_CUDA_FAIL=CALL=CODE[@N],...   the call fails, from its N-th time on
//   SEXTANT_FAKE_CUDA_LOG=FILE                 a line "PID CALL" is appended for each call
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace {

using Pointer = unsigned long long;
enum : int {
  kSuccess = 0,
  kInvalidValue = 1,
  kOutOfMemory = 2,
  kNotInitialized = 3,
  kInvalidDevice = 101,
  kInvalidContext = 201,
  kInvalidHandle = 400,
};
constexpr int kDevices = 2;

using Handle = std::array<char, 64>;  // the type by which sextant calls it
struct HandleContent {
  char magic[8];
  int pid, fd;
  unsigned long long size, inode;
};
struct Memory {
  unsigned long long size = 0;
  int fd = -1;  // -1: somebody else's
};

struct State {
  std::mutex mutex;
  bool initialized = false;
  int contexts[kDevices] = {};
  std::map<Pointer, Memory> memories;
  std::map<std::string, int> calls;
};
State& Fake() {
  static State state;
  return state;
}
thread_local std::vector<void*> current;

// What the call is to fail with, by the environment. The lock is held.
int FaultOf(const char* call, int times) {
  const char* text = std::getenv("SEXTANT_FAKE_CUDA_FAIL");
  if (text == nullptr) return kSuccess;
  const std::string faults = std::string(",") + text;
  const std::string key = std::string(",") + call + "=";
  const size_t at = faults.find(key);
  if (at == std::string::npos) return kSuccess;
  char* end = nullptr;
  const long code = std::strtol(faults.c_str() + at + key.size(), &end, 10);
  if (*end == '@' && times < std::strtol(end + 1, nullptr, 10)) return kSuccess;
  return static_cast<int>(code);
}

// The beginning of every call: noted, and what is wrong already.
int Enter(const char* call, bool needs_context) {
  State& fake = Fake();
  const std::scoped_lock lock(fake.mutex);
  if (const char* path = std::getenv("SEXTANT_FAKE_CUDA_LOG")) {
    char line[96];
    const int length = std::snprintf(line, sizeof line, "%d %s\n", getpid(), call);
    const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    const bool noted = fd >= 0 && write(fd, line, static_cast<size_t>(length)) == length;
    if (fd >= 0) close(fd);
    if (!noted) std::abort();
  }
  if (const int fault = FaultOf(call, ++fake.calls[call]); fault != kSuccess) return fault;
  if (!fake.initialized && std::strcmp(call, "cuInit") != 0) return kNotInitialized;
  return needs_context && current.empty() ? kInvalidContext : kSuccess;
}

// Whether the bytes lie in one memory.
bool Within(Pointer at, size_t bytes) {
  const std::scoped_lock lock(Fake().mutex);
  auto it = Fake().memories.upper_bound(at);
  if (it == Fake().memories.begin()) return false;
  --it;
  return at + bytes <= it->first + it->second.size;
}

int Map(const Memory& memory, int fd, Pointer* address) {
  void* mapped = mmap(nullptr, memory.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) return kOutOfMemory;
  const std::scoped_lock lock(Fake().mutex);
  *address = reinterpret_cast<Pointer>(mapped);
  Fake().memories[*address] = memory;
  return kSuccess;
}

int Release(Pointer address, bool own) {
  const std::scoped_lock lock(Fake().mutex);
  const auto it = Fake().memories.find(address);
  if (it == Fake().memories.end() || (it->second.fd >= 0) != own) return kInvalidValue;
  munmap(reinterpret_cast<void*>(address), it->second.size);
  if (own) close(it->second.fd);
  Fake().memories.erase(it);
  return kSuccess;
}

}  // namespace

extern "C" {

int cuGetErrorString(int code, const char** text) {
  switch (code) {
    case kInvalidValue:
      return *text = "invalid argument", kSuccess;
    case kOutOfMemory:
      return *text = "out of memory", kSuccess;
    case kNotInitialized:
      return *text = "initialization error", kSuccess;
    case 100:
      return *text = "no CUDA-capable device is detected", kSuccess;
    case kInvalidDevice:
      return *text = "invalid device ordinal", kSuccess;
    case kInvalidContext:
      return *text = "invalid device context", kSuccess;
    case kInvalidHandle:
      return *text = "invalid resource handle", kSuccess;
    default:
      return kInvalidValue;
  }
}

int cuInit(unsigned) {
  const int fault = Enter("cuInit", false);
  const std::scoped_lock lock(Fake().mutex);
  if (fault == kSuccess) Fake().initialized = true;
  return fault;
}

int cuDeviceGetCount(int* count) {
  *count = kDevices;
  return Enter("cuDeviceGetCount", false);
}

int cuDeviceGet(int* device, int index) {
  if (const int fault = Enter("cuDeviceGet", false)) return fault;
  if (index < 0 || index >= kDevices) return kInvalidDevice;
  return *device = index, kSuccess;
}

int cuDevicePrimaryCtxRetain(void** context, int device) {
  if (const int fault = Enter("cuDevicePrimaryCtxRetain", false)) return fault;
  const std::scoped_lock lock(Fake().mutex);
  ++Fake().contexts[device];
  return *context = &Fake().contexts[device], kSuccess;
}

int cuDevicePrimaryCtxRelease_v2(int device) {
  if (const int fault = Enter("cuDevicePrimaryCtxRelease_v2", false)) return fault;
  const std::scoped_lock lock(Fake().mutex);
  return Fake().contexts[device]-- > 0 ? kSuccess : kInvalidContext;
}

int cuCtxPushCurrent_v2(void* context) {
  if (const int fault = Enter("cuCtxPushCurrent_v2", false)) return fault;
  const std::scoped_lock lock(Fake().mutex);
  if (*static_cast<int*>(context) == 0) return kInvalidContext;
  return current.push_back(context), kSuccess;
}

int cuCtxPopCurrent_v2(void** context) {
  if (const int fault = Enter("cuCtxPopCurrent_v2", true)) return fault;
  *context = current.back();
  return current.pop_back(), kSuccess;
}

int cuCtxSynchronize() { return Enter("cuCtxSynchronize", true); }

int cuMemAlloc_v2(Pointer* address, size_t bytes) {
  if (const int fault = Enter("cuMemAlloc_v2", true)) return fault;
  if (bytes == 0) return kInvalidValue;
  const int fd = memfd_create("fake_cuda", MFD_CLOEXEC);
  if (fd < 0) return kOutOfMemory;
  if (ftruncate(fd, static_cast<off_t>(bytes)) != 0) return close(fd), kOutOfMemory;
  const int fault = Map({bytes, fd}, fd, address);
  if (fault != kSuccess) close(fd);
  return fault;
}

int cuMemFree_v2(Pointer address) {
  if (const int fault = Enter("cuMemFree_v2", true)) return fault;
  return Release(address, true);
}

int cuMemGetAddressRange_v2(Pointer* base, size_t* bytes, Pointer address) {
  if (const int fault = Enter("cuMemGetAddressRange_v2", true)) return fault;
  const std::scoped_lock lock(Fake().mutex);
  const auto it = Fake().memories.find(address);
  if (it == Fake().memories.end()) return kInvalidValue;
  if (base != nullptr) *base = address;
  if (bytes != nullptr) *bytes = it->second.size;
  return kSuccess;
}

int cuMemcpyHtoD_v2(Pointer to, const void* from, size_t bytes) {
  if (const int fault = Enter("cuMemcpyHtoD_v2", true)) return fault;
  if (!Within(to, bytes)) return kInvalidValue;
  return std::memcpy(reinterpret_cast<void*>(to), from, bytes), kSuccess;
}

int cuMemcpyDtoH_v2(void* to, Pointer from, size_t bytes) {
  if (const int fault = Enter("cuMemcpyDtoH_v2", true)) return fault;
  if (!Within(from, bytes)) return kInvalidValue;
  return std::memcpy(to, reinterpret_cast<void*>(from), bytes), kSuccess;
}

int cuMemsetD8_v2(Pointer to, unsigned char value, size_t bytes) {
  if (const int fault = Enter("cuMemsetD8_v2", true)) return fault;
  if (!Within(to, bytes)) return kInvalidValue;
  return std::memset(reinterpret_cast<void*>(to), value, bytes), kSuccess;
}

int cuIpcGetMemHandle(Handle* handle, Pointer address) {
  if (const int fault = Enter("cuIpcGetMemHandle", true)) return fault;
  const std::scoped_lock lock(Fake().mutex);
  const auto it = Fake().memories.find(address);
  if (it == Fake().memories.end() || it->second.fd < 0) return kInvalidValue;
  struct stat info{};
  if (fstat(it->second.fd, &info) != 0) return kInvalidValue;
  const HandleContent content{{'f', 'a', 'k', 'e', 'c', 'u', 'd', 'a'},
                              getpid(),
                              it->second.fd,
                              it->second.size,
                              info.st_ino};
  *handle = {};
  std::memcpy(handle->data(), &content, sizeof content);
  return kSuccess;
}

int cuIpcOpenMemHandle_v2(Pointer* address, Handle handle, unsigned) {
  if (const int fault = Enter("cuIpcOpenMemHandle_v2", true)) return fault;
  HandleContent content{};
  std::memcpy(&content, handle.data(), sizeof content);
  if (std::memcmp(content.magic, "fakecuda", 8) != 0) return kInvalidHandle;
  if (content.pid == getpid()) return kInvalidContext;
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/fd/%d", content.pid, content.fd);
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  struct stat info{};
  if (fd < 0) return kInvalidHandle;
  int fault = kInvalidHandle;
  if (fstat(fd, &info) == 0 && info.st_ino == content.inode &&
      info.st_size == static_cast<off_t>(content.size))
    fault = Map({content.size, -1}, fd, address);
  close(fd);
  return fault;
}

int cuIpcCloseMemHandle(Pointer address) {
  if (const int fault = Enter("cuIpcCloseMemHandle", true)) return fault;
  return Release(address, false);
}
}
