#include "cli/command.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "base/files.h"
#include "base/secrets.h"

namespace sextant::cli {

std::span<const Command> Commands() {
  static const std::array commands = {PerfCommand(), ServeCommand(), DoctorCommand(), DocsCommand(),
                                      CompletionCommand()};
  return commands;
}

const Command* FindCommand(std::string_view name) {
  for (const Command& command : Commands()) {
    if (command.table->command() == name) return &command;
  }
  return nullptr;
}

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
    std::fputs(table.Help(defaults, TerminalWidth()).c_str(), stdout);
    return kExitOk;
  }
  // A configuration may be printed before it is complete.
  if (check && !common.print_config) {
    for (options::Mistake& mistake : check()) mistakes.push_back(std::move(mistake));
  }
  if (!mistakes.empty()) {
    std::fputs(options::FormatMistakes(table.command(), mistakes).c_str(), stderr);
    return kExitUsage;
  }
  if (common.print_config) {
    std::fputs(table.PrintConfig(options).c_str(), stdout);
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
  std::fprintf(stderr, "sextant %.*s: %s\n", static_cast<int>(command.size()), command.data(),
               RedactSecrets(error.message()).c_str());
}

}  // namespace sextant::cli
