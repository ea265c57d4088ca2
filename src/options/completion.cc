#include "options/completion.h"

namespace sextant::options {
namespace {

std::vector<std::string> CompletionWords(const TableBase& table) {
  std::vector<std::string> words;
  const auto add = [&](const Row& row) {
    words.push_back(Format("--{}", row.spec.name));
    if (row.spec.letter != 0) words.push_back(Format("-{}", row.spec.letter));
  };
  for (const Row& row : table.rows()) add(row);
  for (const Row& row : CommonRows()) add(row);
  return words;
}

std::string JoinViews(const std::vector<std::string_view>& views, std::string_view separator) {
  std::string out;
  for (const std::string_view view : views)
    out += Format("{}{}", out.empty() ? "" : separator, view);
  return out;
}

std::string SingleQuoted(std::string_view text) {
  std::string out;
  for (const char c : text)
    out += c == '\'' ? std::string("'\\''") : std::string(1, c == '\n' ? ' ' : c);
  return out;
}

}  // namespace

std::string BashCompletion(std::string_view program, std::span<const TableBase* const> commands) {
  std::string names;
  for (const TableBase* table : commands)
    names += Format("{}{}", names.empty() ? "" : " ", table->command());
  std::string out = Format(
      "# bash completion for {0}; source it, or put it into /etc/bash_completion.d\n_{0}() {{\n",
      program);
  out +=
      "  local current=\"${COMP_WORDS[COMP_CWORD]}\" previous=\"${COMP_WORDS[COMP_CWORD-1]}\" "
      "words=\n";
  AppendFormat(out,
               "  if (( COMP_CWORD == 1 )); then\n    COMPREPLY=($(compgen -W '{} --version "
               "--help' -- \"$current\"))\n    return\n  fi\n",
               names);
  out += "  case \"${COMP_WORDS[1]} $previous\" in\n";
  for (const TableBase* table : commands) {
    for (const Row& row : table->rows()) {
      if (!row.choices.empty()) {
        AppendFormat(out,
                     "    '{} --{}') COMPREPLY=($(compgen -W '{}' -- \"$current\")); return ;;\n",
                     table->command(), row.spec.name, JoinViews(row.choices, " "));
      } else if (row.spec.is_file) {
        AppendFormat(out, "    '{} --{}') COMPREPLY=($(compgen -f -- \"$current\")); return ;;\n",
                     table->command(), row.spec.name);
      }
    }
  }
  out +=
      "    *' --config') COMPREPLY=($(compgen -f -- \"$current\")); return ;;\n  esac\n  case "
      "\"${COMP_WORDS[1]}\" in\n";
  for (const TableBase* table : commands)
    AppendFormat(out, "    {}) words='{}' ;;\n", table->command(),
                 Join(CompletionWords(*table), " "));
  AppendFormat(out,
               "  esac\n  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n}}\ncomplete -o "
               "default -F _{0} {0}\n",
               program);
  return out;
}

std::string ZshCompletion(std::string_view program, std::span<const TableBase* const> commands) {
  std::string out = Format(
      "#compdef {0}\n_{0}() {{\n  if (( CURRENT == 2 )); then\n    local -a commands=(\n", program);
  const auto escape = [](std::string_view text) {
    std::string quoted;
    for (const char c : SingleQuoted(text)) {
      if (c == ':' || c == '[' || c == ']') quoted += '\\';
      quoted += c;
    }
    return quoted;
  };
  for (const TableBase* table : commands)
    AppendFormat(out, "      '{}:{}'\n", table->command(), escape(table->summary()));
  out += "    )\n    _describe command commands\n    return\n  fi\n  case $words[2] in\n";
  for (const TableBase* table : commands) {
    AppendFormat(out, "    {})\n      _arguments \\\n", table->command());
    const auto add = [&](const Row& row) {
      const std::string action = !row.choices.empty() ? Format("({})", JoinViews(row.choices, " "))
                                 : row.spec.is_file   ? "_files"
                                                      : "";
      AppendFormat(out, "        '{}--{}{}[{}]{}' \\\n", row.repeats ? "*" : "", row.spec.name,
                   row.flag ? "" : "=", escape(row.spec.help.substr(0, row.spec.help.find('.'))),
                   row.flag ? "" : Format(":{}:{}", escape(ToLower(row.spec.value)), action));
    };
    for (const Row& row : table->rows()) add(row);
    for (const Row& row : CommonRows()) add(row);
    out += "        && return ;;\n";
  }
  AppendFormat(out, "  esac\n}}\ncompdef _{0} {0}\n", program);
  return out;
}

std::string FishCompletion(std::string_view program, std::span<const TableBase* const> commands) {
  std::string out = Format("# fish completion for {}\n", program);
  for (const TableBase* table : commands) {
    AppendFormat(out, "complete -c {} -n __fish_use_subcommand -f -a {} -d '{}'\n", program,
                 table->command(), SingleQuoted(table->summary()));
  }
  for (const TableBase* table : commands) {
    const auto add = [&](const Row& row) {
      AppendFormat(out, "complete -c {} -n '__fish_seen_subcommand_from {}' -l {}", program,
                   table->command(), row.spec.name);
      if (row.spec.letter != 0) AppendFormat(out, " -s {}", row.spec.letter);
      if (!row.flag) out += row.spec.is_file ? " -r -F" : " -x";
      if (!row.choices.empty()) AppendFormat(out, " -a '{}'", JoinViews(row.choices, " "));
      AppendFormat(out, " -d '{}'\n",
                   SingleQuoted(row.spec.help.substr(0, row.spec.help.find('.'))));
    };
    for (const Row& row : table->rows()) add(row);
    for (const Row& row : CommonRows()) add(row);
  }
  return out;
}

}  // namespace sextant::options
