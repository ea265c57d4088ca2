// A fixed set of threads, each running one event loop: what servers run on.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "net/event_loop.h"
#include "net/socket.h"

namespace sextant::net {

// Told about once a second, on its loop's thread: for timeouts that need no precision.
class Ticker {
 public:
  virtual ~Ticker() = default;
  virtual void OnTick(Instant now) = 0;
};

class IoThreads {
 public:
  static Result<std::unique_ptr<IoThreads>> Start(size_t count, const std::string& name);
  // Ends the loops and joins the threads. Everything that lives on the loops must be gone or may
  // never be called again.
  ~IoThreads();

  size_t size() const { return threads_.size(); }
  EventLoop& loop(size_t i) { return *threads_[i]->loop; }
  bool OnThread(size_t i) const {
    return threads_[i]->thread.get_id() == std::this_thread::get_id();
  }
  // On the loop's thread.
  void AddTicker(size_t i, Ticker& ticker) { threads_[i]->tickers.push_back(&ticker); }
  void RemoveTicker(size_t i, Ticker& ticker) { std::erase(threads_[i]->tickers, &ticker); }
  // Runs `task` on loop i's thread and waits for its end. Not from a loop's thread.
  void RunOn(size_t i, const std::function<void()>& task);

 private:
  struct Thread {
    std::unique_ptr<EventLoop> loop;
    std::vector<Ticker*> tickers;
    std::thread thread;
  };
  IoThreads() = default;
  void Run(Thread& self);

  std::vector<std::unique_ptr<Thread>> threads_;
  std::atomic<bool> stop_{false};
};

// Accepts on a listening socket and hands each connection to a loop in turn.
class Acceptor final : public EventHandler {
 public:
  // `on_accept(i, fd)` is called on loop i's thread.
  using OnAccept = std::function<void(size_t loop, Fd fd)>;
  static Result<std::unique_ptr<Acceptor>> Start(IoThreads& threads, const Address& address,
                                                 OnAccept on_accept);
  ~Acceptor() override { Stop(); }

  const Address& address() const { return address_; }
  // Closes the listening socket. Any thread but a loop's.
  void Stop();

  void OnEvents(uint32_t events) override;

 private:
  Acceptor(IoThreads& threads, Fd fd, Address address, OnAccept on_accept);
  void RefuseOne();

  IoThreads& threads_;
  Fd fd_, spare_;
  Address address_;
  OnAccept on_accept_;
  size_t next_ = 0;
};

}  // namespace sextant::net
