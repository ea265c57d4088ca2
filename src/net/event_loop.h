// One thread's event loop: epoll, edge-triggered.
//
// A handler is added once, for reading and writing, and never modified (an EPOLL_CTL per request
// would cost more than the parsing). Work that belongs at the end of a turn, such as one flush for
// everything a turn has produced, is put off with AtEndOfTurn().
//
// Threads: everything on the loop's own thread, except Post() and Wake().
#pragma once

#include <sys/epoll.h>

#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/clock.h"
#include "base/files.h"
#include "base/result.h"

namespace sextant::net {

class EventHandler {
 public:
  virtual ~EventHandler() = default;
  // `events` as of epoll: EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR. The handler may
  // destroy itself after EventLoop::Remove.
  virtual void OnEvents(uint32_t events) = 0;
};

class TurnEndHandler {
 public:
  virtual ~TurnEndHandler() = default;
  virtual void OnTurnEnd() = 0;

 private:
  friend class EventLoop;
  bool queued_ = false;
};

class EventLoop {
 public:
  static Result<std::unique_ptr<EventLoop>> Create();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // `handler` is told of every change of readiness until Remove().
  Result<void> Add(int fd, EventHandler& handler);
  // Level-triggered, reading only: for listeners and foreign descriptors.
  Result<void> AddLevelTriggered(int fd, EventHandler& handler);
  void Remove(int fd, EventHandler& handler);

  // Calls handler.OnTurnEnd() once when the events of this turn are dealt with.
  void AtEndOfTurn(TurnEndHandler& handler) {
    if (handler.queued_) return;
    handler.queued_ = true;
    turn_end_.push_back(&handler);
  }
  void ForgetTurnEnd(TurnEndHandler& handler);

  // Waits until something is ready or `max_wait` is over (zero: only looks; negative: for ever),
  // then deals with everything that is ready. Precision: the thread's timer slack, see
  // SetTimerSlack().
  void Turn(Nanos max_wait);

  // Runs `task` on the loop's thread in its next turn. Any thread.
  void Post(std::function<void()> task);
  // Ends the current or next wait. Any thread.
  void Wake();

  // Memory that handlers may read into during OnEvents; its contents do not outlive the call.
  static constexpr size_t kScratchBytes = 256 * 1024;
  char* scratch() { return scratch_.get(); }

  // Ends waits at this interval from now on, so that what needs no precision needs no timed wait:
  // arming
  // a timer for every wait costs more than everything else in it.
  Result<void> SetTick(Nanos interval);

  // When the current turn's wait ended.
  Instant turn_start() const { return turn_start_; }

 private:
  EventLoop(Fd epoll, Fd wake);
  void EndTurn();
  void RunPosted();

  Fd epoll_, wake_, tick_;
  std::unique_ptr<char[]> scratch_;
  std::array<epoll_event, 256> events_;
  int event_count_ = 0;  // of the batch being dealt with
  int event_index_ = 0;
  std::vector<TurnEndHandler*> turn_end_;
  Instant turn_start_{};
  std::mutex mutex_;  // guards posted_
  std::vector<std::function<void()>> posted_;
};

// Lets timed waits of the calling thread end within nanoseconds instead of the default 50 us late.
void SetTimerSlack(Nanos slack);

}  // namespace sextant::net
