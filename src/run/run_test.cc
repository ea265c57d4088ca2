#include <gtest/gtest.h>

#include <set>

#include "base/files.h"
#include "base/strings.h"
#include "run/metrics_text.h"
#include "run/print.h"
#include "run/print_failures.h"
#include "run/print_perf_analyzer.h"
#include "run/run_file.h"
#include "run/state_text.h"

namespace sextant::run {
namespace {

Level MakeLevel() {
  Level level;
  level.load = {.mode = LoadMode::kConcurrency, .value = 4, .batch_size = 2, .arrivals = "closed"};
  level.started = WallTime(Nanos(1'700'000'000'123'456'789));
  level.window_s = 5;
  level.window_rule = "interval";
  level.warmup_rule = "mser";
  level.warmup_s = 0.5;
  level.warmup_requests = 100;
  level.scheduled = 1010, level.succeeded = 1000, level.failed = 9, level.unfinished = 1,
  level.completed = 998;
  level.throughput = {
      .value = 399.2, .half_width = 4.5, .known = true, .batches = 50, .correlation = 0.01};
  level.request_rate = {
      .value = 199.6, .half_width = 2.25, .known = true, .batches = 50, .correlation = 0.01};
  level.send_rate = 202;
  for (int i = 0; i < 1000; ++i) {
    level.latency.histogram.Record(20'000'000 + i * 1000);
    level.service.histogram.Record(19'990'000 + i * 1000);
    level.slip.Record(10'000);
  }
  for (const double p : {0.5, 0.9, 0.95, 0.99})
    level.latency.percentiles.push_back(stats::EstimateQuantile(level.latency.histogram, p));
  level.latency.mean = {
      .value = level.latency.histogram.mean(), .half_width = 100'000, .known = true};
  level.outcomes.push_back(
      {.name = "timeout", .count = 9, .latency = stats::Histogram(), .example = "no answer"});
  level.outcomes[0].latency.Record(1'000'000'000);
  level.checked_outputs = 2000, level.wrong_outputs = 20;
  level.responses.emplace();
  level.responses->arrived = 3000, level.responses->requests_without = 3;
  level.responses->rate = {.value = 600, .half_width = 6, .known = true, .batches = 50};
  level.sequences.emplace();
  level.sequences->completed = 50, level.sequences->abandoned = 2, level.sequences->rate = 10;
  for (int i = 0; i < 100; ++i) {
    level.responses->first.Record(2'000'000 + i * 1000);
    level.responses->between.Record(300'000);
    level.responses->per_request.Record(3);
    level.sequences->latency.Record(400'000'000);
    level.sequences->requests.Record(18 + i % 5);
  }
  level.in_flight_mean = 3.99, level.in_flight_max = 4, level.little_ratio = 1.001;
  level.client = {.workers = 1,
                  .cpu_share = 0.05,
                  .cpu_share_max = 0.05,
                  .cpu_us_per_request = 25,
                  .run_queue_share = 0.01,
                  .loop_lag_p99_us = 12,
                  .bytes_sent = 1'000'000,
                  .bytes_received = 500'000,
                  .connects = 4,
                  .connections = 4};
  level.server.push_back({.model = "m",
                          .version = "1",
                          .inference_count = 2000,
                          .execution_count = 1000,
                          .success_count = 1000,
                          .request_us = 19'900,
                          .queue_us = 5000,
                          .compute_infer_us = 14'800});
  level.series.push_back({.start_s = 0,
                          .length_s = 1,
                          .answered = 200,
                          .p50_ns = 2e7,
                          .p99_ns = 2.1e7,
                          .max_ns = 2.2e7,
                          .in_flight = 4});
  level.metric_sources.push_back({.source = "http://127.0.0.1:8002/metrics",
                                  .scrapes = 7,
                                  .failed = 1,
                                  .fault = "no answer within 1 s"});
  const auto gauge = [&](std::string_view quantity, std::string_view device, double mean,
                         double max) {
    level.metrics.push_back({.source = "http://127.0.0.1:8002/metrics",
                             .quantity = std::string(quantity),
                             .device = std::string(device),
                             .samples = 6,
                             .min = mean / 2,
                             .mean = mean,
                             .max = max,
                             .span_s = 5});
  };
  for (const char* gpu : {"GPU-a", "GPU-b"}) {
    gauge("gpu_utilization", gpu, 0.5, 0.75);
    gauge("gpu_memory_used", gpu, 1e9, 2147483648.0);
    gauge("gpu_memory_total", gpu, 17179869184.0, 17179869184.0);
  }
  gauge("gpu_power", "GPU-a", 181.25, 200);
  level.metrics.push_back({.source = "http://127.0.0.1:8002/metrics",
                           .quantity = "gpu_energy",
                           .device = "GPU-a",
                           .unit = "J",
                           .samples = 6,
                           .increase = 900,
                           .span_s = 5});
  gauge("cpu_utilization", "", 0.25, 0.5);
  gauge("memory_used", "", 1e9, 1073741824.0);
  level.metrics.push_back({.source = "http://127.0.0.1:8002/metrics",
                           .quantity = "cpu_busy",
                           .samples = 6,
                           .increase = 5,
                           .span_s = 5});
  level.metrics.push_back({.source = "http://127.0.0.1:8002/metrics",
                           .quantity = "mine_total",
                           .labels = "{a=\"b\"}",
                           .samples = 6,
                           .increase = 10,
                           .span_s = 5});
  gauge("pending", "", 3.5, 7);
  level.state = stats::LevelState::kStable;
  level.notes = {"a note"};
  return level;
}

text::Json Header() {
  text::Json header{text::Json::Object()};
  header.Set("seed", uint64_t{7});
  return header;
}

TEST(RunFile, LevelsReadBackExactly) {
  const Level level = MakeLevel();
  const text::Json json = LevelToJson(level);
  const Result<Level> read = LevelFromJson(*text::ParseJson(text::FormatJson(json)));
  ASSERT_TRUE(read.has_value()) << read.error().message();
  EXPECT_EQ(text::FormatJson(LevelToJson(*read)), text::FormatJson(json));
  EXPECT_EQ(read->latency.histogram.Quantile(0.99), level.latency.histogram.Quantile(0.99));
  EXPECT_EQ(read->started, level.started);
}

// Two models, of which the second has failures.
Level MixedLevel() {
  Level level = MakeLevel();
  for (const char* name : {"resnet", "bert"}) {
    Level& part = level.models.emplace_back(MakeLevel());
    part.started = level.started;
    part.client = {};
    part.metrics.clear(), part.metric_sources.clear(), part.notes.clear();
    part.responses.reset(), part.sequences.reset();
    part.warmup_rule.clear(), part.warmup_s = 0, part.warmup_requests = 0;
    part.part = {.name = name, .version = "", .share = 0.7, .concurrency = {}, .seen = 0.69};
  }
  level.responses.reset(), level.sequences.reset();
  level.models[0].outcomes.clear();
  level.models[1].part = {
      .name = "bert", .version = "3", .share = 0.3, .concurrency = {}, .seen = 0.31};
  level.models[1].latency.percentiles[3].lower.reset();
  level.models[1].latency.percentiles[3].needs = 368;
  return level;
}

TEST(RunFile, SeveralModelsReadBackExactly) {
  const Level level = MixedLevel();
  const text::Json json = LevelToJson(level);
  const Result<Level> read = LevelFromJson(*text::ParseJson(text::FormatJson(json)));
  ASSERT_TRUE(read.has_value()) << read.error().message();
  EXPECT_EQ(text::FormatJson(LevelToJson(*read)), text::FormatJson(json));
  ASSERT_EQ(read->models.size(), 2u);
  EXPECT_EQ(read->models[1].part->label(), "bert@3");
  EXPECT_EQ(read->models[1].part->share, 0.3);
  EXPECT_EQ(read->models[1].part->concurrency, std::nullopt);
  EXPECT_EQ(read->models[1].started, level.started);
  EXPECT_EQ(LevelToJson(MakeLevel()).Find("models"), nullptr) << "absent with one model";
}

TEST(RunFile, APartWithoutItsModelIsAFault) {
  text::Json json = LevelToJson(MixedLevel());
  for (auto& [key, value] : json.object()) {
    if (key == "models") value.array()[0].Set("model", 7);
  }
  const Result<Level> read = LevelFromJson(json);
  ASSERT_FALSE(read.has_value());
  EXPECT_NE(read.error().message().find("models: 'model' has the wrong type"), std::string::npos)
      << read.error().message();
}

TEST(RunFile, AKilledRunKeepsItsFinishedLevels) {
  const std::string dir = *MakeTempDirectory("sextant-test");
  const std::string path = JoinPath(dir, "run.json");
  {
    Result<RunWriter> writer = RunWriter::Create(path, Header());
    ASSERT_TRUE(writer.has_value());
    ASSERT_TRUE(writer->Append(MakeLevel()).has_value());
    ASSERT_TRUE(writer->Append(MakeLevel()).has_value());
  }
  const std::string text = *ReadFile(path);
  EXPECT_EQ(ParseRun(text)->levels.size(), 2u);
  EXPECT_FALSE(ParseRun(text)->end_reason);
  // Cut anywhere within the last level, the first one is still there.
  const size_t second = text.rfind("{\"type\":\"level\"");
  for (size_t cut = second + 1; cut < text.size() - 1; cut += 97) {
    const auto run = ParseRun(text.substr(0, cut));
    ASSERT_TRUE(run.has_value()) << run.error().message();
    EXPECT_EQ(run->levels.size(), 1u);
    EXPECT_TRUE(run->dropped_tail);
  }
  ASSERT_TRUE(RemoveAll(dir).has_value());
}

TEST(RunFile, FaultsNameTheirLine) {
  EXPECT_NE(ParseRun("").error().message().find("empty"), std::string::npos);
  EXPECT_EQ(ParseRun("{\"type\":\"header\",\"format\":\"other\"}\n").error().message(),
            "not a run file: that is what sextant perf writes with --output FILE (-o)");
  EXPECT_EQ(ParseRun("{\"type\":\"header\",\"format\":\"sextant-run\",\"version\":2}\n")
                .error()
                .message(),
            "line 1: format version 2 is not known to this program (it reads up to 1)");
  const std::string header = "{\"type\":\"header\",\"format\":\"sextant-run\",\"version\":1}\n";
  EXPECT_EQ(ParseRun(header + "{\"type\":\"level\"}\n").error().message(),
            "line 2: 'load' is missing");
  EXPECT_FALSE(ParseRun(header + "garbage\n{}\n").has_value());
  EXPECT_TRUE(ParseRun(header + "{\"type\":\"from the future\"}\n").has_value());
}

TEST(FormatLevel, SpeaksPerfAnalyzersWordsWithIntervalsBeside) {
  const std::string text = FormatLevel(MakeLevel());
  for (const char* line :
       {"Request concurrency: 4, batch size 2\n", "    Request count: 1000\n",
        "    Throughput: 399.200 infer/sec  [394.700, 403.700]\n",
        "    Avg latency: 20500 usec (standard deviation 289 usec)  [20400, 20600]\n",
        "    p99 latency: 20988 usec  [", "    Failed: 10 of 1010 requests (0.99%)\n",
        "      timeout: 9 (latency p50 1000000 usec, max 1000000 usec): no answer\n",
        "    Correct outputs: 99.00% of 2000 inferences  [98.", "    Inference count: 2000\n",
        "    Avg request latency: 19900 usec (overhead 100 usec + queue 5000 usec + compute input "
        "0 usec + compute infer 14800 usec + "
        "compute output 0 usec)\n",
        "  Metrics (http://127.0.0.1:8002/metrics):\n",
        "    GPU-a: utilization 50.0% (max 75.0%), power 181.2 W (max 200.0 W), memory max 2.0 GiB "
        "of 16.0 GiB, energy 900.0 J (0.4509 J per inference)\n",
        "    GPU-b: utilization 50.0% (max 75.0%), memory max 2.0 GiB of 16.0 GiB\n",
        "    Machine: CPU 25.0% (max 50.0%), CPU 1.00 cores busy, memory max 1.0 GiB\n",
        "    mine_total{a=\"b\"}: +10 (2 per second)\n", "    pending: mean 3.5, min 1.75, max 7\n",
        "    1 of 7 readings failed: no answer within 1 s\n",
        "  State: stable; window 5.000 s (interval), warm-up 0.5 s (mser, 100 requests)\n",
        "  Note: a note\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\nin\n" << text;
  }
}

TEST(FormatLevel, WhatIsMissingIsSaidAndNotZero) {
  Level level;
  level.latency.percentiles.push_back({.p = 0.99, .needs = 368});
  EXPECT_NE(FormatLevel(level).find("No request succeeded"), std::string::npos);
  level.latency.histogram.Record(1'000'000);
  EXPECT_NE(FormatLevel(level).find("(an interval needs >= 368 requests)"), std::string::npos);
  EXPECT_NE(FormatLevel(level).find("(too short for an interval)"), std::string::npos);
}

TEST(FormatLevel, StreamsAndSequencesHaveTheirLines) {
  const std::string text = FormatLevel(MakeLevel());
  for (const std::string_view line :
       {"    Sequence count: 50 (10.00 seq/sec)\n",
        "    Sequences abandoned: 2 (a request of theirs failed)\n",
        "requests per sequence: avg 20.00, 18 to 22\n",
        "    Response throughput: 600.000 responses/sec  [594.000, 606.000]\n",
        "    Responses per request: 3\n", "    Time to first response: p50 20",
        "    Time between responses: p50 300",
        "    Without a response: 3 requests ended well but were answered with nothing"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\nin\n" << text;
  }
}

TEST(FormatTable, StreamsAndSequencesHaveTheirColumns) {
  const std::string table = FormatTable(std::vector<Level>{MakeLevel()});
  for (const std::string_view title :
       {"Responses", "First p50", "First p99", "Between p50", "Sequences", "Sequence p50"}) {
    EXPECT_NE(table.find(title), std::string::npos) << title << "\nin\n" << table;
  }
}

// Neither streamed nor in sequences.
Level PlainLevel() {
  Level level = MakeLevel();
  level.responses.reset();
  level.sequences.reset();
  return level;
}

TEST(FormatTable, SaysInTheStateWhatAReaderOfTheFiguresMustKnow) {
  Level level = PlainLevel();
  level.overflow = 1;
  EXPECT_EQ(StateText(level), "stable") << "one of a thousand changes nothing";
  EXPECT_NE(FormatTable(std::vector<Level>{level}).find("Not sent"), std::string::npos);
  level.overflow = 2 * level.scheduled;
  level.backlog = 7;
  EXPECT_EQ(StateText(level), "stable, backlog, capped");
  const std::string table = FormatTable(std::vector<Level>{PlainLevel(), level});
  EXPECT_NE(table.find("66.7"), std::string::npos) << table;
  EXPECT_NE(table.find("\nbacklog: "), std::string::npos) << table;
  EXPECT_NE(table.find("\ncapped: "), std::string::npos) << table;
  EXPECT_EQ(FormatTable(std::vector<Level>{PlainLevel()}).find("Not sent"), std::string::npos);
  // The count is kept, and absent where there is none.
  EXPECT_EQ(LevelFromJson(LevelToJson(level))->backlog, 7u);
  EXPECT_EQ(LevelToJson(PlainLevel()).Find("backlog"), nullptr);
}

TEST(FormatTable, OfAServerThatOnlyTimesOutSaysUnanswered) {
  Level level;
  EXPECT_EQ(StateText(level), "short") << "nothing was asked";
  level.in_flight_max = 2;
  level.outcomes.resize(1);
  level.outcomes[0].name = "timeout";
  EXPECT_EQ(StateText(level), "unanswered");
  level.outcomes.resize(2);
  level.outcomes[1].name = "HTTP 503";
  EXPECT_EQ(StateText(level), "short") << "an error is an answer";
}

TEST(FormatTable, IsAligned) {
  Level other = PlainLevel();
  other.load.value = 16;
  other.throughput.value = 12345;
  const std::vector<Level> levels{PlainLevel(), other};
  EXPECT_EQ(FormatTable(levels),
            "Batch  Concurrency  Throughput     +-     Avg     p50     p90     p99  Failed  "
            "Correct  Queue  Compute  State\n"
            "                       infer/s   95 %      ms      ms      ms      ms       %        "
            "%     ms       ms\n"
            "    2            4       399.2  4.500  20.500  20.496  20.890  20.988    0.99    "
            "99.00  5.000   14.800  stable\n"
            "    2           16      12,345  4.500  20.500  20.496  20.890  20.988    0.99    "
            "99.00  5.000   14.800  stable\n");
}

TEST(FormatTable, SeveralModelsHaveALineEachBelowTheWhole) {
  const std::vector<Level> levels{MixedLevel()};
  EXPECT_EQ(FormatTable(levels),
            "Batch  Concurrency   Model   Share  Throughput     +-     Avg     p50     p90      "
            "p99  Failed  Correct  Queue  Compute  State\n"
            "                                 %     infer/s   95 %      ms      ms      ms       "
            "ms       %        %     ms       ms\n"
            "    2            4     all  100.00       399.2  4.500  20.500  20.496  20.890   "
            "20.988    0.99    99.00  5.000   14.800  stable\n"
            "    2            4  resnet   69.00       399.2  4.500  20.500  20.496  20.890   "
            "20.988    0.99    99.00  5.000   14.800  stable\n"
            "    2            4  bert@3   31.00       399.2  4.500  20.500  20.496  20.890  "
            "20.988?    0.99    99.00  5.000   14.800  stable\n"
            "?: too few independent requests for a 95 % interval of this figure\n");
  const std::string csv = FormatTable(levels, TableForm::kCsv);
  EXPECT_TRUE(csv.starts_with("Batch,Concurrency,Model,Share [%],")) << csv;
  EXPECT_NE(csv.find("\n2,4,bert@3,31.00,399.2,"), std::string::npos) << csv;
  EXPECT_NE(FormatTable(levels, TableForm::kJson).find("\"Model\": \"bert@3\""), std::string::npos);
  EXPECT_NE(FormatTable(levels, TableForm::kMarkdown).find("| bert@3 | 31.00 |"),
            std::string::npos);
}

TEST(FormatLevel, SeveralModelsHaveATableAndWhatItCannotHold) {
  const std::string text = FormatLevel(MixedLevel());
  for (const std::string_view line :
       {"  Models:\n     Model  Asked  Share  Requests  Throughput",
        "\n    resnet  70.00  69.00      1010       399.2",
        "\n    bert@3: 10 of 1010 requests failed; timeout: 9\n",
        "\n    bert@3: requests that an interval needs: p99 >= 368\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\nin\n" << text;
  }
  EXPECT_EQ(text.find("resnet: "), std::string::npos) << "nothing to say of it";
}

TEST(PerfAnalyzerCsv, HasItsColumnsOrderAndUnits) {
  Level slow = MakeLevel();
  slow.metrics.clear();
  Level fast = slow;
  fast.load.value = 8;
  fast.throughput.value = 865.572;
  EXPECT_EQ(PerfAnalyzerCsv({}, std::vector<Level>{fast, slow}),
            "Concurrency,Inferences/Second,Response Throughput,Client Send,Network+Server "
            "Send/Recv,Server Queue,Server Compute Input,Server Compute Infer,Server Compute "
            "Output,Client Recv,p50 latency,p90 latency,p95 latency,p99 latency\n"
            "4,399.2,600,0,699,5000,0,14800,0,0,20496,20889,20955,20987\n"
            "8,865.572,600,0,699,5000,0,14800,0,0,20496,20889,20955,20987\n");
}

TEST(PerfAnalyzerCsv, HasGpuColumnsAsDeviceAndValueWhenVerbose) {
  EXPECT_EQ(GpuCsvCells(MakeLevel()),
            (std::array<std::string, 4>{"GPU-a:0.5;GPU-b:0.5;", "GPU-a:181.25;",
                                        "GPU-a:2147483648;GPU-b:2147483648;",
                                        "GPU-a:17179869184;GPU-b:17179869184;"}));
  EXPECT_EQ(GpuCsvCells(Level()), (std::array<std::string, 4>{}));
  const std::vector<Level> levels{MakeLevel()};
  EXPECT_EQ(PerfAnalyzerCsv({}, levels).find("GPU"), std::string::npos);
  const std::string csv = PerfAnalyzerCsv({.verbose_csv = true}, levels);
  EXPECT_NE(csv.find(",Avg GPU Utilization,Avg GPU Power Usage,Max GPU Memory Usage,Total GPU "
                     "Memory\n"),
            std::string::npos);
  EXPECT_NE(csv.find(",GPU-a:0.5;GPU-b:0.5;,GPU-a:181.25;,"), std::string::npos);
}

void CollectMembers(const text::Json& json, std::set<std::string>& names) {
  if (json.IsArray()) {
    for (const text::Json& element : json.array()) CollectMembers(element, names);
  } else if (json.IsObject()) {
    for (const auto& [name, value] : json.object()) {
      names.insert(name);
      CollectMembers(value, names);
    }
  }
}

TEST(RunFile, EveryMemberOfALevelIsDocumented) {
  const std::string page = ReadFile(SEXTANT_SOURCE_DIR "/docs/run-file.md").value();
  Level level = MixedLevel();
  level.responses.emplace(), level.sequences.emplace();
  level.backlog = 7;
  level.series.resize(1);
  level.server.resize(1);
  level.composing.resize(1);
  level.models[0].part->share.reset();
  level.models[0].part->concurrency = 4;
  std::set<std::string> names;
  CollectMembers(LevelToJson(level), names);
  EXPECT_GT(names.size(), 80u);
  for (const std::string& name : names)
    EXPECT_NE(page.find(Format("`{}`", name)), std::string::npos) << name;
}

TEST(Failures, AreListedByLevelAndClassWithAnExample) {
  Level level;
  level.load = {.mode = LoadMode::kConcurrency, .value = 4, .batch_size = 2};
  level.succeeded = 7;
  std::vector<Level> levels{level, level};
  EXPECT_EQ(FormatFailures(levels), "");
  EXPECT_EQ(FirstFailure(levels), "");
  levels[1].failed = 3;
  levels[1].outcomes.push_back(
      {.name = "HTTP 503", .count = 2, .latency = stats::Histogram(), .example = "too busy"});
  levels[1].outcomes.push_back({.name = "timeout", .count = 1, .latency = stats::Histogram()});
  EXPECT_EQ(FormatFailures(levels), DescribeLoad(level.load) +
                                        ", batch 2: 3 of 10 requests failed\n"
                                        "  2 x HTTP 503: too busy\n"
                                        "  1 x timeout\n");
  EXPECT_EQ(FirstFailure(levels), "HTTP 503: too busy");
}

}  // namespace
}  // namespace sextant::run
