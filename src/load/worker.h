// A load generator thread: its own event loop, connections, request slots, records and random
// stream. Nothing is shared with other workers per request, but a budget where the number of
// requests is given.
//
// Threads: the public calls come from the controller and are carried out on the worker's thread.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <queue>
#include <thread>
#include <utility>
#include <vector>

#include "base/random.h"
#include "load/channel.h"
#include "load/mix.h"
#include "load/periodic.h"
#include "load/recorder.h"
#include "load/request_log.h"
#include "load/requests.h"
#include "load/schedule.h"
#include "load/sequences.h"
#include "net/event_loop.h"

namespace sextant::load {

// Which request of the set an arrival sends.
enum class DataOrder : uint8_t { kSequential, kRandom, kTrace };

// What a worker is to do from now on. Exactly one of `concurrency` and `schedule` is set; neither:
// it issues nothing more.
struct WorkerLoad {
  const RequestSet* requests = nullptr;
  size_t concurrency = 0;              // of this worker
  std::unique_ptr<Schedule> schedule;  // of this worker, since `origin`
  Instant origin{};
  size_t max_in_flight = 0;  // open loop: 0 is no limit
  std::shared_ptr<std::atomic<int64_t>>
      budget;  // requests that may still be issued, by all; null: no limit
  // Which requests of the set: the arrivals of this part, counted on, in order or at random; or
  // those that the schedule names.
  DataOrder order = DataOrder::kSequential;
  Part part;
  Random random{0};  // the same for all workers
  // Requests are those of sequences: so many at once, `turn` saying whose comes next. 0: none.
  size_t sequences = 0;
  Sequences::Turn turn = Sequences::Turn::kLast;
  // Instead of a load that stays: requests that are started step by step. `concurrency` is how many
  // at first, and all of them are this worker's.
  std::optional<PeriodicSteps> periodic;
  // Outputs in shared memory: the parts that are this worker's, as many as it may have in flight.
  size_t first_part = 0, parts = 0;
  // Several models, as many as WorkerOptions::models, `requests` being the first one's. Which one
  // an arrival is of, says `mix`; without it each has its own concurrency, which add up to that
  // above.
  struct Model {
    const RequestSet* requests = nullptr;
    MixShare own;
  };
  std::vector<Model> models;
  std::optional<MixStream> mix;
};

struct WorkerOptions {
  ChannelOptions channel;
  Nanos timeout{0};                               // of a request, from its start; 0: none
  bool spin = false;                              // never sleep: lower latency for a whole core
  std::shared_ptr<const SequencePlan> sequences;  // null: requests are independent
  uint16_t retries = 0;  // how often a request may be sent again that a server has not had
  size_t models = 0;     // several, each with a record of its own; 0: one
  // Keeps every request of a window that succeeds; must outlive the workers. Null: none is kept.
  // Where it has bodies, the channel must keep them.
  RequestSpill* spill = nullptr;
};

class Worker final : public ChannelListener {
 public:
  // Worker `index` of `workers`.
  static Result<std::unique_ptr<Worker>> Start(const WorkerOptions& options, size_t index,
                                               size_t workers);
  ~Worker() override;

  // Opens connections; Prepared() tells when they are up.
  void Prepare(size_t connections);
  bool Prepared() const { return prepared_.load(); }
  std::string ConnectFault();

  void SetLoad(WorkerLoad load);
  // The window is over: from now on nothing is issued but arrivals of the window that wait for a
  // sequence.
  void EndLoad();
  void StartBlocks(Instant epoch, Nanos length);
  BlockExchange& blocks() { return blocks_; }
  // Of one of several models.
  BlockExchange& model_blocks(size_t model);

  // Opens the record of a window, or opens it anew; then the end may be set, once, to a time that
  // is still ahead.
  void OpenWindow(Instant begin, Instant end);
  void CloseWindow(Instant end);
  // Recorder::SplitWindow().
  void SplitWindow(Instant at);
  // Requests of the window that are still to be answered, or still to be issued.
  bool WindowDone() const { return window_done_.load(); }
  // Waits for that; false when it is not so by `deadline`.
  bool WaitWindowDone(Instant deadline);
  // Takes the window's record; requests that are still open in it count as unfinished.
  std::unique_ptr<WindowRecord> TakeWindow();

  struct Totals {
    net::TransferCounters transfer;
    size_t connections = 0;
    uint64_t finished = 0;  // requests that ended in whatever way
    uint64_t timeouts = 0;  // of them
    size_t in_flight = 0;
  };
  Totals ReadTotals();
  // What is in flight, and since when the oldest of it.
  struct Open {
    size_t count = 0;
    Instant oldest = Instant::max();
  };
  Open ReadOpen();
  // Forgets every request in flight; returns how many there were.
  size_t CancelAll();
  uint64_t finished() const { return finished_.load(std::memory_order_relaxed); }

  void OnAnswer(uint32_t slot, const Answer& answer) override;
  void OnResponse(uint32_t slot, const Answer& response) override;

 private:
  // A cache line.
  struct alignas(64) Slot {
    Instant scheduled, sent, deadline;
    const RequestSet* set = nullptr;
    uint32_t request = 0;
    bool in_window = false;
    bool busy = false;
    bool closing = false;  // ends a sequence before its time: none of the load's requests
    uint32_t uses = 0;     // tells a request's answer from one to an earlier request of the slot
    uint16_t retries = 0;
    Instant retry_at{};  // when it is sent again; zero: it is with the channel
    // Neighbours in the list of requests in flight, by deadline.
    uint32_t earlier = UINT32_MAX, later = UINT32_MAX;
  };

  // What a slot has besides, where requests are not all alike.
  struct Special {
    PatchedRequest patched;
    uint32_t sequence = Sequences::kNone;
    uint64_t responses = 0;  // of a decoupled model
    Instant first, last;
  };

  // A request whose outputs go to the part of its slot: what goes out is put together here.
  struct SharedRequest {
    std::array<std::string_view, 2> pieces;
    EncodedRequest request;
    size_t part = 0;
  };

  Worker(const WorkerOptions& options, std::unique_ptr<net::EventLoop> loop, size_t index,
         size_t workers);
  void Run();
  void RunOnThread(const std::function<void()>& task);

  // Issues what is due; returns when to look again.
  Instant IssueDue(Instant now);
  void IssueClosed(Instant now);
  // False when the budget is used up.
  bool Issue(Instant scheduled);
  void IssueRow(Instant scheduled, const RequestSet& set, size_t request,
                const Sequences::Step* step);
  void EndSequence(Special& special, const Answer& answer);
  void CheckOutputs(uint32_t index, const Answer& answer);
  [[gnu::noinline]] void Log(uint32_t index, const Answer& answer);
  // Ends the sequences that have nothing in flight, where the load is over.
  void CloseSequences(Instant now);
  // Nothing more will be asked of the sequences that are open: by SetLoad({}), by EndLoad(), or
  // because the budget is used up.
  bool LoadOver() const;
  void OnBudgetUsedUp(Instant now);
  [[gnu::noinline, gnu::cold]] void FinishClosing(uint32_t slot, const Answer& answer);
  void IssueOverdue();
  uint32_t TakeSlot();
  uint32_t TakeRequest();
  Instant NextDue();
  // What was given to the channel for the request of that slot.
  const EncodedRequest& RequestOf(uint32_t slot) const;
  // What goes out for the request of that slot, where requests are not all alike.
  [[gnu::noinline]] const EncodedRequest& MakeOwn(uint32_t slot, const EncodedRequest& encoded,
                                                  const Sequences::Step* step);
  const EncodedRequest& WithOutputs(uint32_t slot, const EncodedRequest& request);
  void Finish(uint32_t slot, const Answer& answer);
  // Puts a failed request back for another attempt, if it may have one.
  [[gnu::noinline, gnu::cold]] bool Retry(uint32_t slot, const Answer& answer);
  // Returns when the next one is due.
  [[gnu::noinline, gnu::cold]] Instant SendRetries(Instant now);
  void Link(uint32_t slot, Instant now);
  void Unlink(uint32_t slot);
  bool TakeBudget() {
    return load_.budget == nullptr || load_.budget->fetch_sub(1, std::memory_order_relaxed) > 0;
  }
  // What happens is recorded for the whole, and where there are several models for each of them:
  // worker_models.h.
  template <typename F>
  void ForAllRecorders(F&& f);
  template <typename F>
  void ForRecordersOf(const RequestSet& set, F&& f);
  Recorder& ModelRecorder(const RequestSet& set);
  // Several models: worker_mix.cc.
  struct Models;
  void SetModels();
  void IssueDrawn(Instant scheduled);
  void IssueOf(size_t model, uint64_t arrival, uint64_t rank, Instant scheduled);
  bool IssueNextOf(size_t model, Instant scheduled);
  void IssueModels(Instant now);
  void ReissueModel(size_t model, const Answer& answer);
  void RecordModelOverflow(Instant due);
  void ExpireDeadlines(Instant now);
  bool AllIssued() const;
  void UpdateWindowDone();

  const WorkerOptions options_;
  const bool several_endpoints_;
  std::unique_ptr<net::EventLoop> loop_;
  BlockExchange blocks_;
  Recorder recorder_;
  std::unique_ptr<Channel> channel_;

  WorkerLoad load_;
  bool load_ended_ = false;    // by EndLoad()
  bool closing_ = false;       // the next request to be issued is a Slot::closing
  uint64_t next_request_ = 0;  // its index, or with random order the arrival's
  Instant next_due_ = Instant::max();
  size_t closed_in_flight_ = 0;  // of the current closed loop, waiting restarts included
  std::priority_queue<Instant, std::vector<Instant>, std::greater<>>
      restarts_;  // after connection failures
  int connect_failures_ = 0;
  std::unique_ptr<Models> models_;  // null: there is one
  std::priority_queue<std::pair<Instant, uint32_t>, std::vector<std::pair<Instant, uint32_t>>,
                      std::greater<>>
      retries_;              // by time; those of slots that have ended meanwhile are passed over
  Instant ignored_stamp_{};  // slip and service time are the first attempt's

  std::vector<std::unique_ptr<Slot>> slots_;        // connections write to them: they never move
  const bool special_;                              // requests differ
  std::vector<std::unique_ptr<Special>> specials_;  // by slot; null unless special_
  std::unique_ptr<Sequences> sequences_;
  std::unique_ptr<RequestLog> log_;           // null: nobody wants to have every request
  const RequestSet* sequence_set_ = nullptr;  // of the sequences that are open
  // Arrivals that wait for a sequence without a request, in order, from overdue_from_ on.
  std::vector<Instant> overdue_;
  size_t overdue_from_ = 0;
  std::vector<uint32_t> free_slots_;
  std::deque<SharedRequest> shared_requests_;  // by slot; empty without shared memory
  uint32_t oldest_ = UINT32_MAX, newest_ = UINT32_MAX;
  Instant next_expiry_{};  // no deadline is earlier
  uint64_t timeouts_ = 0;
  int64_t window_open_ = 0;  // requests of the window in flight
  Instant last_reading_{};

  std::atomic<bool> stop_{false}, prepared_{false}, window_done_{false};
  std::mutex window_done_mutex_;  // for who waits
  std::condition_variable window_done_changed_;
  std::atomic<uint64_t> finished_{0};
  std::thread thread_;
};

}  // namespace sextant::load
