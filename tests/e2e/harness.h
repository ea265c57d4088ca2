// What the end-to-end tests share: the program started as a process, a model repository made for
// it, the run file and the truth log read back.
//
// Everything listens on 127.0.0.1 with a free port and is stopped by its own process id.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/process.h"
#include "run/run_file.h"

namespace sextant::e2e {

// A directory of its own, removed with everything in it.
class TempDirectory {
 public:
  TempDirectory();
  ~TempDirectory();
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;
  const std::string& path() const { return path_; }
  std::string File(std::string_view name) const;
  // Writes the file and returns its path.
  std::string Write(std::string_view name, std::string_view text) const;

 private:
  std::string path_;
};

// One line of the server's truth log; times are seconds of the steady clock.
struct Truth {
  std::string model;
  double arrived = 0, started = 0, ended = 0, service = 0;
  int64_t in_flight = 0, items = 0, batch = 0;
  std::string outcome;
};
std::vector<Truth> ParseTruth(std::string_view csv);

// A simulated model's config.pbtxt: FP32 input X and output Y of 16 elements.
struct ModelText {
  int instances = 1;
  int max_batch_size = 0;
  std::string batching;  // the body of dynamic_batching, when there is to be one
  std::map<std::string, std::string> parameters;
  std::string Config() const;
};

// Four instances that answer with their inputs after a millisecond.
ModelText EchoModel(int max_batch_size = 0);
// An input data file for it of kEchoRows rows, of which the first `wrong` expect what it does not
// answer.
constexpr int kEchoRows = 4;
std::string EchoData(int wrong);

// `sextant serve`; killed, if it still runs, when this goes.
class Serve {
 public:
  // Models by name, with their config.pbtxt. `flags` are added to the command line. A test failure
  // when it does not become ready.
  explicit Serve(const std::map<std::string, std::string>& models,
                 std::vector<std::string> flags = {}, std::string address = "127.0.0.1",
                 int http_port = 0, std::map<std::string, std::string> environment = {});
  int http_port() const { return http_port_; }
  int grpc_port() const { return grpc_port_; }
  int metrics_port() const { return metrics_port_; }
  Process& process() { return *process_; }
  // "127.0.0.1:PORT" of the protocol "http" or "grpc".
  std::string Url(std::string_view protocol) const;
  void Kill();
  // The same models on the same ports, with a truth log of its own.
  void StartAgain();
  // SIGTERM; the exit code once it has drained. A test failure and -1 when that takes too long.
  int Stop(Nanos timeout = std::chrono::seconds(60));
  // Ends the server and this life's truth log: how many requests ended how. For logs of any length.
  std::map<std::string, uint64_t> StopAndCountOutcomes();
  // Ends the server, because only then is the log complete: all requests of all its lives.
  std::vector<Truth> StopAndReadTruth();

 private:
  void Start();

  TempDirectory directory_;
  std::vector<std::string> flags_;
  const std::string address_;
  const std::map<std::string, std::string> environment_;
  int http_port_ = 0, grpc_port_ = 0, metrics_port_ = 0;
  int lives_ = 0;
  std::optional<Process> process_;
};

struct PerfResult {
  int exit_code = -1;
  std::string out, err;
  std::optional<run::Run> run;
  // The only level; a test failure and an empty one when there is not exactly one.
  const run::Level& level() const;
};

// The path of the program.
std::string Program();

// `sextant ARGUMENTS`, running.
class Command {
 public:
  explicit Command(std::vector<std::string> arguments,
                   std::map<std::string, std::string> environment = {});
  Process& process() { return *process_; }
  PerfResult Finish(Nanos timeout = std::chrono::seconds(150));

 private:
  std::optional<Process> process_;
};

// `sextant perf ARGUMENTS --output FILE`, running; the run file is read when it has ended.
class Perf {
 public:
  explicit Perf(std::vector<std::string> arguments,
                std::map<std::string, std::string> environment = {});
  Process& process() { return command_.process(); }
  const std::string& run_file() const { return run_file_; }
  PerfResult Finish(Nanos timeout = std::chrono::seconds(150));

 private:
  TempDirectory directory_;
  std::string run_file_;
  Command command_;
};

PerfResult RunPerf(std::vector<std::string> arguments,
                   std::map<std::string, std::string> environment = {});
PerfResult RunSextant(std::vector<std::string> arguments,
                      std::map<std::string, std::string> environment = {});

// The arguments that name a server's model.
std::vector<std::string> Against(const Serve& serve, std::string_view protocol,
                                 std::string_view model, std::vector<std::string> more);

// Puts this process and those it starts before others where that is permitted: what they do is to
// be measured, not what else the machine does.
void PreferThisProcess();

// Polls until `done` or the time is over.
bool WaitFor(Nanos timeout, const std::function<bool()>& done);

// The outcome of that name; nothing when the level has none.
const run::OutcomeRecord* FindOutcome(const run::Level& level, std::string_view name);
size_t CountOf(std::string_view text, std::string_view needle);

// The nearest-rank quantile of any values.
double Quantile(std::vector<double> values, double p);

// The level's window on the steady clock, in seconds.
struct Window {
  double begin = 0, end = 0;
};
Window SteadyWindow(const run::Level& level);

}  // namespace sextant::e2e
