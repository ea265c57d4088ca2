// Lists of levels as people write them. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sextant::load {

// START..END, added to or multiplied by a step.
struct LevelRange {
  double start = 1, end = 1, step = 1;
  bool factor = false;
  bool single = false;  // written as one number
  // perf_analyzer's end of 0: there is none.
  bool open() const { return end == 0 && start > 0; }
  // From the index, so that rates such as 0.1:1:0.1 do not drift.
  double At(int i) const;
};

// Comma-separated parts, each one of: N, START:END[:STEP] (perf_analyzer's), START..END[+STEP], or
// START..END*FACTOR; ends are included where the steps meet them. Values below `least`, ranges that
// run the wrong way and lists of more than 1000 values are errors.
Result<std::vector<double>> ParseLevels(std::string_view text, double least);

// For searches: the text's one range, which may be open or have any number of values; nothing when
// it is a list. Errors as above.
Result<std::optional<LevelRange>> ParseLevelRange(std::string_view text, double least);

// A list of whole numbers: batch sizes, concurrencies.
struct CountList {
  std::vector<double> values;  // empty: only a search can walk the range
  std::string text;
  std::optional<LevelRange> range;  // when the text is a single one
};
// A list of rates.
struct RateList {
  std::vector<double> values;
  std::string text;
  std::optional<LevelRange> range;
};

}  // namespace sextant::load
