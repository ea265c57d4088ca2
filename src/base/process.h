// Child processes: start, read what they say, stop by their own id.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/files.h"
#include "base/result.h"

namespace sextant {

struct ProcessOptions {
  std::vector<std::string> argv;  // argv[0] is looked up in PATH when it has no slash
  std::map<std::string, std::string> environment;  // added to this process's own
  std::string directory;                           // working directory; empty: inherited
  bool merge_stderr = false;                       // stderr goes where stdout goes
  std::string stdin_text;                          // what the child reads; then end of file
  // The end of file comes only with CloseInput(), or with the end of this process however that is:
  // for a child that has something to do then.
  bool hold_stdin = false;
  // Not empty: stdout and stderr are appended to this file instead of being collected, as for a
  // child that runs long and writes much.
  std::string output_file;
  // A kill of this process, of any kind, kills the child as well (through setpriv of util-linux).
  // Only for children started by a thread that lives as long as the process.
  bool dies_with_parent = false;
  // The child leads a process group, and what is left of that when the child has ended is killed.
  bool own_group = false;
};

// The file that a program's name stands for, as a child is started by it; empty: there is none.
std::string FindProgram(const std::string& name);

class Process;
// A program that is started when its input is closed, or when this process ends, however it ends:
// for what must be removed then. In a group of its own: a signal to ours, from a terminal or a
// supervisor, is not for it. Destroyed, it does nothing.
Result<Process> StartAtOurEnd(std::vector<std::string> argv);

// A running child with its stdout and stderr collected. The destructor kills (SIGKILL) and reaps a
// child that still runs. Not thread-safe.
class Process {
 public:
  static Result<Process> Start(const ProcessOptions& options);
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  ~Process();

  pid_t pid() const { return pid_; }
  // Reads output until `deadline`, or until `needle` is in stdout; false when time ran out or the
  // child closed its output first.
  bool WaitForOutput(std::string_view needle, Nanos timeout);
  // Reads until the child has ended; its exit code, 128 + signal number when a signal ended it, or
  // nothing when the timeout passed first.
  std::optional<int> Wait(Nanos timeout);
  void Signal(int signal_number);
  // With hold_stdin: now the input ends.
  void CloseInput() { in_fd_.Reset(); }
  const std::string& out() const { return out_; }
  const std::string& err() const { return err_; }

 private:
  Process() = default;
  // Whether the child has ended, which reaps it; its exit code is known from then on.
  bool Reap(bool wait);
  // Polls both pipes once; false when both are closed.
  bool Pump(Nanos timeout);

  pid_t pid_ = -1;
  bool own_group_ = false;
  std::optional<int> exit_code_;
  Fd in_fd_, out_fd_, err_fd_;
  std::string out_, err_;
};

struct ProcessResult {
  int exit_code = 0;
  std::string out, err;
};
// Starts, waits, returns; kills the child and fails with kDeadlineExceeded after `timeout`.
Result<ProcessResult> RunProcess(const ProcessOptions& options, Nanos timeout);

}  // namespace sextant
