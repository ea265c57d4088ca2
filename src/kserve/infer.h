// Inference requests and responses, free of the protocol that carried them.
//
// Threads: values. An InferRequest owns the bytes its tensors refer to, so it stays where it was
// made (behind a unique_ptr).
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "kserve/tensor.h"

namespace sextant::kserve {

using Parameter = std::variant<bool, int64_t, double, std::string>;
using Parameters = std::vector<std::pair<std::string, Parameter>>;
const Parameter* FindParameter(const Parameters& parameters, std::string_view name);
// Names that mean something to the server must have values that can mean it. kInvalidArgument.
Result<void> CheckReservedParameters(const Parameters& parameters);

struct SharedMemoryReference {
  std::string region;
  uint64_t offset = 0;
  uint64_t byte_size = 0;
};

struct InferInput {
  std::string name;
  DataType type = DataType::kFp32;
  Shape shape;
  std::string_view data;  // elements in row-major order; empty when it lies in shared memory
  std::optional<SharedMemoryReference> shared_memory;
};

// Whether the data is as many bytes, or BYTES elements, as type and shape say. kInvalidArgument.
Result<void> CheckDataSize(const InferInput& input, std::string_view what);
std::string ShapeTooLarge(std::string_view what, const Shape& shape);

struct RequestedOutput {
  std::string name;
  bool binary = false;       // HTTP: as binary tensor data rather than JSON
  uint64_t class_count = 0;  // classification extension; 0: off
  std::optional<SharedMemoryReference> shared_memory;
};

struct InferRequest {
  InferRequest() = default;
  InferRequest(const InferRequest&) = delete;
  InferRequest& operator=(const InferRequest&) = delete;

  std::string model_name, model_version, id;
  Parameters parameters;
  std::vector<InferInput> inputs;
  std::vector<RequestedOutput> outputs;  // empty: all
  bool binary_by_default = false;        // HTTP: for outputs that are not named
  // HTTP's "raw binary request": the body is the data of the model's only input and says nothing
  // of its name, type or shape. inputs[0] has the data, the server completes it.
  bool raw_input = false;

  std::string body;                   // what was received; data refers into it
  std::deque<std::string> converted;  // tensor data that did not come as bytes
};

struct InferOutput {
  std::string name;
  DataType type = DataType::kFp32;
  Shape shape;
  std::string data;
  // Where the data has been put instead; `data` is then empty.
  std::optional<SharedMemoryReference> shared_memory;
};

struct InferResponse {
  std::string model_name, model_version, id;
  Parameters parameters;
  std::vector<InferOutput> outputs;
};

// A response as a client reads it: the data refers into the received bytes or into `converted`.
struct OutputView {
  std::string name;
  DataType type = DataType::kFp32;
  Shape shape;
  std::string_view data;
};
struct ResponseView {
  std::string model_name, model_version, id;
  std::vector<OutputView> outputs;
  std::deque<std::string> converted;
};

}  // namespace sextant::kserve
