#include "options/table.h"

#include <algorithm>
#include <cctype>

#include "text/yaml.h"

namespace sextant::options {

const std::vector<Row>& CommonRows() {
  static const std::vector<Row> rows = [] {
    std::vector<Row> out;
    const auto flag = [&](std::string_view name, char letter, std::string_view help,
                          bool Common::* member) {
      Row row{.spec = {.name = name, .letter = letter, .help = help},
              .group = "General",
              .flag = true,
              .allowed = "true or false"};
      row.set = [member](void* common, std::string_view text) -> Result<void> {
        SEXTANT_ASSIGN(static_cast<Common*>(common)->*member, ValueType<bool>::Parse(text, {}));
        return {};
      };
      out.push_back(std::move(row));
    };
    Row config{.spec = {.name = "config",
                        .value = "FILE",
                        .help = "Takes options from a YAML file: its keys are the long names.",
                        .is_file = true},
               .group = "General",
               .allowed = "a file"};
    config.set = [](void* common, std::string_view text) -> Result<void> {
      static_cast<Common*>(common)->config_file = text;
      return {};
    };
    out.push_back(std::move(config));
    flag("print-config", 0, "Prints the options in force as such a file, and stops.",
         &Common::print_config);
    flag("help", 'h', "Prints this help, and stops.", &Common::help);
    return out;
  }();
  return rows;
}

namespace {

bool IsCommon(const Row& row) { return row.group == "General"; }

// Long names may be written with '_' too, as YAML keys often are.
bool SameName(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return (x == '_' ? '-' : x) == (y == '_' ? '-' : y);
         });
}

bool HasPrefix(std::string_view name, std::string_view prefix) {
  return name.size() > prefix.size() && SameName(name.substr(0, prefix.size()), prefix);
}

std::string EnvironmentName(std::string_view name) {
  std::string out = "SEXTANT_";
  for (const char c : name)
    out += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

struct Lookup {
  const Row* row = nullptr;
  bool negated = false;  // --no-NAME
  std::string fault;
};

class Parser {
 public:
  Parser(const TableBase& table, void* options, Common& common)
      : rows_(table.rows()), refused_(table.refused()), options_(options), common_(common) {}

  void Arguments(std::span<const std::string_view> arguments);
  void Environment(const std::function<const char*(const char*)>& environment);
  void File(const std::string& name, std::string_view text);
  void CheckRequired();
  std::vector<Mistake> Take() { return std::move(mistakes_); }

 private:
  enum class Source { kArguments, kEnvironment, kFile };

  template <typename F>
  void ForEachRow(F&& visit) const {
    for (const Row& row : rows_) visit(row);
    for (const Row& row : CommonRows()) visit(row);
  }
  std::vector<std::string_view> AllNames() const;
  Lookup Find(std::string_view name, bool prefixes) const;
  void Set(const Row& row, std::string_view value, Source source, std::string_view spelled,
           const std::string& where);
  void Fault(const std::string& where, std::string text) {
    mistakes_.push_back({where, std::move(text)});
  }
  // A fault that may have swallowed options.
  void NotUnderstood(const std::string& where, std::string text) {
    common_.understood = false;
    Fault(where, std::move(text));
  }
  void NeedsValue(const std::string& where, std::string_view spelled, const Row& row);
  size_t Letters(std::string_view letters, std::span<const std::string_view> rest);

  const std::vector<Row>& rows_;
  const std::map<std::string_view, std::string_view>& refused_;
  void* options_;
  Common& common_;
  std::vector<Mistake> mistakes_;
  std::map<const Row*, Source> set_by_;  // the strongest source that has set a row
};

std::vector<std::string_view> Parser::AllNames() const {
  std::vector<std::string_view> names;
  ForEachRow([&](const Row& row) {
    names.push_back(row.spec.name);
    names.insert(names.end(), row.spec.aliases.begin(), row.spec.aliases.end());
  });
  return names;
}

Lookup Parser::Find(std::string_view name, bool prefixes) const {
  Lookup exact;
  std::vector<std::pair<std::string_view, const Row*>> by_prefix;
  const auto consider = [&](const Row& row, std::string_view known, bool negated) {
    if (SameName(known, name)) exact = {&row, negated, {}};
    if (prefixes && HasPrefix(known, name)) by_prefix.emplace_back(known, &row);
  };
  std::vector<std::string> negations;  // keeps the texts that views refer to
  ForEachRow([&](const Row& row) {
    consider(row, row.spec.name, false);
    for (const std::string_view alias : row.spec.aliases) consider(row, alias, false);
    if (row.flag && !IsCommon(row) && SameName(Format("no-{}", row.spec.name), name))
      exact = {&row, true, {}};
  });
  if (exact.row != nullptr) return exact;
  const bool one = !by_prefix.empty() &&
                   std::all_of(by_prefix.begin(), by_prefix.end(),
                               [&](const auto& p) { return p.second == by_prefix[0].second; });
  if (one) return {by_prefix[0].second, false, {}};
  if (!by_prefix.empty()) {
    std::vector<std::string> candidates;
    for (const auto& [known, row] : by_prefix) candidates.push_back(Format("--{}", known));
    return {nullptr, false, Format("is ambiguous: {}", Join(candidates, ", "))};
  }
  for (const auto& [refused, why] : refused_) {
    if (SameName(refused, name)) return {nullptr, false, std::string(why)};
  }
  std::string fault = "is not an option";
  if (const auto nearest = NearestName(name, AllNames()))
    fault += Format("; did you mean --{}?", *nearest);
  return {nullptr, false, fault};
}

void Parser::Set(const Row& row, std::string_view value, Source source, std::string_view spelled,
                 const std::string& where) {
  const auto it = set_by_.find(&row);
  if (it != set_by_.end() && it->second < source) return;  // a stronger source has spoken
  // The first value of a source replaces what weaker ones and the default have put there.
  if (row.repeats && (it == set_by_.end() || it->second != source)) row.clear(options_);
  set_by_[&row] = source;
  void* target = IsCommon(row) ? static_cast<void*>(&common_) : options_;
  if (Result<void> result = row.set(target, value); !result.has_value()) {
    Fault(where, Format("{} '{}': {}", spelled, Printable(value, 80), result.error().message()));
  }
}

void Parser::Arguments(std::span<const std::string_view> arguments) {
  const std::string where = "command line";
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (argument.starts_with("--") && argument.size() > 2) {
      const size_t equals = argument.find('=');
      const std::string_view name =
          argument.substr(2, equals == std::string_view::npos ? equals : equals - 2);
      const std::string spelled = Format("--{}", name);
      const Lookup found = Find(name, true);
      if (found.row == nullptr) {
        NotUnderstood(where, Format("--{} {}", Printable(name, 60), found.fault));
        // Whatever follows an unknown option is its value more likely than a stray word.
        if (equals == std::string_view::npos && i + 1 < arguments.size() &&
            !arguments[i + 1].starts_with('-'))
          ++i;
        continue;
      }
      const bool next_is_bool =
          i + 1 < arguments.size() && (arguments[i + 1] == "true" || arguments[i + 1] == "false");
      if (found.negated) {
        if (equals != std::string_view::npos) Fault(where, Format("{} takes no value", spelled));
        Set(*found.row, "false", Source::kArguments, spelled, where);
      } else if (equals != std::string_view::npos) {
        Set(*found.row, argument.substr(equals + 1), Source::kArguments, spelled, where);
      } else if (found.row->flag) {
        Set(*found.row, next_is_bool ? arguments[++i] : "true", Source::kArguments, spelled, where);
      } else if (i + 1 >= arguments.size()) {
        NeedsValue(where, spelled, *found.row);
      } else {
        Set(*found.row, arguments[++i], Source::kArguments, spelled, where);
        while (found.row->spec.takes_more && i + 1 < arguments.size() &&
               !arguments[i + 1].starts_with('-'))
          Set(*found.row, arguments[++i], Source::kArguments, spelled, where);
      }
    } else if (argument.starts_with('-') && argument.size() > 1) {
      i += Letters(argument.substr(1), arguments.subspan(i + 1));
    } else {
      NotUnderstood(where, Format("'{}' is not expected here: options start with '-'",
                                  Printable(argument, 60)));
    }
  }
}

// Where any text will do, only its meaning says what to write.
void Parser::NeedsValue(const std::string& where, std::string_view spelled, const Row& row) {
  const std::string what = row.allowed == ValueType<std::string>::Describe({})
                               ? Format("{}: {}", row.spec.value, row.spec.help)
                               : row.allowed;
  NotUnderstood(where, Format("{} needs a value: {}", spelled, what));
}

// -v, -vq, -v=false, -mNAME, -m NAME. Returns how many of the following arguments were used.
size_t Parser::Letters(std::string_view letters, std::span<const std::string_view> rest) {
  const std::string where = "command line";
  while (!letters.empty()) {
    const Row* row = nullptr;
    ForEachRow([&](const Row& candidate) {
      if (candidate.spec.letter == letters[0]) row = &candidate;
    });
    const std::string spelled = Format("-{}", Printable(letters.substr(0, 1)));
    if (row == nullptr) {
      NotUnderstood(where, Format("{} is not an option", spelled));
      return 0;
    }
    letters.remove_prefix(1);
    if (row->flag && letters.starts_with('=')) {
      Set(*row, letters.substr(1), Source::kArguments, spelled, where);
      return 0;
    }
    if (row->flag) {
      Set(*row, "true", Source::kArguments, spelled, where);
      continue;
    }
    if (!letters.empty()) {
      Set(*row, letters.starts_with('=') ? letters.substr(1) : letters, Source::kArguments, spelled,
          where);
      return 0;
    }
    if (rest.empty()) {
      NeedsValue(where, spelled, *row);
      return 0;
    }
    Set(*row, rest[0], Source::kArguments, spelled, where);
    return 1;
  }
  return 0;
}

void Parser::Environment(const std::function<const char*(const char*)>& environment) {
  for (const Row& row : rows_) {
    const std::string name = EnvironmentName(row.spec.name);
    const char* value = environment(name.c_str());
    if (value == nullptr) continue;
    if (!row.repeats) {
      Set(row, value, Source::kEnvironment, name, "environment");
      continue;
    }
    for (const std::string_view part : Split(value, '\n'))
      Set(row, part, Source::kEnvironment, name, "environment");
  }
}

void Parser::File(const std::string& name, std::string_view text) {
  const Result<text::Json> yaml = text::ParseYaml(text);
  if (!yaml.has_value()) return NotUnderstood(name, yaml.error().message());
  if (yaml->IsNull()) return;
  if (!yaml->IsObject()) return NotUnderstood(name, "must be a mapping of option names to values");
  const auto scalar = [](const text::Json& value) {
    return value.IsString() ? std::string(*value.AsString()) : text::FormatJson(value);
  };
  for (const auto& [key, value] : yaml->object()) {
    const std::string where =
        Format("{}, line {}", name, text::FindLineColumn(text, value.offset()).line);
    const Lookup found = Find(key, false);
    if (found.row == nullptr || IsCommon(*found.row)) {
      NotUnderstood(where,
                    Format("'{}' {}", Printable(key, 60),
                           found.row != nullptr ? "belongs on the command line" : found.fault));
    } else if (value.IsObject()) {
      Fault(where, Format("'{}' must be {}, not a mapping", key, found.row->allowed));
    } else if (value.IsArray()) {
      if (!found.row->repeats) {
        // Options that take lists in one value, such as ranges, may be written as YAML lists too.
        std::vector<std::string> parts;
        for (const text::Json& element : value.array()) parts.push_back(scalar(element));
        Set(*found.row, Join(parts, ","), Source::kFile, key, where);
      } else {
        for (const text::Json& element : value.array())
          Set(*found.row, scalar(element), Source::kFile, key, where);
      }
    } else if (!value.IsNull()) {
      Set(*found.row, scalar(value), Source::kFile, key, where);
    }
  }
}

void Parser::CheckRequired() {
  for (const Row& row : rows_) {
    if (!row.spec.required || set_by_.contains(&row)) continue;
    const std::string letter = row.spec.letter != 0 ? Format("-{}, ", row.spec.letter) : "";
    Fault("command line", Format("{}--{} {} is required: {}", letter, row.spec.name, row.spec.value,
                                 row.spec.help));
    mistakes_.back().missing = true;
  }
}

// Breaks text into lines of at most `width`, at spaces; explicit line breaks stay.
std::vector<std::string> Wrap(std::string_view text, size_t width) {
  std::vector<std::string> lines;
  for (const std::string_view paragraph : Split(text, '\n')) {
    std::string line;
    for (const std::string_view word : Split(paragraph, ' ')) {
      if (!line.empty() && line.size() + 1 + word.size() > width) {
        lines.push_back(std::move(line));
        line.clear();
      }
      if (!line.empty()) line += ' ';
      line += word;
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

std::string DefaultText(const Row& row, const void* defaults) {
  if (!row.spec.default_text.empty()) return std::string(row.spec.default_text);
  if (!row.get || row.spec.required) return {};
  const text::Json value = row.get(defaults);
  if (value.IsNull() || (value.IsString() && value.AsString()->empty()) ||
      (row.flag && value == text::Json(false)))
    return {};
  if (value.IsArray()) {
    std::vector<std::string> parts;
    for (const text::Json& element : value.array())
      parts.push_back(element.IsString() ? std::string(*element.AsString())
                                         : text::FormatJson(element));
    return Join(parts, ",");
  }
  return value.IsString() ? std::string(*value.AsString()) : text::FormatJson(value);
}

// "-m, --model-name NAME"
std::string Spelling(const Row& row) {
  std::string out = row.spec.letter != 0 ? Format("-{}, ", row.spec.letter) : "    ";
  out += Format("--{}", row.spec.name);
  if (!row.spec.value.empty()) out += Format(" {}", row.spec.value);
  return out;
}

// What help adds behind the sentence: choices, default, repetition.
std::string Remarks(const Row& row, const void* defaults) {
  std::vector<std::string> parts;
  if (row.spec.value.empty() || row.flag) {
    if (const std::string text = DefaultText(row, defaults); text == "true")
      parts.push_back(Format("default: on; --no-{} turns it off", row.spec.name));
  } else {
    if (!row.choices.empty()) parts.push_back(row.allowed);
    if (row.repeats) parts.emplace_back("may be repeated");
    if (const std::string text = DefaultText(row, defaults); !text.empty())
      parts.push_back(Format("default: {}", text));
    if (row.spec.required) parts.emplace_back("required");
  }
  if (parts.empty()) return {};
  return Format(" ({})", Join(parts, "; "));
}

}  // namespace

std::string FormatMistakes(std::string_view program, std::span<const Mistake> mistakes) {
  std::string out;
  for (const Mistake& mistake : mistakes) {
    AppendFormat(out, "{}: {}{}\n", program,
                 mistake.source == "command line" ? "" : mistake.source + ": ", mistake.text);
  }
  AppendFormat(out, "Try '{} --help'.\n", program);
  return out;
}

TableBase::TableBase(std::string command, std::string summary, std::string description)
    : command_(std::move(command)),
      summary_(std::move(summary)),
      description_(std::move(description)),
      usage_(Format("sextant {} [options]", command_)) {}

void TableBase::AddRow(Row row) {
  for (const Row& other : rows_) {
    SEXTANT_CHECK(other.spec.name != row.spec.name &&
                      (row.spec.letter == 0 || other.spec.letter != row.spec.letter),
                  "two options of one name");
  }
  rows_.push_back(std::move(row));
}

std::vector<std::string> TableBase::groups() const {
  std::vector<std::string> out;
  for (const Row& row : rows_) {
    if (std::find(out.begin(), out.end(), row.group) == out.end()) out.push_back(row.group);
  }
  out.emplace_back("General");
  return out;
}

std::vector<Mistake> TableBase::ParseInto(void* options, const Sources& sources,
                                          Common& common) const {
  Parser parser(*this, options, common);
  parser.Arguments(sources.arguments);
  parser.Environment(sources.environment);
  std::vector<Mistake> unreadable;
  if (!common.config_file.empty()) {
    const Result<std::string> text = sources.read_file(common.config_file);
    if (text.has_value()) {
      parser.File(common.config_file, *text);
    } else {
      unreadable.push_back({"command line", Format("--config: {}", text.error().message())});
      common.understood = false;
    }
  }
  if (!common.help) parser.CheckRequired();
  std::vector<Mistake> mistakes = parser.Take();
  mistakes.insert(mistakes.end(), unreadable.begin(), unreadable.end());
  return mistakes;
}

std::string TableBase::PrintConfig(
    const void* options, const std::function<text::Json(const Row&, const void*)>& shown) const {
  text::Json out{text::Json::Object()};
  for (const Row& row : rows_) {
    text::Json value = shown ? shown(row, options) : row.get(options);
    // What is unset stays unset when the file is read again.
    if (value.IsString() && value.AsString()->empty()) continue;
    if (value.IsArray() && value.array().empty()) continue;
    out.Set(row.spec.name, std::move(value));
  }
  return text::FormatYaml(out);
}

namespace {

template <typename F>
void ForEachInGroup(const std::vector<Row>& rows, const std::string& group, F&& visit) {
  for (const Row& row : group == "General" ? CommonRows() : rows) {
    if (row.group == group) visit(row);
  }
}

}  // namespace

std::string TableBase::Help(const void* defaults, size_t width) const {
  constexpr size_t kColumn = 34;
  width = std::clamp<size_t>(width, 70, 120);
  std::string out = Format("Usage: {}\n\n", usage_);
  for (const std::string& line : Wrap(description_.empty() ? summary_ : description_, width))
    out += line + "\n";
  if (!examples_.empty()) out += "\nFor example:\n";
  for (const std::string& line : examples_) AppendFormat(out, "  {}\n", line);
  for (const std::string& group : groups()) {
    AppendFormat(out, "\n{}:\n", group);
    ForEachInGroup(rows_, group, [&](const Row& row) {
      std::string left = "  " + Spelling(row);
      const auto lines =
          Wrap(Format("{}{}", row.spec.help, Remarks(row, defaults)), width - kColumn);
      bool first = true;
      if (left.size() + 2 > kColumn) {
        out += left + "\n";
        first = false;
      }
      for (const std::string& line : lines) {
        AppendFormat(out, "{:<{}}{}\n", first ? left : "", kColumn, line);
        first = false;
      }
    });
  }
  out += '\n';
  const std::string sources = Format(
      "Every option is also an environment variable (SEXTANT_ and its name, as in {}) and a key of "
      "--config's file.",
      EnvironmentName(rows_.empty() ? "help" : rows_.front().spec.name));
  for (const std::string& line : Wrap(sources, width)) out += line + "\n";
  return out;
}

std::string TableBase::ReferencePage(const void* defaults) const {
  std::string out = Format(
      "# `sextant {}`\n\n<!-- Generated by `sextant docs`; edit the option table, not this page. "
      "-->\n\n",
      command_);
  AppendFormat(out, "{}\n\n    {}\n", description_.empty() ? summary_ : description_, usage_);
  if (!examples_.empty()) out += "\nFor example:\n\n";
  for (const std::string& line : examples_) AppendFormat(out, "    {}\n", line);
  for (const std::string& group : groups()) {
    AppendFormat(out,
                 "\n## {}\n\n| option | value | default | meaning |\n| --- | --- | --- | --- |\n",
                 group);
    ForEachInGroup(rows_, group, [&](const Row& row) {
      std::string names;
      if (row.spec.letter != 0) names += Format("`-{}` ", row.spec.letter);
      names += Format("`--{}`", row.spec.name);
      for (const std::string_view alias : row.spec.aliases) names += Format(" `--{}`", alias);
      const std::string default_text = DefaultText(row, defaults);
      std::string help, allowed = row.flag ? "flag" : row.allowed;
      for (const char c : row.spec.help) help += c == '\n' ? ' ' : c;
      const auto escape = [](std::string text) {
        for (size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2)
          text.insert(at, "\\");
        return text;
      };
      AppendFormat(out, "| {} | {}{} | {} | {} |\n", names, escape(allowed),
                   row.repeats ? ", may be repeated" : "",
                   default_text.empty() ? "" : "`" + escape(default_text) + "`", escape(help));
    });
  }
  return out;
}

std::string TableBase::ManPage(const void* defaults, std::string_view version,
                               std::string_view date) const {
  const auto escape = [](std::string_view text) {
    std::string out;
    for (const char c : text) {
      if (c == '-' || c == '\\') out += '\\';
      out += c;
      if (c == '\n') out += ".br\n";
    }
    // A line may not begin with a control character.
    if (out.starts_with('.') || out.starts_with('\'')) out.insert(0, "\\&");
    return out;
  };
  std::string out = Format(".TH SEXTANT\\-{} 1 \"{}\" \"sextant {}\" \"Sextant manual\"\n",
                           ToLower(command_), date, version);
  AppendFormat(out, ".SH NAME\nsextant\\-{} \\- {}\n.SH SYNOPSIS\n.B {}\n.SH DESCRIPTION\n{}\n",
               command_, escape(summary_), escape(usage_),
               escape(description_.empty() ? summary_ : description_));
  for (const std::string& group : groups()) {
    AppendFormat(out, ".SH {}\n", escape(group));
    ForEachInGroup(rows_, group, [&](const Row& row) {
      AppendFormat(out, ".TP\n.B {}\n{}{}\n", escape(TrimSpace(Spelling(row))),
                   escape(row.spec.help), escape(Remarks(row, defaults)));
    });
  }
  out +=
      ".SH ENVIRONMENT\nEvery option is also an environment variable: SEXTANT_ and its name in "
      "capitals, with _ for \\-.\n";
  return out;
}

std::string TableBase::JsonSchema(const void* defaults) const {
  text::Json properties{text::Json::Object()};
  for (const Row& row : rows_) {
    text::Json schema = row.schema;
    schema.Set("description", row.spec.help);
    text::Json value = row.get(defaults);
    if (!row.spec.required && !(value.IsString() && value.AsString()->empty()))
      schema.Set("default", std::move(value));
    properties.Set(row.spec.name, std::move(schema));
  }
  text::Json schema{text::Json::Object()};
  schema.Set("$schema", "https://json-schema.org/draft/2020-12/schema");
  schema.Set("title", Format("sextant {} --config", command_));
  schema.Set("type", "object");
  schema.Set("properties", std::move(properties));
  schema.Set("additionalProperties", false);
  return text::FormatJson(schema, 2) + "\n";
}

}  // namespace sextant::options
