#include "kserve/model_config.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>

#include "base/strings.h"
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
  const pb::Reflection& r = *message.GetReflection();
  const bool many = index >= 0;
  switch (field.cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_INT32:
      out.Value(
          int64_t{many ? r.GetRepeatedInt32(message, &field, index) : r.GetInt32(message, &field)});
      break;
    case pb::FieldDescriptor::CPPTYPE_INT64:
      out.Value(
          int64_t{many ? r.GetRepeatedInt64(message, &field, index) : r.GetInt64(message, &field)});
      break;
    case pb::FieldDescriptor::CPPTYPE_UINT32:
      out.Value(uint64_t{many ? r.GetRepeatedUInt32(message, &field, index)
                              : r.GetUInt32(message, &field)});
      break;
    case pb::FieldDescriptor::CPPTYPE_UINT64:
      out.Value(uint64_t{many ? r.GetRepeatedUInt64(message, &field, index)
                              : r.GetUInt64(message, &field)});
      break;
    case pb::FieldDescriptor::CPPTYPE_DOUBLE:
      out.Value(many ? r.GetRepeatedDouble(message, &field, index) : r.GetDouble(message, &field));
      break;
    case pb::FieldDescriptor::CPPTYPE_FLOAT:
      out.Value(static_cast<double>(many ? r.GetRepeatedFloat(message, &field, index)
                                         : r.GetFloat(message, &field)));
      break;
    case pb::FieldDescriptor::CPPTYPE_BOOL:
      out.Value(many ? r.GetRepeatedBool(message, &field, index) : r.GetBool(message, &field));
      break;
    case pb::FieldDescriptor::CPPTYPE_ENUM: {
      const int number =
          many ? r.GetRepeatedEnumValue(message, &field, index) : r.GetEnumValue(message, &field);
      const pb::EnumValueDescriptor* value = field.enum_type()->FindValueByNumber(number);
      out.Value(value != nullptr ? std::string(value->name()) : std::to_string(number));
      break;
    }
    case pb::FieldDescriptor::CPPTYPE_STRING:
      out.Value(many ? r.GetRepeatedString(message, &field, index) : r.GetString(message, &field));
      break;
    case pb::FieldDescriptor::CPPTYPE_MESSAGE:
      WriteMessage(
          many ? r.GetRepeatedMessage(message, &field, index) : r.GetMessage(message, &field), out);
      break;
  }
}

void WriteMap(const pb::Message& message, const pb::FieldDescriptor& field, text::JsonWriter& out) {
  const pb::Reflection& r = *message.GetReflection();
  const pb::FieldDescriptor& key = *field.message_type()->map_key();
  const pb::FieldDescriptor& value = *field.message_type()->map_value();
  // The map's own order changes from run to run.
  std::vector<std::pair<std::string, const pb::Message*>> entries;
  for (int i = 0; i < r.FieldSize(message, &field); ++i) {
    const pb::Message& entry = r.GetRepeatedMessage(message, &field, i);
    const pb::Reflection& er = *entry.GetReflection();
    entries.emplace_back(key.cpp_type() == pb::FieldDescriptor::CPPTYPE_STRING
                             ? er.GetString(entry, &key)
                             : std::to_string(er.GetUInt64(entry, &key)),
                         &entry);
  }
  std::sort(entries.begin(), entries.end());
  out.BeginObject();
  for (const auto& [name, entry] : entries) {
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

}  // namespace sextant::kserve
