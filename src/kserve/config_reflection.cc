#include "kserve/config_reflection.h"

#include <algorithm>

namespace sextant::kserve {

namespace pb = google::protobuf;

text::Json ScalarOf(const pb::Message& message, const pb::FieldDescriptor& field, int index) {
  const pb::Reflection& r = *message.GetReflection();
  const bool many = index >= 0;
  switch (field.cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_INT32:
      return int64_t{many ? r.GetRepeatedInt32(message, &field, index)
                          : r.GetInt32(message, &field)};
    case pb::FieldDescriptor::CPPTYPE_INT64:
      return int64_t{many ? r.GetRepeatedInt64(message, &field, index)
                          : r.GetInt64(message, &field)};
    case pb::FieldDescriptor::CPPTYPE_UINT32:
      return uint64_t{many ? r.GetRepeatedUInt32(message, &field, index)
                           : r.GetUInt32(message, &field)};
    case pb::FieldDescriptor::CPPTYPE_UINT64:
      return uint64_t{many ? r.GetRepeatedUInt64(message, &field, index)
                           : r.GetUInt64(message, &field)};
    case pb::FieldDescriptor::CPPTYPE_DOUBLE:
      return many ? r.GetRepeatedDouble(message, &field, index) : r.GetDouble(message, &field);
    case pb::FieldDescriptor::CPPTYPE_FLOAT:
      return static_cast<double>(many ? r.GetRepeatedFloat(message, &field, index)
                                      : r.GetFloat(message, &field));
    case pb::FieldDescriptor::CPPTYPE_BOOL:
      return many ? r.GetRepeatedBool(message, &field, index) : r.GetBool(message, &field);
    case pb::FieldDescriptor::CPPTYPE_ENUM: {
      const int number =
          many ? r.GetRepeatedEnumValue(message, &field, index) : r.GetEnumValue(message, &field);
      const pb::EnumValueDescriptor* value = field.enum_type()->FindValueByNumber(number);
      return value != nullptr ? std::string(value->name()) : std::to_string(number);
    }
    case pb::FieldDescriptor::CPPTYPE_STRING:
      return many ? r.GetRepeatedString(message, &field, index) : r.GetString(message, &field);
    case pb::FieldDescriptor::CPPTYPE_MESSAGE:
      break;
  }
  return {};
}

std::vector<std::pair<std::string, const pb::Message*>> SortedEntries(
    const pb::Message& message, const pb::FieldDescriptor& field) {
  const pb::Reflection& r = *message.GetReflection();
  const pb::FieldDescriptor& key = *field.message_type()->map_key();
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
  return entries;
}

}  // namespace sextant::kserve
