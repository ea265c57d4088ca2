#include "load/tensor_region.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/random.h"
#include "base/strings.h"
#include "base/units.h"
#include "kserve/control_client.h"
#include "kserve/shared_segment.h"

namespace sextant::load {
namespace {

constexpr uint8_t kSpoiled = 0xa5;

class SystemRegion final : public TensorRegion {
 public:
  explicit SystemRegion(std::unique_ptr<kserve::SharedSegment> segment)
      : segment_(std::move(segment)) {
    name_ = segment_->name();
    size_ = segment_->size();
    data_ = segment_->data();
  }
  // The server sees data() itself.
  Result<void> Publish() override { return {}; }
  Result<void> Fetch(uint64_t, uint64_t) const override { return {}; }
  Result<void> Spoil(uint64_t offset, uint64_t bytes) const override {
    std::memset(data_ + offset, kSpoiled, bytes);
    return {};
  }
  Result<void> Register(kserve::ControlClient& client) const override {
    return client.RegisterSystemMemory({.name = name_, .key = segment_->key(), .byte_size = size_});
  }
  Result<void> Unregister(kserve::ControlClient& client) const override {
    return client.UnregisterSystemMemory(name_);
  }

 private:
  std::unique_ptr<kserve::SharedSegment> segment_;
};

class CudaTensorRegion final : public TensorRegion {
 public:
  static Result<std::unique_ptr<TensorRegion>> Make(std::shared_ptr<const gpu::CudaDevice> device,
                                                    std::string_view what, uint64_t bytes) {
    std::unique_ptr<CudaTensorRegion> out(new CudaTensorRegion());
    SEXTANT_ASSIGN(out->memory_, gpu::CudaMemory::Allocate(std::move(device), bytes));
    SEXTANT_ASSIGN(out->handle_, out->memory_->Handle());
    // Pages that are never touched cost nothing: outputs that nobody compares stay on the GPU.
    void* host = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (host == MAP_FAILED)
      return IoError("memory for " + HumanBytes(static_cast<double>(bytes)), errno);
    out->data_ = static_cast<char*>(host);
    out->size_ = bytes;
    out->name_ = Format("sextant_{}_{}_{}", getpid(), RandomWord(8), what);
    return std::unique_ptr<TensorRegion>(std::move(out));
  }
  ~CudaTensorRegion() override {
    if (data_ != nullptr) munmap(data_, size_);
  }
  Result<void> Publish() override {
    SEXTANT_TRY(memory_->Write(0, {data_, size_}));
    madvise(data_, size_, MADV_DONTNEED);
    return {};
  }
  Result<void> Fetch(uint64_t offset, uint64_t bytes) const override {
    return memory_->Read(offset, data_ + offset, bytes);
  }
  Result<void> Spoil(uint64_t offset, uint64_t bytes) const override {
    return memory_->Fill(offset, bytes, kSpoiled);
  }
  Result<void> Register(kserve::ControlClient& client) const override {
    return client.RegisterCudaMemory({.name = name_,
                                      .handle = {handle_.data(), handle_.size()},
                                      .device = memory_->device().index(),
                                      .byte_size = size_});
  }
  Result<void> Unregister(kserve::ControlClient& client) const override {
    return client.UnregisterCudaMemory(name_);
  }

 private:
  CudaTensorRegion() = default;
  std::unique_ptr<gpu::CudaMemory> memory_;
  gpu::CudaIpcHandle handle_{};
};

}  // namespace

Result<std::unique_ptr<TensorRegion>> MakeSystemRegion(std::string_view what, uint64_t bytes) {
  SEXTANT_ASSIGN(auto segment, kserve::SharedSegment::Create(what, bytes));
  return std::unique_ptr<TensorRegion>(std::make_unique<SystemRegion>(std::move(segment)));
}

Result<std::unique_ptr<TensorRegion>> MakeCudaRegion(std::shared_ptr<const gpu::CudaDevice> device,
                                                     std::string_view what, uint64_t bytes) {
  return CudaTensorRegion::Make(std::move(device), what, bytes);
}

}  // namespace sextant::load
