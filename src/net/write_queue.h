// Bytes on their way into a socket: small ones copied together, large ones by reference.
//
// One write for everything that has been queued since the last flush; what the socket does not take
// stays in order. No allocation once the buffer has reached its working size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/socket.h"

namespace sextant::net {

class WriteQueue {
 public:
  // Room for n bytes at the end of the queue, to be filled at once; valid until the next call.
  char* Extend(size_t n) {
    if (copied_size_ + n > capacity_) Grow(n);
    char* place = copied_.get() + copied_size_;
    if (!pieces_.empty()) [[unlikely]]
      ExtendPieces(n);
    copied_size_ += n;
    pending_ += n;
    return place;
  }
  // Copies the bytes.
  void Append(std::string_view bytes) {
    if (!bytes.empty()) std::memcpy(Extend(bytes.size()), bytes.data(), bytes.size());
  }
  // The bytes must stay where they are until pending() is 0.
  void AppendReference(std::string_view bytes);
  // Takes the bytes over.
  void AppendOwned(std::string bytes);
  // Keeps bytes that have been queued by reference until everything is written.
  void Keep(std::string bytes) { owned_.push_back(std::move(bytes)); }

  size_t pending() const { return pending_; }

  // Writes until all is written (pending() == 0) or the socket takes no more. 0, or the errno of a
  // broken connection. Adds what was written to `written`.
  int Flush(Socket& socket, uint64_t& written);
  void Clear() {
    copied_size_ = pending_ = 0;
    if (!pieces_.empty() || !owned_.empty() || capacity_ > kMaxKept) [[unlikely]]
      LetGo();
  }

 private:
  // What one large answer needed is not kept for ever by an idle connection.
  static constexpr size_t kMaxKept = 1024 * 1024;
  struct Piece {
    const char* data;  // null: `offset` in copied_
    size_t offset;
    size_t size;
  };
  void Grow(size_t n);
  void ExtendPieces(size_t n);
  void LetGo();
  IoResult WritePieces(Socket& socket);
  const char* Start(const Piece& piece) const {
    return (piece.data == nullptr ? copied_.get() : piece.data) + piece.offset;
  }

  std::unique_ptr<char[]> copied_;
  size_t copied_size_ = 0, capacity_ = 0;
  // None while everything is copied: then what is pending is the end of that.
  std::vector<Piece> pieces_;
  size_t first_ = 0;  // first piece with unwritten bytes
  size_t pending_ = 0;
  std::deque<std::string> owned_;
};

}  // namespace sextant::net
