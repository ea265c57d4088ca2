#include "base/stop.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <utility>

namespace sextant {
namespace {

// Signal handlers can reach nothing but globals; StopSignals is their only user.
std::atomic<int> g_signal{0};
std::atomic<int> g_count{0};
int g_event_fd = -1;
struct sigaction g_previous_int, g_previous_term, g_previous_pipe;

void OnSignal(int signal_number) {
  const int saved_errno = errno;
  int none = 0;
  g_signal.compare_exchange_strong(none, signal_number);
  if (g_count.fetch_add(1) + 1 >= 3) _exit(ExitCodeForSignal(signal_number));
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = write(g_event_fd, &one, sizeof one);
  errno = saved_errno;
}

}  // namespace

Result<StopSignals> StopSignals::Install() {
  SEXTANT_CHECK(g_event_fd < 0, "StopSignals installed twice");
  g_event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (g_event_fd < 0) return IoError("eventfd", errno);
  g_signal = 0;
  g_count = 0;
  struct sigaction action{};
  action.sa_handler = OnSignal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &g_previous_int);
  sigaction(SIGTERM, &action, &g_previous_term);
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, &g_previous_pipe);
  return StopSignals();
}

StopSignals::StopSignals(StopSignals&& other) noexcept
    : owner_(std::exchange(other.owner_, false)) {}

StopSignals::~StopSignals() {
  if (!owner_) return;
  sigaction(SIGINT, &g_previous_int, nullptr);
  sigaction(SIGTERM, &g_previous_term, nullptr);
  sigaction(SIGPIPE, &g_previous_pipe, nullptr);
  close(std::exchange(g_event_fd, -1));
}

std::optional<int> StopSignals::received() const {
  const int signal_number = g_signal.load();
  return signal_number == 0 ? std::nullopt : std::optional<int>(signal_number);
}

int StopSignals::fd() const { return g_event_fd; }

}  // namespace sextant
