// Sweeps killed without warning at any moment, again and again: the journal is whole after each
// kill, and the sweep that is resumed until it ends comes to the very results of one that was left
// alone.
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>

#include "analyze/journal.h"
#include "base/random.h"
#include "base/strings.h"
#include "e2e/harness.h"

namespace sextant::e2e {
namespace {

using analyze::JournalContents;

constexpr int kKills = 200;

struct Tally {
  int sweeps = 0, kills = 0, torn = 0;
  size_t points = 0;
};

Process StartSweep(const std::string& journal, const std::string& kind, uint64_t seed,
                   const std::string& results) {
  auto process =
      Process::Start({.argv = {SEXTANT_SWEEP, journal, kind, Format("{}", seed), results}});
  SEXTANT_CHECK(process.has_value(), process.error().message());
  return *std::move(process);
}

// The journal after a kill: every line but the last is whole, and nothing is there twice.
void CheckJournal(const std::string& path, Tally& tally, size_t& points_before) {
  if (!FileExists(path)) return;  // so early was the kill
  const std::string text = *ReadFile(path);
  tally.torn += text.empty() || text.ends_with('\n') ? 0 : 1;
  const Result<JournalContents> read = analyze::ParseJournal(text);
  ASSERT_TRUE(read.has_value()) << read.error().message();
  ASSERT_TRUE(read->faults.empty()) << read->faults.front();
  std::map<std::string, int> takes;
  size_t points = 0;
  for (const analyze::Session& session : read->sessions) {
    for (const analyze::PointRecord& point : session.points) {
      ++points;
      int& take =
          takes[analyze::PointKey(session.identity, point.model, point.settings, point.load)];
      ASSERT_EQ(point.take, ++take);
    }
  }
  ASSERT_GE(points, points_before) << "a point that was there is gone";
  points_before = points;
}

uintmax_t SizeOf(const std::string& path) {
  std::error_code none;
  const uintmax_t size = std::filesystem::file_size(path, none);
  return none ? 0 : size;
}

// Waits for a moment by chance to kill it: some before it has done anything, the others after it
// has written so much, whatever the speed of the machine. Its exit code, if it ended before.
std::optional<int> AwaitMoment(Process& sweep, const std::string& journal, Random& random) {
  constexpr uint64_t kMostBytes = 40000;  // some fifteen points
  if (random.Below(5) == 0) return sweep.Wait(FromSeconds(0.015 * random.Uniform()));
  const uintmax_t enough = SizeOf(journal) + random.Below(kMostBytes);
  while (SizeOf(journal) <= enough) {
    if (const auto ended = sweep.Wait(200us)) return ended;
  }
  return sweep.Wait(FromSeconds(0.003 * random.Uniform()));
}

// One sweep, killed until it gets to its end.
void KillUntilDone(const std::string& kind, uint64_t seed, Random& random, Tally& tally) {
  const TempDirectory directory;
  const std::string whole = directory.File("whole.json"), pieces = directory.File("pieces.json");
  Process alone = StartSweep(directory.File("whole.jsonl"), kind, seed, whole);
  ASSERT_EQ(alone.Wait(60s), 0) << alone.err();
  const std::string journal = directory.File("pieces.jsonl");
  size_t points = 0;
  while (true) {
    Process sweep = StartSweep(journal, kind, seed, pieces);
    const bool enough = tally.kills >= kKills;
    const auto ended = enough ? sweep.Wait(60s) : AwaitMoment(sweep, journal, random);
    if (ended) {
      ASSERT_EQ(ended, 0) << sweep.err();
      break;
    }
    ASSERT_FALSE(enough) << "it does not end";
    sweep.Signal(SIGKILL);
    ASSERT_EQ(sweep.Wait(10s), 128 + SIGKILL);
    ++tally.kills;
    CheckJournal(journal, tally, points);
    if (testing::Test::HasFatalFailure()) return;
  }
  CheckJournal(journal, tally, points);
  ++tally.sweeps;
  tally.points += points;
  EXPECT_EQ(*ReadFile(pieces), *ReadFile(whole)) << kind << " " << seed;
}

TEST(AnalyzeKill, AfterTwoHundredKillsTheResultsAreThoseOfOneRun) {
  Random random(20261122);
  Tally tally;
  for (uint64_t seed = 1; tally.kills < kKills; ++seed) {
    KillUntilDone(seed % 3 == 0 ? "exhaustive" : "adaptive", seed, random, tally);
    if (HasFatalFailure() || HasNonfatalFailure()) break;
  }
  std::printf("%d sweeps of %zu points, %d kills, %d of them within a line\n", tally.sweeps,
              tally.points, tally.kills, tally.torn);
  EXPECT_GE(tally.kills, kKills);
  EXPECT_GE(tally.sweeps, 5);
}

}  // namespace
}  // namespace sextant::e2e
