// What is kept of every single request where somebody wants to have that (--profile-export-file).
//
// A worker packs records into fixed blocks; full ones go to a thread that writes them to a file
// without a name, which is gone with the process. Memory is bounded: when the disk is too slow for
// that, records are left out and counted, for waiting would change what is measured. Records are
// read back when the level is over.
//
// Threads: a RequestLog belongs to its worker; RequestSpill's Take, Publish and CountLost are the
// workers', the others the controller's. No allocation per request once blocks go round, but where
// a slot holds more responses than any request of it before.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/files.h"
#include "base/result.h"
#include "load/channel.h"

namespace sextant::load {

// A request that succeeded, as it is read back.
struct LoggedRequest {
  struct Response {
    Instant received;
    bool empty = false;  // the end of a decoupled request that came without a response
    std::string_view body;
    std::optional<uint64_t> json_bytes;  // HTTP: of the body
  };
  Instant due;
  uint32_t request = 0;  // of its set
  std::optional<uint64_t> sequence_id;
  std::vector<Response> responses;
};

class RequestSpill {
 public:
  static constexpr size_t kBlockBytes = 256 * 1024;
  static constexpr size_t kMostBytes = 64 * 1024 * 1024;  // in blocks that wait for the disk

  // The file lies in `directory`. `bodies`: responses are kept as they come, too.
  static Result<std::unique_ptr<RequestSpill>> Create(const std::string& directory, bool bodies);
  ~RequestSpill();
  bool bodies() const { return bodies_; }

  // An empty block with room for so much; nothing when too much waits for the disk.
  std::optional<std::string> Take(size_t bytes);
  void Publish(std::string block);
  void CountLost() { lost_.fetch_add(1, std::memory_order_relaxed); }

  // Calls back with every record that was published, in the order of their ends on each worker.
  // Views are valid during the call.
  Result<void> Read(const std::function<Result<void>(const LoggedRequest&)>& take);
  // Forgets all records. Returns how many were left out of them.
  Result<uint64_t> Clear();

 private:
  RequestSpill(Fd file, bool bodies) : file_(std::move(file)), bodies_(bodies) {}
  void Write();
  Result<void> AwaitWritten();

  const Fd file_;
  const bool bodies_;
  std::atomic<uint64_t> lost_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> full_, empty_;
  size_t waiting_bytes_ = 0;  // of blocks that are neither empty nor written
  bool writing_ = false, stop_ = false;
  std::optional<Error> fault_;
  std::thread thread_;
};

class RequestLog {
 public:
  explicit RequestLog(RequestSpill& spill);

  // The request of that slot, which is about to be sent, belongs to a sequence.
  void OnSequence(uint32_t slot, uint64_t id) { At(slot).sequence_id = id; }
  // One of several responses.
  void OnResponse(uint32_t slot, const Answer& response) { Add(At(slot), response, false); }
  // The request has succeeded. `whole`: the answer is its only response.
  void OnSuccess(uint32_t slot, Instant due, uint32_t request, bool whole, const Answer& answer);
  // It is sent again: what came of it so far does not count.
  void OnRetry(uint32_t slot) {
    At(slot).responses.clear();
    At(slot).bodies.clear();
  }
  // It has ended in another way, or belongs to no window.
  void Forget(uint32_t slot) { At(slot).Clear(); }
  // Hands over what there is.
  void Flush();

 private:
  // As it lies in a block: this, the responses' heads, their bodies.
  struct Head {
    uint64_t bytes;  // all of it
    Instant due;
    uint64_t sequence_id;
    uint32_t request, responses;
    bool in_sequence;
  };
  struct ResponseHead {
    Instant received;
    uint64_t body_bytes, json_bytes;  // json_bytes: UINT64_MAX is unknown
    bool empty;
  };
  struct Open {
    std::optional<uint64_t> sequence_id;
    std::vector<ResponseHead> responses;
    std::string bodies;
    void Clear() {
      sequence_id.reset();
      responses.clear();
      bodies.clear();
    }
  };
  friend class RequestSpill;

  Open& At(uint32_t slot) {
    if (slot >= open_.size()) open_.resize(slot + 1);
    return open_[slot];
  }
  void Add(Open& open, const Answer& answer, bool empty);
  bool MakeRoom(size_t bytes);

  RequestSpill& spill_;
  std::vector<Open> open_;  // by slot
  std::string block_;
};

}  // namespace sextant::load
