#include "serve_process.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/strings.h"
#include "kserve/infer_grpc.h"
#include "net/blocking.h"
#include "net/grpc.h"
#include "net/http1.h"

namespace sextant::conformance {

using net::FrameType;

std::string EchoModel(std::string_view name, std::string_view service_time, std::string_view more) {
  return Format(
      "name: \"{}\"\nbackend: \"simulated\"\n"
      "input {{ name: \"X\" data_type: TYPE_INT32 dims: 4 }}\n"
      "output {{ name: \"Y\" data_type: TYPE_INT32 dims: 4 }}\n"
      "instance_group {{ count: 1 kind: KIND_CPU }}\n"
      "parameters {{ key: \"output\" value {{ string_value: \"echo\" }} }}\n"
      "parameters {{ key: \"service_time\" value {{ string_value: \"{}\" }} }}\n{}",
      name, service_time, more);
}

std::string ServeProcess::GoodHttp(std::string_view model) const {
  Connection connection(http_port());
  if (!connection.Send(HttpPost(Format("/v2/models/{}/infer", model), kGoodJson)))
    return "HTTP: cannot send";
  const HttpText answer = TakeHttp(connection);
  if (answer.status == 200 && answer.body.find("[1,2,3,4]") != std::string::npos) return "";
  return Format("HTTP: status {}: {}", answer.status, answer.body);
}

std::string ServeProcess::GoodGrpc(std::string_view model) const {
  const net::Address address = (*net::Resolve({"127.0.0.1", grpc_port()}))[0];
  Result<net::BlockingGrpcClient> client = net::BlockingGrpcClient::Create(address, "test");
  if (!client.has_value()) return client.error().message();
  const auto reply = client->Call(kGrpcInferPath, GoodGrpcMessage(model), 30s);
  if (!reply.has_value()) return "gRPC: " + reply.error().message();
  if (reply->status != 0)
    return Format("gRPC: status {}: {}", reply->status, reply->status_message);
  const auto view = kserve::DecodeGrpcResponse(reply->message);
  const int32_t expected[] = {1, 2, 3, 4};
  const std::string_view bytes(reinterpret_cast<const char*>(expected), sizeof expected);
  if (view.has_value() && view->outputs.size() == 1 && view->outputs[0].data == bytes) return "";
  return "gRPC: not the expected outputs";
}

Connection::Connection(int port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fd_ = Fd();
  const int one = 1;
  setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

bool Connection::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

void Connection::EndSending() { shutdown(fd_.get(), SHUT_WR); }

bool Connection::Receive(Nanos timeout) {
  pollfd wait{fd_.get(), POLLIN, 0};
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count();
  if (poll(&wait, 1, static_cast<int>(ms)) <= 0) {
    timed_out_ = true;
    return false;
  }
  char buffer[16384];
  const ssize_t n = recv(fd_.get(), buffer, sizeof buffer, 0);
  if (n <= 0) return false;
  in.append(buffer, static_cast<size_t>(n));
  return true;
}

bool Connection::ReceiveAll(Nanos timeout) {
  const Instant deadline = SteadyNow() + timeout;
  while (Receive(std::max(deadline - SteadyNow(), Nanos(0)))) {
  }
  return !timed_out_;
}

HttpText TakeHttp(Connection& connection) {
  net::HttpHead head;
  std::string_view fault;
  for (;;) {
    const net::HttpParse parsed = net::ParseResponseHead(connection.in, head, fault);
    if (parsed == net::HttpParse::kBad) return {.status = -1, .body = connection.in};
    const size_t whole = head.size + head.content_length.value_or(0);
    if (parsed == net::HttpParse::kComplete && connection.in.size() >= whole) {
      HttpText out{.status = head.status,
                   .body = connection.in.substr(head.size, whole - head.size)};
      connection.in.erase(0, whole);
      return out;
    }
    if (!connection.Receive()) return {};
  }
}

std::string HttpPost(std::string_view path, std::string_view body, std::string_view fields) {
  return Format("POST {} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n{}\r\n{}", path,
                body.size(), fields, body);
}

std::string GoodGrpcMessage(std::string_view model) {
  const std::vector<kserve::InferInput> inputs{
      {.name = "X", .type = kserve::DataType::kInt32, .shape = {4}}};
  std::string message = kserve::EncodeGrpcRequestHeader(model, "", inputs, {}, "", {});
  const int32_t data[] = {1, 2, 3, 4};
  message += kserve::EncodeRawInputHeader(sizeof data);
  message.append(reinterpret_cast<const char*>(data), sizeof data);
  return message;
}

std::string Frame(FrameType type, uint8_t flags, uint32_t stream, std::string_view payload) {
  std::string out(net::kFrameHeaderBytes, '\0');
  net::WriteFrameHeader(out.data(), payload.size(), type, flags, stream);
  return out.append(payload);
}

std::string Http2Begin() {
  return std::string(net::kHttp2Preface) + Frame(FrameType::kSettings, 0, 0, "");
}

std::string CallHeaders(std::string_view path, std::string_view method,
                        std::string_view content_type, std::string_view encoding) {
  std::string block;
  net::AppendHpackField(block, net::kHpackMethodPost, {}, method);  // its name: :method
  net::AppendHpackIndexed(block, net::kHpackSchemeHttp);
  net::AppendHpackField(block, net::kHpackPath, {}, path);
  net::AppendHpackField(block, net::kHpackAuthority, {}, "test");
  if (!content_type.empty()) net::AppendHpackField(block, net::kHpackContentType, {}, content_type);
  if (!encoding.empty()) net::AppendHpackField(block, 0, "grpc-encoding", encoding);
  return block;
}

std::string Prefixed(std::string_view message, bool compressed) {
  std::string out;
  net::AppendGrpcPrefix(out, static_cast<uint32_t>(message.size()), compressed);
  return out.append(message);
}

Http2Outcome ReadHttp2(std::string_view in) {
  Http2Outcome out;
  net::HpackDecoder decoder;
  std::vector<net::HeaderField> fields;
  while (in.size() >= net::kFrameHeaderBytes) {
    const net::FrameHeader frame = net::ParseFrameHeader(in.data());
    if (in.size() < net::kFrameHeaderBytes + frame.length) break;
    const std::string_view payload = in.substr(net::kFrameHeaderBytes, frame.length);
    in.remove_prefix(net::kFrameHeaderBytes + frame.length);
    if (frame.type == FrameType::kGoaway && payload.size() >= 8) {
      out.goaway = true;
      out.goaway_code = net::ReadBigEndian32(payload.data() + 4);
    } else if (frame.type == FrameType::kRstStream && payload.size() == 4) {
      out.reset = true;
      out.reset_code = net::ReadBigEndian32(payload.data());
    } else if (frame.type == FrameType::kHeaders) {
      if (!decoder.Decode(payload, fields)) out.malformed = true;
      for (const net::HeaderField& field : fields) {
        if (field.name == ":status") out.http_status = field.value;
        if (field.name == "grpc-status") out.grpc_status = field.value;
        if (field.name == "grpc-message") out.grpc_message = field.value;
      }
    }
    const bool has_end = frame.type == FrameType::kHeaders || frame.type == FrameType::kData;
    if (has_end && frame.stream == 1 && (frame.flags & net::kFlagEndStream) != 0)
      out.stream_ended = true;
  }
  return out;
}

}  // namespace sextant::conformance
