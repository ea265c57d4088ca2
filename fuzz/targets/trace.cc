// Files of arrivals: traces, request intervals, timestamps of fixed schedules.
#include "load/trace.h"

#include <algorithm>

#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sextant;  // NOLINT
  const std::string_view text = AsText(data, size);
  const auto check = [](const Result<load::Replay>& replay) {
    if (!replay.has_value()) return;
    Require(!replay->due.empty());
    Require(replay->due.front() >= Nanos(0));
    Require(std::is_sorted(replay->due.begin(), replay->due.end()));
    Require(replay->rows.empty() || replay->rows.size() == replay->due.size());
    Require(replay->mean_rate() > 0);
  };
  check(load::ParseTrace(text, {}));
  check(load::ParseTrace(text, {.unit = 1ms, .speed = 3}));
  check(load::ParseIntervals(text));
  return 0;
}
