#include "cli/perf_subject.h"

#include <algorithm>

#include "cli/perf_data.h"

namespace sextant::cli {
namespace {

// Inputs and outputs of one row, from metadata and, where there is one, the configuration.
load::ModelSignature MakeSignature(const std::string& name, const kserve::ModelMetadata& metadata,
                                   const std::optional<kserve::ModelConfig>& config,
                                   std::vector<std::string>& absent) {
  load::ModelSignature out{.name = name, .inputs = metadata.inputs, .outputs = metadata.outputs};
  bool batches = false;
  if (config) {
    out.max_batch_size = config->max_batch_size();
    batches = out.max_batch_size > 0;
    for (const kserve::TensorMetadata& input : out.inputs) {
      bool optional = false;
      for (const auto& entry : config->input())
        optional |= entry.name() == input.name && entry.optional();
      out.optional_inputs.push_back(optional);
    }
  } else {
    // Without a configuration, a first dimension that every tensor leaves open is taken for the
    // batch's.
    const auto open = [](const kserve::TensorMetadata& t) {
      return !t.shape.empty() && t.shape[0] == -1;
    };
    batches = !out.inputs.empty() && std::all_of(out.inputs.begin(), out.inputs.end(), open) &&
              std::all_of(out.outputs.begin(), out.outputs.end(), open);
    out.max_batch_size = batches ? INT32_MAX : 0;
    absent.push_back(Format("no model configuration: the model is taken {}",
                            batches ? "to batch along its first dimension" : "not to batch"));
    out.optional_inputs.assign(out.inputs.size(), false);
  }
  if (batches) {
    for (auto* tensors : {&out.inputs, &out.outputs}) {
      for (kserve::TensorMetadata& tensor : *tensors) {
        if (!tensor.shape.empty()) tensor.shape.erase(tensor.shape.begin());
      }
    }
  }
  return out;
}

bool Has(const std::vector<std::string>& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

}  // namespace

Result<Subject> AskServer(const PerfOptions& options, const Plan& plan,
                          kserve::ControlClient& client) {
  const Target& target = plan.target;
  Subject subject;
  Result<kserve::ServerMetadata> server = client.FetchServerMetadata();
  if (server.has_value()) {
    subject.server = *std::move(server);
  } else if (server.error().code() == ErrorCode::kUnavailable ||
             server.error().code() == ErrorCode::kDeadlineExceeded ||
             server.error().code() == ErrorCode::kCorrupt) {
    return std::move(server).error().In(Format("the server at {}", target.authority()));
  } else {
    subject.absent.push_back("no server metadata: " + server.error().message());
  }
  SEXTANT_ASSIGN(subject.metadata, client.FetchModelMetadata(options.model, options.model_version),
                 Format("model '{}'", options.model));
  if (subject.metadata.inputs.empty())
    return InvalidArgument(Format("model '{}': its metadata lists no inputs", options.model));
  Result<kserve::ModelConfig> config =
      client.FetchModelConfig(options.model, options.model_version);
  if (config.has_value()) subject.config = *std::move(config);
  subject.signature =
      MakeSignature(options.model, subject.metadata, subject.config, subject.absent);
  SEXTANT_ASSIGN(subject.streams, ResolveStreams(options, plan.streams, plan.seed, target.protocol,
                                                 options.model, subject.config));
  for (const std::string& note : subject.streams.notes) subject.absent.push_back(note);
  subject.statistics = client.FetchStatistics(options.model, options.model_version).has_value();
  SEXTANT_ASSIGN(subject.composing, FindComposingModels(options, subject.config, client));
  if (!subject.statistics)
    subject.absent.emplace_back(
        "no model statistics: server-side queue and compute times are not reported");
  if (target.protocol == kserve::Protocol::kHttp && !subject.server.extensions.empty()) {
    subject.binary_tensors = Has(subject.server.extensions, "binary_tensor_data");
    if (!subject.binary_tensors)
      subject.absent.emplace_back("no binary tensor data extension: inputs are sent as JSON");
  }
  return subject;
}

Result<std::map<int64_t, std::unique_ptr<load::RequestSet>>> EncodeRequests(
    const PerfOptions& options, const Plan& plan, const Subject& subject, const load::DataSet& data,
    const Connection& connection, const Credentials& credentials, const load::SharedTensors* shared,
    uint16_t model) {
  std::string http_fields;
  for (const net::HeaderField& field : credentials.fixed())
    AppendFormat(http_fields, "{}: {}\r\n", field.name, field.value);
  const bool http = plan.target.protocol == kserve::Protocol::kHttp;
  std::map<int64_t, std::unique_ptr<load::RequestSet>> out;
  for (const run::LoadPoint& point : plan.points) {
    if (out.contains(point.batch_size)) continue;
    if (subject.streams.sequences != nullptr && point.batch_size != 1) {
      return InvalidArgument(
          Format("model '{}' batches sequences: a request is one step of one "
                 "sequence, so the batch size must be 1",
                 options.model));
    }
    SEXTANT_ASSIGN(
        out[point.batch_size],
        load::RequestSet::Encode(
            subject.signature, data,
            {.protocol = plan.target.protocol,
             .authority = plan.target.authority(),
             .path_prefix = plan.target.path_prefix,
             .model_version = options.model_version,
             .batch_size = point.batch_size,
             .json_tensors = !subject.binary_tensors || options.input_format == TensorFormat::kJson,
             .json_outputs = options.output_format == TensorFormat::kJson,
             .binary_known = subject.binary_tensors,
             .check_outputs = !data.expected().empty(),
             .tolerance = OutputTolerance(options),
             .http_fields = http_fields,
             .open_head =
                 http && (connection.endpoints.size() > 1 || credentials.live() != nullptr),
             .compression = http ? options.http_compression : options.grpc_compression,
             .shared = shared,
             .parameters = subject.streams.parameters,
             .patch = subject.streams.patch,
             .model = model}));
  }
  return out;
}

load::WorkerOptions MakeWorkerOptions(const PerfOptions& options, kserve::Protocol protocol,
                                      const Subject& subject, const Connection& connection,
                                      const Credentials& credentials, bool keep_bodies) {
  return {.channel = {.protocol = protocol,
                      .endpoints = connection.endpoints,
                      .timeout = options.timeout,
                      .max_connections = options.connections,
                      .keep_bodies = keep_bodies,
                      .metadata = GrpcMetadata(options, credentials),
                      .streaming = subject.streams.streaming,
                      .streams = options.streams,
                      .decoupled = subject.streams.decoupled,
                      .live_header = credentials.live()},
          .timeout = options.timeout,
          .spin = options.spin,
          .sequences = subject.streams.sequences,
          .retries = static_cast<uint16_t>(options.retries)};
}

}  // namespace sextant::cli
