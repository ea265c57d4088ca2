// Several models under one load: each one's figures against what the server knows of it, and
// against those of the whole.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "base/files.h"
#include "base/strings.h"
#include "harness.h"

namespace sextant::e2e {
namespace {

ModelText Taking(std::string_view service_time) {
  return {.instances = 64, .parameters = {{"service_time", std::string(service_time)}}};
}

std::vector<std::string> Mixed(const Serve& serve, std::string_view protocol, std::string_view mix,
                               std::vector<std::string> more) {
  more.insert(more.end(),
              {"--mix", std::string(mix), "-u", serve.Url(protocol), "-i", std::string(protocol)});
  return more;
}

// The parts are the whole: every count, class by class, and every histogram.
void ExpectTheSumIsTheWhole(const run::Level& level) {
  uint64_t scheduled = 0, succeeded = 0, failed = 0, unfinished = 0, completed = 0, overflow = 0,
           checked = 0, wrong = 0;
  double rate = 0, in_flight = 0, seen = 0;
  std::map<std::string, uint64_t> outcomes;
  stats::Histogram latency, service, slip;
  for (const run::Level& part : level.models) {
    EXPECT_EQ(part.scheduled, part.succeeded + part.failed + part.unfinished);
    uint64_t by_class = 0;
    for (const run::OutcomeRecord& outcome : part.outcomes) {
      outcomes[outcome.name] += outcome.count;
      by_class += outcome.name == "wrong output" ? 0 : outcome.count;
    }
    EXPECT_EQ(by_class, part.failed + part.unfinished);
    scheduled += part.scheduled, succeeded += part.succeeded, failed += part.failed;
    unfinished += part.unfinished, completed += part.completed, overflow += part.overflow;
    checked += part.checked_outputs, wrong += part.wrong_outputs;
    rate += part.request_rate.value, in_flight += part.in_flight_mean, seen += part.part->seen;
    latency.Merge(part.latency.histogram);
    service.Merge(part.service.histogram);
    slip.Merge(part.slip);
    EXPECT_EQ(part.series.size(), level.series.size());
  }
  EXPECT_EQ(scheduled, level.scheduled);
  EXPECT_EQ(succeeded, level.succeeded);
  EXPECT_EQ(failed, level.failed);
  EXPECT_EQ(unfinished, level.unfinished);
  EXPECT_EQ(completed, level.completed);
  EXPECT_EQ(overflow, level.overflow);
  EXPECT_EQ(checked, level.checked_outputs);
  EXPECT_EQ(wrong, level.wrong_outputs);
  EXPECT_NEAR(rate, level.request_rate.value, 1e-6 * rate);
  EXPECT_NEAR(in_flight, level.in_flight_mean, 1e-6 * in_flight);
  EXPECT_NEAR(seen, 1, 1e-9);
  EXPECT_EQ(latency.NonEmptyBuckets(), level.latency.histogram.NonEmptyBuckets());
  EXPECT_EQ(service.NonEmptyBuckets(), level.service.histogram.NonEmptyBuckets());
  EXPECT_EQ(slip.NonEmptyBuckets(), level.slip.NonEmptyBuckets());
  std::map<std::string, uint64_t> whole;
  for (const run::OutcomeRecord& outcome : level.outcomes) whole[outcome.name] = outcome.count;
  EXPECT_EQ(outcomes, whole);
  for (size_t s = 0; s < level.series.size(); ++s) {
    uint64_t answered = 0;
    for (const run::Level& part : level.models)
      answered += s < part.series.size() ? part.series[s].answered : 0;
    EXPECT_EQ(answered, level.series[s].answered) << "second " << s;
  }
}

// Within five standard deviations of a binomial count.
void ExpectShare(const run::Level& level, size_t model, double share) {
  const auto n = static_cast<double>(level.scheduled);
  EXPECT_NEAR(static_cast<double>(level.models[model].scheduled), n * share,
              5 * std::sqrt(n * share * (1 - share)))
      << level.models[model].part->label();
}

struct Way {
  std::string protocol, load;
};
void PrintTo(const Way& way, std::ostream* out) { *out << way.protocol << " " << way.load; }
class EveryLoop : public ::testing::TestWithParam<Way> {};
INSTANTIATE_TEST_SUITE_P(Way, EveryLoop,
                         ::testing::Values(Way{"http", "--concurrency-range=8"},
                                           Way{"grpc", "--concurrency-range=8"},
                                           Way{"http", "--request-rate-range=200"},
                                           Way{"grpc", "--request-rate-range=200"}),
                         [](const auto& info) {
                           return info.param.protocol +
                                  (info.param.load.starts_with("--conc") ? "Closed" : "Open");
                         });

// A busy machine makes server and client late: three attempts, of which one must be true to 2 %.
TEST_P(EveryLoop, EachModelHasItsShareOfTheRequestsAndItsOwnLatency) {
  const std::map<std::string, double> truth{{"quick", 0.020}, {"slow", 0.060}};
  std::string off;
  for (int attempt = 0; attempt < 3; ++attempt) {
    Serve serve({{"quick", Taking("20ms").Config()}, {"slow", Taking("60ms").Config()}});
    const PerfResult result = RunPerf(
        Mixed(serve, GetParam().protocol, "quick:0.7,slow:0.3",
              {GetParam().load, "--duration=4s", "--warmup=300ms", "--seed=5", "--workers=2"}));
    ASSERT_EQ(result.exit_code, 0) << result.out << result.err;
    const run::Level& level = result.level();
    ASSERT_EQ(level.models.size(), 2u);
    ExpectTheSumIsTheWhole(level);
    ExpectShare(level, 0, 0.7);
    ExpectShare(level, 1, 0.3);
    // What the server itself saw in the window.
    const Window window = SteadyWindow(level);
    std::map<std::string, std::vector<double>> seen;
    for (const Truth& t : serve.StopAndReadTruth()) {
      if (t.arrived >= window.begin && t.arrived < window.end)
        seen[t.model].push_back(t.ended - t.arrived);
    }
    off.clear();
    for (const run::Level& part : level.models) {
      const std::string& name = part.part->name;
      EXPECT_NEAR(static_cast<double>(seen[name].size()), static_cast<double>(part.scheduled), 20);
      ASSERT_EQ(part.server.size(), 1u);
      EXPECT_EQ(part.server[0].model, name);
      // How near a percentile is to the truth is truth_test's matter. A build that is slow may take
      // a millisecond of its own.
      constexpr double kOwn = SEXTANT_SANITIZED ? 0.001 : 0;
      const double p50 = part.latency.histogram.Quantile(0.5) / 1e9;
      const double of_server = Quantile(seen[name], 0.5);
      if (std::abs(p50 - of_server) > 0.02 * of_server + kOwn ||
          std::abs(p50 - truth.at(name)) > 0.05 * truth.at(name) + kOwn)
        AppendFormat(off, "{}: p50 {:.3f} ms, of the server {:.3f} ms; ", name, p50 * 1e3,
                     of_server * 1e3);
    }
    EXPECT_EQ(level.server.size(), 2u);
    if (off.empty()) return;
  }
  ADD_FAILURE() << off;
}

TEST(AFailingModel, LeavesTheOthersFiguresAlone) {
  ModelText bad = Taking("2ms");
  bad.parameters["error_rate"] = "0.2";
  for (const char* protocol : {"http", "grpc"}) {
    Serve serve({{"good", Taking("2ms").Config()}, {"bad", bad.Config()}});
    const PerfResult result =
        RunPerf(Mixed(serve, protocol, "good:1,bad:1",
                      {"--concurrency-range=4", "--requests=2000", "--warmup=0", "--seed=9"}));
    ASSERT_EQ(result.exit_code, 0) << result.out << result.err;
    const run::Level& level = result.level();
    ASSERT_EQ(level.models.size(), 2u);
    ExpectTheSumIsTheWhole(level);
    EXPECT_EQ(level.scheduled, 2000u);
    EXPECT_EQ(level.models[0].failed, 0u);
    EXPECT_TRUE(level.models[0].outcomes.empty());
    EXPECT_GT(level.models[1].failed, 100u);
    EXPECT_EQ(level.models[1].failed, level.failed);
    // The server's own count of each.
    uint64_t good = 0, faults = 0, rest = 0;
    for (const Truth& t : serve.StopAndReadTruth()) {
      if (t.model == "good") ++good;
      if (t.model == "bad") ++(t.outcome == "ok" ? rest : faults);
    }
    EXPECT_EQ(good, level.models[0].succeeded);
    EXPECT_EQ(faults, level.models[1].failed);
    EXPECT_EQ(rest, level.models[1].succeeded);
    EXPECT_NE(result.out.find(Format("    bad: {} of {} requests failed; ", level.failed,
                                     level.models[1].scheduled)),
              std::string::npos)
        << result.out;
  }
}

TEST(ModelsWithTheirOwnConcurrency, EachKeepThatManyInFlight) {
  for (const char* workers : {"--workers=1", "--workers=3"}) {
    Serve serve({{"a", Taking("10ms").Config()}, {"b", Taking("40ms").Config()}});
    const PerfResult result = RunPerf(Mixed(serve, "http", "a:concurrency=5,b:concurrency=2",
                                            {"--duration=2s", "--warmup=300ms", workers}));
    ASSERT_EQ(result.exit_code, 0) << result.out << result.err;
    const run::Level& level = result.level();
    ASSERT_EQ(level.models.size(), 2u);
    ExpectTheSumIsTheWhole(level);
    EXPECT_EQ(level.load.value, 7);
    for (const auto& [i, concurrency] : {std::pair(0, 5), std::pair(1, 2)}) {
      const run::Level& part = level.models[static_cast<size_t>(i)];
      EXPECT_EQ(part.load.value, concurrency);
      EXPECT_EQ(part.part->concurrency, concurrency);
      EXPECT_NEAR(part.in_flight_mean, concurrency, 0.02 * concurrency);
      EXPECT_NEAR(*part.little_ratio, 1, 0.02);
    }
    // Little's law on the server's own log.
    std::map<std::string, double> busy_s;
    const Window window = SteadyWindow(level);
    for (const Truth& t : serve.StopAndReadTruth()) {
      busy_s[t.model] +=
          std::max(0.0, std::min(t.ended, window.end) - std::max(t.arrived, window.begin));
    }
    for (const auto& [model, concurrency] : {std::pair("a", 5.0), std::pair("b", 2.0)}) {
      EXPECT_LE(busy_s[model] / level.window_s, concurrency * 1.05);
      EXPECT_GE(busy_s[model] / level.window_s, concurrency * 0.85);
    }
  }
}

// A row: a tensor of 16 equal values.
std::string Values(std::string_view tensor, double value) {
  std::string text = Format("{{\"{}\":[", tensor);
  for (int k = 0; k < 16; ++k) AppendFormat(text, "{}{}", k > 0 ? "," : "", value);
  return text + "]}";
}

std::string Rows(std::string_view input, int count, double first, double step) {
  std::string text = "{\"data\":[";
  for (int row = 0; row < count; ++row)
    text += (row > 0 ? "," : "") + Values(input, first + step * row);
  return text + "]}";
}

TEST(InputsOfOneModel, AreGivenByItsNameAndCheckedBeforeTheFirstRequest) {
  ModelText open = Taking("1ms");
  std::string other = open.Config();
  for (size_t at = 0; (at = other.find("\"X\"", at)) != std::string::npos; ++at)
    other.replace(at, 3, "\"Z\"");
  TempDirectory files;
  const std::string rows = files.Write("rows.json", Rows("Z", 50, 1, 1));
  Serve serve({{"a", Taking("1ms").Config()}, {"b", other}});
  const PerfResult result = RunPerf(Mixed(serve, "http", "a:1,b:1",
                                          {"--input-data", "b=" + rows, "--data", "X=int(0,9)",
                                           "--requests=400", "--concurrency-range=2"}));
  ASSERT_EQ(result.exit_code, 0) << result.out << result.err;
  EXPECT_EQ(result.level().succeeded, 400u);
  const text::Json* models = result.run->header.Find("models");
  ASSERT_TRUE(models != nullptr && models->IsArray() && models->array().size() == 2);
  EXPECT_NE(models->array()[1].Find("data")->AsString()->find("rows.json"), std::string::npos);
  EXPECT_EQ(models->array()[0].Find("share")->AsDouble(), 0.5);

  // All at once: who is not there, and what no model has.
  const PerfResult wrong =
      RunSextant({"perf", "--mix", "a:1,b:1", "-u", serve.Url("http"), "--shape", "c=X:16",
                  "--data", "d=X=zero", "--input-data", "e=/nowhere", "--streaming", "-m", "a"});
  EXPECT_EQ(wrong.exit_code, 2);
  for (const char* text :
       {"--shape 'c=X:16': there is no model 'c' in --mix (a, b)", "no model 'd' in --mix (a, b)",
        "no model 'e' in --mix (a, b)", "--mix and --streaming exclude each other",
        "--mix and -m, --model-name exclude each other"})
    EXPECT_NE(wrong.err.find(text), std::string::npos) << text << "\nin\n" << wrong.err;
  const PerfResult nobody = RunSextant(
      {"perf", "--mix", "a:1,b:1", "-u", serve.Url("http"), "--shape", "Q:16", "--data", "P=zero"});
  EXPECT_EQ(nobody.exit_code, 2);
  EXPECT_NE(nobody.err.find("--shape: no model of --mix (a, b) has an input 'Q' (a: X; b: Z)"),
            std::string::npos)
      << nobody.err;
  EXPECT_NE(nobody.err.find("--data: no model of --mix (a, b) has an input 'P'"),
            std::string::npos);
  const PerfResult unknown = RunSextant({"perf", "--mix", "a:1,x:1,y:2", "-u", serve.Url("http")});
  EXPECT_NE(unknown.err.find("model 'x'"), std::string::npos) << unknown.err;
  EXPECT_NE(unknown.err.find("model 'y'"), std::string::npos) << unknown.err;
}

TEST(MistakesAboutAMix, AreReportedAllAtOnce) {
  const auto said = [](std::vector<std::string> arguments, const std::vector<std::string>& texts) {
    arguments.insert(arguments.begin(), "perf");
    const PerfResult result = RunSextant(arguments);
    EXPECT_EQ(result.exit_code, 2);
    for (const std::string& text : texts)
      EXPECT_NE(result.err.find(text), std::string::npos) << text << "\nin\n" << result.err;
  };
  said({"--mix", "a:0,b,c@x:1,:2,d:concurrency=0,e:1,e:1"},
       {"'a:0': a weight is a positive number", "'b': write NAME:WEIGHT",
        "'c@x:1': a version is a number", "':2': write NAME:WEIGHT",
        "'d:concurrency=0': a concurrency is a whole number", "'e' is given twice"});
  said({"--mix", "a:1"}, {"--mix needs two models or more"});
  said({"--mix", "a:1,b:concurrency=2"}, {"either all models have a weight"});
  said({"--mix", "a:concurrency=1,b:concurrency=2", "--concurrency-range=3", "--find-max",
        "--slo=p99<1s"},
       {"each model has its own", "a search takes weights"});
  said({"--mix", "a:concurrency=1,b:concurrency=2", "--request-rate-range=3"},
       {"with concurrency=N is a closed loop"});
  said({"--mix", "a:1,b:1", "-x", "1", "--shared-memory=system", "--measurement-interval=100",
        "--trace-level=TIMESTAMPS", "--fixed-schedule", "--shape", "a=X", "--slo=c.p99<1s",
        "--find-max"},
       {"-x, --model-version", "--shared-memory", "perf_analyzer's windows", "--trace-level",
        "--fixed-schedule", "in front of one may stand a model and a dot: a, b"});
  said({"--mix", "a:1,b:1", "--shape", "a=X", "--data", "b=X=sometimes(3)", "--dim", "b=n=0"},
       {"--shape 'X': write NAME:D1,D2 with positive numbers (model a)",
        "--data X: ", "--dim 'n=0'", "(model b)"});
  TempDirectory files;
  said({"--mix", "a:1,b:1", "--trace", files.Write("trace.csv", "timestamp_ms,row\n0,0\n10,1\n")},
       {"the trace names rows, which are of one model"});
}

TEST(ExpectedOutputs, AreComparedForTheModelThatHasThem) {
  ModelText echo = Taking("1ms");
  echo.parameters["output"] = "echo";
  TempDirectory files;
  std::string text = Rows("X", 4, 1, 1);
  text.pop_back();
  // Every second row expects what the model never says.
  const std::string path = files.Write(
      "rows.json", text + ",\"validation_data\":[" + Values("Y", 1) + "," + Values("Y", -1) + "," +
                       Values("Y", 3) + "," + Values("Y", -1) + "]}");
  for (const char* protocol : {"http", "grpc"}) {
    Serve serve({{"a", echo.Config()}, {"b", echo.Config()}});
    const PerfResult result =
        RunPerf(Mixed(serve, protocol, "a:concurrency=2,b:concurrency=1",
                      {"--input-data", "b=" + path, "--requests=900", "--warmup=0"}));
    ASSERT_EQ(result.exit_code, 0) << result.out << result.err;
    const run::Level& level = result.level();
    ExpectTheSumIsTheWhole(level);
    ASSERT_EQ(level.models.size(), 2u);
    EXPECT_EQ(level.models[0].checked_outputs, 0u);
    const run::Level& checked = level.models[1];
    EXPECT_EQ(checked.checked_outputs, checked.succeeded);
    // Its rows come in turn.
    EXPECT_NEAR(static_cast<double>(checked.wrong_outputs),
                static_cast<double>(checked.succeeded) / 2, 1);
    EXPECT_GT(checked.succeeded, 100u);
  }
}

TEST(TwoShardsOfAMix, AreOneStreamAndMergeIntoOneRun) {
  TempDirectory files;
  Serve one({{"a", Taking("2ms").Config()}, {"b", Taking("4ms").Config()}}),
      two({{"a", Taking("2ms").Config()}, {"b", Taking("4ms").Config()}});
  const std::string at = FormatWallTime(WallNow() + 4s);
  const auto run = [&](Serve& serve, std::vector<std::string> own) {
    own.insert(own.end(), {"--request-rate-range=200", "--request-distribution=poisson",
                           "--seed=11", "--duration=3s", "--warmup=0", "--start-at=" + at});
    std::vector<std::string> all = Mixed(serve, "grpc", "a:0.6,b:0.4", own);
    all.insert(all.begin(), "perf");
    return std::make_unique<Command>(all);
  };
  const auto whole = run(one, {"--workers=2", "-o", files.File("whole.json")});
  const auto first = run(two, {"--workers=1", "--shard=0/2", "-o", files.File("0.json")});
  const auto second = run(two, {"--workers=1", "--shard=1/2", "-o", files.File("1.json")});
  for (Command* command : {whole.get(), first.get(), second.get()}) {
    const PerfResult result = command->Finish();
    ASSERT_EQ(result.exit_code, 0) << result.out << result.err;
  }
  const PerfResult merge =
      RunSextant({"perf", "--merge", files.File("0.json"), files.File("1.json"), "-o",
                  files.File("merged.json"), "-f", files.File("merged.csv")});
  ASSERT_EQ(merge.exit_code, 0) << merge.out << merge.err;
  const auto read = [&](std::string_view name) {
    return run::ParseRun(ReadFile(files.File(name)).value()).value().levels.at(0);
  };
  EXPECT_TRUE(FileExists(files.File("a.merged.csv")) && FileExists(files.File("b.merged.csv")));
  const run::Level merged = read("merged.json"), alone = read("whole.json");
  ASSERT_EQ(merged.models.size(), 2u);
  ExpectTheSumIsTheWhole(merged);
  // The windows may differ by an arrival at either edge, the models of arrivals do not.
  for (size_t m = 0; m < 2; ++m) {
    EXPECT_NEAR(static_cast<double>(merged.models[m].scheduled),
                static_cast<double>(alone.models[m].scheduled), 3);
  }
  EXPECT_NE(merge.out.find("  Models:\n"), std::string::npos) << merge.out;
  // The models in the order of their arrival, as the server saw them.
  const auto order = [](Serve& serve) {
    std::vector<Truth> log = serve.StopAndReadTruth();
    std::sort(log.begin(), log.end(),
              [](const Truth& x, const Truth& y) { return x.arrived < y.arrived; });
    std::string out;
    for (const Truth& t : log) out += t.model;
    return out;
  };
  const std::string a = order(one), b = order(two);
  // The load runs on until the window's last answer is there, and neighbours may swap places on
  // their ways.
  const size_t common = std::min(a.size(), b.size());
  ASSERT_GT(common, 500u);
  const auto count = [&](const std::string& text) {
    return static_cast<double>(
        std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(common), 'a'));
  };
  EXPECT_NEAR(count(a), count(b), 3);
  size_t same = 0;
  for (size_t i = 0; i < common; ++i) same += a[i] == b[i] ? 1 : 0;
  EXPECT_GT(same, common * 9 / 10);
}

TEST(ASearchWithAMix, MayBeDecidedByOneModel) {
  Serve serve(
      {{"a", Taking("1ms").Config()},
       {"b", ModelText{.instances = 1, .parameters = {{"service_time", "10ms"}}}.Config()}});
  // The slow one can have 100 per second, a fifth of all: its limit is the search's.
  const PerfResult result = RunPerf(Mixed(
      serve, "http", "a:0.8,b:0.2",
      {"--find-max", "--slo=p50<20ms,b.p90<100ms", "--request-rate-range=150", "--duration=1s",
       "--warmup=200ms", "--find-max-longest=2s", "--find-max-precision=25%"}));
  ASSERT_EQ(result.exit_code, 0) << result.out << result.err;
  ASSERT_EQ(result.run->searches.size(), 1u);
  const double passes = result.run->searches[0].Find("passes")->AsDouble().value_or(0);
  EXPECT_GE(passes, 200);
  EXPECT_LE(passes, 520);
  EXPECT_NE(result.out.find("(b.p90<100ms): fails"), std::string::npos) << result.out;
}

TEST(TheFilesOfAMix, AreOnePerModelBesideTheWhole) {
  TempDirectory files;
  Serve serve({{"a", Taking("1ms").Config()}, {"b", Taking("1ms").Config()}});
  const PerfResult result = RunPerf(Mixed(serve, "http", "a:1,b@1:1",
                                          {"--requests=300", "-f", files.File("out.csv"),
                                           "--format", "csv", "--concurrency-range=1,2"}));
  ASSERT_EQ(result.exit_code, 0) << result.out << result.err;
  for (const char* name : {"out.csv", "a.out.csv", "b_v1.out.csv"}) {
    const auto csv = ReadFile(files.File(name));
    ASSERT_TRUE(csv.has_value()) << name;
    EXPECT_TRUE(csv->starts_with("Concurrency,Inferences/Second,")) << *csv;
    EXPECT_EQ(CountOf(*csv, "\n"), 3u) << *csv;
  }
  EXPECT_TRUE(result.out.starts_with("Batch,Concurrency,Model,Share [%],")) << result.out;
  EXPECT_EQ(CountOf(result.out, "\n"), 7u) << result.out;
  EXPECT_NE(result.out.find("\n1,2,b@1,"), std::string::npos) << result.out;
}

}  // namespace
}  // namespace sextant::e2e
