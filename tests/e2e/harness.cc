#include "harness.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <functional>
#include <thread>

#include "base/files.h"
#include "base/strings.h"

namespace sextant::e2e {

TempDirectory::TempDirectory() : path_(*MakeTempDirectory("sextant-e2e-")) {}
TempDirectory::~TempDirectory() { EXPECT_TRUE(RemoveAll(path_).has_value()); }
std::string TempDirectory::File(std::string_view name) const { return JoinPath(path_, name); }
std::string TempDirectory::Write(std::string_view name, std::string_view text) const {
  const std::string path = File(name);
  EXPECT_TRUE(MakeDirectories(path.substr(0, path.rfind('/'))).has_value());
  EXPECT_TRUE(WriteFileAtomic(path, text).has_value());
  return path;
}

std::vector<Truth> ParseTruth(std::string_view csv) {
  std::vector<Truth> out;
  bool header = true;
  for (const std::string_view line : Split(csv, '\n')) {
    const auto cells = Split(line, ',');
    // A server that was killed may have left half a line.
    if (cells.size() != 9 || std::exchange(header, false)) continue;
    const auto seconds = [&](size_t i) {
      return static_cast<double>(ParseInt(cells[i]).value_or(0)) * 1e-9;
    };
    const auto number = [&](size_t i) { return ParseInt(cells[i]).value_or(-1); };
    out.push_back({.model = std::string(cells[0]),
                   .arrived = seconds(1),
                   .started = seconds(3),
                   .ended = seconds(4),
                   .service = seconds(5),
                   .in_flight = number(2),
                   .items = number(6),
                   .batch = number(7),
                   .outcome = std::string(cells[8])});
  }
  return out;
}

std::string ModelText::Config() const {
  std::string out = Format(
      "backend: \"simulated\"\nmax_batch_size: {}\n"
      "input [ {{ name: \"X\" data_type: TYPE_FP32 dims: [ 16 ] }} ]\n"
      "output [ {{ name: \"Y\" data_type: TYPE_FP32 dims: [ 16 ] }} ]\n"
      "instance_group [ {{ count: {} kind: KIND_CPU }} ]\n",
      max_batch_size, instances);
  if (!batching.empty()) AppendFormat(out, "dynamic_batching {{ {} }}\n", batching);
  for (const auto& [name, value] : parameters) {
    AppendFormat(out, "parameters {{ key: \"{}\" value {{ string_value: \"{}\" }} }}\n", name,
                 value);
  }
  return out;
}

ModelText EchoModel(int max_batch_size) {
  return {.instances = 4,
          .max_batch_size = max_batch_size,
          .parameters = {{"service_time", "fixed(1ms)"}, {"output", "echo"}}};
}

std::string EchoData(int wrong) {
  std::string inputs, expected;
  for (int row = 0; row < kEchoRows; ++row) {
    std::string x, y;
    for (int i = 0; i < 16; ++i) {
      AppendFormat(x, "{}{}", i == 0 ? "" : ",", row * 16 + i);
      AppendFormat(y, "{}{}", i == 0 ? "" : ",", row * 16 + i + (i == 15 && row < wrong ? 1 : 0));
    }
    AppendFormat(inputs, "{}{{\"X\":[{}]}}", row == 0 ? "" : ",", x);
    AppendFormat(expected, "{}{{\"Y\":[{}]}}", row == 0 ? "" : ",", y);
  }
  return Format("{{\"data\":[{}],\"validation_data\":[{}]}}", inputs, expected);
}

Serve::Serve(const std::map<std::string, std::string>& models, std::vector<std::string> flags,
             std::string address, int http_port, std::map<std::string, std::string> environment)
    : flags_(std::move(flags)),
      address_(std::move(address)),
      environment_(std::move(environment)),
      http_port_(http_port) {
  EXPECT_TRUE(MakeDirectories(directory_.File("models")).has_value());
  for (const auto& [name, config] : models) {
    directory_.Write(Format("models/{}/config.pbtxt", name), config);
    EXPECT_TRUE(MakeDirectories(directory_.File(Format("models/{}/1", name))).has_value());
  }
  Start();
}

void Serve::Start() {
  ++lives_;
  std::vector<std::string> argv{SEXTANT_PROGRAM,
                                "serve",
                                "--model-repository=" + directory_.File("models"),
                                "--address=" + address_,
                                Format("--http-port={}", http_port_),
                                Format("--grpc-port={}", grpc_port_),
                                Format("--metrics-port={}", metrics_port_),
                                "--truth-log=" + directory_.File(Format("truth{}.csv", lives_))};
  argv.insert(argv.end(), flags_.begin(), flags_.end());
  Result<Process> process = Process::Start({.argv = argv, .environment = environment_});
  ASSERT_TRUE(process.has_value()) << process.error().message();
  process_ = *std::move(process);
  ASSERT_TRUE(process_->WaitForOutput("ready\n", 60s)) << process_->err();
  for (const std::string_view line : Split(process_->out(), '\n')) {
    const size_t colon = line.rfind(':');
    if (colon == std::string_view::npos) continue;
    const int port = static_cast<int>(ParseInt(line.substr(colon + 1)).value_or(0));
    if (line.starts_with("http ")) http_port_ = port;
    if (line.starts_with("grpc ")) grpc_port_ = port;
    if (line.starts_with("metrics ")) metrics_port_ = port;
  }
}

std::string Serve::Url(std::string_view protocol) const {
  return Format("{}:{}", address_, protocol == "grpc" ? grpc_port_ : http_port_);
}

void Serve::Kill() {
  process_->Signal(SIGKILL);
  EXPECT_EQ(process_->Wait(30s), 128 + SIGKILL);
}

void Serve::StartAgain() { Start(); }

int Serve::Stop(Nanos timeout) {
  process_->Signal(SIGTERM);
  const std::optional<int> exit_code = process_->Wait(timeout);
  EXPECT_TRUE(exit_code.has_value()) << "the server did not end: " << process_->err();
  return exit_code.value_or(-1);
}

std::map<std::string, uint64_t> Serve::StopAndCountOutcomes() {
  EXPECT_EQ(Stop(), 0) << process_->err();
  const std::string path = directory_.File(Format("truth{}.csv", lives_));
  std::map<std::string, uint64_t> out;
  std::ifstream log(path);
  std::string line;
  std::getline(log, line);  // the heading
  while (std::getline(log, line)) ++out[line.substr(line.rfind(',') + 1)];
  EXPECT_EQ(std::remove(path.c_str()), 0) << path;
  return out;
}

std::vector<Truth> Serve::StopAndReadTruth() {
  EXPECT_EQ(Stop(), 0) << process_->err();
  std::vector<Truth> out;
  for (int life = 1; life <= lives_; ++life) {
    const Result<std::string> csv = ReadFile(directory_.File(Format("truth{}.csv", life)));
    EXPECT_TRUE(csv.has_value());
    if (!csv.has_value()) continue;
    for (Truth& truth : ParseTruth(*csv)) out.push_back(std::move(truth));
  }
  return out;
}

const run::Level& PerfResult::level() const {
  static const run::Level none;
  const bool one = run && run->levels.size() == 1;
  EXPECT_TRUE(one) << "exit code " << exit_code << "\n" << out << err;
  return one ? run->levels.front() : none;
}

std::string Program() { return SEXTANT_PROGRAM; }

Command::Command(std::vector<std::string> arguments,
                 std::map<std::string, std::string> environment) {
  arguments.insert(arguments.begin(), SEXTANT_PROGRAM);
  Result<Process> process =
      Process::Start({.argv = std::move(arguments), .environment = std::move(environment)});
  EXPECT_TRUE(process.has_value());
  process_ = *std::move(process);
}

PerfResult Command::Finish(Nanos timeout) {
  const std::optional<int> exit_code = process_->Wait(timeout);
  EXPECT_TRUE(exit_code.has_value()) << "it still runs\n" << process_->out() << process_->err();
  return {.exit_code = exit_code.value_or(-1),
          .out = process_->out(),
          .err = process_->err(),
          .run = std::nullopt};
}

namespace {

std::vector<std::string> With(std::vector<std::string> first, std::vector<std::string> second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

}  // namespace

Perf::Perf(std::vector<std::string> arguments, std::map<std::string, std::string> environment)
    : run_file_(directory_.File("run.jsonl")),
      command_(With({"perf", "--output", run_file_}, std::move(arguments)),
               std::move(environment)) {}

PerfResult Perf::Finish(Nanos timeout) {
  PerfResult result = command_.Finish(timeout);
  if (const Result<std::string> text = ReadFile(run_file_); text.has_value()) {
    Result<run::Run> parsed = run::ParseRun(*text);
    EXPECT_TRUE(parsed.has_value()) << parsed.error().message();
    if (parsed.has_value()) result.run = *std::move(parsed);
  }
  return result;
}

PerfResult RunPerf(std::vector<std::string> arguments,
                   std::map<std::string, std::string> environment) {
  return Perf(std::move(arguments), std::move(environment)).Finish();
}

PerfResult RunSextant(std::vector<std::string> arguments,
                      std::map<std::string, std::string> environment) {
  return Command(std::move(arguments), std::move(environment)).Finish();
}

std::vector<std::string> Against(const Serve& serve, std::string_view protocol,
                                 std::string_view model, std::vector<std::string> more) {
  return With({"-m", std::string(model), "-i", std::string(protocol), "-u", serve.Url(protocol)},
              std::move(more));
}

void PreferThisProcess() {
  const sched_param real_time{.sched_priority = 1};
  if (sched_setscheduler(0, SCHED_RR, &real_time) == 0) return;
  setpriority(PRIO_PROCESS, 0, -15);  // where this too is refused, things stay as they are
}

bool WaitFor(Nanos timeout, const std::function<bool()>& done) {
  const Instant deadline = SteadyNow() + timeout;
  while (!done()) {
    if (SteadyNow() > deadline) return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

const run::OutcomeRecord* FindOutcome(const run::Level& level, std::string_view name) {
  for (const run::OutcomeRecord& outcome : level.outcomes) {
    if (outcome.name == name) return &outcome;
  }
  return nullptr;
}

size_t CountOf(std::string_view text, std::string_view needle) {
  size_t count = 0;
  for (size_t at = text.find(needle); at != std::string_view::npos;
       at = text.find(needle, at + needle.size()))
    ++count;
  return count;
}

double Quantile(std::vector<double> values, double p) {
  if (values.empty()) return 0;
  const double rank = std::ceil(p * static_cast<double>(values.size()) - 1e-9);
  const auto at = values.begin() + static_cast<ptrdiff_t>(std::max(1.0, rank)) - 1;
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

Window SteadyWindow(const run::Level& level) {
  const Instant begin = SteadyNow() + (level.started - WallNow());
  const double seconds = Seconds(begin.time_since_epoch());
  return {seconds, seconds + level.window_s};
}

}  // namespace sextant::e2e
