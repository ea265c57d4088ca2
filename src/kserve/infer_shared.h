// For clients: inference requests whose tensors lie in shared memory, in two parts. The first says
// where the inputs are and is the same for every sending of a row; the second says where the
// outputs go, which depends on who waits for them. Parts of one size for all places, so that any
// first part goes with any second. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kserve/infer.h"

namespace sextant::kserve {

// HTTP: `{"inputs":[...],"outputs":`, to be followed by the second part. Every input has its
// shared_memory.
std::string EncodeHttpSharedInputs(const std::vector<InferInput>& inputs);
// HTTP: `[...]}`. Every output has its shared_memory; offsets are padded with blanks.
std::string EncodeHttpSharedOutputs(const std::vector<RequestedOutput>& outputs);

// gRPC: a ModelInferRequest up to its outputs, and its outputs; offsets are padded varints.
std::string EncodeGrpcSharedInputs(std::string_view model_name, std::string_view model_version,
                                   const std::vector<InferInput>& inputs);
std::string EncodeGrpcSharedOutputs(const std::vector<RequestedOutput>& outputs);

}  // namespace sextant::kserve
