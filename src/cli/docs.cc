// sextant docs and sextant completion: documents made from the option tables.
#include <cstdio>

#include "base/files.h"
#include "base/strings.h"
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
  std::string command, directory;
  Format_ format = Format_::kMarkdown;
};
struct CompletionOptions {
  Shell shell = Shell::kBash;
};

const options::Table<DocsOptions>& DocsTable() {
  static const options::Table<DocsOptions> table = [] {
    options::Table<DocsOptions> t(
        "docs", "Prints a command's reference page, man page or schema, or writes those of all");
    t.Add(&DocsOptions::command,
          {.name = "command", .letter = 'c', .value = "NAME", .help = "Of which command."});
    t.Add(&DocsOptions::directory,
          {.name = "directory",
           .letter = 'd',
           .value = "DIR",
           .help = "Instead: of all commands, a file each, into this directory.",
           .is_file = true});
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

std::string TextOf(const Command& command, Format_ format) {
  const options::TableBase& table = *command.table;
  switch (format) {
    case Format_::kMarkdown:
      return table.ReferencePage(command.defaults);
    case Format_::kMan:
      return table.ManPage(command.defaults, Version(), "2026");
    case Format_::kSchema:
      return table.JsonSchema(command.defaults);
    case Format_::kHelp:
      return table.Help(command.defaults, 100);
  }
  return {};
}

std::string FileNameOf(const Command& command, Format_ format) {
  const std::string_view name = command.table->command();
  switch (format) {
    case Format_::kMarkdown:
      return Format("{}.md", name);
    case Format_::kMan:
      return Format("sextant-{}.1", name);
    case Format_::kSchema:
      return Format("{}.schema.json", name);
    case Format_::kHelp:
      return Format("{}.txt", name);
  }
  return {};
}

Result<void> WriteAll(const DocsOptions& options) {
  SEXTANT_TRY(MakeDirectories(options.directory));
  for (const Command& command : Commands()) {
    SEXTANT_TRY(WriteFileAtomic(JoinPath(options.directory, FileNameOf(command, options.format)),
                                TextOf(command, options.format)));
  }
  return {};
}

int RunDocs(std::span<const std::string_view> arguments) {
  DocsOptions options;
  static const DocsOptions defaults;
  const auto check = [&]() -> std::vector<options::Mistake> {
    if (options.command.empty() == options.directory.empty())
      return {{"command line", "give --command NAME, or --directory DIR for all of them"}};
    return {};
  };
  if (const auto exit_code = ParseOrExit(DocsTable(), &options, &defaults, arguments, check))
    return *exit_code;
  if (!options.directory.empty()) {
    const Result<void> written = WriteAll(options);
    if (written.has_value()) return kExitOk;
    PrintError("docs", written.error());
    return kExitFailure;
  }
  const Command* command = FindCommand(options.command);
  if (command == nullptr) {
    PrintError("docs", InvalidArgument(Format("--command '{}': there is no such command",
                                              Printable(options.command, 60))));
    return kExitUsage;
  }
  std::fputs(TextOf(*command, options.format).c_str(), stdout);
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
