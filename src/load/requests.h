// Requests, encoded once: what is sent a million times is a list of spans.
//
// Threads: immutable once made; workers share one. Lifetime: the data set must outlive it.
#pragma once

#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kserve/control_client.h"
#include "kserve/infer.h"
#include "load/data.h"
#include "net/compress.h"
#include "net/grpc_client.h"

namespace sextant::load {

struct EncodedRequest {
  std::span<const std::string_view> pieces;
  uint64_t bytes = 0;
  uint32_t first_row = 0;  // of the data set; rows wrap around
};

struct RequestOptions {
  kserve::Protocol protocol = kserve::Protocol::kHttp;
  std::string authority;      // "localhost:8000"
  std::string path_prefix;    // HTTP: in front of /v2
  std::string model_version;  // as asked for; empty: the server's choice
  int64_t batch_size = 1;
  bool json_tensors = false;   // HTTP: inputs as JSON instead of binary data
  bool check_outputs = false;  // outputs will be compared
  std::string http_fields;     // further header lines, each with its CR LF
  // HTTP: the request line is a piece of its own and Host is left out, for the channel to put in
  // what depends on the server and the time.
  bool open_head = false;
  // Of bodies and messages, done here, once. gRPC calls must say it as well (grpc-encoding).
  net::Compression compression = net::Compression::kNone;
};

class RequestSet {
 public:
  static Result<std::unique_ptr<RequestSet>> Encode(const ModelSignature& model,
                                                    const DataSet& data,
                                                    const RequestOptions& options);

  const std::vector<EncodedRequest>& requests() const { return requests_; }
  int64_t batch_size() const { return batch_size_; }
  const DataSet& data() const { return data_; }
  kserve::Protocol protocol() const { return protocol_; }
  bool check_outputs() const { return check_outputs_; }

  // Compares a response body (as received, without gRPC prefix) with the expected outputs of
  // request `index`: how many of its inferences were wrong. kCorrupt when it cannot be read.
  Result<uint32_t> CountWrong(size_t index, std::string_view body,
                              std::string_view http_fields) const;

 private:
  RequestSet(const DataSet& data, const RequestOptions& options)
      : data_(data),
        batch_size_(options.batch_size),
        protocol_(options.protocol),
        check_outputs_(options.check_outputs) {}
  Result<void> EncodeOne(const ModelSignature& model, const RequestOptions& options,
                         size_t first_row);
  // `apart`: how many pieces at the beginning stay as they are.
  void AddRequest(std::vector<std::string_view> pieces, size_t apart, size_t first_row);

  const DataSet& data_;
  const int64_t batch_size_;
  const kserve::Protocol protocol_;
  const bool check_outputs_;
  std::deque<std::string> owned_;  // heads, and whole requests where they are small
  std::deque<std::vector<std::string_view>> piece_lists_;
  std::vector<EncodedRequest> requests_;
  uint64_t copied_bytes_ = 0;
};

// The method that all inference requests call over gRPC.
constexpr std::string_view kGrpcInferPath = "/inference.GRPCInferenceService/ModelInfer";

}  // namespace sextant::load
