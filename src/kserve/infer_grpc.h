// Inference over gRPC: ModelInferRequest and ModelInferResponse (proto/inference.proto). Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kserve/infer.h"

namespace sextant::kserve {

// Reads request.body into the rest of `request`. Sizes are checked against shapes.
Result<void> DecodeGrpcRequest(InferRequest& request);

// A ModelInferResponse; all tensors in raw_output_contents.
std::string EncodeGrpcResponse(const InferResponse& response);
// A ModelStreamInferResponse around an encoded response, or around an error.
std::string EncodeGrpcStreamResponse(std::string_view response);
std::string EncodeGrpcStreamError(std::string_view error, std::string_view response);

// For clients: everything of a ModelInferRequest before its raw_input_contents.
std::string EncodeGrpcRequestHeader(std::string_view model_name, std::string_view model_version,
                                    const std::vector<InferInput>& inputs,
                                    const std::vector<RequestedOutput>& outputs,
                                    std::string_view id, const Parameters& parameters);
// The field header before the bytes of one raw_input_contents.
std::string EncodeRawInputHeader(uint64_t byte_size);
// What the client of a stream needs to know of a ModelStreamInferResponse; views into the message.
struct StreamResponseView {
  std::string_view error;     // not empty: the request failed, and why
  std::string_view response;  // a ModelInferResponse
  std::string_view id;        // of the request
  std::optional<bool> final;  // absent where the server does not say
  bool has_outputs = false;
};
// Looks at as little as it needs and allocates nothing. False for what is not valid protocol
// buffers.
bool ScanGrpcStreamResponse(std::string_view message, StreamResponseView& out);
// For clients: a ModelInferResponse.
Result<ResponseView> DecodeGrpcResponse(std::string_view message);

}  // namespace sextant::kserve
