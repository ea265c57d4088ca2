// What the report and the table say of decoupled models and of sequences.
//
// Threads: pure functions.
#pragma once

#include <algorithm>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "run/level.h"

namespace sextant::run {

// A column of the closing table.
struct Column {
  std::string_view title, unit;
  std::function<std::string(const Level&)> cell;
};

// Lines of a level's report; nothing where a level has none of it.
void AppendResponses(const Level& level, std::string& out);
void AppendSequences(const Level& level, std::string& out);
// Columns for those figures that any of the levels has.
std::vector<Column> StreamColumns(std::span<const Level> levels);

}  // namespace sextant::run
