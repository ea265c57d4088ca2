// ModelInferRequest and ModelInferResponse; what we accept, protobuf's own parser accepts too.
#include "inference.pb.h"
#include "kserve/infer_grpc.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sextant::kserve;  // NOLINT
  InferRequest request;
  request.body = AsText(data, size);
  if (DecodeGrpcRequest(request).has_value()) {
    for (const InferInput& input : request.inputs) {
      const auto bytes = ByteSize(input.type, input.shape);
      if (bytes && !input.shared_memory) Require(*bytes == input.data.size());
    }
    const std::string again =
        EncodeGrpcRequestHeader(request.model_name, request.model_version, request.inputs,
                                request.outputs, request.id, request.parameters);
    inference::ModelInferRequest message;
    // proto3 wants its strings in UTF-8, which nobody asks of us.
    static_cast<void>(message.ParseFromString(again));
  }
  static_cast<void>(DecodeGrpcResponse(AsText(data, size)));
  // What a stream's client looks at is what protobuf's own parser finds.
  StreamResponseView view;
  inference::ModelStreamInferResponse stream;
  if (stream.ParseFromArray(data, static_cast<int>(size)) &&
      stream.SerializeAsString() == AsText(data, size)) {
    Require(ScanGrpcStreamResponse(AsText(data, size), view));
    Require(view.error == stream.error_message() && view.id == stream.infer_response().id() &&
            view.has_outputs == (stream.infer_response().outputs_size() > 0));
  }
  return 0;
}
