// JSON and binary tensors of a request, and of a response; the first two bytes are the header
// length.
#include "kserve/infer_http.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sextant::kserve;  // NOLINT
  if (size < 2) return 0;
  const uint64_t length = data[0] * 256u + data[1];
  const std::optional<uint64_t> header = length == 0xffff ? std::nullopt : std::optional(length);
  InferRequest request;
  request.body = AsText(data + 2, size - 2);
  if (DecodeHttpRequest(header, request).has_value()) {
    for (const InferInput& input : request.inputs) {
      const auto bytes = ByteSize(input.type, input.shape);
      if (bytes && !input.shared_memory) Require(*bytes == input.data.size());
    }
    // What was understood can be said again.
    InferResponse response;
    for (const InferInput& input : request.inputs) {
      if (!input.shared_memory)
        response.outputs.push_back(
            {input.name, input.type, input.shape, std::string(input.data), {}});
    }
    static_cast<void>(EncodeHttpResponse(request, response));
  }
  static_cast<void>(DecodeHttpResponse(request.body, header));
  return 0;
}
