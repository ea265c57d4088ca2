#include "net/http2_streams.h"

namespace sextant::net {

void Http2Stream::Reset() {
  pieces.clear();
  owned.clear();
  trailers.clear();
  message.clear();
  status_message.clear();
  piece = offset = 0;
  ends_after_data = queued = local_closed = remote_closed = keep_message = false;
  unacknowledged = message_bytes = 0;
  state = 0;
  http_status = 0;
  grpc_status = -1;
  sent = nullptr;
}

Http2StreamTable::Http2StreamTable() : slots_(64) {}

Http2Stream& Http2StreamTable::Insert(uint32_t id) {
  if ((size_ + 1) * 2 > slots_.size()) Grow();
  if (free_.empty()) {
    pool_.push_back(std::make_unique<Http2Stream>());
    free_.push_back(pool_.back().get());
    free_.reserve(pool_.capacity());
  }
  Http2Stream* stream = free_.back();
  free_.pop_back();
  stream->id = id;
  size_t at = Home(id);
  while (slots_[at] != nullptr) at = (at + 1) & (slots_.size() - 1);
  slots_[at] = stream;
  ++size_;
  return *stream;
}

Http2Stream* Http2StreamTable::Find(uint32_t id) {
  for (size_t at = Home(id); slots_[at] != nullptr; at = (at + 1) & (slots_.size() - 1)) {
    if (slots_[at]->id == id) return slots_[at];
  }
  return nullptr;
}

void Http2StreamTable::Erase(uint32_t id) {
  const size_t mask = slots_.size() - 1;
  size_t at = Home(id);
  while (slots_[at] != nullptr && slots_[at]->id != id) at = (at + 1) & mask;
  if (slots_[at] == nullptr) return;
  Http2Stream* stream = slots_[at];
  stream->Reset();
  free_.push_back(stream);
  --size_;
  // Close the gap: move back every follower that may stand nearer to its home.
  for (size_t next = (at + 1) & mask; slots_[next] != nullptr; next = (next + 1) & mask) {
    const size_t home = Home(slots_[next]->id);
    if (((next - home) & mask) >= ((next - at) & mask)) {
      slots_[at] = slots_[next];
      at = next;
    }
  }
  slots_[at] = nullptr;
}

void Http2StreamTable::Grow() {
  std::vector<Http2Stream*> old(slots_.size() * 2);
  old.swap(slots_);
  --shift_;
  for (Http2Stream* stream : old) {
    if (stream == nullptr) continue;
    size_t at = Home(stream->id);
    while (slots_[at] != nullptr) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = stream;
  }
}

}  // namespace sextant::net
