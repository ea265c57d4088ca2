#include "plain_server.h"

#include "base/strings.h"
#include "inference.pb.h"

namespace sextant::e2e {
namespace {

constexpr std::string_view kMetadata =
    R"({"name":"plain","versions":["1"],"platform":"none",)"
    R"("inputs":[{"name":"X","datatype":"FP32","shape":[-1,4]}],)"
    R"("outputs":[{"name":"Y","datatype":"FP32","shape":[-1,1]}]})";
constexpr std::string_view kAnswer =
    R"({"model_name":"plain","model_version":"1",)"
    R"("outputs":[{"name":"Y","datatype":"FP32","shape":[1,1],"data":[1.5]}]})";

enum Method : uint32_t { kServerMetadata, kModelMetadata, kModelInfer };

}  // namespace

PlainServer::PlainServer(const PlainOptions& options) : options_(options) {
  const net::Address any = (*net::Resolve({"127.0.0.1", 0}))[0];
  threads_ = *net::IoThreads::Start(1, "plain");
  http_ = *net::HttpServer::Start(*threads_, any, *this);
  grpc_ = *net::GrpcServer::Start(*threads_, any, *this);
}

PlainServer::~PlainServer() {
  http_.reset();
  grpc_.reset();
}

std::string PlainServer::Url(std::string_view protocol) const {
  return Format("127.0.0.1:{}",
                protocol == "grpc" ? grpc_->address().port() : http_->address().port());
}

std::vector<std::string> PlainServer::bodies() {
  const std::scoped_lock lock(mutex_);
  return bodies_;
}
std::vector<std::string> PlainServer::refused() {
  const std::scoped_lock lock(mutex_);
  return refused_;
}
size_t PlainServer::broken() {
  const std::scoped_lock lock(mutex_);
  return broken_;
}

bool PlainServer::TakeInference(std::string_view body) {
  const std::scoped_lock lock(mutex_);
  if (bodies_.size() < 10'000) bodies_.emplace_back(body);
  if (!options_.break_every_second || ++inferences_ % 2 != 0) return true;
  ++broken_;
  return false;
}

void PlainServer::OnRequest(const net::HttpRequest& request, net::HttpReply reply) {
  const auto json = [&](std::string_view text) {
    reply.Send({.fields = "Content-Type: application/json\r\n", .body = std::string(text)});
  };
  if (request.path == "/v2" && options_.server_metadata) {
    return json(options_.binary_tensors
                    ? R"({"name":"plain","version":"7","extensions":["binary_tensor_data"]})"
                    : R"({"name":"plain","version":"7","extensions":["none"]})");
  }
  if (request.path == "/v2/models/plain") return json(kMetadata);
  if (request.path == "/v2/models/plain/infer") {
    if (!TakeInference(request.body)) return reply.Break();
    return json(kAnswer);
  }
  {
    const std::scoped_lock lock(mutex_);
    refused_.emplace_back(request.path);
  }
  reply.Send({.status = 404, .body = "Not Found"});
}

net::GrpcMethodKind PlainServer::FindMethod(std::string_view path, uint32_t& method) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  if (name == "ServerMetadata" && options_.server_metadata) {
    method = kServerMetadata;
  } else if (name == "ModelMetadata") {
    method = kModelMetadata;
  } else if (name == "ModelInfer") {
    method = kModelInfer;
  } else {
    const std::scoped_lock lock(mutex_);
    refused_.emplace_back(name);
    return net::GrpcMethodKind::kUnknown;
  }
  return net::GrpcMethodKind::kUnary;
}

void PlainServer::OnUnary(uint32_t method, std::string_view message, const net::GrpcCall& call) {
  if (method == kServerMetadata) {
    inference::ServerMetadataResponse answer;
    answer.set_name("plain");
    answer.set_version("7");
    return call.Reply(answer.SerializeAsString());
  }
  if (method == kModelMetadata) {
    inference::ModelMetadataResponse answer;
    answer.set_name("plain");
    answer.add_versions("1");
    for (auto* tensor : {answer.add_inputs(), answer.add_outputs()}) {
      tensor->set_datatype("FP32");
      tensor->add_shape(-1);
    }
    answer.mutable_inputs(0)->set_name("X");
    answer.mutable_inputs(0)->add_shape(4);
    answer.mutable_outputs(0)->set_name("Y");
    answer.mutable_outputs(0)->add_shape(1);
    return call.Reply(answer.SerializeAsString());
  }
  if (!TakeInference(message)) return call.Break();
  inference::ModelInferResponse answer;
  answer.set_model_name("plain");
  auto* output = answer.add_outputs();
  output->set_name("Y");
  output->set_datatype("FP32");
  output->add_shape(1);
  output->add_shape(1);
  output->mutable_contents()->add_fp32_contents(1.5F);
  call.Reply(answer.SerializeAsString());
}

}  // namespace sextant::e2e
