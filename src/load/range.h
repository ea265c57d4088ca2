// Lists of levels as people write them. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sextant::load {

// Comma-separated parts, each one of: N, START:END[:STEP] (perf_analyzer's), START..END[+STEP], or
// START..END*FACTOR; ends are included where the steps meet them. Values below `least`, ranges that
// run the wrong way and lists of more than 1000 values are errors.
Result<std::vector<double>> ParseLevels(std::string_view text, double least);

// A list of whole numbers: batch sizes, concurrencies.
struct CountList {
  std::vector<double> values;
  std::string text;
};
// A list of rates.
struct RateList {
  std::vector<double> values;
  std::string text;
};

}  // namespace sextant::load
