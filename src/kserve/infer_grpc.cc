#include "kserve/infer_grpc.h"

#include <bit>
#include <cstring>

#include "base/strings.h"
#include "inference.pb.h"
#include "kserve/wire.h"

namespace sextant::kserve {
namespace {

// Field numbers of proto/inference.proto.
namespace request_field {
constexpr uint32_t kModelName = 1, kModelVersion = 2, kId = 3, kParameters = 4, kInputs = 5,
                   kOutputs = 6, kRaw = 7;
}
namespace response_field {
constexpr uint32_t kModelName = 1, kModelVersion = 2, kId = 3, kParameters = 4, kOutputs = 5,
                   kRaw = 6;
}
namespace tensor_field {
constexpr uint32_t kName = 1, kDatatype = 2, kShape = 3, kParameters = 4, kContents = 5;
}
constexpr uint32_t kOutputParameters = 2;
namespace parameter_field {
constexpr uint32_t kBool = 1, kInt64 = 2, kString = 3, kDouble = 4, kUint64 = 5;
}

// Not the request's fault but the message's: the status that gRPC servers answer with.
Error Malformed() { return Internal("the message is not valid protocol buffers"); }

// One entry of a map<string, InferParameter>.
bool TakeParameter(std::string_view entry, Parameters& out) {
  std::string name;
  Parameter value = false;
  bool known = false;
  WireReader reader(entry);
  while (reader.Next()) {
    if (reader.Is(1, WireType::kBytes)) {
      name = reader.bytes();
    } else if (reader.Is(2, WireType::kBytes)) {
      WireReader choice(reader.bytes());
      while (choice.Next()) {
        known = true;
        if (choice.Is(parameter_field::kBool, WireType::kVarint)) {
          value = choice.number() != 0;
        } else if (choice.Is(parameter_field::kInt64, WireType::kVarint) ||
                   choice.Is(parameter_field::kUint64, WireType::kVarint)) {
          value = static_cast<int64_t>(choice.number());
        } else if (choice.Is(parameter_field::kString, WireType::kBytes)) {
          value = std::string(choice.bytes());
        } else if (choice.Is(parameter_field::kDouble, WireType::kFixed64)) {
          value = std::bit_cast<double>(choice.number());
        } else {
          known = false;
        }
      }
      if (!choice.ok()) return false;
    }
  }
  if (known) out.emplace_back(std::move(name), std::move(value));
  return reader.ok();
}

Result<std::optional<SharedMemoryReference>> TakeSharedMemory(const Parameters& parameters,
                                                              std::string_view what) {
  std::optional<SharedMemoryReference> none;
  const Parameter* region = FindParameter(parameters, "shared_memory_region");
  if (region == nullptr) return none;
  SharedMemoryReference reference;
  const std::string* name = std::get_if<std::string>(region);
  if (name == nullptr)
    return InvalidArgument(Format("'shared_memory_region' of {} must be a string", what));
  reference.region = *name;
  const auto number = [&](std::string_view key, uint64_t& out) -> Result<void> {
    const Parameter* value = FindParameter(parameters, key);
    if (value == nullptr) return {};
    const int64_t* v = std::get_if<int64_t>(value);
    if (v == nullptr || *v < 0)
      return InvalidArgument(Format("'{}' of {} must be a non-negative integer", key, what));
    out = static_cast<uint64_t>(*v);
    return {};
  };
  if (FindParameter(parameters, "shared_memory_byte_size") == nullptr) {
    return InvalidArgument(
        Format("{} names a shared memory region without 'shared_memory_byte_size'", what));
  }
  SEXTANT_TRY(number("shared_memory_byte_size", reference.byte_size));
  SEXTANT_TRY(number("shared_memory_offset", reference.offset));
  return std::optional(reference);
}

template <typename Values>
void AppendAll(const Values& values, DataType type, std::string& out) {
  for (const auto value : values) {
    // Range was checked by nobody: a value that does not fit is cut as the protocol's own casts do.
    switch (ElementSize(type)) {
      case 1:
        out += static_cast<char>(value);
        break;
      case 2: {
        const auto v = static_cast<uint16_t>(value);
        out.append(reinterpret_cast<const char*>(&v), sizeof v);
        break;
      }
      default:
        out.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
  }
}

// Typed contents: rare (raw bytes are the rule), so the generated class reads them.
Result<void> TakeContents(std::string_view bytes, const std::string& what, InferInput& input,
                          std::deque<std::string>& converted) {
  inference::InferTensorContents contents;
  if (!contents.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return Malformed();
  std::string& out = converted.emplace_back();
  switch (input.type) {
    case DataType::kBool:
      AppendAll(contents.bool_contents(), input.type, out);
      break;
    case DataType::kInt8:
    case DataType::kInt16:
    case DataType::kInt32:
      AppendAll(contents.int_contents(), input.type, out);
      break;
    case DataType::kInt64:
      AppendAll(contents.int64_contents(), input.type, out);
      break;
    case DataType::kUint8:
    case DataType::kUint16:
    case DataType::kUint32:
      AppendAll(contents.uint_contents(), input.type, out);
      break;
    case DataType::kUint64:
      AppendAll(contents.uint64_contents(), input.type, out);
      break;
    case DataType::kFp32:
      AppendAll(contents.fp32_contents(), input.type, out);
      break;
    case DataType::kFp64:
      AppendAll(contents.fp64_contents(), input.type, out);
      break;
    case DataType::kBytes:
      for (const std::string& element : contents.bytes_contents()) AppendBytesElement(element, out);
      break;
    case DataType::kFp16:
    case DataType::kBf16:
      return InvalidArgument(
          Format("{} of {} must be sent in raw_input_contents", DataTypeName(input.type), what));
  }
  input.data = out;
  return {};
}

bool TakeShape(const WireReader& field, Shape& shape) {
  if (field.type() == WireType::kVarint) {
    shape.push_back(static_cast<int64_t>(field.number()));
    return true;
  }
  if (field.type() != WireType::kBytes) return false;
  WireReader packed(field.bytes());
  while (!packed.empty()) {
    uint64_t dim = 0;
    if (!packed.TakeVarint(dim)) return false;
    shape.push_back(static_cast<int64_t>(dim));
  }
  return true;
}

Result<void> TakeInput(std::string_view bytes, InferRequest& request, std::string_view& contents,
                       bool& has_contents) {
  InferInput& input = request.inputs.emplace_back();
  std::string_view type_name;
  Parameters parameters;
  WireReader reader(bytes);
  bool good = true;
  while (good && reader.Next()) {
    if (reader.type() != WireType::kBytes && reader.field() != tensor_field::kShape) continue;
    switch (reader.field()) {
      case tensor_field::kName:
        input.name = reader.bytes();
        break;
      case tensor_field::kDatatype:
        type_name = reader.bytes();
        break;
      case tensor_field::kShape:
        good = TakeShape(reader, input.shape);
        break;
      case tensor_field::kParameters:
        good = TakeParameter(reader.bytes(), parameters);
        break;
      case tensor_field::kContents:
        contents = reader.bytes();
        has_contents = true;
        break;
      default:
        break;
    }
  }
  if (!good || !reader.ok()) return Malformed();
  const std::string what = Format("input '{}'", Printable(input.name, 80));
  const std::optional<DataType> type = ParseDataType(type_name);
  if (!type)
    return InvalidArgument(Format("unknown datatype '{}' of {}", Printable(type_name, 40), what));
  input.type = *type;
  SEXTANT_ASSIGN(input.shared_memory, TakeSharedMemory(parameters, what));
  return {};
}

Result<void> TakeOutput(std::string_view bytes, InferRequest& request) {
  RequestedOutput& output = request.outputs.emplace_back();
  output.binary = true;
  Parameters parameters;
  WireReader reader(bytes);
  bool good = true;
  while (good && reader.Next()) {
    if (reader.Is(tensor_field::kName, WireType::kBytes)) output.name = reader.bytes();
    if (reader.Is(kOutputParameters, WireType::kBytes))
      good = TakeParameter(reader.bytes(), parameters);
  }
  if (!good || !reader.ok()) return Malformed();
  const std::string what = Format("output '{}'", Printable(output.name, 80));
  SEXTANT_ASSIGN(output.shared_memory, TakeSharedMemory(parameters, what));
  if (const Parameter* classes = FindParameter(parameters, "classification")) {
    const int64_t* count = std::get_if<int64_t>(classes);
    if (count == nullptr || *count < 0)
      return InvalidArgument(Format("'classification' of {} must be a non-negative integer", what));
    output.class_count = static_cast<uint64_t>(*count);
  }
  return {};
}

void AppendParameters(const Parameters& parameters, uint32_t field, std::string& out) {
  for (const auto& [name, value] : parameters) {
    std::string choice;
    if (const bool* b = std::get_if<bool>(&value)) {
      AppendNumberField(choice, parameter_field::kBool, *b ? 1 : 0);
    } else if (const int64_t* i = std::get_if<int64_t>(&value)) {
      AppendNumberField(choice, parameter_field::kInt64, static_cast<uint64_t>(*i));
    } else if (const double* d = std::get_if<double>(&value)) {
      AppendTag(choice, parameter_field::kDouble, WireType::kFixed64);
      choice.append(reinterpret_cast<const char*>(d), sizeof *d);
    } else {
      AppendBytesField(choice, parameter_field::kString, std::get<std::string>(value));
    }
    std::string entry;
    AppendBytesField(entry, 1, name);
    AppendBytesField(entry, 2, choice);
    AppendBytesField(out, field, entry);
  }
}

void AppendTensor(std::string_view name, DataType type, const Shape& shape,
                  const Parameters& parameters, uint32_t field, std::string& out) {
  std::string tensor;
  AppendBytesField(tensor, tensor_field::kName, name);
  AppendBytesField(tensor, tensor_field::kDatatype, DataTypeName(type));
  std::string dims;
  for (const int64_t dim : shape) AppendVarint(dims, static_cast<uint64_t>(dim));
  if (!dims.empty()) AppendBytesField(tensor, tensor_field::kShape, dims);
  AppendParameters(parameters, tensor_field::kParameters, tensor);
  AppendBytesField(out, field, tensor);
}

void AppendIfSet(std::string& out, uint32_t field, std::string_view text) {
  if (!text.empty()) AppendBytesField(out, field, text);
}

}  // namespace

Result<void> DecodeGrpcRequest(InferRequest& request) {
  std::vector<std::string_view> raw;
  std::vector<std::pair<size_t, std::string_view>> contents;  // input index, typed contents
  WireReader reader(request.body);
  while (reader.Next()) {
    if (reader.type() != WireType::kBytes) continue;
    switch (reader.field()) {
      case request_field::kModelName:
        request.model_name = reader.bytes();
        break;
      case request_field::kModelVersion:
        request.model_version = reader.bytes();
        break;
      case request_field::kId:
        request.id = reader.bytes();
        break;
      case request_field::kParameters:
        if (!TakeParameter(reader.bytes(), request.parameters)) return Malformed();
        break;
      case request_field::kInputs: {
        std::string_view typed;
        bool has_typed = false;
        SEXTANT_TRY(TakeInput(reader.bytes(), request, typed, has_typed));
        if (has_typed) contents.emplace_back(request.inputs.size() - 1, typed);
        break;
      }
      case request_field::kOutputs:
        SEXTANT_TRY(TakeOutput(reader.bytes(), request));
        break;
      case request_field::kRaw:
        raw.push_back(reader.bytes());
        break;
      default:
        break;
    }
  }
  if (!reader.ok()) return Malformed();
  if (!raw.empty() && !contents.empty()) {
    return InvalidArgument(
        Format("contents of input '{}' beside raw_input_contents: only one of them may be used",
               request.inputs[contents[0].first].name));
  }
  size_t next_raw = 0, next_contents = 0;
  for (size_t i = 0; i < request.inputs.size(); ++i) {
    InferInput& input = request.inputs[i];
    if (input.shared_memory) {
      if (next_contents < contents.size() && contents[next_contents].first == i) ++next_contents;
      continue;
    }
    const std::string what = Format("input '{}'", Printable(input.name, 80));
    if (!contents.empty()) {
      // In the order of the inputs, as they were found.
      if (next_contents < contents.size() && contents[next_contents].first == i) {
        SEXTANT_TRY(TakeContents(contents[next_contents++].second, what, input, request.converted));
      }
    } else if (next_raw < raw.size()) {
      input.data = raw[next_raw++];
    } else if (!raw.empty()) {
      return InvalidArgument(Format("{} raw_input_contents for more inputs: nothing is left for {}",
                                    raw.size(), what));
    }
    SEXTANT_TRY(CheckDataSize(input, what));
  }
  // Contents that are left over belong to nobody; Triton ignores them, and there are clients that
  // send them.
  return CheckReservedParameters(request.parameters);
}

std::string EncodeGrpcResponse(const InferResponse& response) {
  std::string out;
  size_t bytes = 256;
  for (const InferOutput& output : response.outputs) bytes += output.data.size() + 128;
  out.reserve(bytes);
  AppendIfSet(out, response_field::kModelName, response.model_name);
  AppendIfSet(out, response_field::kModelVersion, response.model_version);
  AppendIfSet(out, response_field::kId, response.id);
  AppendParameters(response.parameters, response_field::kParameters, out);
  for (const InferOutput& output : response.outputs)
    AppendTensor(output.name, output.type, output.shape, {}, response_field::kOutputs, out);
  // Every output has an entry, an empty one where its bytes are in shared memory.
  for (const InferOutput& output : response.outputs)
    AppendBytesField(out, response_field::kRaw, output.data);
  return out;
}

std::string EncodeGrpcStreamResponse(std::string_view response) {
  return EncodeGrpcStreamError({}, response);
}

std::string EncodeGrpcStreamError(std::string_view error, std::string_view response) {
  std::string out;
  out.reserve(error.size() + response.size() + 16);
  AppendIfSet(out, 1, error);
  AppendBytesField(out, 2, response);
  return out;
}

std::string EncodeGrpcRequestHeader(std::string_view model_name, std::string_view model_version,
                                    const std::vector<InferInput>& inputs,
                                    const std::vector<RequestedOutput>& outputs,
                                    std::string_view id, const Parameters& parameters) {
  std::string out;
  AppendIfSet(out, request_field::kModelName, model_name);
  AppendIfSet(out, request_field::kModelVersion, model_version);
  AppendIfSet(out, request_field::kId, id);
  AppendParameters(parameters, request_field::kParameters, out);
  for (const InferInput& input : inputs)
    AppendTensor(input.name, input.type, input.shape, {}, request_field::kInputs, out);
  for (const RequestedOutput& output : outputs) {
    std::string requested;
    AppendBytesField(requested, tensor_field::kName, output.name);
    AppendBytesField(out, request_field::kOutputs, requested);
  }
  return out;
}

std::string EncodeRawInputHeader(uint64_t byte_size) {
  std::string out;
  AppendBytesHeader(out, request_field::kRaw, byte_size);
  return out;
}

namespace {

// The entry "triton_final_response" of a map<string, InferParameter>; nothing for any other.
bool ScanFinal(std::string_view entry, std::optional<bool>& out) {
  std::string_view name, value;
  WireReader reader(entry);
  while (reader.Next()) {
    if (reader.Is(1, WireType::kBytes)) name = reader.bytes();
    if (reader.Is(2, WireType::kBytes)) value = reader.bytes();
  }
  if (!reader.ok()) return false;
  if (name != "triton_final_response") return true;
  WireReader choice(value);
  while (choice.Next()) {
    if (choice.Is(parameter_field::kBool, WireType::kVarint)) out = choice.number() != 0;
  }
  return choice.ok();
}

}  // namespace

bool ScanGrpcStreamResponse(std::string_view message, StreamResponseView& out) {
  WireReader reader(message);
  while (reader.Next()) {
    if (reader.Is(1, WireType::kBytes)) out.error = reader.bytes();
    if (reader.Is(2, WireType::kBytes)) out.response = reader.bytes();
  }
  if (!reader.ok()) return false;
  WireReader response(out.response);
  while (response.Next()) {
    if (response.type() != WireType::kBytes) continue;
    switch (response.field()) {
      case response_field::kId:
        out.id = response.bytes();
        break;
      case response_field::kParameters:
        if (!ScanFinal(response.bytes(), out.final)) return false;
        break;
      case response_field::kOutputs:
        out.has_outputs = true;
        break;
      default:
        break;
    }
  }
  return response.ok();
}

Result<ResponseView> DecodeGrpcResponse(std::string_view message) {
  ResponseView out;
  std::vector<std::string_view> raw;
  WireReader reader(message);
  while (reader.Next()) {
    if (reader.type() != WireType::kBytes) continue;
    switch (reader.field()) {
      case response_field::kModelName:
        out.model_name = reader.bytes();
        break;
      case response_field::kModelVersion:
        out.model_version = reader.bytes();
        break;
      case response_field::kId:
        out.id = reader.bytes();
        break;
      case response_field::kOutputs: {
        // An output tensor has the fields of an input tensor.
        InferRequest scratch;
        std::string_view typed;
        bool has_typed = false;
        SEXTANT_TRY(TakeInput(reader.bytes(), scratch, typed, has_typed), "response");
        InferInput& tensor = scratch.inputs[0];
        if (has_typed) SEXTANT_TRY(TakeContents(typed, tensor.name, tensor, out.converted));
        out.outputs.push_back(
            {std::move(tensor.name), tensor.type, std::move(tensor.shape), tensor.data});
        break;
      }
      case response_field::kRaw:
        raw.push_back(reader.bytes());
        break;
      default:
        break;
    }
  }
  if (!reader.ok()) return Corrupt("the response is not valid protocol buffers");
  for (size_t i = 0; i < raw.size() && i < out.outputs.size(); ++i) out.outputs[i].data = raw[i];
  return out;
}

}  // namespace sextant::kserve
