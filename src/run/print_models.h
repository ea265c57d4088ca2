// What the report and the table say of several models under one load.
//
// Threads: pure functions.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "run/level.h"
#include "run/print_streams.h"

namespace sextant::run {

// The closing table's lines: each level, and below it its models.
using TableRows = std::vector<const Level*>;
TableRows RowsOf(std::span<const Level> levels);

// Which model a line is of, and its share of the requests; none where no level has several.
std::vector<Column> ModelColumns(std::span<const Level> levels);
// The columns that come first in the report of one level.
std::vector<Column> ModelReportColumns(const Level& level);
// Lines for what a table cannot hold: how requests of a model failed, and which of its percentiles
// need more requests.
void AppendModelRemarks(const Level& level, std::string& out);

}  // namespace sextant::run
