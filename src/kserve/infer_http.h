// Inference over HTTP: the JSON header, and tensors as JSON or as binary data behind it
// (Triton's binary tensor data extension). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kserve/infer.h"

namespace sextant::kserve {

// Reads request.body, of which the first `header_length` bytes are JSON (nothing: all of it), into
// the rest of `request`. Sizes are checked against shapes; what a model makes of them is not.
Result<void> DecodeHttpRequest(std::optional<uint64_t> header_length, InferRequest& request);

struct HttpInferBody {
  std::string json;
  // Binary tensors in order, to follow the JSON; empty: then the JSON is all there is.
  std::vector<std::string> binary;
};
// Takes the tensors' bytes out of `response`. Outputs go out as `request` asked for them. Errors:
// data that JSON cannot carry.
Result<HttpInferBody> EncodeHttpResponse(const InferRequest& request, InferResponse& response);

// For clients: the JSON header of a request whose tensors all follow as binary data.
std::string EncodeHttpRequestHeader(const std::vector<InferInput>& inputs,
                                    const std::vector<RequestedOutput>& outputs,
                                    std::string_view id, const Parameters& parameters);
// For clients: a whole request with its tensors as JSON, for servers without the binary extension.
// Errors: data that JSON cannot carry.
Result<std::string> EncodeHttpJsonRequest(const std::vector<InferInput>& inputs,
                                          const std::vector<RequestedOutput>& outputs = {},
                                          const Parameters& parameters = {});
// For clients: a response body of which `header_length` bytes are JSON.
Result<ResponseView> DecodeHttpResponse(std::string_view body,
                                        std::optional<uint64_t> header_length);

}  // namespace sextant::kserve
