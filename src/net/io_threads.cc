#include "net/io_threads.h"

#include <fcntl.h>
#include <pthread.h>

#include <cerrno>
#include <condition_variable>

#include "base/strings.h"
#include "net/socket.h"

namespace sextant::net {

Result<std::unique_ptr<IoThreads>> IoThreads::Start(size_t count, const std::string& name) {
  std::unique_ptr<IoThreads> threads(new IoThreads());
  for (size_t i = 0; i < count; ++i) {
    auto thread = std::make_unique<Thread>();
    SEXTANT_ASSIGN(thread->loop, EventLoop::Create());
    threads->threads_.push_back(std::move(thread));
  }
  for (size_t i = 0; i < count; ++i) {
    Thread& thread = *threads->threads_[i];
    thread.thread = std::thread([&thread, self = threads.get()] { self->Run(thread); });
    pthread_setname_np(thread.thread.native_handle(),
                       Format("{}-{}", name, i).substr(0, 15).c_str());
  }
  return threads;
}

IoThreads::~IoThreads() {
  stop_ = true;
  for (const auto& thread : threads_) {
    thread->loop->Wake();
    if (thread->thread.joinable()) thread->thread.join();
  }
}

void IoThreads::Run(Thread& self) {
  Instant next_tick = SteadyNow() + 1s;
  while (!stop_.load(std::memory_order_relaxed)) {
    const Instant now = SteadyNow();
    if (now >= next_tick) {
      next_tick = now + 1s;
      for (size_t i = 0; i < self.tickers.size(); ++i) self.tickers[i]->OnTick(now);
    }
    self.loop->Turn(self.tickers.empty() ? Nanos(-1) : next_tick - now);
  }
}

void IoThreads::RunOn(size_t i, const std::function<void()>& task) {
  SEXTANT_CHECK(!OnThread(i), "RunOn from its own thread would wait for ever");
  std::mutex mutex;
  std::condition_variable done_changed;
  bool done = false;
  loop(i).Post([&] {
    task();
    // Notified under the lock: the waiter destroys both as soon as it sees `done`.
    const std::scoped_lock lock(mutex);
    done = true;
    done_changed.notify_one();
  });
  std::unique_lock lock(mutex);
  done_changed.wait(lock, [&] { return done; });
}

Acceptor::Acceptor(IoThreads& threads, Fd fd, Address address, OnAccept on_accept)
    : threads_(threads), fd_(std::move(fd)), address_(address), on_accept_(std::move(on_accept)) {
  spare_.Reset(open("/dev/null", O_RDONLY | O_CLOEXEC));
}

Result<std::unique_ptr<Acceptor>> Acceptor::Start(IoThreads& threads, const Address& address,
                                                  OnAccept on_accept) {
  SEXTANT_ASSIGN(Fd fd, Listen(address));
  SEXTANT_ASSIGN(const Address local, LocalAddress(fd.get()));
  std::unique_ptr<Acceptor> acceptor(
      new Acceptor(threads, std::move(fd), local, std::move(on_accept)));
  SEXTANT_TRY(threads.loop(0).AddLevelTriggered(acceptor->fd_.get(), *acceptor));
  return acceptor;
}

void Acceptor::Stop() {
  if (!fd_.valid()) return;
  threads_.RunOn(0, [this] {
    threads_.loop(0).Remove(fd_.get(), *this);
    fd_.Reset();
    RemoveSocketFile(address_);
  });
}

// Out of descriptors, a waiting connection would keep the listener ready and this loop spinning.
// The spare descriptor is given up for as long as it takes to accept and close it, which tells the
// peer.
void Acceptor::RefuseOne() {
  spare_.Reset();
  Fd(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC)).Reset();
  spare_.Reset(open("/dev/null", O_RDONLY | O_CLOEXEC));
}

void Acceptor::OnEvents(uint32_t) {
  // A bounded number at a time, so that a flood of connections does not starve those accepted.
  for (int i = 0; i < 64; ++i) {
    Fd connection(accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!connection.valid()) {
      if (errno == ECONNABORTED || errno == EINTR) continue;
      if (errno == EMFILE || errno == ENFILE) RefuseOne();
      return;
    }
    PrepareAccepted(connection.get());
    const size_t target = next_++ % threads_.size();
    if (target == 0) {
      on_accept_(0, std::move(connection));
    } else {
      // std::function wants copyable captures.
      const int raw = connection.Release();
      threads_.loop(target).Post([this, target, raw] { on_accept_(target, Fd(raw)); });
    }
  }
}

}  // namespace sextant::net
