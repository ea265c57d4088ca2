// Memory of NVIDIA GPUs that several processes use: allocated by one, opened by others through a
// handle. By the CUDA driver's own interface (NVIDIA, "CUDA Driver API"), which comes with the
// driver and is loaded when asked for: nothing is linked, no toolkit is needed, and a machine
// without GPUs needs nothing.
//
// Sizes and offsets are bytes. Copies are done when the call returns: another process that is told
// of them afterwards sees them.
//
// Errors say which call failed and why: kNotFound (no driver), kUnavailable (the driver does not
// work), kInvalidArgument (no such device, no such handle), kResourceExhausted (memory).
//
// Threads: all calls from any thread, also at once; each makes the device's primary context
// current and leaves the thread's own as it was. A process cannot open a handle of its own.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sextant::gpu {

constexpr size_t kCudaIpcHandleBytes = 64;
// Laid out and passed as the driver's own type.
using CudaIpcHandle = std::array<char, kCudaIpcHandleBytes>;

// The loaded library. It stays loaded: CUDA has no end.
class CudaDriver {
 public:
  // Loads only: no GPU is touched.
  static Result<std::shared_ptr<const CudaDriver>> Load(
      const std::string& library = "libcuda.so.1");
  ~CudaDriver();

 private:
  friend class CudaDevice;
  friend class CudaMemory;
  struct Api;
  explicit CudaDriver(std::unique_ptr<Api> api);
  std::unique_ptr<Api> api_;
};

// A GPU and its primary context, held as long as this lives.
class CudaDevice {
 public:
  // `index` in the driver's order, which CUDA_VISIBLE_DEVICES changes. The first call starts the
  // driver, which takes up to a second.
  static Result<std::shared_ptr<const CudaDevice>> Open(std::shared_ptr<const CudaDriver> driver,
                                                        int64_t index);
  ~CudaDevice();
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;
  int index() const { return index_; }

 private:
  friend class CudaMemory;
  CudaDevice(std::shared_ptr<const CudaDriver> driver, int index)
      : driver_(std::move(driver)), index_(index) {}
  std::shared_ptr<const CudaDriver> driver_;
  const int index_;
  int device_ = 0;
  void* context_ = nullptr;
};

class CudaMemory {
 public:
  // Of our own.
  static Result<std::unique_ptr<CudaMemory>> Allocate(std::shared_ptr<const CudaDevice> device,
                                                      uint64_t bytes);
  // Somebody else's, of which `bytes` from the beginning are used; kInvalidArgument when it has
  // fewer. Its owner should free it only when nobody has it open: CUDA leaves open what calls do
  // then.
  static Result<std::unique_ptr<CudaMemory>> Open(std::shared_ptr<const CudaDevice> device,
                                                  const CudaIpcHandle& handle, uint64_t bytes);
  ~CudaMemory();
  CudaMemory(const CudaMemory&) = delete;
  CudaMemory& operator=(const CudaMemory&) = delete;

  uint64_t size() const { return size_; }
  const CudaDevice& device() const { return *device_; }
  // By which others open it. Only of our own.
  Result<CudaIpcHandle> Handle() const;
  // What is written and read must lie within size().
  Result<void> Write(uint64_t offset, std::string_view bytes) const;
  Result<void> Read(uint64_t offset, char* to, uint64_t bytes) const;
  Result<void> Fill(uint64_t offset, uint64_t bytes, uint8_t value) const;

 private:
  CudaMemory(std::shared_ptr<const CudaDevice> device, uint64_t size, bool own)
      : device_(std::move(device)), size_(size), own_(own) {}
  const CudaDriver::Api& api() const { return *device_->driver_->api_; }
  template <typename Call>
  Result<void> InContext(const char* name, Call&& call) const;

  std::shared_ptr<const CudaDevice> device_;
  const uint64_t size_;
  const bool own_;
  uint64_t address_ = 0;
};

}  // namespace sextant::gpu
