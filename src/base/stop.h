// SIGINT and SIGTERM as something a loop can ask for and wait on.
//
// One StopSignals object exists while a command runs. The first signal asks for an orderly end
// (drain, write, exit 128 + signal number); the third kills the process at once, for the user who
// has lost patience. SIGPIPE is ignored: a broken pipe is an error return.
#pragma once

#include <optional>

#include "base/files.h"
#include "base/result.h"

namespace sextant {

class StopSignals {
 public:
  // Installs the handlers; the destructor restores the previous ones. At most one at a time.
  static Result<StopSignals> Install();
  StopSignals(StopSignals&&) noexcept;
  StopSignals& operator=(StopSignals&&) = delete;
  ~StopSignals();

  // The first signal received, if any. Callable from any thread.
  std::optional<int> received() const;
  // Readable once a signal has been received, for poll and epoll. Never read from it.
  int fd() const;

 private:
  StopSignals() = default;
  bool owner_ = true;
};

// What a process ended by a signal reports: 128 + number, as shells do.
inline int ExitCodeForSignal(int signal_number) { return 128 + signal_number; }

}  // namespace sextant
