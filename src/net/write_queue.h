// Bytes on their way into a socket: small ones copied together, large ones by reference.
//
// One write for everything that has been queued since the last flush; what the socket does not take
// stays in order. No allocation once the buffers have reached their working size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "net/socket.h"

namespace sextant::net {

class WriteQueue {
 public:
  // Copies the bytes.
  void Append(std::string_view bytes) {
    copied_.append(bytes);
    AddCopied(bytes.size());
  }
  // The buffer that Append fills, for writers that encode in place; follow with AddCopied(n) for
  // the n bytes appended to it.
  std::string& buffer() { return copied_; }
  void AddCopied(size_t n);
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
  void Clear();

 private:
  struct Piece {
    const char* data;  // null: `offset` in copied_
    size_t offset;
    size_t size;
  };

  std::string copied_;
  std::vector<Piece> pieces_;
  size_t first_ = 0;  // first piece with unwritten bytes
  size_t pending_ = 0;
  std::deque<std::string> owned_;
};

}  // namespace sextant::net
