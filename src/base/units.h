// Durations, sizes and rates as people write and read them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace sextant {

// "250us", "1.5s", "2m30s", "500ms", "1h"; units ns us ms s m h. A bare number takes `bare_unit`
// (0ns: a unit is required). Not negative.
Result<Nanos> ParseDuration(std::string_view text, Nanos bare_unit = Nanos(0));
// The shortest exact form that ParseDuration reads back: "1.5s", "250us".
std::string FormatDuration(Nanos d);
// For tables: three significant digits and a unit: "12.3 ms".
std::string HumanDuration(Nanos d);

// ISO 8601 with its zone ("2026-11-21T18:05:00Z", "2026-11-21T19:05:00.5+01:00"), or Unix seconds.
Result<WallTime> ParseWallTime(std::string_view text);

// "64", "64KiB", "1.5MB", "2G" (bytes; K/M/G/T alone and with iB are powers of 1024, with B of
// 1000).
Result<uint64_t> ParseBytes(std::string_view text);
// "1.5 MiB"
std::string HumanBytes(double bytes);
// Three or more significant digits without exponent: 865.6, 12,346, 0.5.
std::string HumanNumber(double value);

}  // namespace sextant
