// The run file: what was measured and under what, one JSON value per line (JSON Lines).
//
// The first line is the header (tool, options, machine, server, model), then a line per level, then
// a footer. A level is on disk when Append returns, so a killed run leaves a file whose finished
// levels read back; the reader drops an unfinished last line and says that the run is incomplete.
// Format name "sextant-run", version 1; docs/reference/run-file.md describes every member.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "run/level.h"
#include "text/json.h"

namespace sextant::run {

constexpr int kRunFileVersion = 1;

// Members of the header in order of appearance; "format" and "version" are added in front.
class RunWriter {
 public:
  static Result<RunWriter> Create(const std::string& path, const text::Json& header);
  Result<void> Append(const Level& level);
  // What a search found: a line of type "search" with these members.
  Result<void> AppendSearch(const text::Json& search);
  Result<void> Finish(std::string_view reason, int exit_code);

 private:
  explicit RunWriter(AppendFile file) : file_(std::move(file)) {}
  AppendFile file_;
};

struct Run {
  text::Json header;
  std::vector<Level> levels;
  std::vector<text::Json> searches;
  std::optional<std::string> end_reason;  // absent: the run was cut off
  bool dropped_tail = false;              // an unfinished last line was left out
};
// Errors: kCorrupt with the line; a wrong format name or a newer version is named.
Result<Run> ParseRun(std::string_view text);

text::Json LevelToJson(const Level& level);
Result<Level> LevelFromJson(const text::Json& json);

}  // namespace sextant::run
