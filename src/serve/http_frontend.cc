#include "serve/http_frontend.h"

#include <algorithm>
#include <iterator>

#include "base/strings.h"
#include "kserve/infer_http.h"
#include "kserve/model_config.h"
#include "net/compress.h"
#include "text/json.h"

namespace sextant::serve {
namespace {

using net::HttpAnswer;

constexpr std::string_view kJson = "Content-Type: application/json\r\n";

HttpAnswer JsonAnswer(std::string body) {
  return {.fields = std::string(kJson), .body = std::move(body)};
}

HttpAnswer ErrorAnswer(int status, std::string_view text) {
  text::JsonWriter out;
  out.BeginObject().Member("error", text).EndObject();
  return {.status = status, .fields = std::string(kJson), .body = out.Take()};
}
HttpAnswer ErrorAnswer(const Error& error) {
  return ErrorAnswer(HttpStatusOf(error.code()), error.message());
}

HttpAnswer MethodNotAllowed() { return ErrorAnswer(405, "Method Not Allowed"); }
HttpAnswer NoSuchPath() { return ErrorAnswer(404, "Not Found"); }

template <typename T>
HttpAnswer AnswerWith(const Result<T>& result) {
  return result.has_value() ? JsonAnswer(kserve::ToJson(*result)) : ErrorAnswer(result.error());
}

// Takes the next path segment off `path`, decoded; "/a/b" gives "a" and leaves "/b".
std::optional<std::string> TakeSegment(std::string_view& path) {
  if (!path.starts_with('/')) return std::nullopt;
  const size_t end = path.find('/', 1);
  const std::string_view segment = path.substr(1, end == std::string_view::npos ? end : end - 1);
  path = end == std::string_view::npos ? std::string_view() : path.substr(end);
  return net::PercentDecode(segment);
}

class HttpSink final : public OutcomeSink {
 public:
  HttpSink(net::HttpReply reply, net::Compression compression)
      : reply_(std::move(reply)), compression_(compression) {}

  void OnOutcome(const kserve::InferRequest& request, Outcome&& outcome) override {
    if (outcome.reset_connection) return reply_.Break();
    if (!outcome.response.has_value()) return reply_.Send(ErrorAnswer(outcome.response.error()));
    Result<kserve::HttpInferBody> encoded = kserve::EncodeHttpResponse(request, *outcome.response);
    if (!encoded.has_value()) return reply_.Send(ErrorAnswer(encoded.error()));
    HttpAnswer answer;
    if (encoded->binary.empty()) {
      answer.fields = kJson;
    } else {
      answer.fields = Format(
          "Content-Type: application/octet-stream\r\nInference-Header-Content-Length: {}\r\n",
          encoded->json.size());
    }
    answer.body = std::move(encoded->json);
    answer.more = std::move(encoded->binary);
    if (compression_ != net::Compression::kNone) Compress(answer);
    reply_.Send(std::move(answer));
  }

 private:
  void Compress(HttpAnswer& answer) const {
    for (const std::string& part : answer.more) answer.body += part;
    answer.more.clear();
    answer.body = net::Compress(compression_, answer.body);
    answer.fields += compression_ == net::Compression::kGzip ? "Content-Encoding: gzip\r\n"
                                                             : "Content-Encoding: deflate\r\n";
  }

  net::HttpReply reply_;
  const net::Compression compression_;
};

// The first encoding of Accept-Encoding that can be produced; quality values are not weighed.
net::Compression AcceptedCompression(std::string_view fields) {
  for (const std::string_view entry :
       Split(net::FindHeader(fields, "accept-encoding").value_or(""), ',')) {
    const std::string_view name = TrimSpace(entry.substr(0, entry.find(';')));
    if (name == "gzip") return net::Compression::kGzip;
    if (name == "deflate") return net::Compression::kDeflate;
    if (name == "identity" || name == "*") break;
  }
  return net::Compression::kNone;
}

}  // namespace

int HttpStatusOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return 400;
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kAlreadyExists:
      return 400;
    case ErrorCode::kUnavailable:
      return 503;
    case ErrorCode::kDeadlineExceeded:
      return 504;
    case ErrorCode::kCancelled:
      return 499;
    case ErrorCode::kUnsupported:
      return 501;
    case ErrorCode::kResourceExhausted:
      return 503;
    case ErrorCode::kCorrupt:
    case ErrorCode::kIo:
    case ErrorCode::kInternal:
      return 500;
  }
  return 500;
}

void HttpFrontend::OnRequest(const net::HttpRequest& request, net::HttpReply reply) {
  const bool get = request.method == "GET", post = request.method == "POST";
  std::string_view path = request.path;
  if (!path.starts_with("/v2")) return reply.Send(NoSuchPath());
  path.remove_prefix(3);
  if (path.empty())
    return reply.Send(get ? JsonAnswer(kserve::ToJson(core_.Metadata())) : MethodNotAllowed());
  if (path == "/health/live") return reply.Send(get ? HttpAnswer{} : MethodNotAllowed());
  if (path == "/health/ready")
    return reply.Send(!get ? MethodNotAllowed() : HttpAnswer{.status = core_.Ready() ? 200 : 400});
  if (path == "/models/stats")
    return reply.Send(get ? AnswerWith(core_.Statistics("", "")) : MethodNotAllowed());
  if (path == "/repository/index")
    return reply.Send(post ? Index(request.body) : MethodNotAllowed());
  if (path.starts_with("/systemsharedmemory")) {
    return reply.Send(SharedMemory(
        request.method, path.substr(std::string_view("/systemsharedmemory").size()), request.body));
  }
  if (path.starts_with("/cudasharedmemory")) return CudaSharedMemory(request, std::move(reply));
  if (path.starts_with("/trace") || path.starts_with("/logging")) {
    return reply.Send(
        ErrorAnswer(501, Format("{} is not supported by sextant serve", request.path)));
  }
  if (path.starts_with("/repository/models/")) {
    path.remove_prefix(std::string_view("/repository/models").size());
    const std::optional<std::string> model = TakeSegment(path);
    if (!model || (path != "/load" && path != "/unload")) return reply.Send(NoSuchPath());
    if (!post) return reply.Send(MethodNotAllowed());
    return RepositoryControl(*model, path == "/load", request.body, std::move(reply));
  }
  if (!path.starts_with("/models/")) return reply.Send(NoSuchPath());
  path.remove_prefix(std::string_view("/models").size());
  const std::optional<std::string> model = TakeSegment(path);
  std::optional<std::string> version = "";
  if (path.starts_with("/versions/")) {
    path.remove_prefix(std::string_view("/versions").size());
    version = TakeSegment(path);
    if (version && !ParseUint(*version)) return reply.Send(NoSuchPath());
  }
  if (!model || !version) return reply.Send(NoSuchPath());
  if (path == "/infer") {
    if (!post) return reply.Send(MethodNotAllowed());
    return Infer(*model, *version, request, std::move(reply));
  }
  if (!get) return reply.Send(MethodNotAllowed());
  if (path.empty()) return reply.Send(AnswerWith(core_.ModelMetadata(*model, *version)));
  if (path == "/stats") return reply.Send(AnswerWith(core_.Statistics(*model, *version)));
  const auto found = core_.repository().Find(*model, *version);
  if (path == "/ready")
    return reply.Send(found.has_value() ? HttpAnswer{}
                                        : ErrorAnswer(400, "Model version not ready"));
  if (path != "/config") return reply.Send(NoSuchPath());
  reply.Send(found.has_value() ? JsonAnswer(kserve::ModelConfigToJson((*found)->config()))
                               : ErrorAnswer(found.error()));
}

void HttpFrontend::Infer(std::string model, std::string version, const net::HttpRequest& request,
                         net::HttpReply reply) {
  auto infer = std::make_unique<kserve::InferRequest>();
  infer->model_name = std::move(model);
  infer->model_version = std::move(version);
  const auto decode = [&]() -> Result<void> {
    // Before the body is looked at, as Triton does it: an unknown model is the more basic mistake.
    SEXTANT_TRY(core_.FindToInfer(infer->model_name, infer->model_version));
    const std::string_view encoding =
        net::FindHeader(request.fields, "content-encoding").value_or("");
    const std::optional<net::Compression> compression = net::ParseCompression(encoding);
    if (!compression)
      return Unsupported(Format("Content-Encoding '{}' is not supported: use gzip or deflate",
                                Printable(encoding, 40)));
    if (*compression == net::Compression::kNone) {
      infer->body = request.body;
    } else {
      SEXTANT_ASSIGN(infer->body, net::Decompress(*compression, request.body, uint64_t{1} << 31),
                     "request body");
    }
    std::optional<uint64_t> header_length;
    if (const auto text = net::FindHeader(request.fields, "inference-header-content-length")) {
      header_length = ParseUint(*text);
      if (!header_length)
        return InvalidArgument(
            Format("Inference-Header-Content-Length '{}' is not a number", Printable(*text, 40)));
    }
    return kserve::DecodeHttpRequest(header_length, *infer);
  };
  if (Result<void> decoded = decode(); !decoded.has_value())
    return reply.Send(ErrorAnswer(decoded.error()));
  core_.Infer(std::move(infer),
              std::make_unique<HttpSink>(std::move(reply), AcceptedCompression(request.fields)),
              /*many=*/false);
}

net::HttpAnswer HttpFrontend::Index(std::string_view body) {
  bool only_ready = false;
  if (!body.empty()) {
    const Result<text::Json> json = text::ParseJson(body);
    if (!json.has_value())
      return ErrorAnswer(500, "failed to parse the request JSON: " + json.error().message());
    if (const text::Json* ready = json->Find("ready")) {
      if (!ready->AsBool()) return ErrorAnswer(500, "'ready' must be a boolean");
      only_ready = *ready->AsBool();
    }
  }
  return JsonAnswer(kserve::ToJson(core_.repository().Index(only_ready)));
}

void HttpFrontend::RepositoryControl(std::string_view model, bool load, std::string_view body,
                                     net::HttpReply reply) {
  if (!allow_control_) {
    return reply.Send(ErrorAnswer(503,
                                  "explicit model load / unload is not allowed if polling is "
                                  "enabled or model-control-mode is none"));
  }
  std::optional<std::string> config;
  bool dependents = false;
  if (!body.empty()) {
    const Result<text::Json> json = text::ParseJson(body);
    if (!json.has_value())
      return reply.Send(
          ErrorAnswer(500, "failed to parse the request JSON: " + json.error().message()));
    const text::Json* parameters = json->Find("parameters");
    if (parameters != nullptr && !parameters->IsObject())
      return reply.Send(ErrorAnswer(500, "'parameters' must be an object"));
    if (parameters != nullptr) {
      for (const auto& [key, value] : parameters->object()) {
        if (load && key == "config") {
          if (!value.IsString())
            return reply.Send(ErrorAnswer(500, "parameter 'config' must be a string"));
          config = std::string(*value.AsString());
        } else if (!load && key == "unload_dependents") {
          if (!value.AsBool())
            return reply.Send(ErrorAnswer(500, "parameter 'unload_dependents' must be a boolean"));
          dependents = *value.AsBool();
        } else {
          return reply.Send(ErrorAnswer(
              400, Format("parameter '{}' is not supported by sextant serve", Printable(key, 60))));
        }
      }
    }
  }
  auto shared = std::make_shared<net::HttpReply>(std::move(reply));
  const bool added = slow_.Add([this, name = std::string(model), load, config, dependents, shared] {
    const Result<void> result = load ? core_.repository().Load(name, config)
                                     : core_.repository().Unload(name, 30s, dependents);
    if (result.has_value()) return shared->Send(JsonAnswer(""));
    // Triton answers every failed load with 500.
    shared->Send(
        ErrorAnswer(500, Format("failed to load '{}', {}", name, result.error().message())));
  });
  if (!added) shared->Send(ErrorAnswer(503, "the server is shutting down"));
}

net::HttpAnswer HttpFrontend::SharedMemory(std::string_view method, std::string_view rest,
                                           std::string_view body) {
  std::string region;
  if (rest.starts_with("/region/")) {
    rest.remove_prefix(std::string_view("/region").size());
    const std::optional<std::string> name = TakeSegment(rest);
    if (!name) return NoSuchPath();
    region = *name;
  }
  if (rest == "/status") {
    if (method != "GET") return MethodNotAllowed();
    const auto regions = core_.shared_memory().Status(region);
    if (!regions.has_value()) return ErrorAnswer(regions.error());
    text::JsonWriter out;
    out.BeginArray();
    for (const kserve::SharedRegion& r : *regions) {
      out.BeginObject()
          .Member("name", r.name)
          .Member("key", r.key)
          .Member("offset", r.offset)
          .Member("byte_size", r.byte_size)
          .EndObject();
    }
    out.EndArray();
    return JsonAnswer(out.Take());
  }
  if (rest != "/register" && rest != "/unregister") return NoSuchPath();
  if (method != "POST") return MethodNotAllowed();
  if (rest == "/unregister") {
    core_.shared_memory().Unregister(region);
    return {};
  }
  const Result<text::Json> json = text::ParseJson(body);
  if (!json.has_value())
    return ErrorAnswer(500, "failed to parse the request JSON: " + json.error().message());
  kserve::SharedRegion wanted{.name = region};
  const text::Json* key = json->Find("key");
  if (key == nullptr || !key->AsString())
    return ErrorAnswer(400, "Shared memory register request has no 'key' field");
  wanted.key = *key->AsString();
  const text::Json* size = json->Find("byte_size");
  if (size == nullptr)
    return ErrorAnswer(400, "Shared memory register request has no 'byte_size' field");
  const text::Json* offset = json->Find("offset");
  if (!size->AsUint() || (offset != nullptr && !offset->AsUint()))
    return ErrorAnswer(500, "'byte_size' and 'offset' must be non-negative integers");
  wanted.byte_size = *size->AsUint();
  if (offset != nullptr) wanted.offset = *offset->AsUint();
  const Result<void> registered = core_.shared_memory().Register(wanted);
  return registered.has_value() ? HttpAnswer{} : ErrorAnswer(registered.error());
}

void HttpFrontend::CudaSharedMemory(const net::HttpRequest& request, net::HttpReply reply) {
  std::string_view rest = request.path;
  rest.remove_prefix(std::string_view("/v2/cudasharedmemory").size());
  const bool get = request.method == "GET", post = request.method == "POST";
  const bool list = rest == "/status";
  if (!core_.cuda_memory().available() && !list) {
    return reply.Send(
        ErrorAnswer(501, Format("{} is not supported by sextant serve", request.path)));
  }
  std::string region;
  if (rest.starts_with("/region/")) {
    rest.remove_prefix(std::string_view("/region").size());
    const std::optional<std::string> name = TakeSegment(rest);
    if (!name) return reply.Send(NoSuchPath());
    region = *name;
  }
  if (rest == "/status")
    return reply.Send(get ? AnswerWith(core_.cuda_memory().Status(region)) : MethodNotAllowed());
  if (rest != "/register" && rest != "/unregister") return reply.Send(NoSuchPath());
  if (!post) return reply.Send(MethodNotAllowed());
  kserve::CudaRegion wanted{.name = region};
  if (rest == "/register") {
    Result<kserve::CudaRegion> parsed = kserve::ParseCudaRegion(region, request.body);
    if (!parsed.has_value()) return reply.Send(ErrorAnswer(parsed.error()));
    wanted = *std::move(parsed);
  }
  auto shared = std::make_shared<net::HttpReply>(std::move(reply));
  const bool added = slow_.Add([this, wanted, enter = rest == "/register", shared] {
    Result<void> done;
    if (enter) {
      done = core_.cuda_memory().Register(wanted);
    } else {
      core_.cuda_memory().Unregister(wanted.name);
    }
    shared->Send(done.has_value() ? HttpAnswer{} : ErrorAnswer(done.error()));
  });
  if (!added) shared->Send(ErrorAnswer(503, "the server is shutting down"));
}

void MetricsFrontend::OnRequest(const net::HttpRequest& request, net::HttpReply reply) {
  if (request.path != "/metrics") return reply.Send(NoSuchPath());
  if (request.method != "GET") return reply.Send(MethodNotAllowed());
  std::optional<double> cpu;
  std::vector<gpu::GpuReading> gpus = gpus_.Read(SteadyNow());
  {
    const std::scoped_lock lock(mutex_);
    cpu = cpu_.Read();
    if (real_gpus_ != nullptr) std::ranges::move(real_gpus_->Read(), std::back_inserter(gpus));
  }
  reply.Send({.fields = "Content-Type: text/plain; charset=utf-8\r\n",
              .body = RenderMetrics(core_.repository().Loaded(""), gpus, cpu)});
}

}  // namespace sextant::serve
