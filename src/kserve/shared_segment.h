// A shared memory object of our own: made, mapped, and gone when its owner is.
//
// Names are /sextant_PID_NONCE_WHAT, so that no two programs ever mean the same one. The owner
// holds a lock on the object as long as it lives: what a killed program left behind is told by the
// lock that nobody holds, also across containers, where process ids mean different processes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/files.h"
#include "base/result.h"

namespace sextant::kserve {

class SharedSegment {
 public:
  // Errors: kUnavailable when the memory is not there (its message says how much is needed and
  // how much there is), or the system's reason.
  static Result<std::unique_ptr<SharedSegment>> Create(std::string_view what, uint64_t bytes);
  ~SharedSegment();
  SharedSegment(const SharedSegment&) = delete;
  SharedSegment& operator=(const SharedSegment&) = delete;

  const std::string& key() const { return key_; }  // with its '/'
  std::string name() const { return key_.substr(1); }
  char* data() const { return data_; }
  uint64_t size() const { return size_; }

 private:
  SharedSegment() = default;
  std::string key_;
  Fd fd_;
  char* data_ = nullptr;
  uint64_t size_ = 0;
};

// Removes the objects of programs of ours that were killed; returns how many.
size_t RemoveOrphanedSegments();

}  // namespace sextant::kserve
