#include "kserve/shared_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/files.h"
#include "base/strings.h"

namespace sextant::kserve {

Result<std::shared_ptr<SharedMapping>> SharedMapping::Open(const std::string& key, uint64_t offset,
                                                           uint64_t byte_size) {
  Fd fd(shm_open(key.c_str(), O_RDWR | O_CLOEXEC, 0));
  if (!fd.valid())
    return Internal(
        IoError(Format("unable to open shared memory object '{}'", Printable(key, 80)), errno)
            .message());
  struct stat info{};
  if (fstat(fd.get(), &info) != 0) return IoError("fstat", errno);
  uint64_t end = 0;
  if (byte_size == 0 || __builtin_add_overflow(offset, byte_size, &end) ||
      end > static_cast<uint64_t>(info.st_size)) {
    return InvalidArgument(
        Format("shared memory object '{}' has {} bytes: {} at offset {} do not lie in it",
               Printable(key, 80), info.st_size, byte_size, offset));
  }
  // Mappings start at page boundaries.
  const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t start = offset / page * page;
  std::shared_ptr<SharedMapping> mapping(new SharedMapping());
  mapping->mapped_ = end - start;
  mapping->base_ = mmap(nullptr, mapping->mapped_, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(),
                        static_cast<off_t>(start));
  if (mapping->base_ == MAP_FAILED) {
    mapping->base_ = nullptr;
    return IoError("map shared memory object " + key, errno);
  }
  mapping->data_ = static_cast<char*>(mapping->base_) + (offset - start);
  mapping->size_ = byte_size;
  mapping->end_ = end;
  mapping->fd_ = std::move(fd);
  return mapping;
}

bool SharedMapping::Whole() const {
  struct stat info{};
  return fstat(fd_.get(), &info) == 0 && end_ <= static_cast<uint64_t>(info.st_size);
}

SharedMapping::~SharedMapping() {
  if (base_ != nullptr) munmap(base_, mapped_);
}

Error NoSuchRegion(const SharedMemoryReference& reference) {
  return NotFound(
      Format("Unable to find shared memory region: '{}'", Printable(reference.region, 80)));
}

Result<void> CheckWithin(const SharedMemoryReference& reference, uint64_t region_bytes) {
  uint64_t end = 0;
  if (!__builtin_add_overflow(reference.offset, reference.byte_size, &end) && end <= region_bytes)
    return {};
  return InvalidArgument(Format(
      "Invalid offset + byte size for shared memory region: '{}': {} + {} exceed its {} bytes",
      Printable(reference.region, 80), reference.offset, reference.byte_size, region_bytes));
}

Result<void> SharedMemoryRegistry::Register(const SharedRegion& region) {
  if (region.name.empty()) return InvalidArgument("a shared memory region needs a name");
  const std::scoped_lock lock(mutex_);
  SEXTANT_TRY(CheckFree(region.name));
  SEXTANT_ASSIGN(
      auto mapping, SharedMapping::Open(region.key, region.offset, region.byte_size),
      Format("failed to register shared memory region '{}'", Printable(region.name, 80)));
  entries_[region.name] = {region, std::move(mapping)};
  return {};
}

Result<void> SharedMemoryRegistry::CheckFree(const std::string& name) const {
  if (!entries_.contains(name) && !reserved_.contains(name)) return {};
  return Error(ErrorCode::kAlreadyExists,
               Format("shared memory region '{}' already in manager", name));
}

Result<void> SharedMemoryRegistry::Reserve(const std::string& name) {
  const std::scoped_lock lock(mutex_);
  SEXTANT_TRY(CheckFree(name));
  reserved_.insert(name);
  return {};
}

void SharedMemoryRegistry::Release(const std::string& name) {
  const std::scoped_lock lock(mutex_);
  reserved_.erase(name);
}

void SharedMemoryRegistry::Unregister(const std::string& name) {
  const std::scoped_lock lock(mutex_);
  if (name.empty()) {
    entries_.clear();
  } else {
    entries_.erase(name);
  }
}

Result<std::vector<SharedRegion>> SharedMemoryRegistry::Status(const std::string& name) const {
  const std::scoped_lock lock(mutex_);
  std::vector<SharedRegion> out;
  for (const auto& [key, entry] : entries_) {
    if (name.empty() || key == name) out.push_back(entry.region);
  }
  if (reserved_.contains(name)) {
    return NotFound(Format(
        "The region named '{}' is registered as CUDA shared memory, not system shared memory",
        Printable(name, 80)));
  }
  if (!name.empty() && out.empty()) {
    return NotFound(
        Format("Unable to find system shared memory region: '{}'", Printable(name, 80)));
  }
  return out;
}

Result<SharedMemoryRegistry::View> SharedMemoryRegistry::Find(
    const SharedMemoryReference& reference) const {
  const std::scoped_lock lock(mutex_);
  SEXTANT_ASSIGN(const Entry* entry, FindRegion(entries_, reference));
  if (!entry->mapping->Whole()) {
    return InvalidArgument(
        Format("the object of shared memory region '{}' is no longer as large as when it was "
               "registered: unregister it and register it again",
               Printable(reference.region, 80)));
  }
  return View{entry->mapping, entry->mapping->data() + reference.offset, reference.byte_size};
}

}  // namespace sextant::kserve
