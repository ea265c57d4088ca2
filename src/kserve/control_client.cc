#include "kserve/control_client.h"

#include "base/secrets.h"
#include "base/strings.h"
#include "net/blocking.h"
#include "net/http1.h"
#include "text/json.h"

namespace sextant::kserve {
namespace {

// The server's own words, from {"error": "..."} or, failing that, the body as it is.
std::string ErrorText(const net::HttpReplyText& reply) {
  const Result<text::Json> json = text::ParseJson(reply.body);
  if (json.has_value()) {
    for (const std::string_view key : {"error", "detail", "message"}) {
      const text::Json* member = json->Find(key);
      if (member != nullptr && member->AsString()) return std::string(*member->AsString());
    }
  }
  // A server may repeat what it was sent.
  return reply.body.empty() ? std::string(net::HttpReason(reply.status))
                            : Printable(RedactSecrets(reply.body));
}

Error HttpError(const net::HttpReplyText& reply) {
  const std::string text = Format("HTTP {}: {}", reply.status, ErrorText(reply));
  switch (reply.status) {
    case 404: {
      // "No such model" and "no such path" share a code; the model's absence comes with a JSON
      // error.
      const bool says_why = text::ParseJson(reply.body).has_value();
      return {says_why ? ErrorCode::kNotFound : ErrorCode::kUnsupported, text};
    }
    case 405:
    case 501:
      return Unsupported(text);
    case 400:
      return InvalidArgument(text);
    case 401:
    case 403:
      return InvalidArgument(text);
    case 429:
    case 502:
    case 503:
      return Unavailable(text);
    case 504:
      return {ErrorCode::kDeadlineExceeded, text};
    default:
      return Internal(text);
  }
}

class HttpControlClient final : public ControlClient {
 public:
  HttpControlClient(net::BlockingHttpClient client, std::string path_prefix, Nanos timeout,
                    const ControlExtras& extras)
      : client_(std::move(client)),
        path_prefix_(std::move(path_prefix)),
        timeout_(timeout),
        headers_(extras.headers) {}

  Result<bool> ServerReady() override { return Health("/v2/health/ready"); }
  Result<ServerMetadata> FetchServerMetadata() override {
    SEXTANT_ASSIGN(const std::string body, Get("/v2"));
    return ParseServerMetadata(body);
  }
  Result<bool> ModelReady(const std::string& model, const std::string& version) override {
    return Health(ModelPath(model, version) + "/ready");
  }
  Result<ModelMetadata> FetchModelMetadata(const std::string& model,
                                           const std::string& version) override {
    SEXTANT_ASSIGN(const std::string body, Get(ModelPath(model, version)));
    return ParseModelMetadata(body);
  }
  Result<ModelConfig> FetchModelConfig(const std::string& model,
                                       const std::string& version) override {
    SEXTANT_ASSIGN(const std::string body, Get(ModelPath(model, version) + "/config"));
    return ParseModelConfigJson(body);
  }
  Result<std::vector<ModelStatistics>> FetchStatistics(const std::string& model,
                                                       const std::string& version) override {
    SEXTANT_ASSIGN(const std::string body,
                   Get(model.empty() ? "/v2/models/stats" : ModelPath(model, version) + "/stats"));
    return ParseStatistics(body);
  }
  Result<void> LoadModel(const std::string& model, const std::optional<std::string>& config_json,
                         Nanos timeout) override {
    text::Json body{text::Json::Object()};
    if (config_json) {
      text::Json parameters{text::Json::Object()};
      parameters.Set("config", *config_json);
      body.Set("parameters", std::move(parameters));
    }
    return Post(RepositoryPath(model) + "/load", text::FormatJson(body), timeout);
  }
  Result<void> UnloadModel(const std::string& model, bool dependents, Nanos timeout) override {
    text::Json body{text::Json::Object()}, parameters{text::Json::Object()};
    parameters.Set("unload_dependents", dependents);
    body.Set("parameters", std::move(parameters));
    return Post(RepositoryPath(model) + "/unload", text::FormatJson(body), timeout);
  }
  Result<std::vector<IndexedModel>> FetchRepositoryIndex() override {
    const std::string path = "/v2/repository/index";
    SEXTANT_ASSIGN(const std::string body, Exchange("POST", path, "{}"));
    SEXTANT_ASSIGN(const text::Json json, text::ParseJson(body), path);
    if (!json.IsArray()) return Corrupt("the repository index is not a JSON array");
    std::vector<IndexedModel> out;
    for (const text::Json& entry : json.array()) {
      const auto member = [&](std::string_view name) {
        const text::Json* value = entry.Find(name);
        return std::string(value == nullptr ? "" : value->AsString().value_or(""));
      };
      out.push_back({member("name"), member("version"), member("state"), member("reason")});
    }
    return out;
  }
  Result<void> RegisterSystemMemory(const SharedRegion& region) override {
    text::Json body{text::Json::Object()};
    body.Set("key", region.key);
    body.Set("offset", region.offset);
    body.Set("byte_size", region.byte_size);
    return Post(RegionPath("system", region.name) + "/register", text::FormatJson(body));
  }
  Result<void> UnregisterSystemMemory(const std::string& name) override {
    return Post(RegionPath("system", name) + "/unregister", "{}");
  }
  Result<void> RegisterCudaMemory(const CudaRegion& region) override {
    return Post(RegionPath("cuda", region.name) + "/register", CudaRegionToJson(region));
  }
  Result<void> UnregisterCudaMemory(const std::string& name) override {
    return Post(RegionPath("cuda", name) + "/unregister", "{}");
  }
  Result<TraceValues> FetchTraceSettings(const std::string& model) override {
    SEXTANT_ASSIGN(const std::string body, Get(TracePath(model)));
    SEXTANT_ASSIGN(const text::Json json, text::ParseJson(body), "trace settings");
    if (!json.IsObject()) return Corrupt("trace settings: not a JSON object");
    TraceValues out;
    for (const auto& [name, value] : json.object()) {
      std::vector<std::string>& words = out[name];
      if (const auto word = value.AsString()) words.emplace_back(*word);
      if (!value.IsArray()) continue;
      for (const text::Json& element : value.array())
        words.emplace_back(element.AsString().value_or(""));
    }
    return out;
  }
  Result<void> SetTraceSettings(const std::string& model, const TraceChanges& changes) override {
    text::Json body{text::Json::Object()};
    for (const auto& [name, words] : changes) {
      if (!words) {
        body.Set(name, text::Json());
      } else if (name == "trace_level") {
        text::Json::Array list;
        for (const std::string& word : *words) list.emplace_back(word);
        body.Set(name, std::move(list));
      } else {
        body.Set(name, words->empty() ? "" : words->front());
      }
    }
    return Post(TracePath(model), text::FormatJson(body));
  }

 private:
  static std::string TracePath(const std::string& model) {
    return (model.empty() ? "/v2" : ModelPath(model, "")) + "/trace/setting";
  }
  static std::string RepositoryPath(const std::string& model) {
    return "/v2/repository/models/" + net::PercentEncodePathSegment(model);
  }
  static std::string RegionPath(std::string_view kind, const std::string& name) {
    return Format("/v2/{}sharedmemory/region/{}", kind, net::PercentEncodePathSegment(name));
  }
  Result<void> Post(const std::string& path, const std::string& body,
                    std::optional<Nanos> timeout = {}) {
    SEXTANT_TRY(Exchange("POST", path, body, timeout));
    return {};
  }
  Result<std::string> Get(const std::string& path) { return Exchange("GET", path, {}); }
  Result<bool> Health(const std::string& path) {
    SEXTANT_ASSIGN(const net::HttpReplyText reply, Send("GET", path, {}), "GET " + path);
    return reply.status == 200;
  }
  // The body of an answer that is a success.
  Result<std::string> Exchange(const std::string& method, const std::string& path,
                               std::string_view body, std::optional<Nanos> timeout = {}) {
    SEXTANT_ASSIGN(net::HttpReplyText reply, Send(method, path, body, timeout),
                   method + " " + path);
    if (reply.status != 200) return HttpError(reply).In(method + " " + path);
    return std::move(reply.body);
  }
  Result<net::HttpReplyText> Send(std::string_view method, const std::string& path,
                                  std::string_view body, std::optional<Nanos> timeout = {}) {
    if (headers_) {
      std::string fields;
      for (const net::HeaderField& field : headers_())
        AppendFormat(fields, "{}: {}\r\n", field.name, field.value);
      client_.SetExtraFields(std::move(fields));
    }
    return client_.Call(method, path_prefix_ + path, body, timeout.value_or(timeout_));
  }

  net::BlockingHttpClient client_;
  const std::string path_prefix_;
  const Nanos timeout_;
  const std::function<std::vector<net::HeaderField>()> headers_;
};

Error GrpcError(const net::GrpcReplyText& reply) {
  const std::string text =
      Format("gRPC {}: {}", net::GrpcStatusName(reply.status), RedactSecrets(reply.status_message));
  switch (static_cast<net::GrpcStatus>(reply.status)) {
    case net::GrpcStatus::kNotFound:
      return NotFound(text);
    case net::GrpcStatus::kUnimplemented:
      return Unsupported(text);
    case net::GrpcStatus::kInvalidArgument:
    case net::GrpcStatus::kPermissionDenied:
    case net::GrpcStatus::kUnauthenticated:
      return InvalidArgument(text);
    case net::GrpcStatus::kUnavailable:
      return Unavailable(text);
    case net::GrpcStatus::kDeadlineExceeded:
      return {ErrorCode::kDeadlineExceeded, text};
    default:
      return Internal(text);
  }
}

class GrpcControlClient final : public ControlClient {
 public:
  GrpcControlClient(net::BlockingGrpcClient client, Nanos timeout, const ControlExtras& extras)
      : client_(std::move(client)), timeout_(timeout), headers_(extras.headers) {}

  Result<bool> ServerReady() override {
    SEXTANT_ASSIGN(const auto response, Call<inference::ServerReadyResponse>(
                                            "ServerReady", inference::ServerReadyRequest()));
    return response.ready();
  }
  Result<ServerMetadata> FetchServerMetadata() override {
    SEXTANT_ASSIGN(const auto response, Call<inference::ServerMetadataResponse>(
                                            "ServerMetadata", inference::ServerMetadataRequest()));
    return FromProto(response);
  }
  Result<bool> ModelReady(const std::string& model, const std::string& version) override {
    SEXTANT_ASSIGN(const auto response,
                   Call<inference::ModelReadyResponse>(
                       "ModelReady", Named<inference::ModelReadyRequest>(model, version)));
    return response.ready();
  }
  Result<ModelMetadata> FetchModelMetadata(const std::string& model,
                                           const std::string& version) override {
    SEXTANT_ASSIGN(const auto response,
                   Call<inference::ModelMetadataResponse>(
                       "ModelMetadata", Named<inference::ModelMetadataRequest>(model, version)));
    return FromProto(response);
  }
  Result<ModelConfig> FetchModelConfig(const std::string& model,
                                       const std::string& version) override {
    SEXTANT_ASSIGN(const auto response,
                   Call<inference::ModelConfigResponse>(
                       "ModelConfig", Named<inference::ModelConfigRequest>(model, version)));
    return response.config();
  }
  Result<std::vector<ModelStatistics>> FetchStatistics(const std::string& model,
                                                       const std::string& version) override {
    SEXTANT_ASSIGN(
        const auto response,
        Call<inference::ModelStatisticsResponse>(
            "ModelStatistics", Named<inference::ModelStatisticsRequest>(model, version)));
    return FromProto(response);
  }
  Result<void> LoadModel(const std::string& model, const std::optional<std::string>& config_json,
                         Nanos timeout) override {
    inference::RepositoryModelLoadRequest request;
    request.set_model_name(model);
    if (config_json) (*request.mutable_parameters())["config"].set_string_param(*config_json);
    SEXTANT_TRY(
        Call<inference::RepositoryModelLoadResponse>("RepositoryModelLoad", request, timeout));
    return {};
  }
  Result<void> UnloadModel(const std::string& model, bool dependents, Nanos timeout) override {
    inference::RepositoryModelUnloadRequest request;
    request.set_model_name(model);
    (*request.mutable_parameters())["unload_dependents"].set_bool_param(dependents);
    SEXTANT_TRY(
        Call<inference::RepositoryModelUnloadResponse>("RepositoryModelUnload", request, timeout));
    return {};
  }
  Result<std::vector<IndexedModel>> FetchRepositoryIndex() override {
    SEXTANT_ASSIGN(const auto response,
                   Call<inference::RepositoryIndexResponse>("RepositoryIndex",
                                                            inference::RepositoryIndexRequest()));
    std::vector<IndexedModel> out;
    for (const auto& model : response.models())
      out.push_back({model.name(), model.version(), model.state(), model.reason()});
    return out;
  }
  Result<void> RegisterSystemMemory(const SharedRegion& region) override {
    inference::SystemSharedMemoryRegisterRequest request;
    request.set_name(region.name);
    request.set_key(region.key);
    request.set_offset(region.offset);
    request.set_byte_size(region.byte_size);
    SEXTANT_TRY(
        Call<inference::SystemSharedMemoryRegisterResponse>("SystemSharedMemoryRegister", request));
    return {};
  }
  Result<void> UnregisterSystemMemory(const std::string& name) override {
    inference::SystemSharedMemoryUnregisterRequest request;
    request.set_name(name);
    SEXTANT_TRY(Call<inference::SystemSharedMemoryUnregisterResponse>(
        "SystemSharedMemoryUnregister", request));
    return {};
  }
  Result<void> RegisterCudaMemory(const CudaRegion& region) override {
    inference::CudaSharedMemoryRegisterRequest request;
    request.set_name(region.name);
    request.set_raw_handle(region.handle);
    request.set_device_id(region.device);
    request.set_byte_size(region.byte_size);
    SEXTANT_TRY(
        Call<inference::CudaSharedMemoryRegisterResponse>("CudaSharedMemoryRegister", request));
    return {};
  }
  Result<void> UnregisterCudaMemory(const std::string& name) override {
    inference::CudaSharedMemoryUnregisterRequest request;
    request.set_name(name);
    SEXTANT_TRY(
        Call<inference::CudaSharedMemoryUnregisterResponse>("CudaSharedMemoryUnregister", request));
    return {};
  }
  Result<TraceValues> FetchTraceSettings(const std::string& model) override {
    inference::TraceSettingRequest request;
    request.set_model_name(model);
    SEXTANT_ASSIGN(const auto response,
                   Call<inference::TraceSettingResponse>("TraceSetting", request));
    TraceValues out;
    for (const auto& [name, setting] : response.settings())
      out[name].assign(setting.value().begin(), setting.value().end());
    return out;
  }
  Result<void> SetTraceSettings(const std::string& model, const TraceChanges& changes) override {
    inference::TraceSettingRequest request;
    request.set_model_name(model);
    for (const auto& [name, words] : changes) {
      auto& setting = (*request.mutable_settings())[name];  // without a value: taken back
      if (!words) continue;
      for (const std::string& word : *words) setting.add_value(word);
    }
    SEXTANT_TRY(Call<inference::TraceSettingResponse>("TraceSetting", request));
    return {};
  }

 private:
  template <typename Request>
  static Request Named(const std::string& model, const std::string& version) {
    Request request;
    request.set_name(model);
    request.set_version(version);
    return request;
  }
  template <typename Response, typename Request>
  Result<Response> Call(const std::string& method, const Request& request,
                        std::optional<Nanos> timeout = {}) {
    const std::string path = "/inference.GRPCInferenceService/" + method;
    if (headers_) client_.SetMetadata(headers_());
    SEXTANT_ASSIGN(const net::GrpcReplyText reply,
                   client_.Call(path, request.SerializeAsString(), timeout.value_or(timeout_)),
                   method);
    if (reply.status != 0) return GrpcError(reply).In(method);
    Response response;
    if (!response.ParseFromString(reply.message))
      return Corrupt(method + ": the answer is not valid protocol buffers");
    return response;
  }

  net::BlockingGrpcClient client_;
  const Nanos timeout_;
  const std::function<std::vector<net::HeaderField>()> headers_;
};

}  // namespace

std::string_view ProtocolName(Protocol protocol) {
  return protocol == Protocol::kHttp ? "http" : "grpc";
}

std::string ModelPath(const std::string& model, const std::string& version) {
  std::string path = "/v2/models/" + net::PercentEncodePathSegment(model);
  if (!version.empty()) path += "/versions/" + net::PercentEncodePathSegment(version);
  return path;
}

Result<std::unique_ptr<ControlClient>> MakeControlClient(
    Protocol protocol, const net::Address& address, const std::string& authority,
    const std::string& path_prefix, Nanos timeout, const ControlExtras& extras) {
  if (protocol == Protocol::kHttp) {
    SEXTANT_ASSIGN(net::BlockingHttpClient client,
                   net::BlockingHttpClient::Create(address, authority, {}, extras.tls));
    return std::unique_ptr<ControlClient>(
        std::make_unique<HttpControlClient>(std::move(client), path_prefix, timeout, extras));
  }
  SEXTANT_ASSIGN(net::BlockingGrpcClient client,
                 net::BlockingGrpcClient::Create(address, authority, {}, extras.tls));
  return std::unique_ptr<ControlClient>(
      std::make_unique<GrpcControlClient>(std::move(client), timeout, extras));
}

}  // namespace sextant::kserve
