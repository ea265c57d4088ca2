// Memory of a run's own that tensors lie in and that a server can be told of: a POSIX shared memory
// object, which the server maps, or memory on a GPU, which it opens.
//
// The host's side of it, data(), is the memory itself or, for a GPU, what is copied there and back
// when asked for. Sizes and offsets are bytes.
//
// Threads: Fetch() and Spoil() from any thread, for parts of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "gpu/cuda_memory.h"

namespace sextant::kserve {
class ControlClient;
}

namespace sextant::load {

class TensorRegion {
 public:
  virtual ~TensorRegion() = default;
  TensorRegion(const TensorRegion&) = delete;
  TensorRegion& operator=(const TensorRegion&) = delete;

  const std::string& name() const { return name_; }
  uint64_t size() const { return size_; }
  char* data() const { return data_; }

  // All of data() to where the server sees it. It may then be empty until Fetch().
  virtual Result<void> Publish() = 0;
  // What the server put there, to data().
  virtual Result<void> Fetch(uint64_t offset, uint64_t bytes) const = 0;
  // Makes what the server sees there differ from any answer.
  virtual Result<void> Spoil(uint64_t offset, uint64_t bytes) const = 0;
  virtual Result<void> Register(kserve::ControlClient& client) const = 0;
  virtual Result<void> Unregister(kserve::ControlClient& client) const = 0;

 protected:
  TensorRegion() = default;
  std::string name_;
  uint64_t size_ = 0;
  char* data_ = nullptr;
};

// Makes a region of a name of its own that ends with `what`.
using RegionMaker =
    std::function<Result<std::unique_ptr<TensorRegion>>(std::string_view what, uint64_t bytes)>;

// Errors as of kserve::SharedSegment.
Result<std::unique_ptr<TensorRegion>> MakeSystemRegion(std::string_view what, uint64_t bytes);
// Errors as of gpu::CudaMemory.
Result<std::unique_ptr<TensorRegion>> MakeCudaRegion(std::shared_ptr<const gpu::CudaDevice> device,
                                                     std::string_view what, uint64_t bytes);

}  // namespace sextant::load
