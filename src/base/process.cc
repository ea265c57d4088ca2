#include "base/process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/strings.h"
#include "base/units.h"

extern char** environ;

namespace sextant {
namespace {

std::vector<std::string> MergedEnvironment(const std::map<std::string, std::string>& added) {
  std::vector<std::string> merged;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (!added.contains(std::string(text.substr(0, text.find('='))))) merged.emplace_back(text);
  }
  for (const auto& [name, value] : added) merged.push_back(Format("{}={}", name, value));
  return merged;
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (std::string& s : strings) pointers.push_back(s.data());
  pointers.push_back(nullptr);
  return pointers;
}

struct Pipe {
  Fd read_end, write_end;
};
Result<Pipe> MakePipe() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return IoError("pipe", errno);
  return Pipe{Fd(fds[0]), Fd(fds[1])};
}

}  // namespace

std::string FindProgram(const std::string& name) {
  const auto runs = [](const std::string& path) {
    return access(path.c_str(), X_OK) == 0 && !IsDirectory(path);
  };
  if (name.find('/') != std::string::npos) return runs(name) ? name : "";
  const char* path = std::getenv("PATH");
  for (const std::string_view directory : Split(path == nullptr ? "/bin:/usr/bin" : path, ':')) {
    const std::string file = JoinPath(directory.empty() ? "." : directory, name);
    if (runs(file)) return file;
  }
  return {};
}

Result<Process> Process::Start(const ProcessOptions& options) {
  SEXTANT_CHECK(!options.argv.empty(), "a process needs a program");
  // Opened here, and the program looked for: what is told of a failure in the child is told of the
  // program that starts it.
  Fd output;
  if (!options.output_file.empty()) {
    output.Reset(
        open(options.output_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    if (!output.valid()) return IoError("open " + options.output_file, errno);
  }
  if (options.dies_with_parent && options.directory.empty() &&
      FindProgram(options.argv.front()).empty())
    return IoError("start " + options.argv.front(), ENOENT);
  SEXTANT_ASSIGN(Pipe out, MakePipe());
  SEXTANT_ASSIGN(Pipe err, MakePipe());
  SEXTANT_ASSIGN(Pipe in, MakePipe());

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.read_end.get(), 0);
  if (options.output_file.empty()) {
    posix_spawn_file_actions_adddup2(&actions, out.write_end.get(), 1);
    posix_spawn_file_actions_adddup2(
        &actions, options.merge_stderr ? out.write_end.get() : err.write_end.get(), 2);
  } else {
    posix_spawn_file_actions_adddup2(&actions, output.get(), 1);
    posix_spawn_file_actions_adddup2(&actions, output.get(), 2);
  }
  if (!options.directory.empty()) {
    posix_spawn_file_actions_addchdir_np(&actions, options.directory.c_str());
  }
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // The child starts with default signal handling, whatever this process ignores or blocks.
  sigset_t defaults, none;
  sigemptyset(&none);
  sigemptyset(&defaults);
  for (const int s : {SIGINT, SIGTERM, SIGPIPE}) sigaddset(&defaults, s);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           static_cast<short>(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK |
                                              (options.own_group ? POSIX_SPAWN_SETPGROUP : 0)));

  std::vector<std::string> argv = options.argv;
  if (options.dies_with_parent) argv.insert(argv.begin(), {"setpriv", "--pdeathsig", "KILL", "--"});
  std::vector<std::string> environment = MergedEnvironment(options.environment);
  Process process;
  const int failed = posix_spawnp(&process.pid_, argv[0].c_str(), &actions, &attributes,
                                  Pointers(argv).data(), Pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (failed != 0) {
    process.pid_ = -1;
    return IoError("start " + argv[0], failed);
  }
  process.own_group_ = options.own_group;
  process.out_fd_ = std::move(out.read_end);
  process.err_fd_ = std::move(err.read_end);
  in.read_end.Reset();
  // A child that does not read its input must not block this process: what fits in the pipe (64
  // KiB) is enough for every caller here.
  fcntl(in.write_end.get(), F_SETFL, O_NONBLOCK);
  [[maybe_unused]] const ssize_t n =
      write(in.write_end.get(), options.stdin_text.data(), options.stdin_text.size());
  if (options.hold_stdin) process.in_fd_ = std::move(in.write_end);
  return process;
}

Result<Process> StartAtOurEnd(std::vector<std::string> argv) {
  // `read` ends with its input, which ends with us.
  ProcessOptions guard{.argv = {"sh", "-c", "read -r line; exec \"$@\" >/dev/null 2>&1", "sh"}};
  std::move(argv.begin(), argv.end(), std::back_inserter(guard.argv));
  guard.hold_stdin = true;
  guard.own_group = true;
  return Process::Start(guard);
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      own_group_(other.own_group_),
      exit_code_(other.exit_code_),
      in_fd_(std::move(other.in_fd_)),
      out_fd_(std::move(other.out_fd_)),
      err_fd_(std::move(other.err_fd_)),
      out_(std::move(other.out_)),
      err_(std::move(other.err_)) {}

Process& Process::operator=(Process&& other) noexcept {
  Process moved(std::move(other));
  std::swap(pid_, moved.pid_);
  std::swap(own_group_, moved.own_group_);
  std::swap(exit_code_, moved.exit_code_);
  std::swap(in_fd_, moved.in_fd_);
  std::swap(out_fd_, moved.out_fd_);
  std::swap(err_fd_, moved.err_fd_);
  std::swap(out_, moved.out_);
  std::swap(err_, moved.err_);
  return *this;
}

Process::~Process() {
  if (pid_ > 0 && !exit_code_) {
    kill(pid_, SIGKILL);
    Reap(true);
  }
}

bool Process::Reap(bool wait) {
  siginfo_t info{};
  const int flags = WEXITED | WNOWAIT | (wait ? 0 : WNOHANG);
  while (waitid(P_PID, static_cast<id_t>(pid_), &info, flags) != 0) {
    if (errno != EINTR) return false;
  }
  if (info.si_pid != pid_) return false;
  // Until the child is reaped, nobody else's group can have its id.
  if (own_group_) kill(-pid_, SIGKILL);
  int status = 0;
  waitpid(pid_, &status, 0);
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return true;
}

bool Process::Pump(Nanos timeout) {
  pollfd fds[2];
  Fd* sources[2];
  std::string* sinks[2];
  nfds_t count = 0;
  const auto add = [&](Fd& fd, std::string& sink) {
    if (!fd.valid()) return;
    fds[count] = {fd.get(), POLLIN, 0};
    sources[count] = &fd;
    sinks[count++] = &sink;
  };
  add(out_fd_, out_);
  add(err_fd_, err_);
  if (count == 0) return false;
  poll(fds, count, static_cast<int>(std::max<int64_t>(0, timeout.count() / 1'000'000)));
  for (nfds_t i = 0; i < count; ++i) {
    if (fds[i].revents == 0) continue;
    char buffer[1 << 14];
    const ssize_t n = read(fds[i].fd, buffer, sizeof buffer);
    if (n > 0) {
      sinks[i]->append(buffer, static_cast<size_t>(n));
    } else if (n == 0 || errno != EINTR) {
      sources[i]->Reset();
    }
  }
  return true;
}

bool Process::WaitForOutput(std::string_view needle, Nanos timeout) {
  const Instant deadline = SteadyNow() + timeout;
  while (out_.find(needle) == std::string::npos) {
    const Nanos left = deadline - SteadyNow();
    if (left <= Nanos(0) || !Pump(left)) return out_.find(needle) != std::string::npos;
  }
  return true;
}

std::optional<int> Process::Wait(Nanos timeout) {
  const Instant deadline = SteadyNow() + timeout;
  while (!exit_code_) {
    if (Reap(false)) {
      // What is still in the pipes; a grandchild may hold them open, so only until they run dry.
      while (Pump(Nanos(0)) && (out_fd_.valid() || err_fd_.valid())) {
        pollfd fds[2] = {{out_fd_.get(), POLLIN, 0}, {err_fd_.get(), POLLIN, 0}};
        if (poll(fds, 2, 0) <= 0) break;
      }
      break;
    }
    const Nanos left = deadline - SteadyNow();
    if (left <= Nanos(0)) return std::nullopt;
    if (!Pump(std::min<Nanos>(left, 20ms))) {
      const timespec pause{0, 2'000'000};
      nanosleep(&pause, nullptr);
    }
  }
  return exit_code_;
}

void Process::Signal(int signal_number) {
  if (pid_ > 0 && !exit_code_) kill(pid_, signal_number);
}

Result<ProcessResult> RunProcess(const ProcessOptions& options, Nanos timeout) {
  SEXTANT_ASSIGN(Process process, Process::Start(options));
  const std::optional<int> exit_code = process.Wait(timeout);
  if (!exit_code) {
    return Error(ErrorCode::kDeadlineExceeded,
                 Format("{} did not end within {}", options.argv[0], HumanDuration(timeout)));
  }
  return ProcessResult{*exit_code, process.out(), process.err()};
}

}  // namespace sextant
