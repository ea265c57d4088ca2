#include "analyze/model_server.h"

#include <fcntl.h>

#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <set>
#include <thread>

#include "analyze/container_engine.h"
#include "analyze/server_directory.h"
#include "base/files.h"
#include "base/process.h"
#include "base/strings.h"
#include "kserve/control_client.h"
#include "net/socket.h"

namespace sextant::analyze {
namespace {

constexpr Nanos kPoll = 20ms;
// How soon a death is noticed while nobody asks, and how long what is under way may take to end by
// itself, or without a word.
constexpr Nanos kLook = 100ms, kPatience = 2s;
constexpr size_t kTailLines = 12;

// The word behind "SERVICE on " in a line of its own.
std::string AddressIn(std::string_view log, std::string_view service) {
  const std::string needle = std::string(service) + " on ";
  size_t at = log.starts_with(needle) ? 0 : log.find("\n" + needle);
  if (at == std::string_view::npos) return {};
  at += needle.size() + (log[at] == '\n' ? 1 : 0);
  return std::string(log.substr(at, log.find('\n', at) - at));
}

// That it dies with its parent is true of a child alone. When this process is killed, what the
// child had started ends through this one, and what it shared memory by is removed.
Result<Process> GuardGroup(pid_t group, const std::string& name) {
  return StartAtOurEnd({"sh", "-c", "kill -s KILL -- \"-$1\"; rm -f -- /dev/shm/\"${2:?}\"*", "sh",
                        Format("{}", group), name});
}

class ChildServer : public ModelServer {
 public:
  explicit ChildServer(LaunchOptions options)
      : options_(std::move(options)),
        log_(options_.log.empty() ? JoinPath(options_.work_directory, "server.log")
                                  : options_.log) {}
  ~ChildServer() override {
    Stop(options_.stop_limit);
    EndWatch();
  }

  const ServerPlaces& places() const override { return places_; }
  bool Alive() override {
    const std::lock_guard lock(mutex_);
    return child_ && !child_->Wait(Nanos(0));
  }
  Result<void> Restart() override {
    // One that has to be started anew had its chance: what hangs in it does not end in ten seconds
    // either.
    Stop(options_.restart_limit);
    return Start();
  }
  std::vector<uint32_t> Processes() const override {
    const std::lock_guard lock(mutex_);
    if (!child_) return {};
    return {static_cast<uint32_t>(child_->pid())};
  }
  void MarkLog() override {
    std::error_code unknown;
    const uintmax_t size = std::filesystem::file_size(log_, unknown);
    log_begin_ = unknown ? 0 : size;
  }
  std::string LogTail() const override { return TailOf(log_, kTailLines, log_begin_); }

  Result<void> Start() {
    // Each life has a log of its own; that of the one before is kept beside it.
    if (FileExists(log_)) rename(log_.c_str(), (log_ + ".before").c_str());
    log_begin_ = 0;
    SEXTANT_TRY(CheckLog());
    SEXTANT_ASSIGN(ProcessOptions process, Prepare());
    process.output_file = log_;
    process.dies_with_parent = true;
    // Triton's Python models are processes of their own; one that hangs would outlive it.
    process.own_group = true;
    for (const std::string& entry : options_.environment) {
      const size_t equals = entry.find('=');
      if (equals != std::string::npos)
        process.environment[entry.substr(0, equals)] = entry.substr(equals + 1);
    }
    SEXTANT_ASSIGN(Process child, Process::Start(process));
    {
      const std::lock_guard lock(mutex_);
      child_.emplace(std::move(child));
    }
    if (options_.kind == Launch::kLocal && !options_.name.empty()) {
      SEXTANT_ASSIGN(Process guard, GuardGroup(child_->pid(), options_.name));
      group_guard_.emplace(std::move(guard));
    }
    if (!watch_.joinable()) watch_ = std::thread([this] { Watch(); });
    return AwaitReady();
  }

 protected:
  // The command line, with ports chosen.
  virtual Result<ProcessOptions> Prepare() = 0;
  // Whether it is ready, places_ known.
  virtual bool Ready() = 0;
  virtual void BeforeStop() {}
  // So that what was asked of it ends; from the watching thread.
  virtual void Kill() {
    const std::lock_guard lock(mutex_);
    if (child_) child_->Signal(SIGKILL);
  }

  // Before what Kill() needs goes.
  void EndWatch() {
    {
      const std::lock_guard lock(mutex_);
      watch_ends_ = true;
    }
    wake_.notify_all();
    if (watch_.joinable()) watch_.join();
  }

  std::string ReadLog() const {
    Result<std::string> text = ReadFile(log_);
    return text.has_value() ? *std::move(text) : "";
  }

  const LaunchOptions options_;
  ServerPlaces places_;

 private:
  Result<void> CheckLog() const {
    const Fd file(open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    if (file.valid()) return {};
    const bool given = !options_.log.empty();
    return InvalidArgument(Format("the server's log '{}' cannot be written: {}; {}", log_,
                                  std::strerror(errno),
                                  given ? "give --server-log a file in a directory that is there"
                                        : "--server-log FILE puts it elsewhere"));
  }

  // Calls to a server may take as long as a load takes. Where it dies meanwhile, its Python models
  // hold the connections open, so that nobody would learn of it; they end with the group when the
  // child is reaped. And where somebody wants us to end, we are not kept by a load.
  void Watch() {
    std::optional<Instant> stopped;
    std::unique_lock lock(mutex_);
    while (!watch_ends_) {
      if (child_) child_->Wait(Nanos(0));
      if (options_.stop && options_.stop()) {
        if (!stopped) stopped = SteadyNow();
        if (child_ && !killed_ && SteadyNow() - *stopped > kPatience) {
          killed_ = true;
          lock.unlock();
          Kill();
          lock.lock();
        }
      }
      wake_.wait_for(lock, kLook, [this] { return watch_ends_; });
    }
  }
  // The exit code; nothing as long as it runs.
  std::optional<int> Ended(Nanos limit) {
    const Instant deadline = SteadyNow() + limit;
    while (true) {
      {
        const std::lock_guard lock(mutex_);
        if (const auto code = child_->Wait(Nanos(0))) return code;
      }
      if (SteadyNow() >= deadline) return std::nullopt;
      std::this_thread::sleep_for(std::min(kPoll, limit));
    }
  }

  Result<void> AwaitReady() {
    const Instant begin = SteadyNow(), deadline = begin + options_.start_limit;
    while (!Ready()) {
      if (!noted_ && options_.note && SteadyNow() - begin > kPatience) {
        noted_ = true;
        options_.note(Format("{} is starting", Describe()));
      }
      if (const auto code = Ended(kPoll)) {
        Forget();
        return Unavailable(
            Format("{} ended with exit code {} before it was ready; its last words "
                   "({}):\n{}",
                   Describe(), *code, log_, LogTail()));
      }
      if (options_.stop && options_.stop()) {
        Stop(options_.restart_limit);
        return Error(ErrorCode::kCancelled, "stopped while the server was starting");
      }
      if (SteadyNow() > deadline) {
        Stop(options_.restart_limit);
        return Unavailable(
            Format("{} was not ready within {:.0f} s (--server-start-timeout); its "
                   "last words ({}):\n{}",
                   Describe(), Seconds(options_.start_limit), log_, LogTail()));
      }
    }
    return {};
  }

  void Stop(Nanos limit) {
    if (!child_) return;
    BeforeStop();
    Signal(SIGTERM);
    if (!Ended(limit)) Signal(SIGKILL);
    [[maybe_unused]] const auto ended = Ended(5s);
    Forget();
    // Triton's Python models share regions of memory with it, which outlive a death by force.
    RemoveSharedMemory(options_.name);
  }

  void Signal(int number) {
    const std::lock_guard lock(mutex_);
    child_->Signal(number);
  }
  void Forget() {
    group_guard_.reset();
    const std::lock_guard lock(mutex_);
    child_.reset();
  }

  const std::string log_;
  uintmax_t log_begin_ = 0;  // of what counts of it
  std::optional<Process> group_guard_;
  bool noted_ = false;  // that it takes long

  mutable std::mutex mutex_;
  std::optional<Process> child_;  // only the driver's thread makes it and lets it go
  bool watch_ends_ = false, killed_ = false;
  std::condition_variable wake_;
  std::thread watch_;
};

class EmbeddedServer final : public ChildServer {
 public:
  using ChildServer::ChildServer;
  std::string Describe() const override { return "sextant serve"; }

 private:
  Result<ProcessOptions> Prepare() override {
    ProcessOptions out{.argv = {options_.program, "serve", "--model-repository",
                                options_.repository, "--model-control-mode", "explicit",
                                "--http-address", "127.0.0.1", "--http-port", "0", "--grpc-port",
                                "0", "--metrics-port", "0"}};
    out.argv.insert(out.argv.end(), options_.arguments.begin(), options_.arguments.end());
    return out;
  }
  bool Ready() override {
    const std::string log = ReadLog();
    if (log.find("\nready\n") == std::string::npos) return false;
    places_ = {AddressIn(log, "http"), AddressIn(log, "grpc"), AddressIn(log, "metrics")};
    return true;
  }
};

// Ports that nobody listens on now.
Result<std::vector<int>> FreePorts(size_t count) {
  SEXTANT_ASSIGN(const std::vector<net::Address> any, net::Resolve({"127.0.0.1", 0, ""}));
  std::vector<Fd> held;  // so that they differ
  std::vector<int> out;
  for (size_t i = 0; i < count; ++i) {
    SEXTANT_ASSIGN(Fd listener, net::Listen(any.front(), 1));
    SEXTANT_ASSIGN(const net::Address address, net::LocalAddress(listener.get()));
    out.push_back(address.port());
    held.push_back(std::move(listener));
  }
  return out;
}

class TritonServer : public ChildServer {
 public:
  using ChildServer::ChildServer;
  std::string Describe() const override { return options_.program; }

 protected:
  Result<std::vector<std::string>> ServerArguments(const std::string& repository) {
    SEXTANT_ASSIGN(const std::vector<int> ports, FreePorts(3));
    places_ = {Format("127.0.0.1:{}", ports[0]), Format("127.0.0.1:{}", ports[1]),
               Format("127.0.0.1:{}", ports[2])};
    std::vector<std::string> out{
        "--model-repository=" + repository, "--model-control-mode=explicit",
        "--http-address=127.0.0.1",         "--grpc-address=127.0.0.1",
        "--metrics-address=127.0.0.1",      Format("--http-port={}", ports[0]),
        Format("--grpc-port={}", ports[1]), Format("--metrics-port={}", ports[2])};
    port_argument_ = Format("--http-port={}", ports[0]);
    // So that what a death by force leaves in /dev/shm can be told from what is others'.
    if (!options_.name.empty())
      out.push_back("--backend-config=python,shm-region-prefix-name=" + options_.name);
    out.insert(out.end(), options_.arguments.begin(), options_.arguments.end());
    return out;
  }
  bool Ready() override {
    const auto where = net::ParseHostPort(places_.http, 8000);
    if (!where.has_value()) return false;
    const auto addresses = net::Resolve(*where);
    if (!addresses.has_value() || addresses->empty()) return false;
    const auto client = kserve::MakeControlClient(kserve::Protocol::kHttp, addresses->front(),
                                                  places_.http, "", 1s);
    if (!client.has_value()) return false;
    const Result<bool> ready = (*client)->ServerReady();
    return ready.has_value() && *ready;
  }

  std::string port_argument_;  // by which its command line is known

 private:
  Result<ProcessOptions> Prepare() override {
    if (FindProgram(options_.program).empty()) {
      return InvalidArgument(
          Format("there is no program '{}': --server-program FILE says where tritonserver is, "
                 "--image IMAGE runs it in a container, and --launch embedded does without it",
                 options_.program));
    }
    SEXTANT_ASSIGN(const std::vector<std::string> arguments, ServerArguments(options_.repository));
    ProcessOptions out{.argv = {options_.program}};
    out.argv.insert(out.argv.end(), arguments.begin(), arguments.end());
    return out;
  }
};

// The repository is mounted where it lies, so that paths in configurations mean the same inside.
class ContainerServer final : public TritonServer {
 public:
  explicit ContainerServer(LaunchOptions options)
      : TritonServer(std::move(options)), engine_(options_.program) {}
  ~ContainerServer() override {
    EndWatch();
    BeforeStop();
  }
  // Not the engine's client, which is our child: what runs in the container is none of its
  // children.
  std::vector<uint32_t> Processes() const override {
    const auto process = engine_.FirstProcess(options_.name, port_argument_);
    return process ? std::vector{*process} : std::vector<uint32_t>();
  }
  std::string Describe() const override {
    return Format("{} run {}", options_.program, options_.image);
  }

 private:
  Result<ProcessOptions> Prepare() override {
    if (!probed_) {
      SEXTANT_TRY(engine_.CheckInstalled());
      SEXTANT_TRY(engine_.EnsureImage(options_.image, options_.note, options_.stop));
      SEXTANT_TRY(engine_.ProbeDirectory(options_.repository, options_.image, RunArguments()));
      probed_ = true;
    }
    // The container would go on when we, and with us the engine's client, are killed.
    SEXTANT_ASSIGN(Process guard, engine_.GuardAgainstOurEnd(options_.name));
    guard_.emplace(std::move(guard));
    // What is loaded in a server of ours is of no use to anybody: it is not waited for long.
    std::vector<std::string> words{
        "run", "--rm", "--name", options_.name, "--label", "sextant=analyze", "--stop-timeout",
        "2"};
    const std::vector<std::string> run = RunArguments();
    words.insert(words.end(), run.begin(), run.end());
    words.insert(words.end(), {options_.image, "tritonserver"});
    SEXTANT_ASSIGN(const std::vector<std::string> arguments, ServerArguments(options_.repository));
    words.insert(words.end(), arguments.begin(), arguments.end());
    return ProcessOptions{.argv = engine_.With(words)};
  }
  // What decides whether a container runs here and what it sees: the same for the probe.
  std::vector<std::string> RunArguments() const {
    std::vector<std::string> out{"--network", "host", "--volume",
                                 Format("{0}:{0}", options_.repository)};
    if (!options_.source.empty())
      out.insert(out.end(), {"--volume", Format("{0}:{0}:ro", options_.source)});
    for (const std::string& entry : options_.environment) {
      // The value comes from the client's environment: a command line is for all to read.
      out.insert(out.end(), {"--env", entry.substr(0, entry.find('='))});
    }
    out.insert(out.end(), options_.container_arguments.begin(), options_.container_arguments.end());
    return out;
  }
  void Kill() override { engine_.Remove(options_.name); }
  void BeforeStop() override {
    if (!guard_) return;
    engine_.Remove(options_.name);
    guard_.reset();
  }

  const ContainerEngine engine_;
  bool probed_ = false;
  std::optional<Process> guard_;
};

// Of what is not empty, in the last part of the file: a log may be of any size.
std::vector<std::string> LastLines(const std::string& path, size_t begin) {
  constexpr size_t kPart = size_t{64} << 10;
  std::vector<std::string> out;
  const Result<MappedFile> file = MappedFile::Open(path);
  if (!file.has_value()) return out;
  std::string_view text = file->bytes();
  text.remove_prefix(std::min(begin, text.size()));
  if (text.size() > kPart) {
    text.remove_prefix(text.size() - kPart);
    text.remove_prefix(std::min(text.size(), text.find('\n') + 1));  // of a line, only its end
  }
  for (const std::string_view line : Split(text, '\n')) {
    if (!TrimSpace(line).empty()) out.emplace_back(line);
  }
  return out;
}

// "E1121 18:05:00.1 ..." as Triton writes it, or in words.
bool LooksLikeAnError(const std::string& line) {
  if (line.size() > 1 && line[0] == 'E' && line[1] >= '0' && line[1] <= '9') return true;
  const std::string lower = ToLower(line);
  return lower.find("error") != std::string::npos || lower.find("failed") != std::string::npos;
}

}  // namespace

std::string TailOf(const std::string& path, size_t lines, size_t begin) {
  const std::vector<std::string> all = LastLines(path, begin);
  // Which lines are shown: the last half whatever they are, then errors from behind, then the rest.
  std::set<size_t> shown;
  const auto take = [&](size_t most, const auto& wanted) {
    for (size_t i = all.size(); i > 0 && shown.size() < most; --i) {
      if (wanted(all[i - 1])) shown.insert(i - 1);
    }
  };
  const auto any = [](const std::string&) { return true; };
  take(lines - lines / 2, any);
  take(lines, LooksLikeAnError);
  take(lines, any);
  std::string out;
  for (const size_t i : shown)
    AppendFormat(out, "{}  {}", out.empty() ? "" : "\n", Printable(all[i], 300));
  return out;
}

Result<std::unique_ptr<ModelServer>> StartServer(const LaunchOptions& options) {
  std::unique_ptr<ChildServer> server;
  switch (options.kind) {
    case Launch::kEmbedded:
      server = std::make_unique<EmbeddedServer>(options);
      break;
    case Launch::kLocal:
      server = std::make_unique<TritonServer>(options);
      break;
    case Launch::kContainer:
      server = std::make_unique<ContainerServer>(options);
      break;
    case Launch::kRemote:
      return InvalidArgument("a server that is there is not started");
  }
  SEXTANT_TRY(server->Start());
  return std::unique_ptr<ModelServer>(std::move(server));
}

}  // namespace sextant::analyze
