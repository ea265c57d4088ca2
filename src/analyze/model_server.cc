#include "analyze/model_server.h"

#include <unistd.h>
#include <csignal>
#include <set>
#include <thread>

#include "base/files.h"
#include "base/process.h"
#include "base/strings.h"
#include "kserve/control_client.h"
#include "net/socket.h"

namespace sextant::analyze {
namespace {

constexpr Nanos kPoll = 20ms;
constexpr size_t kTailLines = 12;

// The word behind "SERVICE on " in a line of its own.
std::string AddressIn(std::string_view log, std::string_view service) {
  const std::string needle = std::string(service) + " on ";
  size_t at = log.starts_with(needle) ? 0 : log.find("\n" + needle);
  if (at == std::string_view::npos) return {};
  at += needle.size() + (log[at] == '\n' ? 1 : 0);
  return std::string(log.substr(at, log.find('\n', at) - at));
}

class ChildServer : public ModelServer {
 public:
  explicit ChildServer(LaunchOptions options) : options_(std::move(options)) {
    log_ = options_.log.empty() ? JoinPath(options_.work_directory, "server.log") : options_.log;
  }
  ~ChildServer() override { Stop(); }

  const ServerPlaces& places() const override { return places_; }
  bool Alive() override { return child_ && !child_->Wait(Nanos(0)); }
  Result<void> Restart() override {
    Stop();
    return Start();
  }
  std::vector<uint32_t> Processes() const override {
    if (!child_) return {};
    return {static_cast<uint32_t>(child_->pid())};
  }
  std::string LogTail() const override { return TailOf(log_, kTailLines); }

  Result<void> Start() {
    // Each life has a log of its own; that of the one before is kept beside it.
    if (FileExists(log_)) rename(log_.c_str(), (log_ + ".before").c_str());
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
    child_.emplace(std::move(child));
    return AwaitReady();
  }

 protected:
  // The command line, with ports chosen.
  virtual Result<ProcessOptions> Prepare() = 0;
  // Whether it is ready, places_ known.
  virtual bool Ready() = 0;
  virtual void BeforeStop() {}

  std::string ReadLog() const {
    Result<std::string> text = ReadFile(log_);
    return text.has_value() ? *std::move(text) : "";
  }

  const LaunchOptions options_;
  ServerPlaces places_;

 private:
  Result<void> AwaitReady() {
    const Instant deadline = SteadyNow() + options_.start_limit;
    while (!Ready()) {
      if (const auto code = child_->Wait(kPoll)) {
        child_.reset();
        return Unavailable(
            Format("{} ended with exit code {} before it was ready; its last words "
                   "({}):\n{}",
                   Describe(), *code, log_, LogTail()));
      }
      if (SteadyNow() > deadline) {
        Stop();
        return Unavailable(
            Format("{} was not ready within {:.0f} s (--server-start-timeout); its "
                   "last words ({}):\n{}",
                   Describe(), Seconds(options_.start_limit), log_, LogTail()));
      }
    }
    return {};
  }

  void Stop() {
    if (!child_) return;
    BeforeStop();
    child_->Signal(SIGTERM);
    if (!child_->Wait(options_.stop_limit)) child_->Signal(SIGKILL);
    child_->Wait(5s);
    child_.reset();
  }

  std::string log_;
  std::optional<Process> child_;
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

 private:
  Result<ProcessOptions> Prepare() override {
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
      : TritonServer(std::move(options)), name_(Format("sextant-analyze-{}", getpid())) {}
  ~ContainerServer() override { BeforeStop(); }
  // Not the engine's client, which is our child: what runs in the container is none of its
  // children. Unknown where the engine's host is another machine.
  std::vector<uint32_t> Processes() const override {
    ProcessOptions inspect{.argv = Engine()};
    inspect.argv.insert(inspect.argv.end(), {"inspect", "--format", "{{.State.Pid}}", name_});
    const Result<ProcessResult> result = RunProcess(inspect, 10s);
    if (!result.has_value() || result->exit_code != 0) return {};
    const auto pid = ParseUint(TrimSpace(result->out));
    if (!pid || *pid <= 1 || *pid > INT32_MAX) return {};
    // A process of that number in the container's likeness, or another machine's number.
    const Result<std::string> command = ReadFile(Format("/proc/{}/cmdline", *pid));
    if (!command.has_value() || command->find("tritonserver") == std::string::npos) return {};
    return {static_cast<uint32_t>(*pid)};
  }
  std::string Describe() const override {
    return Format("{} run {}", options_.program, options_.image);
  }

 private:
  Result<ProcessOptions> Prepare() override {
    SEXTANT_TRY(ProbePath());
    SEXTANT_ASSIGN(const std::vector<std::string> arguments, ServerArguments(options_.repository));
    ProcessOptions out{.argv = Run()};
    out.argv.emplace_back(options_.image);
    out.argv.emplace_back("tritonserver");
    out.argv.insert(out.argv.end(), arguments.begin(), arguments.end());
    return out;
  }
  std::vector<std::string> Run() const {
    std::vector<std::string> out = Engine();
    out.insert(out.end(), {"run", "--rm", "--name", name_, "--network", "host"});
    const std::vector<std::string> volumes = Volumes();
    out.insert(out.end(), volumes.begin(), volumes.end());
    out.insert(out.end(), options_.container_arguments.begin(), options_.container_arguments.end());
    return out;
  }
  std::vector<std::string> Volumes() const {
    std::vector<std::string> out{"--volume", Format("{0}:{0}", options_.repository)};
    if (!options_.source.empty())
      out.insert(out.end(), {"--volume", Format("{0}:{0}:ro", options_.source)});
    return out;
  }
  // "podman --runtime runc": the program may have options of its own.
  std::vector<std::string> Engine() const {
    std::vector<std::string> out;
    for (const std::string_view word : Split(options_.program, ' ')) {
      if (!word.empty()) out.emplace_back(word);
    }
    return out;
  }
  // Whether the container sees the repository, before anything is measured: engines that run
  // elsewhere (a virtual machine, a socket of the host) mount another machine's folders.
  Result<void> ProbePath() const {
    SEXTANT_ASSIGN(const std::vector<std::string> names, ListDirectory(options_.repository));
    if (names.empty()) return NotFound(Format("'{}': no models in it", options_.repository));
    ProcessOptions probe{.argv = Engine()};
    probe.argv.insert(probe.argv.end(),
                      {"run", "--rm", "--network", "none", "--entrypoint", "/bin/ls"});
    const std::vector<std::string> volumes = Volumes();
    probe.argv.insert(probe.argv.end(), volumes.begin(), volumes.end());
    probe.argv.push_back(options_.image);
    probe.argv.push_back(JoinPath(options_.repository, names.front()));
    SEXTANT_ASSIGN(const ProcessResult result, RunProcess(probe, 120s));
    if (result.exit_code == 0) return {};
    return Unavailable(Format(
        "the container of '{}' does not see '{}': {}; the folder must have the same path where the "
        "container engine runs (inside a container, mount it at the same place)",
        options_.image, JoinPath(options_.repository, names.front()),
        Printable(TrimSpace(result.err), 400)));
  }
  void BeforeStop() override {
    ProcessOptions stop{.argv = Engine()};
    stop.argv.insert(stop.argv.end(), {"rm", "--force", name_});
    [[maybe_unused]] const auto stopped = RunProcess(stop, 30s);
  }

  const std::string name_;
};

// Of what is not empty, in the last part of the file: a log may be of any size.
std::vector<std::string> LastLines(const std::string& path) {
  constexpr size_t kPart = size_t{64} << 10;
  std::vector<std::string> out;
  const Result<MappedFile> file = MappedFile::Open(path);
  if (!file.has_value()) return out;
  std::string_view text = file->bytes();
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

std::string TailOf(const std::string& path, size_t lines) {
  const std::vector<std::string> all = LastLines(path);
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
