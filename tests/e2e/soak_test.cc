// A long run at full rate against a server that fails one request in a hundred and is started again
// every so often: nothing leaks, and no request is lost from the books of either side.
//
// SEXTANT_SOAK_MINUTES (0.3) is the length for each protocol; scripts/soak.sh sets it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/files.h"
#include "base/strings.h"
#include "harness.h"

namespace sextant::e2e {
namespace {

double SoakSeconds() {
  const char* minutes = std::getenv("SEXTANT_SOAK_MINUTES");
  return 60 * (minutes == nullptr ? 0.3 : ParseDouble(minutes).value_or(0.3));
}

double ResidentMib(pid_t pid) {
  const Result<std::string> status = ReadFile(Format("/proc/{}/status", pid));
  if (!status.has_value()) return 0;
  const size_t at = status->find("VmRSS:");
  return at == std::string::npos ? 0 : std::atof(status->c_str() + at + 6) / 1024;
}

// The most of a stretch of the samples, given in quarters.
double MostOf(const std::vector<double>& samples, size_t from, size_t to) {
  const auto at = [&](size_t quarter) {
    return samples.begin() + static_cast<ptrdiff_t>(samples.size() * quarter / 4);
  };
  return *std::max_element(at(from), at(to));
}

class Soak : public testing::TestWithParam<std::string> {
 protected:
  PerfResult Run(uint64_t requests, const std::function<void(Perf&)>& meanwhile) {
    Perf perf(Against(serve_, GetParam(), "m",
                      {"--concurrency-range=16", "--workers=1", "--warmup=0",
                       Format("--requests={}", requests)}));
    meanwhile(perf);
    return perf.Finish();
  }
  void StopServer() {
    for (const auto& [outcome, count] : serve_.StopAndCountOutcomes()) truth_[outcome] += count;
  }
  // Starts the server again every `life` and takes memory down until the run is over.
  void Disturb(Perf& perf, Nanos life, Nanos limit) {
    Instant born = SteadyNow();
    const bool ended = WaitFor(limit, [&] {
      if (perf.process().Wait(500ms)) return true;
      resident_.push_back(ResidentMib(perf.process().pid()));
      if (SteadyNow() - born < life) return false;
      StopServer();
      serve_.StartAgain();
      ++restarts_;
      born = SteadyNow();
      return false;
    });
    ASSERT_TRUE(ended) << "perf did not end";
  }

  Serve serve_{{{"m", ModelText{.instances = 4,
                                .max_batch_size = 0,
                                .batching = "",
                                .parameters = {{"service_time", "fixed(50us)"},
                                               {"error_rate", "internal:0.01"}}}
                          .Config()}}};
  std::map<std::string, uint64_t> truth_;  // how the server's requests ended, of all its lives
  std::vector<double> resident_;           // MiB, twice a second
  int restarts_ = 0;
};
INSTANTIATE_TEST_SUITE_P(BothProtocols, Soak, testing::Values("http", "grpc"),
                         [](const auto& info) { return info.param; });

TEST_P(Soak, LosesNoRequestAndNoMemory) {
  const double seconds = SoakSeconds();
  // How much is full rate here?
  const double rate = Run(20'000, [](Perf&) {}).level().throughput.value;
  StopServer();
  truth_.clear();
  serve_.StartAgain();
  const auto requests = static_cast<uint64_t>(rate * seconds);
  const PerfResult result = Run(requests, [&](Perf& perf) {
    Disturb(perf, FromSeconds(std::min(60.0, seconds / 4)), FromSeconds(4 * seconds + 60));
  });
  StopServer();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_GE(restarts_, 2);

  // Our books: every request that was sent ended in one of these ways.
  const run::Level& level = result.level();
  uint64_t failed = 0;
  std::string failures;
  for (const run::OutcomeRecord& outcome : level.outcomes) {
    failed += outcome.count;
    AppendFormat(failures, " {} {}", outcome.count, outcome.name);
  }
  EXPECT_EQ(level.scheduled, requests);
  EXPECT_EQ(level.succeeded + failed, requests) << failures;
  EXPECT_EQ(level.unfinished, 0U);
  EXPECT_EQ(level.latency.histogram.count(), level.succeeded);
  // The server's, which ends its work before it goes.
  EXPECT_EQ(level.succeeded, truth_["ok"]);
  const run::OutcomeRecord* internal =
      FindOutcome(level, GetParam() == "grpc" ? "gRPC INTERNAL" : "HTTP 500");
  ASSERT_NE(internal, nullptr) << failures;
  EXPECT_EQ(internal->count, truth_["internal"]);
  const auto answered = static_cast<double>(level.succeeded + internal->count);
  EXPECT_NEAR(static_cast<double>(internal->count) / answered, 0.01,
              5 * std::sqrt(0.01 * 0.99 / answered));

  // Memory: what the second quarter of the run had is enough for the last.
  ASSERT_GE(resident_.size(), 8U);
  const double early = MostOf(resident_, 1, 2), late = MostOf(resident_, 3, 4);
  EXPECT_LE(late, early + 1);
  EXPECT_LE(late, 64);
  std::printf(
      "%.0f s, %d restarts: %lu sent = %lu answered + %lu failed (%s ); resident %.1f MiB in the "
      "second quarter, %.1f in the last\n",
      level.window_s, restarts_, level.scheduled, level.succeeded, failed, failures.c_str(), early,
      late);
}

}  // namespace
}  // namespace sextant::e2e
