// Files of the real perf_analyzer (tests/golden/*.raw) and ours: one reader for both.
#include "run/profile_export.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "base/strings.h"

namespace sextant::run {
namespace {

constexpr std::string_view kVariants[] = {"export", "export_rate", "export_batch", "export_text",
                                          "export_sequences"};

std::string Golden(std::string_view variant) {
  return ReadFile(Format("{}/tests/golden/{}.raw", SEXTANT_SOURCE_DIR, variant)).value();
}

TEST(ProfileExport, ReadsWhatPerfAnalyzerWrites) {
  for (const std::string_view variant : kVariants) {
    const auto read = ParseProfileExport(Golden(variant));
    ASSERT_TRUE(read.has_value()) << variant << ": " << read.error().message();
    EXPECT_EQ(read->service_kind, "triton");
    ASSERT_FALSE(read->experiments.empty()) << variant;
    for (const ProfileExport::Experiment& experiment : read->experiments) {
      EXPECT_GE(experiment.window_boundaries.size(), 2u) << variant;
      ASSERT_FALSE(experiment.requests.empty()) << variant;
      for (const ProfileExport::Request& request : experiment.requests) {
        EXPECT_LT(request.timestamp, request.responses.at(0));
        EXPECT_EQ(request.outputs.size(), request.responses.size());
        EXPECT_EQ(request.sequence_id.has_value(), variant == "export_sequences");
      }
    }
  }
  const auto rate = ParseProfileExport(Golden("export_sequences"));
  EXPECT_EQ(rate->experiments.at(1).mode, "request_rate");
  EXPECT_EQ(rate->experiments.at(1).value.AsDouble(), 75.5);
}

TEST(ProfileExport, WritesItMemberForMemberTheSame) {
  for (const std::string_view variant : kVariants) {
    const std::string golden = Golden(variant);
    const std::string ours = FormatProfileExport(*ParseProfileExport(golden));
    // Objects keep the order of their members, so the order is compared too.
    EXPECT_EQ(*text::ParseJson(ours), *text::ParseJson(golden)) << variant;
    EXPECT_EQ(ours.substr(0, 55), golden.substr(0, 55)) << "mode and value to the letter";
  }
}

TEST(ProfileExport, NumbersWithAFractionStayThat) {
  const auto text = [](double value) {
    std::string out;
    AppendJsonDouble(value, out);
    return out;
  };
  EXPECT_EQ(text(1), "1.0");
  EXPECT_EQ(text(-0.0), "-0.0");
  EXPECT_EQ(text(1e300), "1e+300");
  EXPECT_EQ(text(0.10000000149011612), "0.10000000149011612");
  EXPECT_EQ(text(1.0 / 0.0), "null");
}

TEST(ProfileExport, FaultsAreNamedWithTheirPlace) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"[]", "profile export: is an array, not an object"},
      {R"({"version":"1"})", "has no 'experiments'"},
      {R"({"experiments":[{"experiment":{"mode":"concurrency"}}]})",
       "experiment 0: experiment: has no 'value'"},
      {R"({"experiments":[{"experiment":{"mode":"concurrency","value":1},"requests":[)"
       R"({"timestamp":1.5,"response_timestamps":[]}]}]})",
       "experiment 0: request 0: 'timestamp': nanoseconds are whole numbers"},
      {R"({"experiments":[{"experiment":{"mode":"concurrency","value":1},"requests":[)"
       R"({"timestamp":1,"response_timestamps":[2],"response_outputs":[]}]}]})",
       "0 response_outputs and 1 response_timestamps"},
      {R"({"experiments":[)", "line 1"}};
  for (const auto& [text, fault] : cases) {
    const auto read = ParseProfileExport(text);
    ASSERT_FALSE(read.has_value()) << text;
    EXPECT_NE(read.error().message().find(fault), std::string::npos) << read.error().message();
  }
}

}  // namespace
}  // namespace sextant::run
