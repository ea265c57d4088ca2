#include <gtest/gtest.h>
#include <sys/socket.h>

#include <csignal>
#include <filesystem>
#include <map>
#include <thread>

#include "base/clock.h"
#include "base/files.h"
#include "base/host.h"
#include "base/log.h"
#include "base/process.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secrets.h"
#include "base/stop.h"
#include "base/strings.h"
#include "base/units.h"

namespace sextant {
namespace {

Result<int> Half(int n) {
  if (n % 2 != 0) return InvalidArgument(Format("{} is odd", n));
  return n / 2;
}
Result<int> Quarter(int n) {
  SEXTANT_ASSIGN(const int half, Half(n), "first half");
  SEXTANT_ASSIGN(const int quarter, Half(half), "second half");
  return quarter;
}

TEST(Result, ContextGrowsOutward) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Quarter(6).error().message(), "second half: 3 is odd");
  EXPECT_EQ(Quarter(5).error().message(), "first half: 5 is odd");
  EXPECT_EQ(Quarter(5).error().code(), ErrorCode::kInvalidArgument);
}

TEST(Result, TryPassesErrorsOfAnyResult) {
  const auto run = [](int n) -> Result<void> {
    SEXTANT_TRY(Half(n), "trying");
    return {};
  };
  EXPECT_TRUE(run(2).has_value());
  EXPECT_EQ(run(3).error().message(), "trying: 3 is odd");
}

TEST(ResultDeathTest, ValueOfAnErrorIsABugWithItsReason) {
  EXPECT_DEATH(static_cast<void>(Half(3).value()), "3 is odd");
}

TEST(Strings, SplitKeepsEmptyPieces) {
  EXPECT_EQ(Split("a,,b", ','), (std::vector<std::string_view>{"a", "", "b"}));
  EXPECT_EQ(Split("", ',').size(), 1u);
}

TEST(Strings, NumbersAreReadWholeOrNotAtAll) {
  EXPECT_EQ(ParseInt("-42"), -42);
  EXPECT_EQ(ParseDouble("1e3"), 1000.0);
  for (const std::string_view bad : {"", " 1", "1 ", "1x", "--1", "0x10", "+1"}) {
    EXPECT_FALSE(ParseInt(bad)) << bad;
  }
  EXPECT_FALSE(ParseUint("-1"));
  EXPECT_FALSE(ParseUint("18446744073709551616"));
  EXPECT_FALSE(ParseDouble("inf"));
  EXPECT_FALSE(ParseDouble("nan"));
}

TEST(Strings, NearestNameForgivesSlipsAndNothingElse) {
  const std::vector<std::string_view> names{"concurrency-range", "request-rate-range", "url"};
  EXPECT_EQ(NearestName("concurency-range", names), "concurrency-range");
  EXPECT_EQ(NearestName("ulr", names), "url");
  EXPECT_EQ(NearestName("request-rate", names), "request-rate-range");
  EXPECT_FALSE(NearestName("frobnicate", names));
}

TEST(Strings, PrintableNeverLetsControlBytesThrough) {
  EXPECT_EQ(Printable(std::string_view("a\x1b[31m\n\xff\0b", 9)), "a\\x1b[31m\\n\\xff\\x00");
  EXPECT_EQ(Printable("grün"), "grün");
  EXPECT_EQ(Printable("abcdef", 3), "abc...");
}

TEST(Strings, Utf8Validity) {
  EXPECT_TRUE(IsValidUtf8("aß€😀"));
  for (const std::string_view bad :
       {"\xc0\x80", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xe2\x82", "\x80"}) {
    EXPECT_FALSE(IsValidUtf8(bad));
  }
}

TEST(Strings, Base64RoundTrips) {
  std::string bytes = "what was there before";
  for (const std::string_view text : {"", "f", "fo", "foo", "foob", "\xff\xfe\x00"}) {
    EXPECT_TRUE(Base64Decode(Base64Encode(text), bytes));
    EXPECT_EQ(bytes, text);
  }
  EXPECT_EQ(Base64Encode("foob"), "Zm9vYg==");
  for (const std::string_view bad : {"Zg=", "Z===", "Zm9v!A==", "=m9v", "Zm9v=A==", "Zm9\x80"})
    EXPECT_FALSE(Base64Decode(bad, bytes)) << bad;
}

TEST(Strings, DigitsAreGrouped) {
  EXPECT_EQ(GroupDigits(0), "0");
  EXPECT_EQ(GroupDigits(999), "999");
  EXPECT_EQ(GroupDigits(1234567), "1,234,567");
}

TEST(Units, DurationsRoundTrip) {
  const std::map<std::string, Nanos> cases{{"0s", 0ns},  {"250us", 250us},     {"1.5s", 1500ms},
                                           {"10s", 10s}, {"2.5m", 2min + 30s}, {"1h", 1h},
                                           {"7ns", 7ns}};
  for (const auto& [text, value] : cases) {
    EXPECT_EQ(*ParseDuration(text), value) << text;
    EXPECT_EQ(FormatDuration(value), text);
  }
  EXPECT_EQ(*ParseDuration("2m30s"), 2min + 30s);
  EXPECT_EQ(*ParseDuration("5000", 1ms), 5s);
  EXPECT_EQ(*ParseDuration("1.234567ms"), 1234567ns);
  EXPECT_EQ(FormatDuration(1234567ns), "1234.567us");
  for (const std::string_view bad : {"", "10", "s", "1x", "-1s", "1s2", "1..2s", "1e99h"}) {
    EXPECT_FALSE(ParseDuration(bad).has_value()) << bad;
  }
}

TEST(Units, Sizes) {
  EXPECT_EQ(*ParseBytes("64"), 64u);
  EXPECT_EQ(*ParseBytes("64K"), 65536u);
  EXPECT_EQ(*ParseBytes("1.5MiB"), 1572864u);
  EXPECT_EQ(*ParseBytes("2MB"), 2000000u);
  for (const std::string_view bad : {"", "K", "1X", "1KiX", "-1"})
    EXPECT_FALSE(ParseBytes(bad).has_value()) << bad;
  EXPECT_EQ(HumanBytes(1572864), "1.5 MiB");
}

TEST(Units, HumanForms) {
  EXPECT_EQ(HumanDuration(999ns), "999 ns");
  EXPECT_EQ(HumanDuration(12345us), "12.3 ms");
  EXPECT_EQ(HumanDuration(125s), "2m05s");
  EXPECT_EQ(HumanNumber(865.572), "865.6");
  EXPECT_EQ(HumanNumber(12200.5), "12,201");
  EXPECT_EQ(HumanNumber(0.5), "0.500");
}

TEST(Random, SameSeedSameStreamAndForksDiffer) {
  Random a(7), b(7), c(8);
  EXPECT_EQ(a.Next(), b.Next());
  EXPECT_NE(a.Next(), c.Next());
  Random first = a.Fork(0), second = a.Fork(1);
  EXPECT_NE(first.Next(), second.Next());
}

TEST(Random, DistributionsHaveTheirMoments) {
  Random random(1);
  const int n = 200'000;
  double exponential = 0, normal = 0, squares = 0;
  uint64_t buckets[5] = {};
  for (int i = 0; i < n; ++i) {
    exponential += random.Exponential(3);
    const double z = random.Normal();
    normal += z, squares += z * z;
    ++buckets[random.Below(5)];
  }
  EXPECT_NEAR(exponential / n, 3, 0.03);
  EXPECT_NEAR(normal / n, 0, 0.01);
  EXPECT_NEAR(squares / n, 1, 0.02);
  for (const uint64_t count : buckets) EXPECT_NEAR(static_cast<double>(count) / n, 0.2, 0.005);
}

TEST(Files, AtomicWriteReplacesAndLeavesNothingBeside) {
  const std::string dir = *MakeTempDirectory("sextant-test");
  const std::string path = JoinPath(dir, "f");
  ASSERT_TRUE(WriteFileAtomic(path, "one").has_value());
  ASSERT_TRUE(WriteFileAtomic(path, "two").has_value());
  EXPECT_EQ(*ReadFile(path), "two");
  EXPECT_EQ(*ListDirectory(dir), std::vector<std::string>{"f"});
  EXPECT_EQ(MappedFile::Open(path)->bytes(), "two");
  ASSERT_TRUE(RemoveAll(dir).has_value());
  EXPECT_EQ(ReadFile(path).error().code(), ErrorCode::kNotFound);
  EXPECT_NE(WriteFileAtomic(path, "x").error().message().find(path), std::string::npos);
}

TEST(Files, AreTheSameByWhateverPath) {
  const std::string directory = *MakeTempDirectory("sextant-same-");
  const std::string file = JoinPath(directory, "a"), link = JoinPath(directory, "b");
  EXPECT_TRUE(SameFile(file, JoinPath(directory, "./a"))) << "not there yet";
  ASSERT_TRUE(WriteFileAtomic(file, "x").has_value());
  EXPECT_FALSE(SameFile(file, link));
  std::filesystem::create_hard_link(file, link);
  EXPECT_TRUE(SameFile(file, link));
  EXPECT_FALSE(SameFile(file, "")) << "an option that is not given";
  EXPECT_FALSE(SameFile("/dev/null", "/dev/null"));
  EXPECT_TRUE(RemoveAll(directory).has_value());
}

TEST(Files, AppendedRecordsAreInOrder) {
  const std::string dir = *MakeTempDirectory("sextant-test");
  const std::string path = JoinPath(dir, "log");
  Result<AppendFile> file = AppendFile::Create(path);
  ASSERT_TRUE(file.has_value());
  ASSERT_TRUE(file->Append("a\n").has_value());
  ASSERT_TRUE(file->Append("b\n").has_value());
  EXPECT_EQ(*ReadFile(path), "a\nb\n");
  ASSERT_TRUE(RemoveAll(dir).has_value());
}

TEST(Process, ExitCodesAndBothStreamsAreCollected) {
  const Result<ProcessResult> result = RunProcess(
      {.argv = {"sh", "-c", "echo out; echo err >&2; cat; exit 3"}, .stdin_text = "in"}, 10s);
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->exit_code, 3);
  EXPECT_EQ(result->out, "out\nin");
  EXPECT_EQ(result->err, "err\n");
}

TEST(Process, SignalsAreReportedAsShellsDo) {
  Result<Process> process = Process::Start({.argv = {"sleep", "60"}});
  ASSERT_TRUE(process.has_value());
  process->Signal(SIGTERM);
  EXPECT_EQ(process->Wait(10s), 143);
}

// A grandchild that is not waited for: its id, once it has been told.
pid_t GrandchildOf(Process& process) {
  EXPECT_TRUE(process.WaitForOutput("\n", 10s));
  return static_cast<pid_t>(std::stol(process.out()));
}
bool GoneWithin(pid_t pid, Nanos timeout) {
  const Instant deadline = SteadyNow() + timeout;
  while (SteadyNow() < deadline) {
    const Result<std::string> stat = ReadFile(Format("/proc/{}/stat", pid));
    if (!stat.has_value() || stat->find(") Z ") != std::string::npos) return true;
    std::this_thread::sleep_for(1ms);
  }
  return false;
}

TEST(Process, WhatItLeavesInItsGroupEndsWithIt) {
  for (const bool killed : {false, true}) {
    Result<Process> process = Process::Start(
        {.argv = {"sh", "-c", "sleep 60 >/dev/null & echo $!; wait"}, .own_group = true});
    ASSERT_TRUE(process.has_value());
    const pid_t grandchild = GrandchildOf(*process);
    EXPECT_EQ(kill(grandchild, 0), 0);
    if (killed) {
      Process gone = *std::move(process);
    } else {
      process->Signal(SIGTERM);
      EXPECT_EQ(process->Wait(10s), 143);
    }
    EXPECT_TRUE(GoneWithin(grandchild, 10s));
  }
}

TEST(Process, AMissingProgramIsAnError) {
  EXPECT_EQ(Process::Start({.argv = {"/no/such/program"}}).error().code(), ErrorCode::kNotFound);
  // By its own name, not that of what would start it.
  const Result<Process> dying =
      Process::Start({.argv = {"no-such-program"}, .dies_with_parent = true});
  ASSERT_FALSE(dying.has_value());
  EXPECT_EQ(dying.error().code(), ErrorCode::kNotFound);
  EXPECT_TRUE(dying.error().message().starts_with("start no-such-program: "))
      << dying.error().message();
}

TEST(Process, AnOutputFileThatCannotBeIsAnErrorThatNamesIt) {
  for (const bool dies : {false, true}) {
    const Result<Process> process = Process::Start(
        {.argv = {"true"}, .output_file = "/no/such/directory/log", .dies_with_parent = dies});
    ASSERT_FALSE(process.has_value());
    EXPECT_TRUE(process.error().message().starts_with("open /no/such/directory/log: "))
        << process.error().message();
  }
}

TEST(FindProgram, LooksWhereAShellDoes) {
  EXPECT_TRUE(FindProgram("sh").ends_with("/sh"));
  EXPECT_EQ(FindProgram("/bin/sh"), "/bin/sh");
  for (const char* none : {"no-such-program", "/bin", "/etc/passwd", "./sh"})
    EXPECT_EQ(FindProgram(none), "") << none;
}

TEST(StopSignals, RemembersTheFirst) {
  Result<StopSignals> stop = StopSignals::Install();
  ASSERT_TRUE(stop.has_value());
  EXPECT_FALSE(stop->received());
  raise(SIGTERM);
  raise(SIGINT);
  EXPECT_EQ(stop->received(), SIGTERM);
}

TEST(Log, LevelsFilter) {
  std::vector<std::string> lines;
  Log log(LogLevel::kInfo, [&](std::string_view line) { lines.emplace_back(line); });
  log.Write(LogLevel::kVerbose, "no");
  log.Write(LogLevel::kWarning, "yes {}", 1);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_TRUE(lines[0].ends_with(" W yes 1"));
}

TEST(Host, FactsOfThisMachine) {
  const HostFacts facts = ReadHostFacts();
  EXPECT_GE(facts.cores_usable, 1);
  EXPECT_FALSE(facts.kernel.empty());
  EXPECT_GT(*facts.memory_bytes, 1u << 20);
  EXPECT_GT(*ResidentBytes(), 1u << 16);
  EXPECT_GE(*PeakResidentBytes(), *ResidentBytes() / 2);
  const Nanos thread = ThreadCpuTime();
  EXPECT_GE(ProcessCpuTime(), thread);
}

TEST(Clock, WallTimeIsPrintedInUtc) {
  EXPECT_EQ(FormatWallTime(WallTime(1700000000123ms)), "2023-11-14T22:13:20.123Z");
}

TEST(WallTimes, AreReadWithTheirZone) {
  const auto read = [](std::string_view text) {
    const Result<WallTime> time = ParseWallTime(text);
    return time.has_value() ? FormatWallTime(*time) : std::string("not a time");
  };
  EXPECT_EQ(read("2026-11-21T18:05:00Z"), "2026-11-21T18:05:00.000Z");
  EXPECT_EQ(read("2026-11-21T19:35:00.25+01:30"), "2026-11-21T18:05:00.250Z");
  EXPECT_EQ(read("2026-02-28T23:00:00-02:00"), "2026-03-01T01:00:00.000Z");
  EXPECT_EQ(read("1763748300.5"), "2025-11-21T18:05:00.500Z");
  for (const char* text :
       {"", "18:05", "2026-11-21T18:05:00", "2026-13-21T18:05:00Z", "2026-02-30T18:05:00Z",
        "2026-11-21T25:05:00Z", "2026-11-21T18:05:00.Z", "2026-11-21T18:05:00+1:00",
        "2026-11-21T18:05:00Zx", "-5", "5965-11-21T18:05:00Z", "1600-11-21T18:05:00Z"})
    EXPECT_EQ(read(text), "not a time") << text;
}

TEST(Secrets, AreTakenOutOfTextsAlsoWhereTheTextWasCut) {
  AddSecret("hunter2-long-token");
  AddSecret("Bearer hunter2-long-token");
  AddSecret("abc");  // too short to be looked for
  EXPECT_EQ(RedactSecrets("a hunter2-long-token b hunter2-long-token"), "a [secret] b [secret]");
  EXPECT_EQ(RedactSecrets("Authorization: Bearer hunter2-long-token\r\n"),
            "Authorization: [secret]\r\n");
  EXPECT_EQ(RedactSecrets("cut: hunter2-lo"), "cut: [secret]");
  EXPECT_EQ(RedactSecrets("abc hunt"), "abc [secret]");
  EXPECT_EQ(RedactSecrets("abc hun"), "abc hun");
}

}  // namespace
}  // namespace sextant
