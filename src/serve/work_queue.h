// A thread for work that takes long and comes seldom.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace sextant::serve {

class WorkQueue {
 public:
  WorkQueue() : thread_([this] { Run(); }) {}
  ~WorkQueue() { Finish(); }
  // Finishes what has been added; nothing can be added after that.
  void Finish() {
    if (!thread_.joinable()) return;
    {
      const std::scoped_lock lock(mutex_);
      finishing_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }
  // False: too late, the work will not be done.
  bool Add(std::function<void()> work) {
    {
      const std::scoped_lock lock(mutex_);
      if (finishing_) return false;
      work_.push_back(std::move(work));
    }
    changed_.notify_one();
    return true;
  }

 private:
  void Run() {
    for (;;) {
      std::function<void()> work;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return finishing_ || !work_.empty(); });
        if (work_.empty()) return;
        work = std::move(work_.front());
        work_.pop_front();
      }
      work();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> work_;
  bool finishing_ = false;
  std::thread thread_;
};

}  // namespace sextant::serve
