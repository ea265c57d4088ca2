#include "analyze/journal.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>

#include "base/process.h"
#include "base/strings.h"
#include "run/run_file.h"

namespace sextant::analyze {
namespace {

const Identity kHere{{"server", "triton 2.51.0"}, {"model_files", "abc"}};
const Identity kElsewhere{{"server", "triton 2.50.0"}, {"model_files", "abc"}, {"url", "h:8000"}};

class Journals : public testing::Test {
 protected:
  ~Journals() override { [[maybe_unused]] const auto gone = RemoveAll(directory_); }
  std::string Path(std::string_view name = "journal.jsonl") const {
    return JoinPath(directory_, name);
  }
  static Journal Opened(const std::string& path, const Identity& identity = kHere,
                        std::vector<std::string> also = {}) {
    auto journal = Journal::Open({.path = path, .resume = true, .also = std::move(also)}, identity);
    SEXTANT_CHECK(journal.has_value(), journal.error().message());
    return *std::move(journal);
  }
  // A journal with these points, closed again.
  static void Write(const std::string& path, const std::vector<PointRecord>& points,
                    const Identity& identity = kHere) {
    Journal journal = Opened(path, identity);
    for (const PointRecord& point : points) ASSERT_TRUE(journal.Append(point).has_value());
  }
  static JournalContents Read(const std::string& path) { return *ParseJournal(*ReadFile(path)); }
  static void WriteText(const std::string& path, std::string_view text) {
    ASSERT_TRUE(WriteFileAtomic(path, text).has_value());
  }

  const std::string directory_ = *MakeTempDirectory("journal_test");
};

// Different in everything that makes a key, and in when it was.
PointRecord Point(int number, int take = 1) {
  PointRecord point{.model = "m",
                    .configuration = Format("m_config_{}", number),
                    .settings = {{"instance_group.count", number}},
                    .load = {},
                    .take = take,
                    .window = 1s,
                    .reason = "first look",
                    .started = WallTime(std::chrono::seconds(1700000000 + 100 * number + take))};
  point.load.point.arrivals = "closed";
  point.measured.figures = {{"throughput", {100.0 * number + take, {}, {}}}};
  return point;
}

run::Level SomeLevel() {
  run::Level level;
  level.scheduled = level.succeeded = 1000;
  for (int i = 1; i <= 1000; ++i) level.latency.histogram.Record(i * 1000);
  level.throughput = {.value = 1234.5, .half_width = 6.5, .known = true};
  level.client.limits = {"a worker was \"busy\"\n"};
  return level;
}

std::string KeyOf(const PointRecord& point, const Identity& identity = kHere) {
  return PointKey(identity, point.model, point.settings, point.load);
}

void ExpectSame(const PointRecord& a, const PointRecord& b) {
  EXPECT_EQ(text::FormatJson(PointToJson(a)), text::FormatJson(PointToJson(b)));
}

TEST_F(Journals, APointIsReadBackWhole) {
  PointRecord point{.model = "a,\"b\"",
                    .configuration = "a_config_7",
                    .settings = {{"max_batch_size", int64_t{8}},
                                 {"parameters[x]", "1e3"},
                                 {"dynamic_batching", text::Json::Object{}}},
                    .load = {.point = {.mode = run::LoadMode::kRequestRate,
                                       .value = 1234567.125,
                                       .batch_size = 4,
                                       .arrivals = "poisson"},
                             .data = "long"},
                    .take = 3,
                    .window = 1234567891ns,
                    .reason = "confirms against #3",
                    .started = WallTime(1700000000123ms),
                    .load_cost_s = 2.125,
                    .measured = {.status = Outcome::Status::kFailed,
                                 .figures = {{"throughput", {0.1 + 0.2, 1.0 / 3, 1e300}},
                                             {"gpu_power", {5e-324, {}, {}}}},
                                 .devices = {{.device = "GPU-1",
                                              .name = "NVIDIA H200",
                                              .source = "nvml",
                                              .scope = "device",
                                              .figures = {{"energy", {7, {}, {}}}}},
                                             {.device = "MIG-2",
                                              .name = "",
                                              .source = "dcgm-exporter",
                                              .scope = "mig",
                                              .figures = {}}},
                                 .level = SomeLevel(),
                                 .flags = {"drifting", "client: ..."},
                                 .error = "no request succeeded:\n  \x01",
                                 .cost_s = 1.75}};
  Write(Path(), {point});
  const JournalContents read = Read(Path());
  ASSERT_EQ(read.sessions.size(), 1U);
  EXPECT_TRUE(read.faults.empty());
  EXPECT_EQ(read.sessions[0].identity, kHere);
  ASSERT_EQ(read.sessions[0].points.size(), 1U);
  const PointRecord& back = read.sessions[0].points[0];
  ExpectSame(back, point);
  EXPECT_EQ(back.model, point.model);
  EXPECT_EQ(back.window, point.window);
  EXPECT_EQ(back.started, point.started);
  EXPECT_EQ(back.load.point.value, point.load.point.value);
  EXPECT_EQ(back.load.data, "long");
  EXPECT_EQ(back.measured.error, point.measured.error);
  EXPECT_EQ(back.measured.figures.at("throughput").value, 0.1 + 0.2);
  EXPECT_EQ(back.measured.figures.at("throughput").lower, 1.0 / 3);
  EXPECT_FALSE(back.measured.figures.at("gpu_power").lower.has_value());
  ASSERT_TRUE(back.measured.level.has_value());
  EXPECT_EQ(back.measured.level->latency.histogram.count(), 1000U);
  EXPECT_EQ(back.measured.level->latency.histogram.Quantile(0.5),
            point.measured.level->latency.histogram.Quantile(0.5));
  EXPECT_EQ(KeyOf(back), KeyOf(point));
}

TEST_F(Journals, WhatIsNoNumberIsMissing) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  PointRecord point = Point(1);
  point.measured.figures = {{"throughput", {5, kNan, INFINITY}}, {"latency_p99", {kNan, {}, {}}}};
  Write(Path(), {point});
  const JournalContents read = Read(Path());
  ASSERT_TRUE(read.faults.empty()) << read.faults[0];
  const Figures& figures = read.sessions[0].points[0].measured.figures;
  EXPECT_FALSE(figures.contains("latency_p99"));
  EXPECT_EQ(figures.at("throughput").value, 5);
  EXPECT_FALSE(figures.at("throughput").lower || figures.at("throughput").upper);
}

TEST_F(Journals, WordsThatAreNotUtf8DoNotCostThePoint) {
  PointRecord point = Point(1);
  point.measured.error = "caf\xe9 \xff";
  Write(Path(), {point});
  EXPECT_TRUE(IsValidUtf8(*ReadFile(Path())));
  EXPECT_EQ(Read(Path()).sessions[0].points[0].measured.error, "caf? ?");
}

TEST_F(Journals, ACutOffLastLineIsDroppedAndTheNextFollowsTheLastWholeOne) {
  Write(Path(), {Point(1), Point(2)});
  const std::string whole = *ReadFile(Path());
  // Wherever the kill came in the last line.
  const size_t last = whole.rfind('\n', whole.size() - 2) + 1;
  for (size_t size = last; size < whole.size(); ++size) {
    const auto read = ParseJournal(std::string_view(whole).substr(0, size));
    ASSERT_TRUE(read.has_value());
    ASSERT_TRUE(read->faults.empty()) << size;
    ASSERT_EQ(read->sessions[0].points.size(), 1U);
  }
  WriteText(Path(), whole.substr(0, whole.size() - 9));
  Write(Path(), {Point(3)});
  const JournalContents read = Read(Path());
  EXPECT_TRUE(read.faults.empty());
  ASSERT_EQ(read.sessions.size(), 2U);
  EXPECT_EQ(read.sessions[0].points.size(), 1U);
  EXPECT_EQ(read.sessions[1].points.size(), 1U);
}

TEST_F(Journals, AKillWhileTheHeaderIsWrittenLeavesAJournal) {
  Write(Path(), {});
  const std::string whole = *ReadFile(Path());
  for (size_t size = 0; size < whole.find('\n') + 1; ++size) {
    WriteText(Path(), whole.substr(0, size));
    Write(Path(), {Point(1)});
    ASSERT_EQ(Read(Path()).sessions[0].points.size(), 1U) << size;
  }
}

TEST_F(Journals, AFileThatIsNoJournalIsRefusedAndStaysAsItIs) {
  for (const char* text : {"{\"results\": 1}", "no line break", "a\nb\n", "{}\n", "\n",
                           "{\"format\":\"sextant-journal\"}\n"}) {
    WriteText(Path(), text);
    const auto journal = Journal::Open({.path = Path(), .resume = true, .also = {}}, kHere);
    ASSERT_FALSE(journal.has_value()) << text;
    EXPECT_EQ(journal.error().code(), ErrorCode::kCorrupt);
    EXPECT_TRUE(journal.error().message().starts_with(Path())) << journal.error().message();
    EXPECT_EQ(*ReadFile(Path()), text);
  }
}

TEST_F(Journals, ACorruptLineIsAFaultWithItsNumberAndTheRestIsUsed) {
  Write(Path(), {Point(1), Point(2), Point(3)});
  std::string text = *ReadFile(Path());
  text[text.find("m_config_2") + 30] = '\x02';  // line 4, behind header, session and a point
  WriteText(Path(), text);
  const JournalContents read = Read(Path());
  ASSERT_EQ(read.faults.size(), 1U);
  EXPECT_TRUE(read.faults[0].starts_with("line 4: ")) << read.faults[0];
  const Journal journal = Opened(Path());
  EXPECT_EQ(journal.reusable(), 2U);
  EXPECT_NE(journal.Find(KeyOf(Point(1)), 1), nullptr);
  EXPECT_EQ(journal.Find(KeyOf(Point(2)), 1), nullptr);
  EXPECT_NE(journal.Find(KeyOf(Point(3)), 1), nullptr);
  ASSERT_EQ(journal.notes().size(), 1U);
  EXPECT_NE(journal.notes()[0].find("line 4"), std::string::npos) << journal.notes()[0];
}

TEST_F(Journals, PointsWhoseSessionIsLostAreNotTakenForThoseOfTheOneBefore) {
  Write(Path(), {Point(1)});
  Write(Path(), {Point(2)}, kElsewhere);
  std::string text = *ReadFile(Path());
  text[text.find("2.50.0") - 20] = '\x02';
  WriteText(Path(), text);
  const JournalContents read = Read(Path());
  ASSERT_EQ(read.sessions.size(), 1U);
  EXPECT_EQ(read.sessions[0].points.size(), 1U);
  ASSERT_EQ(read.faults.size(), 2U);
  EXPECT_EQ(read.faults[1], "line 5: of a session whose own line is lost");
}

TEST_F(Journals, PointsOfOtherConditionsAreListedWithWhatDiffersAndNotUsed) {
  Write(Path(), {Point(1), Point(2)}, kElsewhere);
  const Journal journal = Opened(Path());
  EXPECT_EQ(journal.reusable(), 0U);
  EXPECT_EQ(journal.Find(KeyOf(Point(1)), 1), nullptr);
  ASSERT_EQ(journal.notes().size(), 1U);
  EXPECT_EQ(journal.notes()[0],
            Path() +
                ": 2 points were measured under other conditions and are not used: server: triton "
                "2.50.0 then, triton 2.51.0 now; url: h:8000 then, not said now");
}

TEST_F(Journals, AJournalWithPointsIsRefusedWithoutResume) {
  const Journal::Options anew{.path = Path(), .resume = false, .also = {}};
  EXPECT_TRUE(Journal::Open(anew, kHere).has_value()) << "there is none";
  EXPECT_TRUE(Journal::Open(anew, kHere).has_value()) << "there are no points in it";
  Write(Path(), {Point(1)});
  const std::string before = *ReadFile(Path());
  for (const Identity& identity : {kHere, kElsewhere}) {
    const auto refused = Journal::Open(anew, identity);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code(), ErrorCode::kAlreadyExists);
  }
  EXPECT_EQ(*ReadFile(Path()), before);
}

TEST_F(Journals, TwoCannotHaveItOpen) {
  {
    const Journal first = Opened(Path());
    const auto second = Journal::Open({.path = Path(), .resume = true, .also = {}}, kHere);
    ASSERT_FALSE(second.has_value());
    EXPECT_EQ(second.error().code(), ErrorCode::kUnavailable);
    // Nor another process.
    const auto other =
        RunProcess({.argv = {"flock", "--nonblock", Path(), "true"}}, std::chrono::seconds(10));
    ASSERT_TRUE(other.has_value());
    EXPECT_EQ(other->exit_code, 1);
  }
  EXPECT_TRUE(Journal::Open({.path = Path(), .resume = true, .also = {}}, kHere).has_value());
}

TEST_F(Journals, MergingTakesEachPointOnceAndAgainNothing) {
  Write(Path("a"), {Point(1), Point(2)});
  Write(Path("b"), {Point(2), Point(3), Point(3, 2)});
  Write(Path("c"), {Point(4)}, kElsewhere);
  const std::vector<std::string> also{Path("b"), Path("c"), Path("b"), Path("a")};
  {
    const Journal merged = Opened(Path("a"), kHere, also);
    EXPECT_EQ(merged.reusable(), 4U);
    EXPECT_EQ(merged.Find(KeyOf(Point(2)), 2), nullptr) << "it is the same take";
    ASSERT_NE(merged.Find(KeyOf(Point(3)), 2), nullptr);
    EXPECT_EQ(merged.Find(KeyOf(Point(3)), 2)->measured.figures.at("throughput").value, 302);
  }
  EXPECT_EQ(Opened(Path("a"), kHere, also).reusable(), 4U);
  EXPECT_EQ(Opened(Path("a")).reusable(), 4U) << "it is whole without the others";
  size_t points = 0;
  for (const Session& session : Read(Path("a")).sessions) points += session.points.size();
  EXPECT_EQ(points, 4U);
}

TEST_F(Journals, MergingTakesBaselinesToo) {
  const auto with = [&](const std::string& path, const Identity& identity, double memory) {
    Journal journal = Opened(path, identity);
    ASSERT_TRUE(journal
                    .Append(Baseline{.kind = "server_only",
                                     .figures = {{"gpu_memory_used", {memory, {}, {}}}},
                                     .devices = {}})
                    .has_value());
  };
  with(Path("a"), kHere, 1e9);
  with(Path("b"), kHere, 2e9);
  with(Path("c"), kElsewhere, 3e9);
  for (int time = 0; time < 2; ++time) {
    const Journal merged = Opened(Path("a"), kHere, {Path("b"), Path("c"), Path("a")});
    ASSERT_EQ(merged.baselines().size(), 2U) << "each once, and none of other conditions";
    EXPECT_EQ(merged.baselines()[1].figures.at("gpu_memory_used").value, 2e9);
  }
  EXPECT_EQ(Opened(Path("a")).baselines().size(), 2U) << "it is whole without the others";
}

TEST_F(Journals, WhatIsInTheWayIsKnownWithoutOpening) {
  const Journal::Options anew{.path = Path(), .resume = false, .also = {}},
      resumed{.path = Path(), .resume = true, .also = {}};
  EXPECT_TRUE(Journal::CheckUsable(anew).has_value());
  EXPECT_FALSE(FileExists(Path())) << "nothing is made";
  Write(Path(), {});
  EXPECT_TRUE(Journal::CheckUsable(anew).has_value()) << "no points";
  Write(Path(), {Point(1)});
  const std::string before = *ReadFile(Path());
  const auto refused = Journal::CheckUsable(anew);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), ErrorCode::kAlreadyExists);
  EXPECT_TRUE(Journal::CheckUsable(resumed).has_value());
  EXPECT_FALSE(
      Journal::CheckUsable({.path = Path(), .resume = true, .also = {Path("none")}}).has_value());
  EXPECT_EQ(*ReadFile(Path()), before);
  {
    const Journal held = Opened(Path());
    EXPECT_EQ(Journal::CheckUsable(resumed).error().code(), ErrorCode::kUnavailable);
  }
  WriteText(Path(), "{\"results\": 1}\n");
  EXPECT_EQ(Journal::CheckUsable(resumed).error().code(), ErrorCode::kCorrupt);
}

TEST_F(Journals, PointsOfAnotherModelAreNotGoneOnWith) {
  Write(Path(), {Point(1)});
  const std::string before = *ReadFile(Path());
  const Journal::Options other{.path = Path(), .resume = true, .also = {}, .model = "n"};
  for (const Result<void>& refused :
       {Journal::CheckUsable(other), Result<void>(Journal::Open(other, kHere).error())}) {
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code(), ErrorCode::kAlreadyExists);
    EXPECT_EQ(refused.error().message(), Path() +
                                             " has points of the model 'm': give 'n' another "
                                             "--journal or --export-path");
  }
  EXPECT_EQ(*ReadFile(Path()), before);
  EXPECT_TRUE(
      Journal::CheckUsable({.path = Path(), .resume = true, .also = {}, .model = "m"}).has_value());
}

// A point's histograms are half a megabyte, and there may be thousands of points.
TEST_F(Journals, AJournalTakesTheMemoryOfItsFiguresNotOfItsHistograms) {
#if defined(__has_feature)  // Clang, which builds for sanitizers
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  GTEST_SKIP() << "a sanitizer's memory is not the program's";
#endif
#endif
  constexpr size_t kPoints = 120;
  {
    PointRecord fat = Point(1);
    fat.measured.level = SomeLevel();
    fat.measured.level->outcomes.emplace_back().name = "timeout";
    for (double ns = 1e3; ns < 1e11; ns *= 1.0001) {
      fat.measured.level->latency.histogram.Record(static_cast<int64_t>(ns));
      fat.measured.level->outcomes.front().latency.Record(static_cast<int64_t>(ns));
    }
    const std::string line = text::FormatJson(PointToJson(fat));
    ASSERT_GT(line.size(), 200'000U);
    std::string text = "{\"format\":\"sextant-journal\",\"version\":1}\n";
    text +=
        "{\"type\":\"session\",\"identity\":{\"model_files\":\"abc\",\"server\":\"triton "
        "2.51.0\"}}\n";
    for (size_t i = 0; i < kPoints; ++i) text += line + "\n";
    WriteText(Path(), text);
  }
  malloc_trim(0);
  const auto status = [](const char* name) {
    const std::string text = *ReadFile("/proc/self/status");
    const size_t at = text.find(name) + std::string_view(name).size();
    return 1024 * std::strtod(text.c_str() + at, nullptr);
  };
  // The peak is counted from here.
  std::ofstream("/proc/self/clear_refs") << "5";
  const double before = status("VmRSS:");
  if (status("VmHWM:") > before + (8 << 20)) GTEST_SKIP() << "the peak cannot be reset here";
  const Journal journal = Opened(Path());
  EXPECT_EQ(journal.reusable(), kPoints);
  const auto file = static_cast<double>(std::filesystem::file_size(Path()));
  EXPECT_LT(status("VmHWM:") - before, 0.5 * file) << "of " << file;
  EXPECT_LT(status("VmHWM:") - before, 24 << 20);
}

TEST_F(Journals, WhatWasMeasuredIsRevisedForThisRunAlone) {
  Write(Path(), {Point(1)});
  const std::string before = *ReadFile(Path());
  Journal journal = Opened(Path());
  journal.Revise([](Measured& measured) { measured.figures["cost_per_million"] = {5, {}, {}}; });
  EXPECT_EQ(journal.Find(KeyOf(Point(1)), 1)->measured.figures.at("cost_per_million").value, 5);
  EXPECT_TRUE(ReadFile(Path())->starts_with(before));
  EXPECT_EQ(ReadFile(Path())->find("cost_per_million"), std::string::npos);
}

TEST_F(Journals, WhatIsMergedMustBeAJournal) {
  WriteText(Path("b"), "{\"results\": 1}");
  const auto merged =
      Journal::Open({.path = Path("a"), .resume = true, .also = {Path("b")}}, kHere);
  ASSERT_FALSE(merged.has_value());
  EXPECT_NE(merged.error().message().find(Path("b")), std::string::npos);
  EXPECT_FALSE(Journal::Open({.path = Path("a"), .resume = true, .also = {Path("none")}}, kHere)
                   .has_value());
}

TEST_F(Journals, OneOfALaterVersionIsRefused) {
  const auto read = ParseJournal("{\"format\":\"sextant-journal\",\"version\":2}\n");
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().code(), ErrorCode::kCorrupt);
  EXPECT_NE(read.error().message().find("later version"), std::string::npos);
}

TEST_F(Journals, LinesOfKindsThatAreNotKnownAreFaults) {
  const auto read = ParseJournal(
      "{\"format\":\"sextant-journal\",\"version\":1}\n{\"type\":\"point\"}\n"
      "{\"type\":\"session\",\"identity\":{}}\n{\"type\":\"thought\"}\n[1]\n\n{\"type\":\"end\"}"
      "\n");
  ASSERT_TRUE(read.has_value());
  ASSERT_EQ(read->faults.size(), 4U);
  EXPECT_EQ(read->faults[0], "line 2: a point before any session");
  EXPECT_EQ(read->faults[1], "line 4: a line of type 'thought'");
}

TEST_F(Journals, BaselinesAreReadBack) {
  {
    Journal journal = Opened(Path());
    ASSERT_TRUE(journal
                    .Append(Baseline{.kind = "server_only",
                                     .figures = {{"gpu_memory_used", {3e8, {}, {}}}},
                                     .devices = {{.device = "GPU-1"}}})
                    .has_value());
    ASSERT_TRUE(journal.Finish("complete").has_value());
  }
  const Journal journal = Opened(Path());
  ASSERT_EQ(journal.baselines().size(), 1U);
  EXPECT_EQ(journal.baselines()[0].kind, "server_only");
  EXPECT_EQ(journal.baselines()[0].figures.at("gpu_memory_used").value, 3e8);
  EXPECT_EQ(journal.baselines()[0].devices.at(0).device, "GPU-1");
}

TEST(PointKey, ChangesWithEachPartOfThePoint) {
  std::vector<std::string> keys;
  const auto add = [&](const std::function<void(PointRecord&)>& change,
                       const Identity& identity = kHere) {
    PointRecord point = Point(1);
    change(point);
    keys.push_back(KeyOf(point, identity));
  };
  add([](PointRecord&) {});
  add([](PointRecord&) {}, kElsewhere);
  add([](PointRecord& p) { p.model = "n"; });
  add([](PointRecord& p) { p.settings[0].path = "max_batch_size"; });
  add([](PointRecord& p) { p.settings[0].value = 2; });
  add([](PointRecord& p) { p.settings[0].value = "1"; });
  add([](PointRecord& p) { p.settings.clear(); });
  add([](PointRecord& p) { p.settings.push_back({"max_batch_size", 8}); });
  add([](PointRecord& p) { p.load.point.value = 2; });
  add([](PointRecord& p) { p.load.point.batch_size = 2; });
  add([](PointRecord& p) { p.load.data = "short"; });
  add([](PointRecord& p) { p.load.point.mode = run::LoadMode::kRequestRate; });
  add([](PointRecord& p) {
    p.load.point.mode = run::LoadMode::kRequestRate;
    p.load.point.arrivals = "constant";
  });
  for (size_t i = 0; i < keys.size(); ++i) {
    for (size_t j = 0; j < i; ++j) EXPECT_NE(keys[i], keys[j]) << i << " and " << j;
  }
}

TEST(PointKey, IsTheSameForAllTakesAndForNames) {
  PointRecord other = Point(1);
  other.load.take = 4, other.take = 5;
  other.configuration = "m_config_99", other.reason = "again", other.window = 7s;
  EXPECT_EQ(KeyOf(Point(1)), KeyOf(other));
}

TEST(PointKey, HeedsTheOrderOfSettingsOnlyWhereItMatters) {
  PointRecord a = Point(1), b = Point(1);
  a.settings = {{"instance_group.count", 2}, {"max_batch_size", 8}};
  b.settings = {{"max_batch_size", 8}, {"instance_group.count", 2}};
  EXPECT_EQ(KeyOf(a), KeyOf(b));
  a.settings = {{"dynamic_batching", text::Json::Object{}},
                {"dynamic_batching.max_queue_delay_microseconds", 5}};
  b.settings = {a.settings[1], a.settings[0]};
  EXPECT_NE(KeyOf(a), KeyOf(b)) << "the second makes the first undone";
}

}  // namespace
}  // namespace sextant::analyze
