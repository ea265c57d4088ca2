// What a command is to the program: its option table, and what it does.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "options/table.h"

namespace sextant::cli {

// Exit codes; a command's page says which it uses. Signals end a command with 128 + their number.
constexpr int kExitOk = 0;
constexpr int kExitFailure = 1;  // the work could not be done
constexpr int kExitUsage = 2;    // the command line or a file it names is wrong
constexpr int kExitVerdict = 3;  // the work was done and its result is not what was asked for

struct Command {
  const options::TableBase* table;
  // A default-constructed options struct, for the documents.
  const void* defaults;
  int (*run)(std::span<const std::string_view> arguments);
};

// All commands, in the order in which help lists them.
std::span<const Command> Commands();
const Command* FindCommand(std::string_view name);

// Parses into `options`. Returns an exit code when there is nothing left to do (help,
// --print-config, mistakes), and nothing when the command should run. `check` finds the mistakes
// that the table cannot see; they are reported together with the table's.
std::optional<int> ParseOrExit(const options::TableBase& table, void* options, const void* defaults,
                               std::span<const std::string_view> arguments,
                               const std::function<std::vector<options::Mistake>()>& check = {});

// Columns of the terminal on stdout, or 100.
size_t TerminalWidth();

// What this program is called in front of a command's messages: "sextant perf", or the name that it
// was started under in place of another, such as "perf_analyzer".
std::string ProgramName(std::string_view command);
// To be called before anything else, if at all.
void SetProgramName(std::string name);

// Prints "sextant COMMAND: error" to stderr; of a warning, "sextant COMMAND: warning: text".
// Secrets are blotted out.
void PrintError(std::string_view command, const Error& error);
void PrintWarning(std::string_view command, std::string_view text);

// One per command, each in its own file.
Command PerfCommand();
Command AnalyzeCommand();
Command ServeCommand();
Command DoctorCommand();
Command DocsCommand();
Command CompletionCommand();

}  // namespace sextant::cli
