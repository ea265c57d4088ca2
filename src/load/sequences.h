// Sequences of one worker: which request comes next, under which id, with which flags.
//
// A lane is a place for one sequence at a time. A closed loop has as many lanes as sequences are to
// be in flight, and one request of each; an open loop gives its arrivals to the lanes in turn,
// waiting for a lane's answer (serial) or not. A failed request ends its sequence: the server's
// state is unknown, so the lane starts another.
//
// Threads: belongs to its worker. No allocation once every lane has been used, but where a lane
// holds more sequences with answers outstanding than ever before.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "load/data.h"

namespace sextant::load {

// The same for all workers.
struct SequencePlan {
  uint64_t length = 20;   // requests
  double variation = 20;  // per cent to either side, drawn evenly
  size_t lanes = 4;       // of an open loop, over all workers
  bool serial = false;    // open loop: one request of a sequence at a time
  uint64_t first_id = 1;  // ids are first_id .. first_id + ids - 1
  uint64_t ids = 0;       // 0: 63-bit ids made from the seed, of which no two runs share any
  uint64_t seed = 1;
  std::vector<RowRange> streams;  // sequences given by the data; empty: lengths as above
};

// Ids that are unique among the worker's open sequences, and over workers.
class SequenceIds {
 public:
  SequenceIds(const SequencePlan& plan, size_t worker, size_t workers);
  // The next id; those for which `in_use` is true are passed over.
  template <typename InUse>
  uint64_t Next(InUse&& in_use) {
    for (;;) {
      const uint64_t id = Take();
      // Only who has been around can meet an id again.
      if (!wrapped_ || !in_use(id)) return id;
    }
  }

 private:
  uint64_t Take();
  const uint64_t first_, count_, stride_;  // of a range
  const uint64_t salt_;                    // without one
  uint64_t next_ = 0;
  bool wrapped_ = false;
};

class Sequences {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;
  Sequences(std::shared_ptr<const SequencePlan> plan, size_t worker, size_t workers);

  // How many lanes there are from now on. Nothing may be in flight.
  enum class Turn : uint8_t {
    kLast,    // one request at a time; the lane that was answered last goes on (closed loop)
    kRandom,  // one request at a time; any lane that waits for none
    kRound,   // in turn, whatever is in flight
  };
  void SetLanes(size_t lanes, Turn turn);
  size_t lanes() const { return lanes_.size(); }
  bool HasLane() const { return turn_ == Turn::kRound || !free_.empty(); }

  // A request that is to be sent.
  struct Step {
    uint32_t run = kNone;  // the sequence, to be given to Done()
    uint32_t lane = 0;
    uint64_t id = 0;
    bool start = false, end = false;
    std::optional<size_t> row;  // where the data says so
  };
  // The next request of a lane that has room.
  Step Next(Instant scheduled);
  // A request that ends a sequence which is open and has nothing in flight, and nothing when there
  // is none (any more).
  std::optional<Step> Close();

  // What a request's end meant for its sequence, when it was the last.
  struct Ended {
    bool completed = false;  // every request succeeded, the one with the end flag too
    bool closed = false;     // ended by Close(), before its time
    Instant began{};
    uint64_t requests = 0;
  };
  std::optional<Ended> Done(uint32_t run, bool success);

 private:
  struct Run {
    uint64_t id = 0, length = 0, step = 0;
    uint32_t lane = 0, in_flight = 0;
    size_t first_row = 0;
    bool failed = false, closed = false, used = false;
    Instant began{};
  };
  struct Lane {
    uint32_t run = kNone;  // the sequence that goes on
  };
  uint32_t Begin(uint32_t lane, Instant scheduled);
  uint32_t TakeRun();
  uint64_t DrawLength();
  Step Advance(uint32_t run);

  const std::shared_ptr<const SequencePlan> plan_;
  Random random_;
  SequenceIds ids_;
  std::vector<Lane> lanes_;
  std::vector<uint32_t> free_;  // lanes without a request, where they have one at a time
  std::vector<Run> runs_;
  std::vector<uint32_t> free_runs_;
  size_t next_lane_ = 0, next_stream_ = 0;
  Turn turn_ = Turn::kLast;
};

}  // namespace sextant::load
