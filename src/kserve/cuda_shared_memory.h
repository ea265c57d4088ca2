// CUDA shared memory regions that a client has registered with a server: memory on a GPU, opened
// through the handle that its owner sent. Where there is no GPU driver there are none.
//
// Threads: all calls from any thread. What is unregistered meanwhile is let go of when the copy
// that uses it is done.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gpu/cuda_memory.h"
#include "kserve/shared_memory.h"

namespace sextant::kserve {

struct CudaRegion {
  std::string name;
  std::string handle;  // gpu::kCudaIpcHandleBytes of them
  int64_t device = 0;
  uint64_t byte_size = 0;
};

// The body of an HTTP register request; kInvalidArgument when it lacks something. Pure.
Result<CudaRegion> ParseCudaRegion(std::string_view name, std::string_view body);
std::string CudaRegionToJson(const CudaRegion& region);
// As a status answer lists them.
std::string ToJson(const std::vector<CudaRegion>& regions);

class CudaMemoryRegistry {
 public:
  // Regions of both kinds share their names; `system` must outlive this.
  explicit CudaMemoryRegistry(SharedMemoryRegistry& system,
                              const std::string& driver = "libcuda.so.1");

  // Whether there is a driver. Without one every Register() is kUnsupported.
  bool available() const { return driver_ != nullptr; }
  // Errors: kAlreadyExists for a name in use, kInvalidArgument for what cannot be opened. The first
  // takes up to a second.
  Result<void> Register(const CudaRegion& region);
  // Unknown names are not an error; an empty name means all.
  void Unregister(const std::string& name);
  // One region or, with an empty name, all; without their handles. Error: kNotFound.
  Result<std::vector<CudaRegion>> Status(const std::string& name) const;

  // Whether a region has this name. Costs nothing while there are none.
  bool Has(const std::string& name) const;
  // Copies to and from where a tensor lies. Errors: kNotFound for an unknown region,
  // kInvalidArgument for one that is too small, or the driver's.
  Result<void> Read(const SharedMemoryReference& reference, std::string& to) const;
  Result<void> Write(const SharedMemoryReference& reference, std::string_view bytes) const;

 private:
  struct Entry {
    CudaRegion region;
    std::shared_ptr<const gpu::CudaMemory> memory;
  };
  Result<std::shared_ptr<const gpu::CudaMemory>> Open(const CudaRegion& region);
  Result<std::shared_ptr<const gpu::CudaMemory>> Find(const SharedMemoryReference& reference) const;

  SharedMemoryRegistry& system_;
  const std::shared_ptr<const gpu::CudaDriver> driver_;
  std::mutex devices_mutex_;
  std::map<int64_t, std::shared_ptr<const gpu::CudaDevice>> devices_;  // opened so far
  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;
  std::atomic<size_t> count_{0};
};

}  // namespace sextant::kserve
