// The server between its protocols and its models: what every request goes through, whichever way
// it came.
//
// Threads: all calls from any thread.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "kserve/cuda_shared_memory.h"
#include "kserve/infer.h"
#include "kserve/metadata.h"
#include "kserve/shared_memory.h"
#include "serve/repository.h"
#include "serve/simulated_gpus.h"

namespace sextant::serve {

class Core {
 public:
  Core(std::vector<std::string> repository, const BackendContext& context, bool strict_readiness);

  Repository& repository() { return repository_; }
  kserve::SharedMemoryRegistry& shared_memory() { return shared_memory_; }
  kserve::CudaMemoryRegistry& cuda_memory() { return cuda_memory_; }

  // Every check and every failure ends in the sink, once. `many`: the way back can carry several
  // responses, as decoupled models send them.
  void Infer(std::unique_ptr<kserve::InferRequest> request, std::unique_ptr<OutcomeSink> sink,
             bool many);

  // As Repository::Find(); kUnavailable while the server is not serving.
  Result<std::shared_ptr<LoadedModel>> FindToInfer(const std::string& name,
                                                   const std::string& version) const;

  kserve::ServerMetadata Metadata() const;
  // With strict readiness, while every model is loaded that was to be at start or has ever been, as
  // in Triton: unloading one ends it.
  bool Ready() const;
  // From the end of the start to the beginning of the end.
  void SetServing(bool serving) { serving_.store(serving); }
  Result<kserve::ModelMetadata> ModelMetadata(const std::string& name,
                                              const std::string& version) const;
  // Of the model, or of all with an empty name. Error: kInvalidArgument, as Triton has it.
  Result<std::vector<kserve::ModelStatistics>> Statistics(const std::string& name,
                                                          const std::string& version) const;

 private:
  Repository repository_;
  kserve::SharedMemoryRegistry shared_memory_;
  kserve::CudaMemoryRegistry cuda_memory_{shared_memory_};
  const bool strict_readiness_;
  std::atomic<bool> serving_{false};
};

// Checks a request against a model's configuration: names, types, shapes, batch sizes, outputs.
// Returns the request's batch size (1 for models without a batch dimension).
Result<int64_t> CheckRequest(const inference::ModelConfig& config,
                             const kserve::InferRequest& request);

// Triton's classification extension: the `count` largest elements of each batch item as
// "VALUE:INDEX[:LABEL]".
Result<kserve::InferOutput> Classify(const kserve::InferOutput& output, uint64_t count,
                                     bool batched, const std::vector<std::string>& labels);

}  // namespace sextant::serve
