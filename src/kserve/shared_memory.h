// System shared memory regions that a client has registered with a server.
//
// Threads: all calls from any thread. A mapping stays valid for as long as somebody holds it, also
// when its region has been unregistered meanwhile.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "kserve/infer.h"

namespace sextant::kserve {

// A part of a POSIX shared memory object, mapped.
class SharedMapping {
 public:
  static Result<std::shared_ptr<SharedMapping>> Open(const std::string& key, uint64_t offset,
                                                     uint64_t byte_size);
  ~SharedMapping();
  char* data() const { return data_; }
  uint64_t size() const { return size_; }
  // Whether the object still reaches as far as the mapping: its owner may have cut it off since,
  // and to touch what is not there any more ends the process.
  bool Whole() const;

 private:
  SharedMapping() = default;
  void* base_ = nullptr;
  size_t mapped_ = 0;
  char* data_ = nullptr;
  uint64_t size_ = 0;
  uint64_t end_ = 0;  // offset of the mapping's end in the object
  Fd fd_;
};

struct SharedRegion {
  std::string name, key;
  uint64_t offset = 0, byte_size = 0;
};

// What is wrong with a tensor's reference to a region, whichever kind of memory it is.
Error NoSuchRegion(const SharedMemoryReference& reference);
Result<void> CheckWithin(const SharedMemoryReference& reference, uint64_t region_bytes);

// The entry, which has a `region`, of the region that is referred to, when the tensor lies in it.
template <typename Entry>
Result<const Entry*> FindRegion(const std::map<std::string, Entry>& entries,
                                const SharedMemoryReference& reference) {
  const auto it = entries.find(reference.region);
  if (it == entries.end()) return NoSuchRegion(reference);
  SEXTANT_TRY(CheckWithin(reference, it->second.region.byte_size));
  return &it->second;
}

class SharedMemoryRegistry {
 public:
  // Errors: kAlreadyExists for a name in use, kInvalidArgument for an object that is not there or
  // too small.
  Result<void> Register(const SharedRegion& region);
  // Unknown names are not an error; an empty name means all.
  void Unregister(const std::string& name);
  // One region or, with an empty name, all. Error: kNotFound.
  Result<std::vector<SharedRegion>> Status(const std::string& name) const;

  struct View {
    std::shared_ptr<SharedMapping> mapping;
    char* data = nullptr;
    uint64_t size = 0;
  };
  // The memory a tensor refers to. Errors: kNotFound for an unknown region, kInvalidArgument for
  // one that is too small.
  Result<View> Find(const SharedMemoryReference& reference) const;

  // A name that a region of another kind has, until it is released. kAlreadyExists.
  Result<void> Reserve(const std::string& name);
  void Release(const std::string& name);

 private:
  Result<void> CheckFree(const std::string& name) const;
  struct Entry {
    SharedRegion region;
    std::shared_ptr<SharedMapping> mapping;
  };
  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;
  std::set<std::string> reserved_;
};

}  // namespace sextant::kserve
