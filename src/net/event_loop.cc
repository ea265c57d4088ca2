#include "net/event_loop.h"

#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace sextant::net {

Result<std::unique_ptr<EventLoop>> EventLoop::Create() {
  Fd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return IoError("epoll_create1", errno);
  Fd wake(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!wake.valid()) return IoError("eventfd", errno);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = nullptr;  // no handler: the wake-up itself
  if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0)
    return IoError("epoll_ctl", errno);
  return std::unique_ptr<EventLoop>(new EventLoop(std::move(epoll), std::move(wake)));
}

Result<void> EventLoop::SetTick(Nanos interval) {
  if (!tick_.valid()) {
    Fd fd(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    if (!fd.valid()) return IoError("timerfd_create", errno);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &tick_;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &event) != 0)
      return IoError("epoll_ctl", errno);
    tick_ = std::move(fd);
  }
  itimerspec times{};
  times.it_interval = {.tv_sec = interval.count() / 1'000'000'000,
                       .tv_nsec = interval.count() % 1'000'000'000};
  times.it_value = times.it_interval;
  if (timerfd_settime(tick_.get(), 0, &times, nullptr) != 0)
    return IoError("timerfd_settime", errno);
  return {};
}

EventLoop::EventLoop(Fd epoll, Fd wake)
    : epoll_(std::move(epoll)), wake_(std::move(wake)), scratch_(new char[kScratchBytes]) {
  turn_end_.reserve(64);
}

Result<void> EventLoop::Add(int fd, EventHandler& handler) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = &handler;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return IoError("epoll_ctl", errno);
  return {};
}

Result<void> EventLoop::AddLevelTriggered(int fd, EventHandler& handler) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = &handler;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return IoError("epoll_ctl", errno);
  return {};
}

void EventLoop::Remove(int fd, EventHandler& handler) {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  // The rest of the batch must not reach a handler that may be gone.
  for (int i = event_index_ + 1; i < event_count_; ++i) {
    epoll_event& event = events_[static_cast<size_t>(i)];
    if (event.data.ptr == &handler) event.events = 0;
  }
}

void EventLoop::ForgetTurnEnd(TurnEndHandler& handler) {
  if (!handler.queued_) return;
  handler.queued_ = false;
  std::replace(turn_end_.begin(), turn_end_.end(), &handler, static_cast<TurnEndHandler*>(nullptr));
}

void EventLoop::Turn(Nanos max_wait) {
  // What was put off outside of a turn must not wait for an event that it may be the cause of.
  if (!turn_end_.empty()) EndTurn();
  int count;
  if (max_wait <= Nanos(0)) {
    // Not epoll_wait(): the library's is a point where threads may be cancelled, which ours never
    // are and which costs more than the call's own instructions.
    count = static_cast<int>(syscall(SYS_epoll_pwait, epoll_.get(), events_.data(),
                                     static_cast<int>(events_.size()),
                                     max_wait == Nanos(0) ? 0 : -1, nullptr, 0));
  } else {
    const timespec wait{.tv_sec = max_wait.count() / 1'000'000'000,
                        .tv_nsec = max_wait.count() % 1'000'000'000};
    count = epoll_pwait2(epoll_.get(), events_.data(), static_cast<int>(events_.size()), &wait,
                         nullptr);
    if (count < 0 && errno == ENOSYS) {  // before Linux 5.11: milliseconds, rounded down
      count = epoll_wait(epoll_.get(), events_.data(), static_cast<int>(events_.size()),
                         static_cast<int>(max_wait.count() / 1'000'000));
    }
  }
  turn_start_ = SteadyNow();
  event_count_ = std::max(count, 0);
  for (event_index_ = 0; event_index_ < event_count_; ++event_index_) {
    const epoll_event& event = events_[static_cast<size_t>(event_index_)];
    if (event.data.ptr == &tick_) {
      uint64_t ignored;  // the kernel sets the timer again only when it is read
      [[maybe_unused]] const ssize_t n = read(tick_.get(), &ignored, sizeof ignored);
      continue;
    }
    if (event.data.ptr != nullptr) {
      if (event.events != 0) static_cast<EventHandler*>(event.data.ptr)->OnEvents(event.events);
      continue;
    }
    uint64_t ignored;
    [[maybe_unused]] const ssize_t n = read(wake_.get(), &ignored, sizeof ignored);
    RunPosted();
  }
  event_count_ = event_index_ = 0;
  EndTurn();
}

void EventLoop::EndTurn() {
  // A handler's work may put off more work; that belongs to this turn too.
  for (size_t i = 0; i < turn_end_.size(); ++i) {
    TurnEndHandler* handler = turn_end_[i];
    if (handler == nullptr) continue;
    handler->queued_ = false;
    handler->OnTurnEnd();
  }
  turn_end_.clear();
}

void EventLoop::Post(std::function<void()> task) {
  {
    const std::scoped_lock lock(mutex_);
    posted_.push_back(std::move(task));
    if (posted_.size() > 1) return;  // the wake-up is already on its way
  }
  Wake();
}

void EventLoop::RunPosted() {
  std::vector<std::function<void()>> tasks;
  {
    const std::scoped_lock lock(mutex_);
    tasks.swap(posted_);
  }
  for (const std::function<void()>& task : tasks) task();
}

void EventLoop::Wake() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = write(wake_.get(), &one, sizeof one);
}

void SetTimerSlack(Nanos slack) {
  prctl(PR_SET_TIMERSLACK, static_cast<unsigned long>(slack.count()), 0, 0, 0);
}

}  // namespace sextant::net
