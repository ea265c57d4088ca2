#include "text/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <sstream>

#include "base/strings.h"

namespace sextant::text {
namespace {

// Aliases are expanded, so a short document can describe an enormous one.
constexpr size_t kMaxNodes = 200'000;
constexpr int kMaxDepth = 64;

Json PlainScalar(const std::string& text) {
  if (text.empty() || text == "~" || EqualsIgnoreCase(text, "null")) return {};
  if (EqualsIgnoreCase(text, "true")) return true;
  if (EqualsIgnoreCase(text, "false")) return false;
  const std::string_view number = text.starts_with('+') ? std::string_view(text).substr(1) : text;
  if (const auto i = ParseInt(number)) return *i;
  if (const auto u = ParseUint(number)) return *u;
  if (number.find_first_of("0123456789") != std::string_view::npos) {
    if (const auto d = ParseDouble(number)) return *d;
  }
  return text;
}

// Hears nothing, to count documents with.
class Deaf final : public YAML::EventHandler {
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

// Whether anything follows the first document. YAML::LoadAll would tell too, but never returns for
// some faulty texts, of which it reads the same empty document again and again.
bool HasSecondDocument(const std::string& source) {
  std::istringstream stream(source);
  YAML::Parser parser(stream);
  Deaf deaf;
  return parser.HandleNextDocument(deaf) && parser.HandleNextDocument(deaf);
}

// YAML allows only printable characters and line breaks.
Result<void> CheckCharacters(std::string_view source) {
  if (!IsValidUtf8(source)) return Corrupt("not valid UTF-8");
  for (size_t i = 0; i < source.size(); ++i) {
    const auto c = static_cast<uint8_t>(source[i]);
    if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f)
      return Corrupt(Format("{}: the control character 0x{:02x} must be escaped in double quotes",
                            DescribeOffset(source, i), c));
  }
  return {};
}

class Converter {
 public:
  explicit Converter(std::string_view source) : source_(source) {}

  Result<Json> Convert(const YAML::Node& node, int depth) {
    if (++nodes_ > kMaxNodes)
      return Fault(node, Format("more than {} values after expanding aliases", kMaxNodes));
    if (depth > kMaxDepth) return Fault(node, Format("nested deeper than {} levels", kMaxDepth));
    Json out;
    switch (node.Type()) {
      case YAML::NodeType::Scalar:
        out = node.Tag() == "?" ? PlainScalar(node.Scalar()) : Json(node.Scalar());
        break;
      case YAML::NodeType::Sequence: {
        out = Json(Json::Array());
        for (const YAML::Node& element : node) {
          SEXTANT_ASSIGN(Json value, Convert(element, depth + 1));
          out.array().push_back(std::move(value));
        }
        break;
      }
      case YAML::NodeType::Map: {
        out = Json(Json::Object());
        for (const auto& entry : node) {
          if (!entry.first.IsScalar())
            return Fault(entry.first, "a key must be a plain or quoted word");
          const std::string& key = entry.first.Scalar();
          if (out.Find(key) != nullptr)
            return Fault(entry.first, Format("the key '{}' occurs twice", Printable(key, 60)));
          SEXTANT_ASSIGN(Json value, Convert(entry.second, depth + 1));
          out.object().emplace_back(key, std::move(value));
        }
        break;
      }
      default:
        break;  // null and undefined
    }
    out.set_offset(Offset(node));
    return out;
  }

 private:
  size_t Offset(const YAML::Node& node) const {
    return node.Mark().is_null() ? source_.size() : static_cast<size_t>(node.Mark().pos);
  }
  Error Fault(const YAML::Node& node, std::string_view what) const {
    return Corrupt(Format("{}: {}", DescribeOffset(source_, Offset(node)), what));
  }

  std::string_view source_;
  size_t nodes_ = 0;
};

// Whether the text, unquoted, would read back as this very string.
bool IsPlainSafe(const std::string& text) {
  if (text.empty() || !PlainScalar(text).IsString()) return false;
  if (TrimSpace(text).size() != text.size() || text.starts_with("---") || text == ".") return false;
  if (text.find(": ") != std::string::npos || text.find(" #") != std::string::npos ||
      text.ends_with(':'))
    return false;
  if (std::string_view("-?:,[]{}#&*!|>'\"%@`").find(text[0]) != std::string_view::npos)
    return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<uint8_t>(c) >= 0x20 &&
           std::string_view("[]{},").find(c) == std::string_view::npos;
  });
}

void AppendYaml(std::string& out, const Json& value, size_t indent, bool after_dash) {
  if (value.IsObject() && !value.object().empty()) {
    bool first = true;
    for (const auto& [key, member] : value.object()) {
      if (!first || !after_dash) out.append(indent, ' ');
      first = false;
      if (IsPlainSafe(key)) {
        out += key;
      } else {
        AppendJsonString(out, key);
      }
      const bool nested = (member.IsObject() && !member.object().empty()) ||
                          (member.IsArray() && !member.array().empty());
      out += nested ? ":\n" : ": ";
      AppendYaml(out, member, indent + 2, false);
    }
  } else if (value.IsArray() && !value.array().empty()) {
    for (const Json& element : value.array()) {
      out.append(indent, ' ');
      out += "- ";
      AppendYaml(out, element, indent + 2, true);
    }
  } else {
    const auto string = value.AsString();
    out += string && IsPlainSafe(std::string(*string)) ? std::string(*string) : FormatJson(value);
    out += '\n';
  }
}

}  // namespace

Result<Json> ParseYaml(std::string_view source) {
  SEXTANT_TRY(CheckCharacters(source));
  // yaml-cpp reports by exception; they stop here.
  try {
    const std::string text(source);
    if (HasSecondDocument(text)) return Corrupt("more than one YAML document");
    return Converter(source).Convert(YAML::Load(text), 0);
  } catch (const YAML::Exception& e) {
    if (e.mark.is_null()) return Corrupt(e.msg);
    return Corrupt(Format("line {}, column {}: {}", e.mark.line + 1, e.mark.column + 1, e.msg));
  } catch (const std::exception& e) {
    return Corrupt(e.what());
  }
}

std::string FormatYaml(const Json& value) {
  std::string out;
  AppendYaml(out, value, 0, false);
  return out;
}

}  // namespace sextant::text
