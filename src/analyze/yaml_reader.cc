#include "analyze/yaml_reader.h"

#include <algorithm>

#include "base/strings.h"

namespace sextant::analyze {

using text::Json;

std::optional<std::string> ScalarText(const Json& value) {
  if (const auto text = value.AsString()) return std::string(*text);
  if (value.IsNull() || value.IsArray() || value.IsObject()) return std::nullopt;
  return text::FormatJson(value);
}

void YamlReader::Fault(const Json& at, std::string_view key, std::string_view what) {
  faults_.push_back(
      Format("{}: {}: {}", text::DescribeOffset(source_, at.offset()), Printable(key, 80), what));
}

std::optional<std::string> YamlReader::Text(std::string_view key, const Json& value) {
  const std::optional<std::string> text = ScalarText(value);
  if (!text) Fault(value, key, Format("a text is wanted, not {}", value.TypeName()));
  return text;
}

std::optional<std::vector<std::string>> YamlReader::Words(std::string_view key, const Json& value) {
  std::vector<std::string> out;
  if (const auto text = ScalarText(value)) {
    for (const std::string_view word : Split(*text, ',')) {
      if (!TrimSpace(word).empty()) out.emplace_back(TrimSpace(word));
    }
    return out;
  }
  if (!value.IsArray()) {
    Fault(value, key, Format("a list is wanted, or a text with commas, not {}", value.TypeName()));
    return std::nullopt;
  }
  for (const Json& element : value.array()) {
    const auto text = ScalarText(element);
    if (!text) {
      Fault(element, key, Format("a text is wanted, not {}", element.TypeName()));
      return std::nullopt;
    }
    out.push_back(*text);
  }
  return out;
}

std::optional<int64_t> YamlReader::Whole(std::string_view key, const Json& value, int64_t least) {
  std::optional<int64_t> number = value.AsInt();
  if (const auto text = value.AsString(); text && !number) number = ParseInt(*text);
  if (number && *number >= least) return number;
  Fault(value, key,
        Format("a whole number from {} is wanted, not {}", least,
               Printable(text::FormatJson(value), 60)));
  return std::nullopt;
}

std::optional<double> YamlReader::Number(std::string_view key, const Json& value, double least) {
  std::optional<double> number = value.AsDouble();
  if (const auto text = value.AsString(); text && !number) number = ParseDouble(*text);
  if (number && *number >= least) return number;
  Fault(
      value, key,
      Format("a number from {} is wanted, not {}", least, Printable(text::FormatJson(value), 60)));
  return std::nullopt;
}

std::optional<bool> YamlReader::Truth(std::string_view key, const Json& value) {
  if (const auto truth = value.AsBool()) return truth;
  if (const auto text = value.AsString(); text && EqualsIgnoreCase(*text, "true")) return true;
  if (const auto text = value.AsString(); text && EqualsIgnoreCase(*text, "false")) return false;
  Fault(value, key,
        Format("true or false is wanted, not {}", Printable(text::FormatJson(value), 60)));
  return std::nullopt;
}

std::optional<size_t> YamlReader::OneOf(std::string_view key, const Json& value,
                                        const std::vector<std::string_view>& names) {
  const auto text = value.AsString();
  const auto found = text ? std::find(names.begin(), names.end(), *text) : names.end();
  if (found != names.end()) return static_cast<size_t>(found - names.begin());
  std::string all;
  for (const std::string_view name : names)
    AppendFormat(all, "{}{}", all.empty() ? "" : ", ", name);
  const auto near = text ? NearestName(*text, names) : std::nullopt;
  Fault(value, key,
        Format("one of {} is wanted, not {}{}", all, Printable(text::FormatJson(value), 60),
               near ? Format("; did you mean '{}'?", *near) : ""));
  return std::nullopt;
}

std::optional<std::vector<std::pair<std::string, std::string>>> YamlReader::Map(
    std::string_view key, const Json& value) {
  if (!value.IsObject()) {
    Fault(value, key, Format("a map of names and values is wanted, not {}", value.TypeName()));
    return std::nullopt;
  }
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& [name, member] : value.object()) {
    if (const auto text = Text(Format("{}.{}", key, name), member)) out.emplace_back(name, *text);
  }
  return out;
}

}  // namespace sextant::analyze
