#include "cli/command.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "base/files.h"
#include "base/secrets.h"
#include "cli/perf_transport.h"

namespace sextant::cli {

std::span<const Command> Commands() {
  static const std::array commands = {PerfCommand(),   AnalyzeCommand(), ServeCommand(),
                                      DoctorCommand(), DocsCommand(),    CompletionCommand()};
  return commands;
}

const Command* FindCommand(std::string_view name) {
  for (const Command& command : Commands()) {
    if (command.table->command() == name) return &command;
  }
  return nullptr;
}

namespace {

std::string& OtherName() {
  static std::string name;
  return name;
}

// A table's text names the program as it usually is called.
std::string NamedAsStarted(std::string text, std::string_view command) {
  if (OtherName().empty()) return text;
  const std::string usual = Format("sextant {}", command);
  for (size_t at = 0; (at = text.find(usual, at)) != std::string::npos; at += OtherName().size())
    text.replace(at, usual.size(), OtherName());
  return text;
}

}  // namespace

std::string ProgramName(std::string_view command) {
  return OtherName().empty() ? Format("sextant {}", command) : OtherName();
}

void SetProgramName(std::string name) { OtherName() = std::move(name); }

std::optional<int> ParseOrExit(const options::TableBase& table, void* options, const void* defaults,
                               std::span<const std::string_view> arguments,
                               const std::function<std::vector<options::Mistake>()>& check) {
  options::Common common;
  auto mistakes =
      table.ParseInto(options,
                      {.arguments = arguments,
                       .environment = [](const char* name) { return std::getenv(name); },
                       .read_file = ReadFile},
                      common);
  if (common.help) {
    std::fputs(NamedAsStarted(table.Help(defaults, TerminalWidth()), table.command()).c_str(),
               stdout);
    return kExitOk;
  }
  // A configuration may be printed before it is complete.
  if (check && !common.print_config) {
    for (options::Mistake& mistake : check()) mistakes.push_back(std::move(mistake));
  }
  // What is missing may stand in what was not understood: first things first.
  if (!common.understood) std::erase_if(mistakes, [](const auto& m) { return m.missing; });
  if (!mistakes.empty()) {
    std::fputs(options::FormatMistakes(ProgramName(table.command()), mistakes).c_str(), stderr);
    return kExitUsage;
  }
  if (common.print_config) {
    std::fputs(table.PrintConfig(options, ShownOption).c_str(), stdout);
    return kExitOk;
  }
  return std::nullopt;
}

size_t TerminalWidth() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 100;
}

void PrintError(std::string_view command, const Error& error) {
  std::fprintf(stderr, "%s: %s\n", ProgramName(command).c_str(),
               RedactSecrets(error.message()).c_str());
}

void PrintWarning(std::string_view command, std::string_view text) {
  std::fprintf(stderr, "%s: warning: %s\n", ProgramName(command).c_str(),
               RedactSecrets(text).c_str());
}

}  // namespace sextant::cli
