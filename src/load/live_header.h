// A header field whose value may change while the load runs: a token that expires.
//
// Threads: any. A worker looks at the version with every request, which is one load, and takes the
// value only when it is new.
#pragma once

#include <atomic>
#include <cctype>
#include <cstdint>
#include <mutex>
#include <string>

#include "net/hpack.h"

namespace sextant::load {

class LiveHeader {
 public:
  explicit LiveHeader(std::string name) : name_(std::move(name)) {}

  // 0: there is no value yet.
  uint32_t version() const { return version_.load(std::memory_order_acquire); }
  net::HeaderField field() const {
    const std::scoped_lock lock(mutex_);
    return {name_, value_};
  }
  // As HTTP/2 has it: names in lower case.
  net::HeaderField grpc_field() const {
    net::HeaderField out = field();
    for (char& c : out.name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return out;
  }
  void Set(std::string value) {
    const std::scoped_lock lock(mutex_);
    if (value == value_) return;
    value_ = std::move(value);
    version_.fetch_add(1, std::memory_order_release);
  }

 private:
  const std::string name_;
  mutable std::mutex mutex_;  // guards value_
  std::string value_;
  std::atomic<uint32_t> version_{0};
};

}  // namespace sextant::load
