// What a server says of itself and its models: metadata and statistics, with their JSON forms and
// their conversion from and to the gRPC messages.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "inference.pb.h"
#include "kserve/tensor.h"

namespace sextant::kserve {

struct ServerMetadata {
  std::string name, version;
  std::vector<std::string> extensions;
};

struct ModelMetadata {
  std::string name;
  std::vector<std::string> versions;
  std::string platform;
  std::vector<TensorMetadata> inputs, outputs;
};

struct StatDuration {
  uint64_t count = 0, ns = 0;
  StatDuration& operator+=(const StatDuration& other);
  StatDuration operator-(const StatDuration& before) const {
    return {count - before.count, ns - before.ns};
  }
};

struct BatchStatistics {
  uint64_t batch_size = 0;
  StatDuration compute_input, compute_infer, compute_output;
};

// Cumulative since the model was loaded.
struct ModelStatistics {
  std::string name, version;
  uint64_t last_inference_ms = 0;  // since the epoch
  uint64_t inference_count = 0, execution_count = 0;
  StatDuration success, fail, queue, compute_input, compute_infer, compute_output, cache_hit,
      cache_miss;
  std::vector<BatchStatistics> batches;
  bool composing = false;  // not what was asked about, but a model behind it; set by who asked
};

struct IndexEntry {
  std::string name, version, state, reason;
};

std::string ToJson(const ServerMetadata& metadata);
std::string ToJson(const ModelMetadata& metadata);
std::string ToJson(const std::vector<ModelStatistics>& statistics);
std::string ToJson(const std::vector<IndexEntry>& index);
// Errors: kCorrupt. Members that are missing are empty: servers differ in what they send.
Result<ServerMetadata> ParseServerMetadata(std::string_view json);
Result<ModelMetadata> ParseModelMetadata(std::string_view json);
Result<std::vector<ModelStatistics>> ParseStatistics(std::string_view json);

void ToProto(const ServerMetadata& metadata, inference::ServerMetadataResponse& out);
void ToProto(const ModelMetadata& metadata, inference::ModelMetadataResponse& out);
void ToProto(const std::vector<ModelStatistics>& statistics,
             inference::ModelStatisticsResponse& out);
ServerMetadata FromProto(const inference::ServerMetadataResponse& in);
Result<ModelMetadata> FromProto(const inference::ModelMetadataResponse& in);
std::vector<ModelStatistics> FromProto(const inference::ModelStatisticsResponse& in);

}  // namespace sextant::kserve
