#include "text/prometheus.h"

#include <gtest/gtest.h>

#include <cmath>

namespace sextant::text {
namespace {

Exposition ReadText(std::string_view text) {
  return ParseExposition(text, ExpositionFormat::kText);
}

TEST(Exposition, ReadsEveryFormOfASample) {
  const Exposition e = ReadText(
      "# HELP requests_total All \\\\ of\\nthem\n"
      "# TYPE requests_total counter\n"
      "requests_total{method=\"post\",code=\"200\",} 1027 1395066363000\n"
      "\t requests_total { method = \"get\" ,code=\"4\\\"\\\\\\n0\"}  3e+02\r\n"
      "# a comment\n"
      "#TYPE bare gauge\n"
      "bare -12.5e-3\n"
      "hex 0x1p-2\n"
      "not_a_number NaN\n"
      "most +Inf\n"
      "least -inf\n"
      "{\"quoted.name\",\"a label\"=\"x\"} 7\n"
      "last 1");
  EXPECT_EQ(e.bad_lines, 0u) << e.first_fault;
  ASSERT_EQ(e.samples.size(), 9u);
  EXPECT_EQ(e.families[0].help, "All \\ of\nthem");
  EXPECT_EQ(e.samples[0].value, 1027);
  EXPECT_EQ(e.samples[0].timestamp_s, 1395066363.0);
  EXPECT_TRUE(e.samples[0].cumulative);
  EXPECT_EQ(e.samples[1].Label("code"), "4\"\\\n0");
  EXPECT_EQ(e.samples[1].value, 300);
  EXPECT_EQ(e.samples[2].value, -0.0125);
  EXPECT_FALSE(e.samples[2].cumulative);
  EXPECT_EQ(e.samples[3].value, 0.25);
  EXPECT_TRUE(std::isnan(e.samples[4].value));
  EXPECT_EQ(e.samples[5].value, INFINITY);
  EXPECT_EQ(e.samples[6].value, -INFINITY);
  EXPECT_EQ(e.samples[7].name, "quoted.name");
  EXPECT_EQ(e.samples[7].Label("a label"), "x");
  EXPECT_EQ(e.samples[8].name, "last");
}

TEST(Exposition, ReadsOpenMetricsWithUnitsTimestampsAndExemplars) {
  const Exposition e = ParseExposition(
      "# TYPE busy_seconds counter\n"
      "# UNIT busy_seconds seconds\n"
      "busy_seconds_total{gpu=\"0\"} 17.5 1520879607.789 # {trace=\"KOO5\"} 0.67 1520879607.1\n"
      "busy_seconds_created{gpu=\"0\"} 1520430000.123\n"
      "# TYPE delay histogram\n"
      "delay_bucket{le=\"+Inf\"} 3 # {} 1\n"
      "delay_sum 6\n"
      "# EOF\n",
      ExpositionFormat::kOpenMetrics);
  EXPECT_EQ(e.bad_lines, 0u) << e.first_fault;
  EXPECT_TRUE(e.complete);
  ASSERT_EQ(e.samples.size(), 4u);
  EXPECT_EQ(e.families[*e.samples[0].family].unit, "seconds");
  EXPECT_EQ(e.samples[0].timestamp_s, 1520879607.789);
  EXPECT_TRUE(e.samples[0].cumulative);
  EXPECT_FALSE(e.samples[1].cumulative);
  EXPECT_TRUE(e.samples[2].cumulative);
  EXPECT_FALSE(ParseExposition("a 1\n", ExpositionFormat::kOpenMetrics).complete);
  EXPECT_FALSE(ParseExposition("# EOF\na 1\n", ExpositionFormat::kOpenMetrics).complete);
}

TEST(Exposition, ABadLineIsCountedAndHidesNoOther) {
  for (const char* bad :
       {"a", "a b", "a 1 x", "a 1 2 3", "a{ 1", "a{b} 1", "a{b=c} 1", "a{b=\"c} 1",
        "a{b=\"c\" d=\"e\"} 1", "a{b=\"c\",b=\"d\"} 1", "{} 1", "a 1e999", "a 0x", "a --1", "9a 1",
        "a 1 # {b} 1", "# TYPE a colour", "a{b=\"\xff\"} 1"}) {
    const Exposition e = ReadText(std::string("x 1\n") + bad + "\ny 2\n");
    EXPECT_EQ(e.bad_lines, 1u) << bad;
    EXPECT_TRUE(e.first_fault.starts_with("line 2: ")) << bad;
    EXPECT_EQ(e.samples.size(), 2u) << bad;
  }
}

TEST(Exposition, ReadsWhatTheWriterWrites) {
  PrometheusWriter writer;
  writer.Family("f", "a\\b\nc", MetricType::kGauge);
  const std::pair<std::string_view, std::string_view> labels[] = {{"l", "\"\\\n"}};
  writer.Sample(labels, 0.1);
  writer.Sample({}, -INFINITY);
  const Exposition e = ReadText(writer.Take());
  EXPECT_EQ(e.bad_lines, 0u);
  EXPECT_EQ(e.families[0].help, "a\\b\nc");
  EXPECT_EQ(e.families[0].type, MetricType::kGauge);
  EXPECT_EQ(e.samples[0].Label("l"), "\"\\\n");
  EXPECT_EQ(e.samples[0].value, 0.1);
  EXPECT_EQ(e.samples[1].value, -INFINITY);
}

TEST(Exposition, TheContentTypeTellsTheFormat) {
  EXPECT_EQ(FormatOfContentType("application/openmetrics-text; version=1.0.0; charset=utf-8"),
            ExpositionFormat::kOpenMetrics);
  EXPECT_EQ(FormatOfContentType("text/plain; version=0.0.4"), ExpositionFormat::kText);
  EXPECT_EQ(FormatOfContentType(""), ExpositionFormat::kText);
}

}  // namespace
}  // namespace sextant::text
