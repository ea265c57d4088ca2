// The end of scripts/quickstart.sh: its own search, of the real model.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/files.h"
#include "base/process.h"
#include "base/strings.h"
#include "harness.h"
#include "text/json.h"

namespace sextant::e2e {
namespace {

TEST(Quickstart, EndsWithARankedTableAWinnerOrATieAndItsConfiguration) {
  if (!std::filesystem::exists(SEXTANT_ENGINE_MODULE))
    GTEST_SKIP() << "built without the engine module, " SEXTANT_ENGINE_MODULE;
  const TempDirectory directory;
  const std::string results = directory.File("results");
  const auto ended = RunProcess(
      {.argv = {SEXTANT_SOURCE_DIR "/scripts/quickstart.sh", "--search", Program(), results}},
      std::chrono::seconds(170));
  ASSERT_TRUE(ended.has_value()) << ended.error().message();
  ASSERT_EQ(ended->exit_code, 0) << ended->out << ended->err;
  const std::string& out = ended->out;
  // A row per configuration, the figures with their intervals.
  for (const char* title : {"Configuration", "throughput", "latency_p99", "vs default"})
    EXPECT_NE(out.find(title), std::string::npos) << title << "\n" << out;
  const auto json = text::ParseJson(*ReadFile(results + "/results.json"));
  ASSERT_TRUE(json.has_value());
  const auto& ranking = json->Find("ranking")->array();
  // Four and the default, unless the budget ends it before.
  ASSERT_GE(ranking.size(), 2U) << out;
  const auto text = [](const text::Json& of, std::string_view member) {
    const text::Json* found = of.Find(member);
    return std::string(found == nullptr ? "" : found->AsString().value_or(""));
  };
  size_t best = 0, rank = 0;
  for (const text::Json& row : ranking) {
    const std::string name = text(row, "configuration"), standing = text(row, "standing");
    const size_t at = out.find(Format("\n  {}  {}", ++rank, name));
    ASSERT_NE(at, std::string::npos) << name << "\n" << out;
    const std::string line = out.substr(at + 1, out.find('\n', at + 1) - at - 1);
    EXPECT_TRUE(line.ends_with(standing)) << line;
    if (standing == "wins" || standing == "ties") {
      ++best;
      EXPECT_NE(line.find("\u00b1"), std::string::npos) << line;
      const text::Json* throughput = row.Find("figures")->Find("throughput");
      ASSERT_NE(throughput, nullptr);
      EXPECT_NE(throughput->Find("lower"), nullptr);
      EXPECT_NE(throughput->Find("upper"), nullptr);
      // Told in the end, and there.
      const std::string config = Format("{}/configurations/{}/config.pbtxt", results, name);
      EXPECT_NE(out.find(config + "\n"), std::string::npos) << out;
      const auto written = ReadFile(config);
      ASSERT_TRUE(written.has_value()) << config;
      EXPECT_NE(written->find("digits"), std::string::npos) << *written;
    }
  }
  EXPECT_GE(best, 1U) << out;
  const std::string verdict = text(*json, "verdict");
  EXPECT_NE(out.find("\nVerdict: " + verdict), std::string::npos) << out;
  EXPECT_NE(verdict.find(best > 1 ? " tie" : " wins"), std::string::npos) << verdict;
}

}  // namespace
}  // namespace sextant::e2e
