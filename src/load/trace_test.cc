#include "load/trace.h"

#include <gtest/gtest.h>

namespace sextant::load {
namespace {

std::string Fault(std::string_view text, const TraceOptions& options = {}) {
  const auto trace = ParseTrace(text, options);
  return trace.has_value() ? std::string() : trace.error().message();
}

TEST(Traces, StateTheirUnitInTheHeadingOrByTheOption) {
  const std::vector<Nanos> due{0ms, 250ms, 1500ms};
  EXPECT_EQ(ParseTrace("timestamp_ms\n1000\n1250\n2500\n", {})->due, due);
  EXPECT_EQ(ParseTrace("timestamp_s,user\n1,a\n1.25,\"b,c\"\n2.5,d\n", {})->due, due);
  EXPECT_EQ(ParseTrace("7000000\n7250000\n8500000", {.unit = 1us})->due, due);
  EXPECT_EQ(
      ParseTrace("{\"timestamp\": 7}\n{\"timestamp\": 7.25}\n{\"timestamp\": 8.5}\n", {.unit = 1s})
          ->due,
      due);
  EXPECT_EQ(ParseTrace("# a comment\r\n\r\ntimestamp_us\r\n0\r\n250000\r\n1.5e6\r\n", {})->due,
            due);
  EXPECT_EQ(Fault("1000\n1250\n"),
            "line 1: the unit of the timestamps is not stated: name the column timestamp_s, "
            "timestamp_ms, timestamp_us or timestamp_ns, or give --trace-unit");
  EXPECT_EQ(Fault("timestamp_ms\n1\n", {.unit = 1s}),
            "line 2: the file states another unit than --trace-unit");
}

TEST(Traces, KeepTheNanosecondsOfUnixTimes) {
  EXPECT_EQ(ParseTrace("timestamp_s\n1763743805.123456789\n1763743805.123456790\n", {})->due,
            (std::vector<Nanos>{0ns, 1ns}));
}

TEST(Traces, InAnyOrderAreSortedWithTheirRows) {
  const Replay trace = *ParseTrace("timestamp_s,row\n3,30\n1,10\n2,20\n", {});
  EXPECT_EQ(trace.due, (std::vector<Nanos>{0s, 1s, 2s}));
  EXPECT_EQ(trace.rows, (std::vector<uint32_t>{10, 20, 30}));
  EXPECT_EQ(ParseTrace("5,7\n6,8\n", {.unit = 1s})->rows, (std::vector<uint32_t>{7, 8}));
  EXPECT_EQ(ParseTrace("{\"timestamp_ms\":1,\"index\":4}\n", {})->rows, (std::vector<uint32_t>{4}));
}

TEST(Traces, RunFasterOrSlowerByTheirSpeed) {
  EXPECT_EQ(ParseTrace("timestamp_s\n0\n1\n4\n", {.speed = 2})->due,
            (std::vector<Nanos>{0s, 500ms, 2s}));
  EXPECT_EQ(ParseTrace("timestamp_s\n0\n1\n", {.speed = 0.1})->due, (std::vector<Nanos>{0s, 10s}));
}

TEST(Traces, ListTheirFaultsWithLines) {
  EXPECT_EQ(Fault("timestamp_s,row\n1,2\nx,3\n4,-1\n5,\n"),
            "line 3: 'x' is not a timestamp; line 4: '-1' is not a row of the input data; line 5: "
            "this arrival names no row, and those before do");
  EXPECT_EQ(Fault("{\"time\":1}"), "line 1: there is no member timestamp");
  EXPECT_EQ(Fault("a,b\n1,2\n"),
            "line 1: the heading has no column timestamp, timestamp_s, timestamp_ms, timestamp_us "
            "or timestamp_ns");
  EXPECT_EQ(Fault("\n#\n"), "it has no arrivals");
  EXPECT_NE(Fault("timestamp_s\n0\n9000000000\n"), "");
  std::string many = "timestamp_s\n";
  for (int i = 0; i < 25; ++i) many += "?\n";
  EXPECT_NE(Fault(many).find("and 5 more"), std::string::npos);
}

TEST(Intervals, AreWholeMicrosecondsAndNotAllZero) {
  EXPECT_EQ(ParseIntervals("0\n5\n")->due, (std::vector<Nanos>{0us, 0us}));
  EXPECT_EQ(ParseIntervals("0\n0\n").error().message(),
            "its intervals are all 0: the rate would have no limit");
  EXPECT_EQ(
      ParseIntervals("1.5\nx").error().message(),
      "line 1: '1.5' is not a whole number of microseconds of at most an hour; line 2: 'x' is "
      "not a whole number of microseconds of at most an hour");
  EXPECT_EQ(ParseIntervals("").error().message(), "it has no intervals");
}

TEST(FixedSchedules, SendRowsInTheOrderOfTheirTimes) {
  const Replay schedule = *MakeFixedSchedule({20ms, 0ms, 7500us});
  EXPECT_EQ(schedule.due, (std::vector<Nanos>{0ms, 7500us, 20ms}));
  EXPECT_EQ(schedule.rows, (std::vector<uint32_t>{1, 2, 0}));
  EXPECT_FALSE(MakeFixedSchedule({}).has_value());
}

}  // namespace
}  // namespace sextant::load
