// perf_analyzer's forms against what perf_analyzer printed and wrote (tests/golden), numbers aside.
#include "run/print_perf_analyzer.h"

#include <gtest/gtest.h>

#include <cctype>

#include "base/files.h"
#include "base/strings.h"
#include "run/print.h"

namespace sextant::run {
namespace {

std::string Golden(std::string_view file) {
  return ReadFile(Format("{}/tests/golden/{}", SEXTANT_SOURCE_DIR, file)).value();
}

// As tests/golden/normalize.py: each number that is no part of a name becomes N.
std::string Normalized(std::string_view text) {
  std::string out;
  const auto digit = [&](size_t i) {
    return i < text.size() && std::isdigit(static_cast<unsigned char>(text[i])) != 0;
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const char before = i == 0 ? ' ' : text[i - 1];
    const bool in_name =
        std::isalnum(static_cast<unsigned char>(before)) != 0 || before == '_' || before == '.';
    if (in_name || !digit(i)) {
      out += text[i];
      continue;
    }
    while (digit(i + 1) || (digit(i + 2) && text[i + 1] == '.')) ++i;
    if (i + 2 < text.size() && text[i + 1] == 'e') {
      i += 2;
      while (digit(i + 1)) ++i;
    }
    out += 'N';
  }
  return out;
}

std::string FirstLines(const std::string& text, size_t lines) {
  size_t end = 0;
  for (size_t i = 0; i < lines && end != std::string::npos; ++i) end = text.find('\n', end) + 1;
  return text.substr(0, end);
}

Level MakeLevel(double value, LoadMode mode = LoadMode::kConcurrency) {
  Level level;
  level.load = {.mode = mode, .value = value, .arrivals = "constant"};
  level.succeeded = 100;
  level.throughput.value = 865.572 * value;
  for (int i = 1; i <= 100; ++i) {
    level.latency.histogram.Record(i * 20'000);
    level.service.histogram.Record(i * 19'000);
    level.slip.Record(1'000);
  }
  level.server.push_back({.model = "m",
                          .version = "1",
                          .inference_count = 100,
                          .execution_count = 100,
                          .success_count = 100,
                          .request_us = 900.9,
                          .queue_us = 100,
                          .compute_input_us = 50,
                          .compute_infer_us = 600,
                          .compute_output_us = 49});
  return level;
}

std::string Report(const PerfAnalyzerForm& form, const std::vector<Level>& levels) {
  std::string out = PerfAnalyzerBanner(form);
  for (const Level& level : levels) {
    out += PerfAnalyzerHeading(level.load);
    if (form.verbose) out += PerfAnalyzerPass(form, 1, 865.572, 1.2e6, 3e4);
    out += PerfAnalyzerLevel(form, level);
  }
  return out + PerfAnalyzerSummary(form, levels);
}

struct Case {
  std::string name;  // of the golden files
  PerfAnalyzerForm form;
  std::vector<Level> levels;
};

std::vector<Case> Cases() {
  const Level one = MakeLevel(1), three = MakeLevel(3),
              rate = MakeLevel(50, LoadMode::kRequestRate),
              twice = MakeLevel(100, LoadMode::kRequestRate);
  Level chain = MakeLevel(1);
  for (const char* name : {"first", "second"}) {
    chain.composing.push_back(chain.server[0]);
    chain.composing.back().model = name;
  }
  Level poisson = rate;
  poisson.load.arrivals = "poisson";
  Level sequences = rate, more_sequences = twice;
  sequences.sequences.emplace().completed = 12;
  more_sequences.sequences.emplace().completed = 12;
  return {
      {"levels", {}, {one, three}},
      {"verbose", {.verbose = true, .verbose_csv = true}, {one}},
      {"percentile", {.verbose = true, .verbose_csv = true, .percentile = 97}, {one}},
      {"percentile_95", {.percentile = 95}, {one}},
      {"grpc", {.grpc = true}, {one}},
      {"grpc_verbose", {.grpc = true, .verbose = true}, {one}},
      {"async", {.asynchronous = true}, {one}},
      {"rate", {}, {rate, twice}},
      {"rate_verbose", {.verbose = true}, {rate}},
      {"poisson", {.grpc = true}, {poisson}},
      {"count", {.requests = 50}, {one}},
      {"count_windows", {.window_requests = 30}, {one}},
      {"batch", {.batch_size = 4}, {one}},
      {"ensemble", {}, {chain}},
      {"export", {}, {one}},
      {"export_sequences", {.grpc = true, .asynchronous = true}, {sequences, more_sequences}},
      {"ensemble_verbose", {.grpc = true, .verbose = true, .verbose_csv = true}, {chain}},
  };
}

TEST(PerfAnalyzerReport, IsLineForLineWhatPerfAnalyzerPrints) {
  for (Case& c : Cases()) {
    for (const Level& level : c.levels) c.form.points.push_back(level.load);
    EXPECT_EQ(Normalized(Report(c.form, c.levels)), Golden(c.name + ".out")) << c.name;
  }
}

TEST(PerfAnalyzerReport, HasTheColumnsThatPerfAnalyzerWrites) {
  for (const Case& c : Cases()) {
    const std::string path = Format("{}/tests/golden/{}.csv", SEXTANT_SOURCE_DIR, c.name);
    if (!FileExists(path)) continue;
    // Rows are alike once their numbers are gone, and the golden file has each once.
    const std::string csv = PerfAnalyzerCsv(c.form, c.levels), golden = Golden(c.name + ".csv");
    EXPECT_EQ(FirstLines(csv, 1), FirstLines(golden, 1)) << c.name;
    EXPECT_EQ(FirstLines(Normalized(csv), 2), golden) << c.name;
  }
}

TEST(PerfAnalyzerReport, FiguresAreWholeMicrosecondsAndSixDigits) {
  const std::string text = PerfAnalyzerLevel({}, MakeLevel(1));
  EXPECT_NE(text.find("    Throughput: 865.572 infer/sec\n"), std::string::npos) << text;
  EXPECT_NE(text.find("    Avg latency: 1010 usec (standard deviation 580 usec)\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("    Avg request latency: 900 usec (overhead 101 usec + queue 100 usec + "
                      "compute input 50 usec + compute infer 600 usec + compute output 49 usec)\n"),
            std::string::npos)
      << text;
}

TEST(PerfAnalyzerReport, WhatItHasNoPlaceForIsSaidApart) {
  Level level = MakeLevel(2);
  level.window_rule = "max-trials";
  level.scheduled = 101;
  level.failed = 1;
  OutcomeRecord& outcome = level.outcomes.emplace_back();
  outcome.name = "HTTP 503";
  outcome.count = 1;
  outcome.example = "overloaded";
  EXPECT_TRUE(PerfAnalyzerUnstable(level));
  EXPECT_EQ(PerfAnalyzerWarnings({.trials = 3}, level),
            "Failed to obtain stable measurement within 3 measurement windows for concurrency 2. "
            "Please try to increase the --measurement-interval.\n"
            "[WARNING] concurrency 2: 1 of 101 requests failed (0.99%)\n"
            "[WARNING] concurrency 2: HTTP 503: 1: overloaded\n");
}

TEST(PerfAnalyzerReport, RequestsThatWentOutLateAreWarnedOf) {
  Level level = MakeLevel(50, LoadMode::kRequestRate);
  for (int i = 0; i < 100; ++i) level.slip.Record(5'000'000);
  const std::string text = PerfAnalyzerLevel({}, level);
  EXPECT_NE(text.find(" 50.00% of the requests were delayed. \n"), std::string::npos) << text;
  level.load.mode = LoadMode::kConcurrency;
  EXPECT_EQ(PerfAnalyzerLevel({}, level).find("WARNING"), std::string::npos);
}

TEST(FormatTable, HasAFormForMachines) {
  Level level = MakeLevel(4);
  level.throughput.value = 12345;
  const std::string csv = FormatTable(std::vector<Level>{level}, TableForm::kCsv);
  EXPECT_TRUE(csv.starts_with("Batch,Concurrency,Throughput [infer/s],Throughput +- [95 %],"))
      << csv;
  EXPECT_NE(csv.find("\n1,4,12345,,"), std::string::npos) << csv;
  const std::string json = FormatTable(std::vector<Level>{level}, TableForm::kJson);
  EXPECT_NE(json.find("\"Throughput [infer/s]\": 12345"), std::string::npos) << json;
  EXPECT_NE(json.find("\"Throughput +- [95 %]\": null"), std::string::npos) << json;
  const std::string markdown = FormatTable(std::vector<Level>{level}, TableForm::kMarkdown);
  EXPECT_TRUE(markdown.starts_with("| Batch | Concurrency |")) << markdown;
  EXPECT_NE(FormatTable(std::vector<Level>{level}, TableForm::kColor).find("\033[33mshort\033[0m"),
            std::string::npos);
}

}  // namespace
}  // namespace sextant::run
