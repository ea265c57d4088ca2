#include "kserve/infer_http.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "text/json.h"

namespace sextant::kserve {

namespace {

using text::Json;

// JSON that parses, or fails to, but is not a request: Triton answers these with its internal-error
// status (HTTP 500), and clients that sort failures by status expect the same here.
Error JsonFault(std::string message) { return Internal(std::move(message)); }

Result<std::string> TakeString(const Json& object, std::string_view key, std::string_view what) {
  const Json* member = object.Find(key);
  if (member == nullptr) return JsonFault(Format("{} lacks '{}'", what, key));
  const auto value = member->AsString();
  if (!value)
    return JsonFault(Format("'{}' of {} must be a string, not {}", key, what, member->TypeName()));
  return std::string(*value);
}

Result<uint64_t> TakeUint(const Json& value, std::string_view key, std::string_view what) {
  const auto number = value.AsUint();
  if (!number) return JsonFault(Format("'{}' of {} must be a non-negative integer", key, what));
  return *number;
}

Result<Parameters> TakeParameters(const Json* json, std::string_view what) {
  Parameters out;
  if (json == nullptr) return out;
  if (!json->IsObject()) return JsonFault(Format("'parameters' of {} must be an object", what));
  for (const auto& [key, value] : json->object()) {
    if (const auto b = value.AsBool()) {
      out.emplace_back(key, *b);
    } else if (const double* d = value.IfDouble()) {
      out.emplace_back(key, *d);
    } else if (const auto i = value.AsInt()) {
      out.emplace_back(key, *i);
    } else if (const auto s = value.AsString()) {
      out.emplace_back(key, std::string(*s));
    } else {
      return InvalidArgument(Format("parameter '{}' of {} must be a boolean, a number or a string",
                                    Printable(key, 60), what));
    }
  }
  return out;
}

Result<Shape> TakeShape(const Json& tensor, std::string_view what) {
  const Json* json = tensor.Find("shape");
  if (json == nullptr || !json->IsArray())
    return JsonFault(Format("{} lacks an array 'shape'", what));
  Shape shape;
  for (const Json& dim : json->array()) {
    const auto value = dim.AsInt();
    if (!value || *value < 0)
      return JsonFault(Format("'shape' of {} must hold non-negative integers", what));
    shape.push_back(*value);
  }
  return shape;
}

Result<std::optional<SharedMemoryReference>> TakeSharedMemory(const Json* parameters,
                                                              std::string_view what) {
  std::optional<SharedMemoryReference> none;
  const Json* region = parameters == nullptr ? nullptr : parameters->Find("shared_memory_region");
  if (region == nullptr) return none;
  SharedMemoryReference reference;
  SEXTANT_ASSIGN(reference.region, TakeString(*parameters, "shared_memory_region", what));
  const Json* size = parameters->Find("shared_memory_byte_size");
  if (size == nullptr)
    return InvalidArgument(
        Format("{} names a shared memory region without 'shared_memory_byte_size'", what));
  SEXTANT_ASSIGN(reference.byte_size, TakeUint(*size, "shared_memory_byte_size", what));
  if (const Json* offset = parameters->Find("shared_memory_offset")) {
    SEXTANT_ASSIGN(reference.offset, TakeUint(*offset, "shared_memory_offset", what));
  }
  return std::optional(reference);
}

Result<void> AppendJsonElement(DataType type, const Json& value, std::string& out) {
  if (type == DataType::kBytes) {
    const auto s = value.AsString();
    if (!s) return JsonFault(Format("expected a string, got {}", value.TypeName()));
    AppendBytesElement(*s, out);
    return {};
  }
  if (const auto b = value.AsBool()) {
    if (type != DataType::kBool)
      return JsonFault(Format("a boolean does not fit {}", DataTypeName(type)));
    return AppendElement(type, int64_t{*b}, out);
  }
  if (type == DataType::kBool)
    return JsonFault(Format("expected a boolean, got {}", value.TypeName()));
  Result<void> appended;
  if (const double* d = value.IfDouble()) {
    appended = AppendElement(type, *d, out);
  } else if (const auto i = value.AsInt()) {
    appended = AppendElement(type, *i, out);
  } else if (const auto u = value.AsUint()) {
    appended = AppendElement(type, *u, out);
  } else {
    return JsonFault(Format("expected a number, got {}", value.TypeName()));
  }
  if (!appended.has_value()) return JsonFault(appended.error().message());
  return {};
}

// Arrays may be nested as the shape is, or flat.
Result<void> FlattenData(DataType type, const Json& data, std::string& out, uint64_t& count) {
  if (!data.IsArray()) {
    ++count;
    return AppendJsonElement(type, data, out);
  }
  for (const Json& element : data.array()) SEXTANT_TRY(FlattenData(type, element, out, count));
  return {};
}

Result<void> TakeJsonData(const Json& data, const std::string& what, InferInput& input,
                          std::deque<std::string>& converted) {
  if (input.type == DataType::kFp16 || input.type == DataType::kBf16) {
    return InvalidArgument(Format("{} cannot be sent as JSON: use binary tensor data for {}",
                                  DataTypeName(input.type), what));
  }
  std::string& bytes = converted.emplace_back();
  uint64_t count = 0;
  if (!data.IsArray()) return JsonFault(Format("'data' of {} must be an array", what));
  SEXTANT_TRY(FlattenData(input.type, data, bytes, count), Format("'data' of {}", what));
  const std::optional<uint64_t> expected = ElementCount(input.shape);
  if (!expected) return InvalidArgument(ShapeTooLarge(what, input.shape));
  if (*expected != count) {
    return JsonFault(Format("{} with shape {} must have {} elements, got {}", what,
                            FormatShape(input.shape), *expected, count));
  }
  input.data = bytes;
  return {};
}

Result<void> TakeInput(const Json& json, size_t index, std::string_view& binary,
                       InferRequest& request) {
  if (!json.IsObject()) return InvalidArgument(Format("input {} must be an object", index));
  InferInput& input = request.inputs.emplace_back();
  SEXTANT_ASSIGN(input.name, TakeString(json, "name", Format("input {}", index)));
  const std::string what = Format("input '{}'", Printable(input.name, 80));
  SEXTANT_ASSIGN(const std::string type_name, TakeString(json, "datatype", what));
  const std::optional<DataType> type = ParseDataType(type_name);
  if (!type)
    return InvalidArgument(Format("unknown datatype '{}' of {}", Printable(type_name, 40), what));
  input.type = *type;
  SEXTANT_ASSIGN(input.shape, TakeShape(json, what));
  const Json* parameters = json.Find("parameters");
  SEXTANT_ASSIGN(input.shared_memory, TakeSharedMemory(parameters, what));
  const Json* data = json.Find("data");
  const Json* binary_size = parameters == nullptr ? nullptr : parameters->Find("binary_data_size");
  const int sources =
      (data != nullptr) + (binary_size != nullptr) + input.shared_memory.has_value();
  if (sources != 1) {
    return InvalidArgument(Format(
        "{} must have exactly one of 'data', 'binary_data_size' and 'shared_memory_region'", what));
  }
  if (data != nullptr) return TakeJsonData(*data, what, input, request.converted);
  if (input.shared_memory) return {};
  SEXTANT_ASSIGN(const uint64_t size, TakeUint(*binary_size, "binary_data_size", what));
  if (size > binary.size()) {
    return InvalidArgument(Format("{} announces {} bytes of binary data, {} are left in the body",
                                  what, size, binary.size()));
  }
  input.data = binary.substr(0, size);
  binary.remove_prefix(size);
  return CheckDataSize(input, what);
}

Result<void> TakeOutput(const Json& json, size_t index, InferRequest& request) {
  if (!json.IsObject()) return JsonFault(Format("output {} must be an object", index));
  RequestedOutput& output = request.outputs.emplace_back();
  output.binary = request.binary_by_default;
  SEXTANT_ASSIGN(output.name, TakeString(json, "name", Format("output {}", index)));
  const std::string what = Format("output '{}'", Printable(output.name, 80));
  const Json* parameters = json.Find("parameters");
  SEXTANT_ASSIGN(output.shared_memory, TakeSharedMemory(parameters, what));
  if (parameters == nullptr) return {};
  if (const Json* binary = parameters->Find("binary_data")) {
    const auto value = binary->AsBool();
    if (!value) return JsonFault(Format("'binary_data' of {} must be a boolean", what));
    output.binary = *value;
  }
  if (const Json* classes = parameters->Find("classification")) {
    SEXTANT_ASSIGN(output.class_count, TakeUint(*classes, "classification", what));
  }
  return {};
}

void WriteParameters(const Parameters& parameters, text::JsonWriter& out) {
  if (parameters.empty()) return;
  out.Key("parameters").BeginObject();
  for (const auto& [name, value] : parameters) {
    out.Key(name);
    std::visit([&](const auto& v) { out.Value(Json(v)); }, value);
  }
  out.EndObject();
}

void WriteShape(const Shape& shape, text::JsonWriter& out) {
  out.Key("shape").BeginArray();
  for (const int64_t dim : shape) out.Value(dim);
  out.EndArray();
}

// Triton writes NaN and infinities although JSON lacks them, and its clients read them. Whole
// numbers keep a ".0", so that a reader of JSON sees the type.
template <typename T>
std::string JsonNumber(T value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  std::string text = Format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

Result<void> WriteJsonData(std::string_view name, DataType type, const Shape& shape,
                           std::string_view data, text::JsonWriter& out) {
  if (type == DataType::kFp16 || type == DataType::kBf16) {
    return InvalidArgument(Format("{} cannot be sent as JSON: use binary tensor data for '{}'",
                                  DataTypeName(type), name));
  }
  const uint64_t count = ElementCount(shape).value_or(0);
  out.Key("data").BeginArray();
  if (type == DataType::kBytes) {
    SEXTANT_ASSIGN(const auto elements, SplitBytes(data, count));
    for (const std::string_view element : elements) {
      if (!IsValidUtf8(element)) {
        return InvalidArgument(Format("'{}' is not text: use binary tensor data", name));
      }
      out.Value(element);
    }
  } else {
    for (uint64_t i = 0; i < count; ++i) {
      const double value = ElementAsDouble(type, data, i);
      if (type == DataType::kBool) {
        out.Value(value != 0);
      } else if (type == DataType::kFp32) {
        // The shortest text of the float, not of the double it was widened to.
        out.Raw(JsonNumber(static_cast<float>(value)));
      } else if (type == DataType::kFp64) {
        out.Raw(JsonNumber(value));
      } else if (type == DataType::kInt64 || type == DataType::kUint64) {
        int64_t bits;
        std::copy_n(data.data() + i * 8, 8, reinterpret_cast<char*>(&bits));
        type == DataType::kInt64 ? out.Value(bits) : out.Value(static_cast<uint64_t>(bits));
      } else {
        out.Value(static_cast<int64_t>(value));
      }
    }
  }
  out.EndArray();
  return {};
}

bool WantsBinary(const InferRequest& request, const std::string& name) {
  for (const RequestedOutput& output : request.outputs) {
    if (output.name == name) return output.binary;
  }
  return request.binary_by_default;
}

}  // namespace

Result<void> DecodeHttpRequest(std::optional<uint64_t> header_length, InferRequest& request) {
  const std::string_view body = request.body;
  if (header_length && *header_length > body.size()) {
    return InvalidArgument(
        Format("Inference-Header-Content-Length is {}, but the body has {} bytes", *header_length,
               body.size()));
  }
  if (header_length.value_or(body.size()) == 0) {
    request.raw_input = request.binary_by_default = true;
    request.inputs.emplace_back().data = body;
    return {};
  }
  const std::string_view header = body.substr(0, header_length.value_or(body.size()));
  std::string_view binary = body.substr(header.size());
  Result<Json> parsed = text::ParseJson(header);
  if (!parsed.has_value())
    return JsonFault("failed to parse the request JSON: " + parsed.error().message());
  const Json& json = *parsed;
  if (!json.IsObject()) return JsonFault("the request must be a JSON object");
  if (json.Find("id") != nullptr) {
    SEXTANT_ASSIGN(request.id, TakeString(json, "id", "the request"));
  }
  SEXTANT_ASSIGN(request.parameters, TakeParameters(json.Find("parameters"), "the request"));
  if (Result<void> reserved = CheckReservedParameters(request.parameters); !reserved.has_value())
    return JsonFault(reserved.error().message());
  if (const Parameter* binary_output = FindParameter(request.parameters, "binary_data_output")) {
    const bool* value = std::get_if<bool>(binary_output);
    if (value == nullptr) return JsonFault("'binary_data_output' must be a boolean");
    request.binary_by_default = *value;
    std::erase_if(request.parameters,
                  [](const auto& p) { return p.first == "binary_data_output"; });
  }
  const Json* inputs = json.Find("inputs");
  if (inputs == nullptr || !inputs->IsArray())
    return JsonFault("the request lacks an array 'inputs'");
  for (size_t i = 0; i < inputs->array().size(); ++i)
    SEXTANT_TRY(TakeInput(inputs->array()[i], i, binary, request));
  if (const Json* outputs = json.Find("outputs")) {
    if (!outputs->IsArray()) return JsonFault("'outputs' must be an array");
    for (size_t i = 0; i < outputs->array().size(); ++i)
      SEXTANT_TRY(TakeOutput(outputs->array()[i], i, request));
  }
  if (!binary.empty()) {
    return InvalidArgument(
        Format("{} bytes of binary data are left over after all inputs", binary.size()));
  }
  return {};
}

Result<HttpInferBody> EncodeHttpResponse(const InferRequest& request, InferResponse& response) {
  HttpInferBody body;
  text::JsonWriter out;
  out.BeginObject();
  if (!response.id.empty()) out.Member("id", response.id);
  out.Member("model_name", response.model_name).Member("model_version", response.model_version);
  WriteParameters(response.parameters, out);
  out.Key("outputs").BeginArray();
  for (InferOutput& output : response.outputs) {
    out.BeginObject().Member("name", output.name).Member("datatype", DataTypeName(output.type));
    WriteShape(output.shape, out);
    if (output.shared_memory) {
      // The client knows where it asked for it; nothing is said of the place, as in Triton.
    } else if (WantsBinary(request, output.name)) {
      out.Key("parameters")
          .BeginObject()
          .Member("binary_data_size", uint64_t{output.data.size()})
          .EndObject();
      body.binary.push_back(std::move(output.data));
    } else {
      SEXTANT_TRY(WriteJsonData(output.name, output.type, output.shape, output.data, out));
    }
    out.EndObject();
  }
  out.EndArray().EndObject();
  body.json = out.Take();
  return body;
}

namespace {

void WriteOutputs(const std::vector<RequestedOutput>& outputs, text::JsonWriter& out) {
  if (outputs.empty()) return;
  out.Key("outputs").BeginArray();
  for (const RequestedOutput& output : outputs) {
    out.BeginObject().Member("name", output.name);
    out.Key("parameters").BeginObject().Member("binary_data", output.binary).EndObject();
    out.EndObject();
  }
  out.EndArray();
}

}  // namespace

std::string EncodeHttpRequestHeader(const std::vector<InferInput>& inputs,
                                    const std::vector<RequestedOutput>& outputs,
                                    std::string_view id, const Parameters& parameters) {
  text::JsonWriter out;
  out.BeginObject();
  if (!id.empty()) out.Member("id", id);
  WriteParameters(parameters, out);
  out.Key("inputs").BeginArray();
  for (const InferInput& input : inputs) {
    out.BeginObject().Member("name", input.name);
    WriteShape(input.shape, out);
    out.Member("datatype", DataTypeName(input.type));
    out.Key("parameters")
        .BeginObject()
        .Member("binary_data_size", uint64_t{input.data.size()})
        .EndObject();
    out.EndObject();
  }
  out.EndArray();
  WriteOutputs(outputs, out);
  out.EndObject();
  return out.Take();
}

Result<std::string> EncodeHttpJsonRequest(const std::vector<InferInput>& inputs,
                                          const std::vector<RequestedOutput>& outputs,
                                          const Parameters& parameters) {
  text::JsonWriter out;
  out.BeginObject();
  WriteParameters(parameters, out);
  out.Key("inputs").BeginArray();
  for (const InferInput& input : inputs) {
    out.BeginObject().Member("name", input.name);
    WriteShape(input.shape, out);
    out.Member("datatype", DataTypeName(input.type));
    SEXTANT_TRY(WriteJsonData(input.name, input.type, input.shape, input.data, out));
    out.EndObject();
  }
  out.EndArray();
  WriteOutputs(outputs, out);
  out.EndObject();
  return out.Take();
}

Result<ResponseView> DecodeHttpResponse(std::string_view body,
                                        std::optional<uint64_t> header_length) {
  if (header_length.value_or(0) > body.size())
    return Corrupt("Inference-Header-Content-Length exceeds the body");
  const std::string_view header = body.substr(0, header_length.value_or(body.size()));
  std::string_view binary = body.substr(header.size());
  SEXTANT_ASSIGN(const Json json, text::ParseJson(header, {.nan_and_inf = true}), "response JSON");
  ResponseView out;
  const auto text_of = [&](std::string_view key) {
    const Json* member = json.Find(key);
    return std::string(member == nullptr ? "" : member->AsString().value_or(""));
  };
  out.model_name = text_of("model_name");
  out.model_version = text_of("model_version");
  out.id = text_of("id");
  const Json* outputs = json.Find("outputs");
  if (outputs == nullptr || !outputs->IsArray())
    return Corrupt("the response lacks an array 'outputs'");
  for (const Json& output_json : outputs->array()) {
    // Read as an input: the fields have the same names.
    InferInput output;
    SEXTANT_ASSIGN(output.name, TakeString(output_json, "name", "an output"));
    const std::string what = Format("output '{}'", Printable(output.name, 80));
    SEXTANT_ASSIGN(const std::string type_name, TakeString(output_json, "datatype", what));
    const std::optional<DataType> type = ParseDataType(type_name);
    if (!type)
      return Corrupt(Format("unknown datatype '{}' of {}", Printable(type_name, 40), what));
    output.type = *type;
    SEXTANT_ASSIGN(output.shape, TakeShape(output_json, what));
    const Json* parameters = output_json.Find("parameters");
    const Json* size_json = parameters == nullptr ? nullptr : parameters->Find("binary_data_size");
    if (size_json != nullptr) {
      const auto size = size_json->AsUint();
      if (!size || *size > binary.size())
        return Corrupt(Format("{} announces more binary data than there is", what));
      output.data = binary.substr(0, *size);
      binary.remove_prefix(*size);
    } else if (const Json* data = output_json.Find("data")) {
      SEXTANT_TRY(TakeJsonData(*data, what, output, out.converted));
    }
    out.outputs.push_back(
        {std::move(output.name), output.type, std::move(output.shape), output.data});
  }
  return out;
}

}  // namespace sextant::kserve
