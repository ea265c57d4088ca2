// Levels as text for people. Pure.
//
// The words are perf_analyzer's, so that its users and their scripts find their way; beside each
// figure stands its 95 % interval, or what is missing for one.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "run/level.h"

namespace sextant::run {

// A level's report, several lines. `grpc` names the protocol's line.
std::string FormatLevel(const Level& level);

// One table over all levels, a line each, with a heading.
enum class TableForm {
  kText,   // aligned, with a legend
  kColor,  // the same with colours of a terminal
  kCsv,    // without the units' line, which is in the titles: "p99 [ms]"
  kMarkdown,
  kJson,  // a list of objects, numbers as numbers
};
std::string FormatTable(std::span<const Level> levels, TableForm form = TableForm::kText);

}  // namespace sextant::run
