// sextant docs and sextant completion: documents made from the option tables.
#include <cstdio>

#include "base/version.h"
#include "cli/command.h"
#include "options/completion.h"

namespace sextant::cli {

enum class Format_ { kMarkdown, kMan, kSchema, kHelp };
enum class Shell { kBash, kZsh, kFish };

}  // namespace sextant::cli

namespace sextant::options {

template <>
struct EnumNames<cli::Format_> {
  static constexpr std::pair<std::string_view, cli::Format_> kNames[] = {
      {"markdown", cli::Format_::kMarkdown},
      {"man", cli::Format_::kMan},
      {"schema", cli::Format_::kSchema},
      {"help", cli::Format_::kHelp}};
};
template <>
struct EnumNames<cli::Shell> {
  static constexpr std::pair<std::string_view, cli::Shell> kNames[] = {
      {"bash", cli::Shell::kBash}, {"zsh", cli::Shell::kZsh}, {"fish", cli::Shell::kFish}};
};

}  // namespace sextant::options

namespace sextant::cli {
namespace {

struct DocsOptions {
  std::string command;
  Format_ format = Format_::kMarkdown;
};
struct CompletionOptions {
  Shell shell = Shell::kBash;
};

const options::Table<DocsOptions>& DocsTable() {
  static const options::Table<DocsOptions> table = [] {
    options::Table<DocsOptions> t("docs", "Prints a command's reference page, man page or schema");
    t.Add(&DocsOptions::command, {.name = "command",
                                  .letter = 'c',
                                  .value = "NAME",
                                  .help = "Of which command.",
                                  .required = true});
    t.Add(&DocsOptions::format, {.name = "format",
                                 .letter = 'f',
                                 .value = "FORMAT",
                                 .help = "As what; schema is the JSON schema of --config's file."});
    return t;
  }();
  return table;
}

const options::Table<CompletionOptions>& CompletionTable() {
  static const options::Table<CompletionOptions> table = [] {
    options::Table<CompletionOptions> t(
        "completion", "Prints a shell's completion script",
        "Prints a completion script: source <(sextant completion --shell bash)");
    t.Add(&CompletionOptions::shell,
          {.name = "shell", .letter = 's', .value = "SHELL", .help = "For which shell."});
    return t;
  }();
  return table;
}

int RunDocs(std::span<const std::string_view> arguments) {
  DocsOptions options;
  static const DocsOptions defaults;
  if (const auto exit_code = ParseOrExit(DocsTable(), &options, &defaults, arguments))
    return *exit_code;
  const Command* command = FindCommand(options.command);
  if (command == nullptr) {
    PrintError("docs", InvalidArgument(Format("--command '{}': there is no such command",
                                              Printable(options.command, 60))));
    return kExitUsage;
  }
  const options::TableBase& table = *command->table;
  std::string text;
  switch (options.format) {
    case Format_::kMarkdown:
      text = table.ReferencePage(command->defaults);
      break;
    case Format_::kMan:
      text = table.ManPage(command->defaults, Version(), "2026");
      break;
    case Format_::kSchema:
      text = table.JsonSchema(command->defaults);
      break;
    case Format_::kHelp:
      text = table.Help(command->defaults, 100);
      break;
  }
  std::fputs(text.c_str(), stdout);
  return kExitOk;
}

int RunCompletion(std::span<const std::string_view> arguments) {
  CompletionOptions options;
  static const CompletionOptions defaults;
  if (const auto exit_code = ParseOrExit(CompletionTable(), &options, &defaults, arguments))
    return *exit_code;
  std::vector<const options::TableBase*> tables;
  for (const Command& command : Commands()) tables.push_back(command.table);
  const std::string script =
      options.shell == Shell::kBash  ? options::BashCompletion("sextant", tables)
      : options.shell == Shell::kZsh ? options::ZshCompletion("sextant", tables)
                                     : options::FishCompletion("sextant", tables);
  std::fputs(script.c_str(), stdout);
  return kExitOk;
}

}  // namespace

Command DocsCommand() {
  static const DocsOptions defaults;
  return {&DocsTable(), &defaults, RunDocs};
}

Command CompletionCommand() {
  static const CompletionOptions defaults;
  return {&CompletionTable(), &defaults, RunCompletion};
}

}  // namespace sextant::cli
