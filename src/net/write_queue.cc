#include "net/write_queue.h"

#include <array>

namespace sextant::net {

void WriteQueue::AddCopied(size_t n) {
  if (n == 0) return;
  pending_ += n;
  if (pieces_.size() > first_) {
    Piece& last = pieces_.back();
    if (last.data == nullptr && last.offset + last.size + n == copied_.size()) {
      last.size += n;
      return;
    }
  }
  pieces_.push_back({nullptr, copied_.size() - n, n});
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
      const Piece& piece = pieces_[first_];
      result = socket.Write((piece.data == nullptr ? copied_.data() : piece.data) + piece.offset,
                            piece.size);
    } else {
      std::array<iovec, 64> vectors;
      size_t count = 0;
      for (size_t i = first_; i < pieces_.size() && count < vectors.size(); ++i) {
        const Piece& piece = pieces_[i];
        const char* base = piece.data == nullptr ? copied_.data() : piece.data;
        vectors[count++] = {const_cast<char*>(base + piece.offset), piece.size};
      }
      result = socket.WritePieces({vectors.data(), count});
    }
    if (result.error != 0) return result.error;
    if (result.would_block) return 0;
    written += result.bytes;
    pending_ -= result.bytes;
    size_t left = result.bytes;
    while (left > 0) {
      Piece& piece = pieces_[first_];
      const size_t taken = left < piece.size ? left : piece.size;
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
  copied_.clear();
  pieces_.clear();
  owned_.clear();
  first_ = pending_ = 0;
}

}  // namespace sextant::net
