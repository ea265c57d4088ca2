// Arrivals from files: recorded traces, perf_analyzer's request intervals and fixed schedules.
//
// Pure: bytes in, arrivals out. Errors are kCorrupt and list every fault with its line, up to 20.
// Threads: plain values.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "load/schedule.h"

namespace sextant::load {

struct TraceOptions {
  std::optional<Nanos> unit;  // of a timestamp; needed where the file does not state it
  double speed = 1;           // > 1: faster than recorded
};
// One arrival per line, as CSV or as JSON objects (JSON Lines). The column or member `timestamp_s`,
// `timestamp_ms`, `timestamp_us` or `timestamp_ns` states its unit itself; plain `timestamp`, or
// the first column of a CSV without heading, takes the option's. `row` (or `index`, or the second
// column without heading) names the row of the input data. Other columns, empty lines and lines
// that begin with # are left out. Timestamps may be of any clock and in any order: the earliest is
// due at 0.
Result<Replay> ParseTrace(std::string_view text, const TraceOptions& options);

// perf_analyzer's --request-intervals: the time to the next request in whole microseconds, one per
// line, over and over.
Result<Replay> ParseIntervals(std::string_view text);

// perf_analyzer's --fixed-schedule: row i is due at due[i], since the start. Times before 0 are
// errors, and any order will do.
Result<Replay> MakeFixedSchedule(const std::vector<Nanos>& due);

// "s", "ms", "us", "ns"
std::optional<Nanos> ParseTimeUnit(std::string_view name);

}  // namespace sextant::load
