#include "kserve/model_config.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>

#include "base/files.h"
#include "base/strings.h"
#include "kserve/config_reflection.h"
#include "text/json.h"

namespace sextant::kserve {
namespace {

namespace pb = google::protobuf;

class FirstError final : public pb::io::ErrorCollector {
 public:
  void AddError(int line, pb::io::ColumnNumber column, const std::string& message) override {
    if (text_.empty()) text_ = Format("line {}, column {}: {}", line + 1, column + 1, message);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

void WriteMessage(const pb::Message& message, text::JsonWriter& out);

// `index` < 0: the field is not repeated.
void WriteValue(const pb::Message& message, const pb::FieldDescriptor& field, int index,
                text::JsonWriter& out) {
  if (field.cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE) {
    out.Value(ScalarOf(message, field, index));
    return;
  }
  const pb::Reflection& r = *message.GetReflection();
  WriteMessage(
      index >= 0 ? r.GetRepeatedMessage(message, &field, index) : r.GetMessage(message, &field),
      out);
}

void WriteMap(const pb::Message& message, const pb::FieldDescriptor& field, text::JsonWriter& out) {
  const pb::FieldDescriptor& value = *field.message_type()->map_value();
  out.BeginObject();
  for (const auto& [name, entry] : SortedEntries(message, field)) {
    out.Key(name);
    WriteValue(*entry, value, -1, out);
  }
  out.EndObject();
}

void WriteMessage(const pb::Message& message, text::JsonWriter& out) {
  const pb::Reflection& r = *message.GetReflection();
  const pb::Descriptor& type = *message.GetDescriptor();
  out.BeginObject();
  for (int i = 0; i < type.field_count(); ++i) {
    const pb::FieldDescriptor& field = *type.field(i);
    const bool is_message = field.cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE;
    if (!field.is_repeated() && (is_message || field.containing_oneof() != nullptr) &&
        !r.HasField(message, &field))
      continue;
    out.Key(field.name());
    if (field.is_map()) {
      WriteMap(message, field, out);
    } else if (field.is_repeated()) {
      out.BeginArray();
      for (int j = 0; j < r.FieldSize(message, &field); ++j) WriteValue(message, field, j, out);
      out.EndArray();
    } else {
      WriteValue(message, field, -1, out);
    }
  }
  out.EndObject();
}

void CollectFields(const pb::Message& message, const std::string& prefix,
                   std::vector<std::string>& out) {
  const pb::Reflection& r = *message.GetReflection();
  std::vector<const pb::FieldDescriptor*> fields;
  r.ListFields(message, &fields);
  for (const pb::FieldDescriptor* field : fields) {
    const std::string path =
        prefix.empty() ? std::string(field->name()) : Format("{}.{}", prefix, field->name());
    if (std::find(out.begin(), out.end(), path) == out.end()) out.push_back(path);
    if (field->cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE) continue;
    const int count = field->is_repeated() ? r.FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      const pb::Message& child = field->is_repeated() ? r.GetRepeatedMessage(message, field, i)
                                                      : r.GetMessage(message, field);
      if (!field->is_map()) {
        CollectFields(child, path, out);
      } else if (const pb::FieldDescriptor* value = field->message_type()->map_value();
                 value->cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE) {
        CollectFields(child.GetReflection()->GetMessage(child, value), path, out);
      }
    }
  }
}

}  // namespace

Result<ModelConfig> ParseModelConfig(std::string_view pbtxt) {
  ModelConfig config;
  pb::TextFormat::Parser parser;
  FirstError error;
  parser.RecordErrorsTo(&error);
  parser.SetRecursionLimit(64);
  if (!parser.ParseFromString(std::string(pbtxt), &config)) {
    return InvalidArgument(error.text().empty() ? "not a model configuration" : error.text());
  }
  return config;
}

std::string FormatModelConfig(const ModelConfig& config) {
  std::string out;
  pb::TextFormat::PrintToString(config, &out);
  return out;
}

std::string ModelConfigToJson(const ModelConfig& config) {
  text::JsonWriter out;
  WriteMessage(config, out);
  return out.Take();
}

Result<ModelConfig> ParseModelConfigJson(std::string_view json) {
  ModelConfig config;
  const pb::util::Status status = pb::util::JsonStringToMessage(std::string(json), &config);
  if (!status.ok()) return InvalidArgument(std::string(status.message()));
  return config;
}

std::vector<std::string> SetFields(const ModelConfig& config) {
  std::vector<std::string> out;
  CollectFields(config, "", out);
  return out;
}

Result<std::optional<ModelConfig>> ReadModelConfig(const std::string& model_directory) {
  const std::string file = JoinPath(model_directory, "config.pbtxt");
  if (!FileExists(file)) return std::optional<ModelConfig>();
  SEXTANT_ASSIGN(const std::string text, ReadFile(file));
  SEXTANT_ASSIGN(ModelConfig config, ParseModelConfig(text), file);
  return std::optional(std::move(config));
}

}  // namespace sextant::kserve
