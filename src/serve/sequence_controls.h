// The control inputs of sequence models: tensors that the server adds to each request to say where
// in its sequence it is. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "kserve/infer.h"
#include "model_config.pb.h"

namespace sextant::serve {

// A correlation id: a number, or text. 0 and empty text are none.
using SequenceId = std::variant<uint64_t, std::string>;
std::string SequenceIdText(const SequenceId& id);

// Faults of a sequence_batching block, in Triton's words. Nothing when there is no such block.
void CheckSequenceBatching(const inference::ModelConfig& config, std::vector<std::string>& faults);

class SequenceControls {
 public:
  // The configuration is taken as validated.
  explicit SequenceControls(const inference::ModelConfig& config);

  struct Values {
    bool start = false, end = false, ready = true;
    SequenceId id = uint64_t{0};
  };
  // Adds the tensors, one element each. Error: kInvalidArgument, when the model wants ids of a type
  // that cannot hold this one.
  Result<void> AddTo(kserve::InferRequest& request, const Values& values) const;

  struct Tensor {
    std::string name;
    kserve::DataType type;
  };
  // What is added.
  const std::vector<Tensor>& tensors() const { return tensors_; }

 private:
  struct Row {
    inference::ModelSequenceBatching::Control::Kind kind;
    std::string no, yes;  // element bytes; not for ids
  };

  std::string model_;
  kserve::Shape shape_;  // [1,1] for models with a batch dimension, [1] without
  std::vector<Tensor> tensors_;
  std::vector<Row> rows_;  // as tensors_
};

}  // namespace sextant::serve
