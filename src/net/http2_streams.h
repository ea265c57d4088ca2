// The streams of an HTTP/2 connection.
//
// Threads: belong to their connection, on its loop.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace sextant::net {

// One exchange. The receiving fields are the derived side's to use.
struct Http2Stream {
  uint32_t id = 0;
  uint32_t token = 0;  // the owner's name for it

  // Outgoing data that is still to be framed: `pieces` from `piece`/`offset` on, then the trailers.
  int64_t send_window = 0;
  std::vector<std::string_view> pieces;
  size_t piece = 0, offset = 0;
  std::string owned;     // backs pieces that the stream owns; kept until written
  std::string trailers;  // header block that ends the stream; empty: the last data frame ends it
  bool ends_after_data = false;
  bool queued = false;  // in the list of streams that wait to send
  bool local_closed = false, remote_closed = false;

  // Incoming.
  uint64_t unacknowledged = 0;  // received bytes for which no window has been given back
  std::string message;          // assembled payload
  uint64_t message_bytes = 0;
  uint32_t state = 0;  // derived side's flags
  int http_status = 0, grpc_status = -1;
  std::string status_message;
  bool keep_message = false;
  Instant* sent = nullptr;
  uint64_t owner_serial = 0;

  void Reset();
};

// Streams by id, and a pool so that a stream in steady state costs no allocation.
class Http2StreamTable {
 public:
  Http2StreamTable();
  Http2Stream& Insert(uint32_t id);
  Http2Stream* Find(uint32_t id);
  void Erase(uint32_t id);
  size_t size() const { return size_; }
  // All live streams; the table must not change meanwhile.
  template <typename F>
  void ForEach(F&& visit) {
    for (Http2Stream* stream : slots_) {
      if (stream != nullptr) visit(*stream);
    }
  }

 private:
  // Scattered (Fibonacci hashing): neighbouring ids in neighbouring slots would be one long run,
  // which every Erase would have to walk.
  size_t Home(uint32_t id) const { return (id * 0x9e3779b1u) >> shift_; }
  void Grow();

  std::vector<Http2Stream*> slots_;  // open addressing, linear probing, power of two
  std::vector<std::unique_ptr<Http2Stream>> pool_;
  std::vector<Http2Stream*> free_;
  size_t size_ = 0;
  int shift_ = 32 - 6;  // slots_.size() is 2^(32 - shift_)
};

}  // namespace sextant::net
