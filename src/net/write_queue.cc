#include "net/write_queue.h"

#include <algorithm>
#include <array>

namespace sextant::net {

void WriteQueue::Grow(size_t n) {
  const size_t capacity = std::max(copied_size_ + n, 2 * capacity_);
  std::unique_ptr<char[]> larger(new char[capacity]);
  if (copied_size_ > 0) std::memcpy(larger.get(), copied_.get(), copied_size_);
  copied_ = std::move(larger);
  capacity_ = capacity;
}

void WriteQueue::AppendReference(std::string_view bytes) {
  if (bytes.empty()) return;
  pending_ += bytes.size();
  pieces_.push_back({bytes.data(), 0, bytes.size()});
}

void WriteQueue::AppendOwned(std::string bytes) {
  owned_.push_back(std::move(bytes));
  AppendReference(owned_.back());
}

int WriteQueue::Flush(Socket& socket, uint64_t& written) {
  while (pending_ > 0) {
    IoResult result;
    if (pieces_.size() - first_ == 1) {
      result = socket.Write(Start(pieces_[first_]), pieces_[first_].size);
    } else {
      std::array<iovec, 64> vectors;
      size_t count = 0;
      for (size_t i = first_; i < pieces_.size() && count < vectors.size(); ++i) {
        vectors[count++] = {const_cast<char*>(Start(pieces_[i])), pieces_[i].size};
      }
      result = socket.WritePieces({vectors.data(), count});
    }
    if (result.error != 0) return result.error;
    if (result.would_block) return 0;
    written += result.bytes;
    pending_ -= result.bytes;
    if (pending_ == 0) break;
    size_t left = result.bytes;
    while (left > 0) {
      Piece& piece = pieces_[first_];
      const size_t taken = std::min(left, piece.size);
      piece.offset += taken;
      piece.size -= taken;
      left -= taken;
      if (piece.size == 0) ++first_;
    }
  }
  Clear();
  return 0;
}

void WriteQueue::Clear() {
  copied_size_ = 0;
  pieces_.clear();
  if (!owned_.empty()) owned_.clear();
  first_ = pending_ = 0;
  // What one large answer needed is not kept for ever by an idle connection.
  if (capacity_ > 1024 * 1024) {
    copied_.reset();
    capacity_ = 0;
  }
}

}  // namespace sextant::net
