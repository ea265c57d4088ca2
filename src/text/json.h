// JSON values, reading and writing. Pure: bytes in, values out, no I/O.
//
// Json is also what YAML (text/yaml.h) is read into, so that one reader serves both; each value
// remembers where it stood in its source, for error messages.
// Reading is RapidJSON's (SAX), the writer is ours. Threads: plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace sextant::text {

class Json {
 public:
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;  // in source order; keys are unique

  Json() = default;
  Json(std::nullptr_t) {}                               // NOLINT: a value is what it holds
  Json(bool v) : value_(v) {}                           // NOLINT
  Json(int v) : value_(static_cast<int64_t>(v)) {}      // NOLINT
  Json(int64_t v) : value_(v) {}                        // NOLINT
  Json(uint64_t v) : value_(v) {}                       // NOLINT
  Json(double v) : value_(v) {}                         // NOLINT
  Json(std::string v) : value_(std::move(v)) {}         // NOLINT
  Json(std::string_view v) : value_(std::string(v)) {}  // NOLINT
  Json(const char* v) : value_(std::string(v)) {}       // NOLINT
  Json(Array v) : value_(std::move(v)) {}               // NOLINT
  Json(Object v) : value_(std::move(v)) {}              // NOLINT

  bool IsNull() const { return std::holds_alternative<std::nullptr_t>(value_); }
  bool IsArray() const { return std::holds_alternative<Array>(value_); }
  bool IsObject() const { return std::holds_alternative<Object>(value_); }
  bool IsString() const { return std::holds_alternative<std::string>(value_); }
  // "a string", "a number", ...: for messages.
  std::string_view TypeName() const;

  // The value as the asked type, or nothing. Integers convert to each other and to double where the
  // value fits; a double converts to an integer only if it is one.
  std::optional<bool> AsBool() const;
  std::optional<int64_t> AsInt() const;
  std::optional<uint64_t> AsUint() const;
  std::optional<double> AsDouble() const;
  std::optional<std::string_view> AsString() const;
  const double* IfDouble() const { return std::get_if<double>(&value_); }
  // Bugs unless Is...().
  const Array& array() const { return std::get<Array>(value_); }
  Array& array() { return std::get<Array>(value_); }
  const Object& object() const { return std::get<Object>(value_); }
  Object& object() { return std::get<Object>(value_); }
  // The member of an object, or null when it is not an object or has no such member.
  const Json* Find(std::string_view key) const;
  // Appends or replaces; the value becomes an object if it was null.
  Json& Set(std::string_view key, Json value);

  // Byte offset of the value's end (JSON) or start (YAML) in its source.
  size_t offset() const { return offset_; }
  void set_offset(size_t offset) { offset_ = offset; }

  bool operator==(const Json& other) const { return value_ == other.value_; }

 private:
  std::variant<std::nullptr_t, bool, int64_t, uint64_t, double, std::string, Array, Object> value_;
  size_t offset_ = 0;
};

// 1-based.
struct LineColumn {
  size_t line = 1, column = 1;
};
LineColumn FindLineColumn(std::string_view source, size_t offset);
// "line 3, column 14"
std::string DescribeOffset(std::string_view source, size_t offset);

struct JsonOptions {
  bool nan_and_inf = false;  // accept NaN, Inf, Infinity and their negatives
  int max_depth = 128;
};

// The whole text as one value. Errors: kCorrupt with line and column; duplicate keys are errors.
Result<Json> ParseJson(std::string_view source, const JsonOptions& options = {});

// Events in document order. A handler that returns an error stops the parse; its error is returned
// with the position put before it. Strings are valid only during the call.
class JsonHandler {
 public:
  virtual ~JsonHandler() = default;
  virtual Result<void> OnNull() = 0;
  virtual Result<void> OnBool(bool value) = 0;
  virtual Result<void> OnInt(int64_t value) = 0;
  virtual Result<void> OnUint(uint64_t value) = 0;  // only values above INT64_MAX
  virtual Result<void> OnDouble(double value) = 0;
  virtual Result<void> OnString(std::string_view value) = 0;
  virtual Result<void> OnKey(std::string_view key) = 0;
  virtual Result<void> OnStartObject() = 0;
  virtual Result<void> OnEndObject() = 0;
  virtual Result<void> OnStartArray() = 0;
  virtual Result<void> OnEndArray() = 0;
  // Set by the parser before each event: how far it has read.
  size_t position = 0;
};
Result<void> ParseJsonEvents(std::string_view source, const JsonOptions& options,
                             JsonHandler& handler);

// Builds JSON text front to back; commas and quoting are its business. Doubles are written so that
// they read back exactly; NaN and infinities, which JSON lacks, become null.
class JsonWriter {
 public:
  // `indent` spaces per level; 0 writes one line without spaces.
  explicit JsonWriter(int indent = 0) : indent_(indent) {}

  JsonWriter& BeginObject() { return Open('{'); }
  JsonWriter& EndObject() { return Close('}'); }
  JsonWriter& BeginArray() { return Open('['); }
  JsonWriter& EndArray() { return Close(']'); }
  JsonWriter& Key(std::string_view key);
  JsonWriter& Value(const Json& value);
  JsonWriter& Raw(std::string_view json);  // already JSON
  template <typename T>
  JsonWriter& Member(std::string_view key, T&& value) {
    return Key(key).Value(Json(std::forward<T>(value)));
  }

  const std::string& text() const { return text_; }
  std::string Take() { return std::move(text_); }

 private:
  JsonWriter& Open(char bracket);
  JsonWriter& Close(char bracket);
  void BeforeValue();
  void NewLine();

  std::string text_;
  int indent_;
  int depth_ = 0;
  bool first_ = true;  // nothing written yet at this level
  bool after_key_ = false;
};

void AppendJsonString(std::string& out, std::string_view text);
std::string FormatJson(const Json& value, int indent = 0);

}  // namespace sextant::text
