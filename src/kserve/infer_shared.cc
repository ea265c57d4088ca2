#include "kserve/infer_shared.h"

#include "base/strings.h"
#include "inference.pb.h"
#include "kserve/wire.h"
#include "text/json.h"

namespace sextant::kserve {
namespace {

// A JSON string of a name.
std::string Quoted(std::string_view text) { return text::FormatJson(text::Json(text)); }

// Bytes of a varint that hold any offset below 2^42.
constexpr int kOffsetVarintBytes = 6;

void AppendParameter(std::string_view name, const std::string& choice, std::string& out) {
  std::string entry;
  AppendBytesField(entry, 1, name);
  AppendBytesField(entry, 2, choice);
  AppendBytesField(out, 2, entry);  // parameters of InferRequestedOutputTensor
}

}  // namespace

std::string EncodeHttpSharedInputs(const std::vector<InferInput>& inputs) {
  std::string out = "{\"inputs\":[";
  for (const InferInput& input : inputs) {
    std::string shape;
    for (const int64_t dim : input.shape)
      AppendFormat(shape, "{}{}", shape.empty() ? "" : ",", dim);
    AppendFormat(out,
                 "{}{{\"name\":{},\"shape\":[{}],\"datatype\":\"{}\",\"parameters\":{{"
                 "\"shared_memory_region\":{},\"shared_memory_byte_size\":{},"
                 "\"shared_memory_offset\":{}}}}}",
                 &input == inputs.data() ? "" : ",", Quoted(input.name), shape,
                 DataTypeName(input.type), Quoted(input.shared_memory->region),
                 input.shared_memory->byte_size, input.shared_memory->offset);
  }
  return out + "],\"outputs\":";
}

std::string EncodeHttpSharedOutputs(const std::vector<RequestedOutput>& outputs) {
  std::string out = "[";
  for (const RequestedOutput& output : outputs) {
    AppendFormat(out,
                 "{}{{\"name\":{},\"parameters\":{{\"shared_memory_region\":{},"
                 "\"shared_memory_byte_size\":{},\"shared_memory_offset\":{:13}}}}}",
                 &output == outputs.data() ? "" : ",", Quoted(output.name),
                 Quoted(output.shared_memory->region), output.shared_memory->byte_size,
                 output.shared_memory->offset);
  }
  return out + "]}";
}

std::string EncodeGrpcSharedInputs(std::string_view model_name, std::string_view model_version,
                                   const std::vector<InferInput>& inputs) {
  inference::ModelInferRequest request;
  request.set_model_name(std::string(model_name));
  request.set_model_version(std::string(model_version));
  for (const InferInput& input : inputs) {
    auto& tensor = *request.add_inputs();
    tensor.set_name(input.name);
    tensor.set_datatype(std::string(DataTypeName(input.type)));
    for (const int64_t dim : input.shape) tensor.add_shape(dim);
    auto& parameters = *tensor.mutable_parameters();
    parameters["shared_memory_region"].set_string_param(input.shared_memory->region);
    parameters["shared_memory_byte_size"].set_int64_param(
        static_cast<int64_t>(input.shared_memory->byte_size));
    parameters["shared_memory_offset"].set_int64_param(
        static_cast<int64_t>(input.shared_memory->offset));
  }
  return request.SerializeAsString();
}

std::string EncodeGrpcSharedOutputs(const std::vector<RequestedOutput>& outputs) {
  std::string out;
  for (const RequestedOutput& output : outputs) {
    std::string tensor, choice;
    AppendBytesField(tensor, 1, output.name);
    AppendBytesField(choice, 3, output.shared_memory->region);
    AppendParameter("shared_memory_region", choice, tensor);
    choice.clear();
    AppendNumberField(choice, 2, output.shared_memory->byte_size);
    AppendParameter("shared_memory_byte_size", choice, tensor);
    choice.clear();
    AppendTag(choice, 2, WireType::kVarint);
    uint64_t offset = output.shared_memory->offset;
    for (int i = 1; i < kOffsetVarintBytes; ++i, offset >>= 7)
      choice += static_cast<char>((offset & 0x7f) | 0x80);
    choice += static_cast<char>(offset & 0x7f);
    AppendParameter("shared_memory_offset", choice, tensor);
    AppendBytesField(out, 6, tensor);
  }
  return out;
}

}  // namespace sextant::kserve
