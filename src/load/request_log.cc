#include "load/request_log.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <type_traits>
#include <utility>

#include "base/strings.h"
#include "net/http1.h"

namespace sextant::load {
namespace {

constexpr uint64_t kUnknown = UINT64_MAX;

template <typename T>
void AppendPlain(const T& value, std::string& out) {
  static_assert(std::is_trivially_copyable_v<T>);
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
template <typename T>
T ReadPlain(std::string_view bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

}  // namespace

Result<std::unique_ptr<RequestSpill>> RequestSpill::Create(const std::string& directory,
                                                           bool bodies) {
  SEXTANT_ASSIGN(Fd file, OpenNameless(directory));
  std::unique_ptr<RequestSpill> spill(new RequestSpill(std::move(file), bodies));
  spill->thread_ = std::thread([raw = spill.get()] { raw->Write(); });
  pthread_setname_np(spill->thread_.native_handle(), "spill");
  return spill;
}

RequestSpill::~RequestSpill() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::optional<std::string> RequestSpill::Take(size_t bytes) {
  bytes = std::max(bytes, kBlockBytes);
  std::string block;
  {
    const std::scoped_lock lock(mutex_);
    // One that is larger than all that may wait is let through alone.
    if (waiting_bytes_ > 0 && waiting_bytes_ + bytes > kMostBytes) return std::nullopt;
    if (bytes == kBlockBytes && !empty_.empty()) {
      block = std::move(empty_.back());
      empty_.pop_back();
    }
  }
  block.reserve(bytes);
  return block;
}

void RequestSpill::Publish(std::string block) {
  {
    const std::scoped_lock lock(mutex_);
    waiting_bytes_ += block.capacity();
    full_.push_back(std::move(block));
  }
  changed_.notify_all();
}

void RequestSpill::Write() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stop_ || !full_.empty(); });
    if (stop_) return;
    std::vector<std::string> blocks = std::exchange(full_, {});
    writing_ = true;
    lock.unlock();
    std::optional<Error> fault;
    for (const std::string& block : blocks) {
      if (fault) break;
      if (Result<void> written = WriteAll(file_.get(), block, "the temporary file");
          !written.has_value())
        fault = std::move(written).error();
    }
    lock.lock();
    writing_ = false;
    if (fault && !fault_) fault_ = std::move(fault);
    for (std::string& block : blocks) {
      waiting_bytes_ -= block.capacity();
      if (block.capacity() > 2 * kBlockBytes) continue;  // made for one large record
      block.clear();
      empty_.push_back(std::move(block));
    }
    changed_.notify_all();
  }
}

Result<void> RequestSpill::AwaitWritten() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return full_.empty() && !writing_; });
  if (fault_) return *fault_;
  return {};
}

Result<void> RequestSpill::Read(const std::function<Result<void>(const LoggedRequest&)>& take) {
  using Head = RequestLog::Head;
  using ResponseHead = RequestLog::ResponseHead;
  SEXTANT_TRY(AwaitWritten());
  const off_t end = lseek(file_.get(), 0, SEEK_END);
  std::string buffer;
  size_t at = 0;  // in the buffer
  LoggedRequest out;
  for (off_t next = 0;;) {
    const std::string_view rest = std::string_view(buffer).substr(at);
    const size_t need = rest.size() < sizeof(Head) ? sizeof(Head) : ReadPlain<Head>(rest, 0).bytes;
    if (rest.size() < need) {
      if (next >= end && rest.empty()) return {};
      buffer.erase(0, at);
      at = 0;
      const size_t had = buffer.size();
      buffer.resize(std::max(need, had + kBlockBytes));
      const ssize_t n = pread(file_.get(), buffer.data() + had, buffer.size() - had, next);
      if (n < 0 && errno != EINTR) return IoError("read the temporary file", errno);
      buffer.resize(had + static_cast<size_t>(std::max<ssize_t>(n, 0)));
      next += std::max<ssize_t>(n, 0);
      if (n == 0) return Corrupt("the temporary file ends within a record");
      continue;
    }
    const auto head = ReadPlain<Head>(rest, 0);
    out.due = head.due;
    out.request = head.request;
    out.sequence_id = head.in_sequence ? std::optional(head.sequence_id) : std::nullopt;
    out.responses.clear();
    size_t body = sizeof(Head) + head.responses * sizeof(ResponseHead);
    for (uint32_t i = 0; i < head.responses; ++i) {
      const auto response = ReadPlain<ResponseHead>(rest, sizeof(Head) + i * sizeof(ResponseHead));
      out.responses.push_back({.received = response.received,
                               .empty = response.empty,
                               .body = rest.substr(body, response.body_bytes),
                               .json_bytes = response.json_bytes == kUnknown
                                                 ? std::nullopt
                                                 : std::optional(response.json_bytes)});
      body += response.body_bytes;
    }
    SEXTANT_TRY(take(out));
    at += head.bytes;
  }
}

Result<uint64_t> RequestSpill::Clear() {
  SEXTANT_TRY(AwaitWritten());
  if (ftruncate(file_.get(), 0) != 0 || lseek(file_.get(), 0, SEEK_SET) != 0)
    return IoError("empty the temporary file", errno);
  return lost_.exchange(0);
}

RequestLog::RequestLog(RequestSpill& spill) : spill_(spill) {}

void RequestLog::Add(Open& open, const Answer& answer, bool empty) {
  ResponseHead head{.received = answer.received,
                    .body_bytes = spill_.bodies() ? answer.body.size() : 0,
                    .json_bytes = kUnknown,
                    .empty = empty};
  if (head.body_bytes > 0) {
    open.bodies += answer.body;
    if (const auto text = net::FindHeader(answer.fields, "inference-header-content-length"))
      head.json_bytes = ParseUint(*text).value_or(kUnknown);
  }
  open.responses.push_back(head);
}

bool RequestLog::MakeRoom(size_t bytes) {
  if (block_.capacity() >= RequestSpill::kBlockBytes && block_.size() + bytes <= block_.capacity())
    return true;
  Flush();
  std::optional<std::string> block = spill_.Take(bytes);
  if (!block) return false;
  block_ = *std::move(block);
  return true;
}

void RequestLog::OnSuccess(uint32_t slot, Instant due, uint32_t request, bool whole,
                           const Answer& answer) {
  Open& open = At(slot);
  if (whole || answer.ends_alone) Add(open, answer, answer.ends_alone);
  const Head head{
      .bytes = sizeof(Head) + open.responses.size() * sizeof(ResponseHead) + open.bodies.size(),
      .due = due,
      .sequence_id = open.sequence_id.value_or(0),
      .request = request,
      .responses = static_cast<uint32_t>(open.responses.size()),
      .in_sequence = open.sequence_id.has_value()};
  if (MakeRoom(head.bytes)) {
    AppendPlain(head, block_);
    for (const ResponseHead& response : open.responses) AppendPlain(response, block_);
    block_ += open.bodies;
  } else {
    spill_.CountLost();
  }
  open.Clear();
}

void RequestLog::Flush() {
  if (!block_.empty()) spill_.Publish(std::exchange(block_, {}));
}

}  // namespace sextant::load
