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

void WriteQueue::ExtendPieces(size_t n) {
  if (pieces_.size() > first_ && pieces_.back().data == nullptr) {
    pieces_.back().size += n;  // copied bytes follow each other
  } else {
    pieces_.push_back({nullptr, copied_size_, n});
  }
}

void WriteQueue::AppendReference(std::string_view bytes) {
  if (bytes.empty()) return;
  if (pieces_.empty() && pending_ > 0)
    pieces_.push_back({nullptr, copied_size_ - pending_, pending_});
  pending_ += bytes.size();
  pieces_.push_back({bytes.data(), 0, bytes.size()});
}

void WriteQueue::AppendOwned(std::string bytes) {
  owned_.push_back(std::move(bytes));
  AppendReference(owned_.back());
}

IoResult WriteQueue::WritePieces(Socket& socket) {
  std::array<iovec, 64> vectors;
  size_t count = 0;
  for (size_t i = first_; i < pieces_.size() && count < vectors.size(); ++i)
    vectors[count++] = {const_cast<char*>(Start(pieces_[i])), pieces_[i].size};
  const IoResult result = socket.WritePieces({vectors.data(), count});
  size_t left = result.bytes;
  while (left > 0) {
    Piece& piece = pieces_[first_];
    const size_t taken = std::min(left, piece.size);
    piece.offset += taken;
    piece.size -= taken;
    left -= taken;
    if (piece.size == 0) ++first_;
  }
  return result;
}

int WriteQueue::Flush(Socket& socket, uint64_t& written) {
  while (pending_ > 0) {
    const IoResult result = pieces_.empty()
                                ? socket.Write(copied_.get() + (copied_size_ - pending_), pending_)
                                : WritePieces(socket);
    if (result.error != 0) return result.error;
    if (result.would_block) return 0;
    written += result.bytes;
    pending_ -= result.bytes;
  }
  Clear();
  return 0;
}

void WriteQueue::LetGo() {
  pieces_.clear();
  owned_.clear();
  first_ = 0;
  if (capacity_ > kMaxKept) {
    copied_.reset();
    capacity_ = 0;
  }
}

}  // namespace sextant::net
