// A gRPC server that writes every response by itself, as servers do whose requests end at different
// times; `sextant serve` writes all responses of a loop's turn at once. One thread, one model: a
// plain KServe v2 server with metadata and inference.
//
//   uncoalesced_server        prints "grpc on 127.0.0.1:PORT" and "ready", runs until it is killed
#include <cstdio>
#include <cstring>
#include <list>
#include <memory>
#include <string>

#include "inference.pb.h"
#include "net/grpc.h"
#include "net/hpack.h"
#include "net/http2.h"
#include "net/io_threads.h"

namespace sextant {
namespace {

// What the only model answers, encoded once, with gRPC's prefix.
struct Answers {
  std::string metadata, infer;
};

std::string Framed(const google::protobuf::Message& message) {
  const std::string bytes = message.SerializeAsString();
  std::string out;
  net::AppendGrpcPrefix(out, static_cast<uint32_t>(bytes.size()));
  return out + bytes;
}

Answers MakeAnswers() {
  inference::ModelMetadataResponse metadata;
  metadata.set_name("null");
  metadata.add_versions("1");
  metadata.set_platform("null");
  const auto describe = [](auto* tensor, const char* name) {
    tensor->set_name(name);
    tensor->set_datatype("FP32");
    tensor->add_shape(1);
    tensor->add_shape(16);
  };
  describe(metadata.add_inputs(), "INPUT");
  describe(metadata.add_outputs(), "OUTPUT");
  inference::ModelInferResponse infer;
  infer.set_model_name("null");
  infer.set_model_version("1");
  describe(infer.add_outputs(), "OUTPUT");
  infer.add_raw_output_contents(std::string(64, '\0'));
  return {Framed(metadata), Framed(infer)};
}

class Connection final : public net::Http2Connection {
 public:
  Connection(net::EventLoop& loop, const Answers& answers)
      : Http2Connection(loop, Side::kServer, {.max_concurrent_streams = 1024}, counters_storage_),
        answers_(answers) {
    net::AppendHpackIndexed(headers_, net::kHpackStatus200);
    net::AppendHpackField(headers_, net::kHpackContentType, {}, "application/grpc");
    net::AppendHpackField(trailers_, 0, "grpc-status", "0");
    unimplemented_ = headers_;
    net::AppendHpackField(unimplemented_, 0, "grpc-status", "12");
  }
  Result<void> Begin(Fd fd) { return Open(net::Socket(std::move(fd)), /*connecting=*/false); }

 private:
  enum Method : uint32_t { kOther, kInfer, kMetadata };

  void OnHeaders(uint32_t id, std::string_view block, bool) override {
    // An inference's block is the same each time once the client's table is filled.
    uint32_t method = kInfer;
    if (infer_block_.empty() || block != infer_block_) {
      if (!decoder_.Decode(block, fields_))
        return ConnectionFault(net::Http2Error::kCompressionError, "a malformed header block");
      method = kOther;
      for (const net::HeaderField& field : fields_) {
        if (field.name != ":path") continue;
        if (field.value.ends_with("/ModelInfer")) method = kInfer;
        if (field.value.ends_with("/ModelMetadata")) method = kMetadata;
      }
      if (method == kInfer && net::ExamineHpack(block) != net::HpackDependence::kChanges)
        infer_block_ = block;
    }
    net::Http2Stream& stream = streams_.Insert(id);
    stream.send_window = peer_.initial_window_size;
    stream.state = method;
  }

  void OnData(net::Http2Stream& stream, std::string_view, bool end_stream) override {
    if (!end_stream) return;
    if (stream.state == kOther) {
      QueueHeaders(stream.id, unimplemented_, true);
      Forget(stream);
    } else {
      QueueHeaders(stream.id, headers_, false);
      stream.pieces.assign(1, stream.state == kInfer ? answers_.infer : answers_.metadata);
      stream.ends_after_data = true;
      stream.trailers = trailers_;
      QueueData(stream);
    }
    OnTurnEnd();  // now, and not for all streams at once
  }
  void OnSendDone(net::Http2Stream& stream) override {
    if (stream.local_closed) Forget(stream);
  }
  void OnReset(net::Http2Stream& stream, uint32_t) override { Forget(stream); }
  void OnGoaway(uint32_t, uint32_t, std::string_view) override {}
  void OnEnd(net::FailureKind, std::string_view) override {}
  void OnFlush(Instant) override {}

  net::TransferCounters counters_storage_;
  const Answers& answers_;
  std::string headers_, trailers_, unimplemented_, infer_block_;
  net::HpackDecoder decoder_;
  std::vector<net::HeaderField> fields_;
};

Result<void> Serve() {
  const Answers answers = MakeAnswers();
  SEXTANT_ASSIGN(const auto threads, net::IoThreads::Start(1, "serve"));
  SEXTANT_ASSIGN(const auto addresses, net::Resolve({"127.0.0.1", 0}));
  std::list<Connection> connections;  // a closed one stays until the end
  SEXTANT_ASSIGN(const auto acceptor,
                 net::Acceptor::Start(*threads, addresses[0], [&](size_t loop, Fd fd) {
                   auto& connection = connections.emplace_back(threads->loop(loop), answers);
                   if (!connection.Begin(std::move(fd)).has_value()) connections.pop_back();
                 }));
  std::printf("grpc on 127.0.0.1:%d\nready\n", acceptor->address().port());
  std::fflush(stdout);
  for (;;) pause();
}

}  // namespace
}  // namespace sextant

int main() {
  const sextant::Result<void> served = sextant::Serve();
  if (!served.has_value())
    std::fprintf(stderr, "uncoalesced_server: %s\n", served.error().message().c_str());
  return 1;
}
