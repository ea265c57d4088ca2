#include "text/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <unordered_set>

// Errors are reported, not asserted.
#define RAPIDJSON_PARSE_DEFAULT_FLAGS rapidjson::kParseNoFlags
#include <rapidjson/error/en.h>
#include <rapidjson/reader.h>

#include "base/strings.h"

namespace sextant::text {
namespace {

// RapidJSON's stream concept over bytes in memory, with a stretch that can be hidden from it.
class Source {
 public:
  using Ch = char;
  explicit Source(std::string_view text)
      : begin_(text.data()), at_(begin_), end_(begin_ + text.size()) {}

  char Peek() const { return at_ == end_ ? '\0' : *at_; }
  char Take() {
    if (at_ == end_) return '\0';
    const char c = *at_++;
    if (at_ == hidden_.data()) at_ += hidden_.size();
    return c;
  }
  size_t Tell() const { return static_cast<size_t>(at_ - begin_); }
  // Of streams that are written to.
  char* PutBegin() { return nullptr; }
  void Put(char) {}
  void Flush() {}
  size_t PutEnd(char*) { return 0; }

  // Hides the contents of the string that is the value of the member whose key has been read, if
  // it is long and stands there as it is meant: RapidJSON would copy it byte by byte. Empty: no.
  std::string_view HideLongString() {
    constexpr ptrdiff_t kLong = 4096;
    const auto skip = [this](const char* p) { return std::find_if_not(p, end_, IsSpace); };
    const char* p = skip(at_);
    if (p == end_ || *p != ':') return {};
    p = skip(p + 1);
    if (end_ - p < kLong || *p++ != '"') return {};
    const auto find = [p](char c, const char* end) {
      return static_cast<const char*>(std::memchr(p, c, static_cast<size_t>(end - p)));
    };
    const char* quote = find('"', end_);
    if (quote == nullptr || quote - p < kLong || find('\\', quote) != nullptr ||
        HasControl({p, quote}))
      return {};
    return hidden_ = {p, quote};
  }

 private:
  // Eight bytes at a time: a byte below 32 leaves its top bit, or that of one before it.
  static bool HasControl(std::string_view text) {
    uint64_t found = 0;
    for (uint64_t eight; text.size() >= sizeof eight; text.remove_prefix(sizeof eight)) {
      std::memcpy(&eight, text.data(), sizeof eight);
      found |= (eight - 0x2020202020202020) & ~eight;
    }
    return (found & 0x8080808080808080) != 0 || std::any_of(text.begin(), text.end(), [](char c) {
             return static_cast<uint8_t>(c) < 32;
           });
  }
  static bool IsSpace(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

  const char* const begin_;
  const char* at_;
  const char* const end_;
  std::string_view hidden_;
};

// RapidJSON's handler concept on top of ours: keeps the depth limit and the first error.
class EventAdapter {
 public:
  EventAdapter(Source& source, const JsonOptions& options, JsonHandler& handler)
      : source_(source), options_(options), handler_(handler) {}

  bool Null() {
    return Pass([&] { return handler_.OnNull(); });
  }
  bool Bool(bool v) {
    return Pass([&] { return handler_.OnBool(v); });
  }
  // Numbers come as text: RapidJSON's own full-precision reading runs over its tables for some.
  bool RawNumber(const char* text, rapidjson::SizeType n, bool) {
    const std::string_view number(text, n);
    if (number.find('.') == std::string_view::npos) {
      if (const auto i = ParseInt(number)) return Pass([&] { return handler_.OnInt(*i); });
      if (const auto u = ParseUint(number)) return Pass([&] { return handler_.OnUint(*u); });
    }
    double value = 0;
    if (std::from_chars(text, text + n, value).ec == std::errc::result_out_of_range) {
      value = std::strtod(std::string(number).c_str(),
                          nullptr);  // tells too large (infinite) from too small (0)
      if (std::isinf(value))
        return Pass([] { return Result<void>(Corrupt("a number too large")); });
    }
    return Pass([&] { return handler_.OnDouble(value); });
  }
  // Never called: all numbers come as text.
  bool Int(int) { return false; }
  bool Uint(unsigned) { return false; }
  bool Int64(int64_t) { return false; }
  bool Uint64(uint64_t) { return false; }
  bool Double(double) { return false; }
  bool String(const char* s, rapidjson::SizeType n, bool) {
    const std::string_view text = hidden_.empty() ? std::string_view(s, n) : hidden_;
    hidden_ = {};
    return PassText(text, [&] { return handler_.OnString(text); });
  }
  bool Key(const char* s, rapidjson::SizeType n, bool) {
    hidden_ = source_.HideLongString();
    return PassText({s, n}, [&] { return handler_.OnKey({s, n}); });
  }
  bool StartObject() {
    return Enter() && Pass([&] { return handler_.OnStartObject(); });
  }
  bool EndObject(rapidjson::SizeType) {
    --depth_;
    return Pass([&] { return handler_.OnEndObject(); });
  }
  bool StartArray() {
    return Enter() && Pass([&] { return handler_.OnStartArray(); });
  }
  bool EndArray(rapidjson::SizeType) {
    --depth_;
    return Pass([&] { return handler_.OnEndArray(); });
  }

  std::optional<Error>& error() { return error_; }

 private:
  bool Enter() {
    if (++depth_ <= options_.max_depth) return true;
    error_ = Corrupt(Format("nested deeper than {} levels", options_.max_depth));
    return false;
  }
  template <typename F>
  bool Pass(F&& event) {
    handler_.position = source_.Tell();
    Result<void> result = event();
    if (result.has_value()) return true;
    error_ = std::move(result).error();
    return false;
  }

  // RapidJSON's own check of the encoding takes four times as long as all the rest.
  template <typename F>
  bool PassText(std::string_view text, F&& event) {
    if (IsValidUtf8(text)) return Pass(event);
    return Pass([] { return Result<void>(Corrupt("a string that is not valid UTF-8")); });
  }

  Source& source_;
  const JsonOptions& options_;
  JsonHandler& handler_;
  std::string_view hidden_;  // the string that RapidJSON sees as an empty one
  int depth_ = 0;
  std::optional<Error> error_;
};

class TreeBuilder final : public JsonHandler {
 public:
  Result<void> OnNull() override { return Add(Json()); }
  Result<void> OnBool(bool v) override { return Add(v); }
  Result<void> OnInt(int64_t v) override { return Add(v); }
  Result<void> OnUint(uint64_t v) override { return Add(v); }
  Result<void> OnDouble(double v) override { return Add(v); }
  Result<void> OnString(std::string_view v) override { return Add(v); }
  Result<void> OnKey(std::string_view key) override {
    if (!levels_.back().keys.emplace(key).second) {
      return Corrupt(Format("the key '{}' occurs twice", Printable(key, 60)));
    }
    levels_.back().key = key;
    return {};
  }
  Result<void> OnStartObject() override { return Push(Json(Json::Object())); }
  Result<void> OnStartArray() override { return Push(Json(Json::Array())); }
  Result<void> OnEndObject() override { return Pop(); }
  Result<void> OnEndArray() override { return Pop(); }

  Json Take() { return std::move(root_); }

 private:
  struct Level {
    Json value;
    std::string key;                       // of the member being read
    std::unordered_set<std::string> keys;  // of an object so far
  };
  Result<void> Push(Json value) {
    value.set_offset(position);
    levels_.push_back({std::move(value), {}, {}});
    return {};
  }
  Result<void> Pop() {
    Json value = std::move(levels_.back().value);
    levels_.pop_back();
    return Attach(std::move(value));
  }
  Result<void> Add(Json value) {
    value.set_offset(position);
    return Attach(std::move(value));
  }
  Result<void> Attach(Json value) {
    if (levels_.empty()) {
      root_ = std::move(value);
    } else if (levels_.back().value.IsArray()) {
      levels_.back().value.array().push_back(std::move(value));
    } else {
      levels_.back().value.object().emplace_back(std::move(levels_.back().key), std::move(value));
    }
    return {};
  }

  std::vector<Level> levels_;
  Json root_;
};

}  // namespace

std::string_view Json::TypeName() const {
  constexpr std::string_view kNames[] = {"null",     "a boolean", "a number", "a number",
                                         "a number", "a string",  "an array", "an object"};
  return kNames[value_.index()];
}

std::optional<bool> Json::AsBool() const {
  if (const bool* v = std::get_if<bool>(&value_)) return *v;
  return std::nullopt;
}

std::optional<int64_t> Json::AsInt() const {
  if (const int64_t* v = std::get_if<int64_t>(&value_)) return *v;
  if (const uint64_t* v = std::get_if<uint64_t>(&value_)) {
    if (*v <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      return static_cast<int64_t>(*v);
  }
  if (const double* v = std::get_if<double>(&value_)) {
    // 2^63 is exactly representable, the largest int64 is not.
    if (*v >= -0x1p63 && *v < 0x1p63 && std::trunc(*v) == *v) return static_cast<int64_t>(*v);
  }
  return std::nullopt;
}

std::optional<uint64_t> Json::AsUint() const {
  if (const uint64_t* v = std::get_if<uint64_t>(&value_)) return *v;
  if (const double* v = std::get_if<double>(&value_)) {
    if (*v >= 0 && *v < 0x1p64 && std::trunc(*v) == *v) return static_cast<uint64_t>(*v);
    return std::nullopt;
  }
  const std::optional<int64_t> v = AsInt();
  if (v && *v >= 0) return static_cast<uint64_t>(*v);
  return std::nullopt;
}

std::optional<double> Json::AsDouble() const {
  if (const double* v = std::get_if<double>(&value_)) return *v;
  if (const int64_t* v = std::get_if<int64_t>(&value_)) return static_cast<double>(*v);
  if (const uint64_t* v = std::get_if<uint64_t>(&value_)) return static_cast<double>(*v);
  return std::nullopt;
}

std::optional<std::string_view> Json::AsString() const {
  if (const std::string* v = std::get_if<std::string>(&value_)) return *v;
  return std::nullopt;
}

const Json* Json::Find(std::string_view key) const {
  const Object* members = std::get_if<Object>(&value_);
  if (members == nullptr) return nullptr;
  const auto it = std::find_if(members->begin(), members->end(),
                               [&](const Member& m) { return m.first == key; });
  return it == members->end() ? nullptr : &it->second;
}

Json& Json::Set(std::string_view key, Json value) {
  if (IsNull()) value_ = Object();
  for (Member& member : object()) {
    if (member.first == key) return member.second = std::move(value);
  }
  object().emplace_back(std::string(key), std::move(value));
  return object().back().second;
}

LineColumn FindLineColumn(std::string_view source, size_t offset) {
  const std::string_view before = source.substr(0, std::min(offset, source.size()));
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  return {static_cast<size_t>(std::count(before.begin(), before.end(), '\n')) + 1,
          before.size() - line_start + 1};
}

std::string DescribeOffset(std::string_view source, size_t offset) {
  const LineColumn at = FindLineColumn(source, offset);
  return Format("line {}, column {}", at.line, at.column);
}

Result<void> ParseJsonEvents(std::string_view source, const JsonOptions& options,
                             JsonHandler& handler) {
  Source stream(source);
  EventAdapter adapter(stream, options, handler);
  rapidjson::Reader reader;
  constexpr unsigned kFlags = rapidjson::kParseNumbersAsStringsFlag;
  const rapidjson::ParseResult parsed =
      options.nan_and_inf
          ? reader.Parse < kFlags | rapidjson::kParseNanAndInfFlag > (stream, adapter)
          : reader.Parse<kFlags>(stream, adapter);
  if (adapter.error())
    return std::move(*adapter.error()).In(DescribeOffset(source, handler.position));
  if (parsed.IsError()) {
    return Corrupt(Format("{}: {}", DescribeOffset(source, parsed.Offset()),
                          rapidjson::GetParseError_En(parsed.Code())));
  }
  // A NUL byte looks like the end of the text to RapidJSON.
  if (stream.Tell() < source.size()) {
    return Corrupt(Format("{}: a NUL byte", DescribeOffset(source, stream.Tell())));
  }
  return {};
}

Result<Json> ParseJson(std::string_view source, const JsonOptions& options) {
  TreeBuilder builder;
  SEXTANT_TRY(ParseJsonEvents(source, options, builder));
  return builder.Take();
}

void AppendJsonString(std::string& out, std::string_view text) {
  out += '"';
  size_t clean = 0;  // start of the run that needs no escape
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (static_cast<uint8_t>(c) >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text, clean, i - clean);
    clean = i + 1;
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        AppendFormat(out, "\\u{:04x}", static_cast<uint8_t>(c));
    }
  }
  out.append(text, clean, text.size() - clean);
  out += '"';
}

JsonWriter& JsonWriter::Key(std::string_view key) {
  BeforeValue();
  AppendJsonString(text_, key);
  text_ += indent_ > 0 ? ": " : ":";
  after_key_ = true;
  return *this;
}

JsonWriter& JsonWriter::Value(const Json& value) {
  if (value.IsArray()) {
    BeginArray();
    for (const Json& element : value.array()) Value(element);
    return EndArray();
  }
  if (value.IsObject()) {
    BeginObject();
    for (const auto& [key, member] : value.object()) Key(key).Value(member);
    return EndObject();
  }
  BeforeValue();
  if (const auto s = value.AsString()) {
    AppendJsonString(text_, *s);
  } else if (const auto b = value.AsBool()) {
    text_ += *b ? "true" : "false";
  } else if (value.IsNull()) {
    text_ += "null";
  } else if (const double* d = value.IfDouble()) {
    // Shortest text that reads back to the same bits; "-0" would read back as the integer.
    text_ += !std::isfinite(*d) ? "null" : *d == 0 && std::signbit(*d) ? "-0.0" : Format("{}", *d);
  } else if (const auto u = value.AsUint()) {
    AppendFormat(text_, "{}", *u);
  } else {
    AppendFormat(text_, "{}", *value.AsInt());
  }
  return *this;
}

JsonWriter& JsonWriter::Raw(std::string_view json) {
  BeforeValue();
  text_ += json;
  return *this;
}

JsonWriter& JsonWriter::Open(char bracket) {
  BeforeValue();
  text_ += bracket;
  ++depth_;
  first_ = true;
  return *this;
}

JsonWriter& JsonWriter::Close(char bracket) {
  --depth_;
  if (!first_) NewLine();
  text_ += bracket;
  first_ = false;
  return *this;
}

void JsonWriter::BeforeValue() {
  if (after_key_) {
    after_key_ = false;
    return;
  }
  if (!first_) text_ += ',';
  if (depth_ > 0) NewLine();
  first_ = false;
}

void JsonWriter::NewLine() {
  if (indent_ == 0) return;
  text_ += '\n';
  text_.append(static_cast<size_t>(indent_) * static_cast<size_t>(depth_), ' ');
}

std::string FormatJson(const Json& value, int indent) {
  JsonWriter writer(indent);
  writer.Value(value);
  return writer.Take();
}

}  // namespace sextant::text
