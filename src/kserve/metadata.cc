#include "kserve/metadata.h"

#include <array>

#include "base/strings.h"
#include "text/json.h"

namespace sextant::kserve {
namespace {

using text::Json;
using text::JsonWriter;

// One row per duration of ModelStatistics: its JSON and proto name, where it lies on either side.
struct DurationRow {
  std::string_view name;
  StatDuration ModelStatistics::* ours;
  const inference::StatisticDuration& (inference::InferStatistics::*get)() const;
  inference::StatisticDuration* (inference::InferStatistics::*mutate)();
};
using Infer = inference::InferStatistics;
constexpr std::array<DurationRow, 8> kDurations{{
    {"success", &ModelStatistics::success, &Infer::success, &Infer::mutable_success},
    {"fail", &ModelStatistics::fail, &Infer::fail, &Infer::mutable_fail},
    {"queue", &ModelStatistics::queue, &Infer::queue, &Infer::mutable_queue},
    {"compute_input", &ModelStatistics::compute_input, &Infer::compute_input,
     &Infer::mutable_compute_input},
    {"compute_infer", &ModelStatistics::compute_infer, &Infer::compute_infer,
     &Infer::mutable_compute_infer},
    {"compute_output", &ModelStatistics::compute_output, &Infer::compute_output,
     &Infer::mutable_compute_output},
    {"cache_hit", &ModelStatistics::cache_hit, &Infer::cache_hit, &Infer::mutable_cache_hit},
    {"cache_miss", &ModelStatistics::cache_miss, &Infer::cache_miss, &Infer::mutable_cache_miss},
}};

struct BatchRow {
  std::string_view name;
  StatDuration BatchStatistics::* ours;
  const inference::StatisticDuration& (inference::InferBatchStatistics::*get)() const;
  inference::StatisticDuration* (inference::InferBatchStatistics::*mutate)();
};
using Batch = inference::InferBatchStatistics;
constexpr std::array<BatchRow, 3> kBatchDurations{{
    {"compute_input", &BatchStatistics::compute_input, &Batch::compute_input,
     &Batch::mutable_compute_input},
    {"compute_infer", &BatchStatistics::compute_infer, &Batch::compute_infer,
     &Batch::mutable_compute_infer},
    {"compute_output", &BatchStatistics::compute_output, &Batch::compute_output,
     &Batch::mutable_compute_output},
}};

void WriteTensors(std::string_view key, const std::vector<TensorMetadata>& tensors,
                  JsonWriter& out) {
  out.Key(key).BeginArray();
  for (const TensorMetadata& tensor : tensors) {
    out.BeginObject()
        .Member("name", tensor.name)
        .Member("datatype", DataTypeName(tensor.type))
        .Key("shape")
        .BeginArray();
    for (const int64_t dim : tensor.shape) out.Value(dim);
    out.EndArray().EndObject();
  }
  out.EndArray();
}

void WriteDuration(std::string_view key, const StatDuration& d, JsonWriter& out) {
  out.Key(key).BeginObject().Member("count", d.count).Member("ns", d.ns).EndObject();
}

std::string TextOf(const Json& object, std::string_view key) {
  const Json* member = object.Find(key);
  return std::string(member == nullptr ? std::string_view() : member->AsString().value_or(""));
}

uint64_t NumberOf(const Json& object, std::string_view key) {
  const Json* member = object.Find(key);
  return member == nullptr ? 0 : member->AsUint().value_or(0);
}

StatDuration DurationOf(const Json& object, std::string_view key) {
  const Json* member = object.Find(key);
  if (member == nullptr) return {};
  return {NumberOf(*member, "count"), NumberOf(*member, "ns")};
}

std::vector<std::string> TextsOf(const Json& object, std::string_view key) {
  std::vector<std::string> out;
  const Json* member = object.Find(key);
  if (member == nullptr || !member->IsArray()) return out;
  for (const Json& element : member->array()) {
    // Some servers number their versions.
    if (const auto s = element.AsString()) {
      out.emplace_back(*s);
    } else if (const auto i = element.AsInt()) {
      out.push_back(std::to_string(*i));
    }
  }
  return out;
}

Result<TensorMetadata> MakeTensor(std::string name, std::string_view datatype, Shape shape) {
  const std::optional<DataType> type = ParseDataType(datatype);
  if (!type)
    return Corrupt(Format("tensor '{}' has the unknown datatype '{}'", Printable(name, 80),
                          Printable(datatype, 40)));
  return TensorMetadata{std::move(name), *type, std::move(shape)};
}

Result<std::vector<TensorMetadata>> TensorsOf(const Json& object, std::string_view key) {
  std::vector<TensorMetadata> out;
  const Json* member = object.Find(key);
  if (member == nullptr || !member->IsArray()) return out;
  for (const Json& tensor : member->array()) {
    Shape shape;
    if (const Json* dims = tensor.Find("shape"); dims != nullptr && dims->IsArray()) {
      for (const Json& dim : dims->array()) {
        // A few servers write dimensions as strings.
        const auto text = dim.AsString();
        const auto value = text ? ParseInt(*text) : dim.AsInt();
        if (!value)
          return Corrupt(Format("tensor '{}' has a dimension that is not an integer",
                                Printable(TextOf(tensor, "name"), 80)));
        shape.push_back(*value);
      }
    }
    SEXTANT_ASSIGN(TensorMetadata made, MakeTensor(TextOf(tensor, "name"),
                                                   TextOf(tensor, "datatype"), std::move(shape)));
    out.push_back(std::move(made));
  }
  return out;
}

Result<Json> ParseObject(std::string_view json) {
  SEXTANT_ASSIGN(Json value, text::ParseJson(json));
  if (!value.IsObject()) return Corrupt("not a JSON object");
  return value;
}

void ToProto(const StatDuration& in, inference::StatisticDuration& out) {
  out.set_count(in.count);
  out.set_ns(in.ns);
}

}  // namespace

StatDuration& StatDuration::operator+=(const StatDuration& other) {
  count += other.count;
  ns += other.ns;
  return *this;
}

std::string ToJson(const ServerMetadata& metadata) {
  JsonWriter out;
  out.BeginObject()
      .Member("name", metadata.name)
      .Member("version", metadata.version)
      .Key("extensions")
      .BeginArray();
  for (const std::string& extension : metadata.extensions) out.Value(extension);
  out.EndArray().EndObject();
  return out.Take();
}

std::string ToJson(const ModelMetadata& metadata) {
  JsonWriter out;
  out.BeginObject().Member("name", metadata.name).Key("versions").BeginArray();
  for (const std::string& version : metadata.versions) out.Value(version);
  out.EndArray().Member("platform", metadata.platform);
  WriteTensors("inputs", metadata.inputs, out);
  WriteTensors("outputs", metadata.outputs, out);
  out.EndObject();
  return out.Take();
}

std::string ToJson(const std::vector<ModelStatistics>& statistics) {
  JsonWriter out;
  out.BeginObject().Key("model_stats").BeginArray();
  for (const ModelStatistics& s : statistics) {
    out.BeginObject().Member("name", s.name).Member("version", s.version);
    out.Member("last_inference", s.last_inference_ms).Member("inference_count", s.inference_count);
    out.Member("execution_count", s.execution_count).Key("inference_stats").BeginObject();
    for (const DurationRow& row : kDurations) WriteDuration(row.name, s.*row.ours, out);
    out.EndObject().Key("response_stats").BeginObject().EndObject().Key("batch_stats").BeginArray();
    for (const BatchStatistics& batch : s.batches) {
      out.BeginObject().Member("batch_size", batch.batch_size);
      for (const BatchRow& row : kBatchDurations) WriteDuration(row.name, batch.*row.ours, out);
      out.EndObject();
    }
    out.EndArray().Key("memory_usage").BeginArray().EndArray().EndObject();
  }
  out.EndArray().EndObject();
  return out.Take();
}

std::string ToJson(const std::vector<IndexEntry>& index) {
  JsonWriter out;
  out.BeginArray();
  for (const IndexEntry& entry : index) {
    out.BeginObject().Member("name", entry.name);
    if (!entry.version.empty()) out.Member("version", entry.version);
    if (!entry.state.empty()) out.Member("state", entry.state);
    if (!entry.reason.empty()) out.Member("reason", entry.reason);
    out.EndObject();
  }
  out.EndArray();
  return out.Take();
}

Result<ServerMetadata> ParseServerMetadata(std::string_view json) {
  SEXTANT_ASSIGN(const Json value, ParseObject(json), "server metadata");
  return ServerMetadata{TextOf(value, "name"), TextOf(value, "version"),
                        TextsOf(value, "extensions")};
}

Result<ModelMetadata> ParseModelMetadata(std::string_view json) {
  SEXTANT_ASSIGN(const Json value, ParseObject(json), "model metadata");
  ModelMetadata out{
      TextOf(value, "name"), TextsOf(value, "versions"), TextOf(value, "platform"), {}, {}};
  SEXTANT_ASSIGN(out.inputs, TensorsOf(value, "inputs"), "model metadata");
  SEXTANT_ASSIGN(out.outputs, TensorsOf(value, "outputs"), "model metadata");
  return out;
}

Result<std::vector<ModelStatistics>> ParseStatistics(std::string_view json) {
  SEXTANT_ASSIGN(const Json value, ParseObject(json), "model statistics");
  std::vector<ModelStatistics> out;
  const Json* models = value.Find("model_stats");
  if (models == nullptr || !models->IsArray())
    return Corrupt("model statistics without 'model_stats'");
  for (const Json& model : models->array()) {
    ModelStatistics s{.name = TextOf(model, "name"), .version = TextOf(model, "version")};
    s.last_inference_ms = NumberOf(model, "last_inference");
    s.inference_count = NumberOf(model, "inference_count");
    s.execution_count = NumberOf(model, "execution_count");
    if (const Json* stats = model.Find("inference_stats")) {
      for (const DurationRow& row : kDurations) s.*row.ours = DurationOf(*stats, row.name);
    }
    if (const Json* batches = model.Find("batch_stats"); batches != nullptr && batches->IsArray()) {
      for (const Json& batch : batches->array()) {
        BatchStatistics b{.batch_size = NumberOf(batch, "batch_size")};
        for (const BatchRow& row : kBatchDurations) b.*row.ours = DurationOf(batch, row.name);
        s.batches.push_back(b);
      }
    }
    out.push_back(std::move(s));
  }
  return out;
}

void ToProto(const ServerMetadata& metadata, inference::ServerMetadataResponse& out) {
  out.set_name(metadata.name);
  out.set_version(metadata.version);
  for (const std::string& extension : metadata.extensions) out.add_extensions(extension);
}

void ToProto(const ModelMetadata& metadata, inference::ModelMetadataResponse& out) {
  out.set_name(metadata.name);
  for (const std::string& version : metadata.versions) out.add_versions(version);
  out.set_platform(metadata.platform);
  const auto add = [](const std::vector<TensorMetadata>& tensors, auto* list) {
    for (const TensorMetadata& tensor : tensors) {
      auto* entry = list->Add();
      entry->set_name(tensor.name);
      entry->set_datatype(std::string(DataTypeName(tensor.type)));
      for (const int64_t dim : tensor.shape) entry->add_shape(dim);
    }
  };
  add(metadata.inputs, out.mutable_inputs());
  add(metadata.outputs, out.mutable_outputs());
}

void ToProto(const std::vector<ModelStatistics>& statistics,
             inference::ModelStatisticsResponse& out) {
  for (const ModelStatistics& s : statistics) {
    inference::ModelStatistics& entry = *out.add_model_stats();
    entry.set_name(s.name);
    entry.set_version(s.version);
    entry.set_last_inference(s.last_inference_ms);
    entry.set_inference_count(s.inference_count);
    entry.set_execution_count(s.execution_count);
    for (const DurationRow& row : kDurations)
      ToProto(s.*row.ours, *(entry.mutable_inference_stats()->*row.mutate)());
    for (const BatchStatistics& batch : s.batches) {
      inference::InferBatchStatistics& b = *entry.add_batch_stats();
      b.set_batch_size(batch.batch_size);
      for (const BatchRow& row : kBatchDurations) ToProto(batch.*row.ours, *(b.*row.mutate)());
    }
  }
}

ServerMetadata FromProto(const inference::ServerMetadataResponse& in) {
  return {in.name(), in.version(), {in.extensions().begin(), in.extensions().end()}};
}

Result<ModelMetadata> FromProto(const inference::ModelMetadataResponse& in) {
  ModelMetadata out{in.name(), {in.versions().begin(), in.versions().end()}, in.platform(), {}, {}};
  const auto take = [](const auto& list, std::vector<TensorMetadata>& tensors) -> Result<void> {
    for (const auto& entry : list) {
      SEXTANT_ASSIGN(TensorMetadata made, MakeTensor(entry.name(), entry.datatype(),
                                                     {entry.shape().begin(), entry.shape().end()}));
      tensors.push_back(std::move(made));
    }
    return {};
  };
  SEXTANT_TRY(take(in.inputs(), out.inputs), "model metadata");
  SEXTANT_TRY(take(in.outputs(), out.outputs), "model metadata");
  return out;
}

std::vector<ModelStatistics> FromProto(const inference::ModelStatisticsResponse& in) {
  std::vector<ModelStatistics> out;
  for (const inference::ModelStatistics& entry : in.model_stats()) {
    ModelStatistics s{.name = entry.name(), .version = entry.version()};
    s.last_inference_ms = entry.last_inference();
    s.inference_count = entry.inference_count();
    s.execution_count = entry.execution_count();
    for (const DurationRow& row : kDurations) {
      const inference::StatisticDuration& d = (entry.inference_stats().*row.get)();
      s.*row.ours = {d.count(), d.ns()};
    }
    for (const inference::InferBatchStatistics& batch : entry.batch_stats()) {
      BatchStatistics b{.batch_size = batch.batch_size()};
      for (const BatchRow& row : kBatchDurations) {
        const inference::StatisticDuration& d = (batch.*row.get)();
        b.*row.ours = {d.count(), d.ns()};
      }
      s.batches.push_back(b);
    }
    out.push_back(std::move(s));
  }
  return out;
}

}  // namespace sextant::kserve
