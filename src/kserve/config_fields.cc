#include "kserve/config_fields.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <limits>
#include <memory>

#include "base/strings.h"
#include "kserve/config_path.h"
#include "kserve/config_reflection.h"

namespace sextant::kserve {
namespace {

namespace pb = google::protobuf;
using Steps = std::span<const PathStep>;
using Field = pb::FieldDescriptor;
using text::Json;

bool IsMessage(const Field& field) { return field.cpp_type() == Field::CPPTYPE_MESSAGE; }

std::string Names(const std::vector<std::string_view>& names) {
  std::string out;
  for (const std::string_view name : names)
    AppendFormat(out, "{}{}", out.empty() ? "" : ", ", name);
  return out;
}

std::string Nearest(std::string_view name, const std::vector<std::string_view>& names) {
  const auto near = NearestName(name, names);
  return near ? Format("; did you mean '{}'?", *near) : "";
}

// What a field wants, for messages.
std::string Wants(const Field& field) {
  switch (field.cpp_type()) {
    case Field::CPPTYPE_INT32:
    case Field::CPPTYPE_INT64:
      return "a whole number";
    case Field::CPPTYPE_UINT32:
    case Field::CPPTYPE_UINT64:
      return "a whole number from 0";
    case Field::CPPTYPE_DOUBLE:
    case Field::CPPTYPE_FLOAT:
      return "a number";
    case Field::CPPTYPE_BOOL:
      return "true or false";
    case Field::CPPTYPE_ENUM: {
      std::vector<std::string_view> names;
      for (int i = 0; i < field.enum_type()->value_count(); ++i)
        names.push_back(field.enum_type()->value(i)->name());
      return "one of " + Names(names);
    }
    case Field::CPPTYPE_STRING:
      return "a text";
    case Field::CPPTYPE_MESSAGE:
      break;
  }
  return "an object of its fields, such as {}";
}

// Scalars as text, where a text is wanted: parameters hold numbers and switches in texts.
std::optional<std::string> TextOf(const Json& value) {
  if (const auto text = value.AsString()) return std::string(*text);
  if (const auto truth = value.AsBool()) return *truth ? "true" : "false";
  if (value.IsArray() || value.IsObject() || value.IsNull()) return std::nullopt;
  return text::FormatJson(value);
}

// One setting on its way into the message.
class Setter {
 public:
  // Without the model that a path is for, any index of a list means its first element, which is
  // made when there is none.
  enum class Mode : uint8_t { kModel, kAnyModel, kPathAlone };
  Setter(std::string_view path, Mode mode) : path_(path), mode_(mode) {}

  Result<void> Set(pb::Message& message, Steps steps, const Json& value) {
    SEXTANT_ASSIGN(const Field* field, Find(message, steps.front()));
    SEXTANT_TRY(CheckChoice(message, *field, value));
    if (field->is_map()) return SetMap(message, *field, steps, value);
    if (field->is_repeated()) return SetRepeated(message, *field, steps, value);
    if (steps.front().key) return Fault(Format("{} is neither a list nor a map", field->name()));
    if (steps.size() == 1) return Assign(message, *field, value);
    if (!IsMessage(*field))
      return Fault(Format("{} is {} and has no parts", field->name(), Wants(*field)));
    const pb::Reflection& r = *message.GetReflection();
    // Nothing is made only to take something out of it.
    if (value.IsNull() && !r.HasField(message, field))
      return SetAside(r.GetMessage(message, field), steps.subspan(1), value);
    return Set(*r.MutableMessage(&message, field), steps.subspan(1), value);
  }

 private:
  Error Fault(std::string_view what) const {
    return InvalidArgument(Format("'{}': {}", Printable(path_, 120), what));
  }
  Error WrongType(const Field& field, const Json& value, std::string_view wanted) const {
    const std::string shown = text::FormatJson(value);
    std::string near;
    if (const auto name = value.AsString(); name && field.cpp_type() == Field::CPPTYPE_ENUM) {
      std::vector<std::string_view> names;
      for (int i = 0; i < field.enum_type()->value_count(); ++i)
        names.push_back(field.enum_type()->value(i)->name());
      near = Nearest(*name, names);
    }
    return Fault(Format("{} wants {}, not {}{}", field.name(), wanted, Printable(shown, 60), near));
  }

  Result<const Field*> Find(const pb::Message& message, const PathStep& step) const {
    const pb::Descriptor& type = *message.GetDescriptor();
    if (const Field* field = type.FindFieldByName(step.name)) return field;
    std::vector<std::string_view> names;
    for (int i = 0; i < type.field_count(); ++i) names.push_back(type.field(i)->name());
    const std::string place =
        &type == ModelConfig::descriptor() ? "config.pbtxt" : std::string(type.name());
    return Fault(Format("'{}' is not a field of {}; there {} {}{}", Printable(step.name, 60), place,
                        names.size() == 1 ? "is" : "are", names.empty() ? "none" : Names(names),
                        Nearest(step.name, names)));
  }

  // How a model is scheduled is what it is made for; protobuf would drop it without a word.
  Result<void> CheckChoice(const pb::Message& message, const Field& field,
                           const Json& value) const {
    const pb::OneofDescriptor* choice = field.containing_oneof();
    if (choice == nullptr || choice->name() != "scheduling_choice" || value.IsNull()) return {};
    const Field* present = message.GetReflection()->GetOneofFieldDescriptor(message, choice);
    if (present == nullptr || present == &field) return {};
    return Fault(
        Format("the model has {}, and a model has only one of the two; remove that with "
               "{}=null first",
               present->name(), present->name()));
  }

  // The whole of what follows, on a copy that is thrown away: finds mistakes.
  Result<void> SetAside(const pb::Message& prototype, Steps steps, const Json& value) {
    const std::unique_ptr<pb::Message> scratch(prototype.New());
    return Set(*scratch, steps, value);
  }

  Result<void> SetMembers(pb::Message& message, const Json& value) {
    for (const auto& [name, member] : value.object()) {
      const PathStep step{.name = name, .key = {}};
      SEXTANT_TRY(Set(message, {&step, 1}, member));
    }
    return {};
  }

  // A field that is neither repeated nor a map, as a whole.
  Result<void> Assign(pb::Message& message, const Field& field, const Json& value) {
    const pb::Reflection& r = *message.GetReflection();
    if (value.IsNull()) {
      r.ClearField(&message, &field);
      return {};
    }
    if (!IsMessage(field)) return Store(message, field, -1, value);
    if (!value.IsObject()) return WrongType(field, value, Wants(field) + ", or null");
    r.ClearField(&message, &field);
    return SetMembers(*r.MutableMessage(&message, &field), value);
  }

  Result<void> SetMap(pb::Message& message, const Field& field, Steps steps, const Json& value) {
    if (steps.front().key)
      return SetEntry(message, field, *steps.front().key, {steps.subspan(1), value});
    if (steps.size() > 1) {
      if (steps[1].key)
        return Fault(
            Format("'{}' is a key; write {}[{}]", steps[1].name, field.name(), steps[1].name));
      return SetEntry(message, field, steps[1].name, {steps.subspan(2), value});
    }
    if (!value.IsNull() && !value.IsObject())
      return WrongType(field, value, "an object of keys and values, or null");
    message.GetReflection()->ClearField(&message, &field);
    if (value.IsNull()) return {};
    for (const auto& [key, member] : value.object())
      SEXTANT_TRY(SetEntry(message, field, key, {{}, member}));
    return {};
  }

  struct Rest {
    Steps steps;
    const Json& value;
  };

  Result<void> SetEntry(pb::Message& message, const Field& field, const std::string& key,
                        const Rest& rest) {
    const pb::Reflection& r = *message.GetReflection();
    const Field& key_field = *field.message_type()->map_key();
    const bool by_name = key_field.cpp_type() == Field::CPPTYPE_STRING;
    const auto number = by_name ? std::optional<uint64_t>(0) : ParseUint(key);
    if (!number) return Fault(Format("the keys of {} are whole numbers", field.name()));
    int at = 0;
    const int size = r.FieldSize(message, &field);
    for (; at < size; ++at) {
      const pb::Message& entry = r.GetRepeatedMessage(message, &field, at);
      const pb::Reflection& er = *entry.GetReflection();
      if (by_name ? er.GetString(entry, &key_field) == key
                  : er.GetUInt64(entry, &key_field) == *number)
        break;
    }
    if (rest.value.IsNull() && (at == size || rest.steps.empty())) {
      if (at == size) return {};
      r.SwapElements(&message, &field, at, size - 1);
      r.RemoveLast(&message, &field);
      return {};
    }
    pb::Message& entry = at < size ? *r.MutableRepeatedMessage(&message, &field, at)
                                   : *r.AddMessage(&message, &field);
    if (by_name) {
      entry.GetReflection()->SetString(&entry, &key_field, key);
    } else {
      entry.GetReflection()->SetUInt64(&entry, &key_field, *number);
    }
    return SetEntryValue(entry, field, rest);
  }

  Result<void> SetEntryValue(pb::Message& entry, const Field& field, const Rest& rest) {
    const Field& value_field = *field.message_type()->map_value();
    if (!IsMessage(value_field)) {
      if (!rest.steps.empty()) return Fault(Format("the values of {} have no parts", field.name()));
      return Store(entry, value_field, -1, rest.value);
    }
    pb::Message& target = *entry.GetReflection()->MutableMessage(&entry, &value_field);
    if (!rest.steps.empty()) return Set(target, rest.steps, rest.value);
    if (rest.value.IsObject()) {
      target.Clear();
      return SetMembers(target, rest.value);
    }
    const Field* text = target.GetDescriptor()->FindFieldByName("string_value");
    if (text == nullptr) return WrongType(field, rest.value, "an object for each key");
    return Store(target, *text, -1, rest.value);
  }

  Result<void> SetRepeated(pb::Message& message, const Field& field, Steps steps,
                           const Json& value) {
    const pb::Reflection& r = *message.GetReflection();
    if (!IsMessage(field) && steps.size() > 1)
      return Fault(Format("the elements of {} have no parts", field.name()));
    if (steps.front().key) return SetElement(message, field, steps, value);
    if (steps.size() == 1) return SetList(message, field, value);
    if (r.FieldSize(message, &field) == 0) {
      if (value.IsNull()) {
        const std::unique_ptr<pb::Message> scratch(message.New());
        return Set(*r.AddMessage(scratch.get(), &field), steps.subspan(1), value);
      }
      r.AddMessage(&message, &field);
    }
    for (int i = 0; i < r.FieldSize(message, &field); ++i)
      SEXTANT_TRY(Set(*r.MutableRepeatedMessage(&message, &field, i), steps.subspan(1), value));
    return {};
  }

  Result<void> SetElement(pb::Message& message, const Field& field, Steps steps,
                          const Json& value) {
    const pb::Reflection& r = *message.GetReflection();
    const int size = r.FieldSize(message, &field);
    const auto index = ParseUint(*steps.front().key);
    if (!index) {
      return Fault(Format("{} is a list: an index is wanted in its brackets, not '{}'",
                          field.name(), Printable(*steps.front().key, 60)));
    }
    const uint64_t at = mode_ == Mode::kModel ? *index : 0;
    if (at > static_cast<uint64_t>(size))
      return Fault(
          Format("{} has {} elements; an index up to {} is possible", field.name(), size, size));
    if (value.IsNull() && steps.size() == 1 && mode_ == Mode::kPathAlone) return {};
    if (value.IsNull() && steps.size() == 1)
      return Fault(Format("an element of {} cannot be removed; set the whole list", field.name()));
    if (!IsMessage(field)) return Store(message, field, static_cast<int>(at), value);
    if (at == static_cast<uint64_t>(size)) r.AddMessage(&message, &field);
    pb::Message& element = *r.MutableRepeatedMessage(&message, &field, static_cast<int>(at));
    if (steps.size() > 1) return Set(element, steps.subspan(1), value);
    if (!value.IsObject()) return WrongType(field, value, Wants(field));
    element.Clear();
    return SetMembers(element, value);
  }

  // The whole of a repeated field; a value that is no list is a list of one.
  Result<void> SetList(pb::Message& message, const Field& field, const Json& value) {
    const pb::Reflection& r = *message.GetReflection();
    r.ClearField(&message, &field);
    if (value.IsNull()) return {};
    const std::span<const Json> elements =
        value.IsArray() ? std::span<const Json>(value.array()) : std::span<const Json>(&value, 1);
    for (const Json& element : elements) {
      if (!IsMessage(field)) {
        SEXTANT_TRY(Store(message, field, r.FieldSize(message, &field), element));
        continue;
      }
      if (!element.IsObject()) return WrongType(field, element, "a list of objects of its fields");
      SEXTANT_TRY(SetMembers(*r.AddMessage(&message, &field), element));
    }
    return {};
  }

  template <typename T>
  Result<T> Integer(const Field& field, const Json& value) const {
    if constexpr (std::is_signed_v<T>) {
      const auto v = value.AsInt();
      if (v && *v >= std::numeric_limits<T>::min() && *v <= std::numeric_limits<T>::max())
        return static_cast<T>(*v);
    } else {
      const auto v = value.AsUint();
      if (v && *v <= std::numeric_limits<T>::max()) return static_cast<T>(*v);
    }
    const bool number = value.AsDouble().has_value();
    return WrongType(field, value, Wants(field) + (number ? " within its range" : ""));
  }

  // Puts a scalar: `index` < 0 into a field that is not repeated, else into that element, which is
  // added when it is the next.
  Result<void> Store(pb::Message& message, const Field& field, int index, const Json& value) {
    const pb::Reflection& r = *message.GetReflection();
    const auto put = [&](auto set, auto set_at, auto add, auto v) -> Result<void> {
      if (index < 0) {
        (r.*set)(&message, &field, std::move(v));
      } else if (index < r.FieldSize(message, &field)) {
        (r.*set_at)(&message, &field, index, std::move(v));
      } else {
        (r.*add)(&message, &field, std::move(v));
      }
      return {};
    };
    using R = pb::Reflection;
    switch (field.cpp_type()) {
      case Field::CPPTYPE_INT32: {
        SEXTANT_ASSIGN(const int32_t v, Integer<int32_t>(field, value));
        return put(&R::SetInt32, &R::SetRepeatedInt32, &R::AddInt32, v);
      }
      case Field::CPPTYPE_INT64: {
        SEXTANT_ASSIGN(const int64_t v, Integer<int64_t>(field, value));
        return put(&R::SetInt64, &R::SetRepeatedInt64, &R::AddInt64, v);
      }
      case Field::CPPTYPE_UINT32: {
        SEXTANT_ASSIGN(const uint32_t v, Integer<uint32_t>(field, value));
        return put(&R::SetUInt32, &R::SetRepeatedUInt32, &R::AddUInt32, v);
      }
      case Field::CPPTYPE_UINT64: {
        SEXTANT_ASSIGN(const uint64_t v, Integer<uint64_t>(field, value));
        return put(&R::SetUInt64, &R::SetRepeatedUInt64, &R::AddUInt64, v);
      }
      case Field::CPPTYPE_BOOL:
        if (const auto v = value.AsBool())
          return put(&R::SetBool, &R::SetRepeatedBool, &R::AddBool, *v);
        break;
      case Field::CPPTYPE_STRING:
        if (const auto v = TextOf(value); v && IsValidUtf8(*v))
          return put(&R::SetString, &R::SetRepeatedString, &R::AddString, *v);
        break;
      default:
        return StoreOther(message, field, put, value);
    }
    return WrongType(field, value, Wants(field));
  }

  template <typename Put>
  Result<void> StoreOther(pb::Message&, const Field& field, const Put& put, const Json& value) {
    using R = pb::Reflection;
    if (field.cpp_type() == Field::CPPTYPE_ENUM) {
      const auto name = value.AsString();
      const auto number = value.AsInt();
      const pb::EnumValueDescriptor* v = nullptr;
      if (name) v = field.enum_type()->FindValueByName(std::string(*name));
      if (number && *number >= 0 && *number <= std::numeric_limits<int>::max())
        v = field.enum_type()->FindValueByNumber(static_cast<int>(*number));
      if (v != nullptr) return put(&R::SetEnum, &R::SetRepeatedEnum, &R::AddEnum, v);
    } else if (const auto v = value.AsDouble()) {
      if (field.cpp_type() == Field::CPPTYPE_DOUBLE)
        return put(&R::SetDouble, &R::SetRepeatedDouble, &R::AddDouble, *v);
      if (std::abs(*v) <= std::numeric_limits<float>::max())
        return put(&R::SetFloat, &R::SetRepeatedFloat, &R::AddFloat, static_cast<float>(*v));
    }
    return WrongType(field, value, Wants(field));
  }

  std::string_view path_;
  Mode mode_;
};

Json MessageValue(const pb::Message& message);

// A whole field.
Json FieldValue(const pb::Message& message, const Field& field) {
  const pb::Reflection& r = *message.GetReflection();
  if (field.is_map()) {
    Json out{Json::Object()};
    const Field& value = *field.message_type()->map_value();
    for (const auto& [key, entry] : SortedEntries(message, field))
      out.object().emplace_back(key, FieldValue(*entry, value));
    return out;
  }
  if (!field.is_repeated()) {
    if (!IsMessage(field)) return ScalarOf(message, field, -1);
    return MessageValue(r.GetMessage(message, &field));
  }
  Json out{Json::Array()};
  for (int i = 0; i < r.FieldSize(message, &field); ++i) {
    out.array().push_back(IsMessage(field) ? MessageValue(r.GetRepeatedMessage(message, &field, i))
                                           : ScalarOf(message, field, i));
  }
  return out;
}

Json MessageValue(const pb::Message& message) {
  std::vector<const Field*> fields;
  message.GetReflection()->ListFields(message, &fields);
  Json out{Json::Object()};
  for (const Field* field : fields)
    out.object().emplace_back(field->name(), FieldValue(message, *field));
  return out;
}

// Reads what a path that is known to be right leads to.
class Reader {
 public:
  // `any_index`: any index of a list means its first element.
  explicit Reader(bool any_index) : any_index_(any_index) {}

  Json Read(const pb::Message& message, Steps steps) const {
    const Field& field = *message.GetDescriptor()->FindFieldByName(steps.front().name);
    if (field.is_map()) return ReadEntry(message, field, steps);
    if (field.is_repeated()) return ReadRepeated(message, field, steps);
    if (!IsMessage(field)) return ScalarOf(message, field, -1);
    if (!message.GetReflection()->HasField(message, &field)) return {};
    if (steps.size() == 1) return FieldValue(message, field);
    return Read(message.GetReflection()->GetMessage(message, &field), steps.subspan(1));
  }

 private:
  Json ReadEntry(const pb::Message& message, const Field& field, Steps steps) const {
    const bool bracket = steps.front().key.has_value();
    if (!bracket && steps.size() == 1) return FieldValue(message, field);
    const std::string& key = bracket ? *steps.front().key : steps[1].name;
    const Steps rest = steps.subspan(bracket ? 1 : 2);
    const Field& value = *field.message_type()->map_value();
    for (const auto& [name, entry] : SortedEntries(message, field)) {
      if (name != key) continue;
      if (!IsMessage(value)) return ScalarOf(*entry, value, -1);
      const pb::Message& target = entry->GetReflection()->GetMessage(*entry, &value);
      if (!rest.empty()) return Read(target, rest);
      const Field* text = target.GetDescriptor()->FindFieldByName("string_value");
      return text != nullptr ? ScalarOf(target, *text, -1) : MessageValue(target);
    }
    return {};
  }

  Json ReadRepeated(const pb::Message& message, const Field& field, Steps steps) const {
    const pb::Reflection& r = *message.GetReflection();
    const int size = r.FieldSize(message, &field);
    if (steps.front().key) {
      const auto index = any_index_ ? uint64_t{0} : ParseUint(*steps.front().key);
      if (!index || *index >= static_cast<uint64_t>(size)) return {};
      const int at = static_cast<int>(*index);
      if (!IsMessage(field)) return ScalarOf(message, field, at);
      const pb::Message& element = r.GetRepeatedMessage(message, &field, at);
      return steps.size() == 1 ? MessageValue(element) : Read(element, steps.subspan(1));
    }
    if (steps.size() == 1) return size == 0 ? Json() : FieldValue(message, field);
    Json::Array all;
    for (int i = 0; i < size; ++i)
      all.push_back(Read(r.GetRepeatedMessage(message, &field, i), steps.subspan(1)));
    if (all.empty()) return {};
    const bool same =
        std::all_of(all.begin(), all.end(), [&](const Json& v) { return v == all.front(); });
    return same ? Json(all.front()) : Json(std::move(all));
  }

  bool any_index_;
};

// An error leaves it half done.
Result<void> SetInPlace(ModelConfig& config, std::string_view path, const Json& value) {
  SEXTANT_ASSIGN(const std::vector<PathStep> steps, ParseFieldPath(path));
  return Setter(path, Setter::Mode::kModel).Set(config, steps, value);
}

}  // namespace

Result<void> SetField(ModelConfig& config, std::string_view path, const Json& value) {
  ModelConfig changed = config;
  SEXTANT_TRY(SetInPlace(changed, path, value));
  config.Swap(&changed);
  return {};
}

Result<ModelConfig> WithSettings(const ModelConfig& config,
                                 std::span<const FieldSetting> settings) {
  ModelConfig out = config;
  std::vector<std::string> faults;
  for (const FieldSetting& setting : InOrder(settings)) {
    // What an error leaves half done is thrown away with the rest.
    if (Result<void> set = SetInPlace(out, setting.path, setting.value); !set.has_value())
      faults.push_back(set.error().message());
  }
  if (!faults.empty()) return InvalidArgument(Join(faults, "\n"));
  return out;
}

Result<Json> GetField(const ModelConfig& config, std::string_view path) {
  SEXTANT_ASSIGN(const std::vector<PathStep> steps, ParseFieldPath(path));
  // Removing it from nothing finds every mistake in the path.
  ModelConfig nothing;
  SEXTANT_TRY(Setter(path, Setter::Mode::kPathAlone).Set(nothing, steps, {}));
  return Reader(false).Read(config, steps);
}

Result<Json> CanonicalValue(std::string_view path, const Json& value) {
  SEXTANT_ASSIGN(const std::vector<PathStep> steps, ParseFieldPath(path));
  ModelConfig alone;
  SEXTANT_TRY(Setter(path, Setter::Mode::kAnyModel).Set(alone, steps, value));
  return Reader(true).Read(alone, steps);
}

}  // namespace sextant::kserve
