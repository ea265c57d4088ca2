// Requests, encoded once: what is sent a million times is a list of spans.
//
// Threads: immutable once made; workers share one. Lifetime: the data set must outlive it.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kserve/control_client.h"
#include "kserve/infer.h"
#include "load/data.h"
#include "load/patch.h"
#include "load/shared_tensors.h"
#include "net/compress.h"
#include "net/grpc_client.h"

namespace sextant::load {

struct EncodedRequest {
  std::span<const std::string_view> pieces;
  uint64_t bytes = 0;
  uint32_t first_row = 0;  // of the data set; rows wrap around
  uint64_t id = 0;         // as patched in: what a stream's answers are found by
  // Requests of one kind must reach the server in order: over the same stream. UINT32_MAX: any.
  uint32_t affinity = UINT32_MAX;
};

struct PatchedRequest {
  EncodedRequest request;
  std::string bytes;
  std::vector<std::string_view> pieces;
};

// |got - expected| <= absolute + relative * |expected|.
struct Tolerance {
  double absolute = 0, relative = 0;
};

struct RequestOptions {
  kserve::Protocol protocol = kserve::Protocol::kHttp;
  std::string authority;      // "localhost:8000"
  std::string path_prefix;    // HTTP: in front of /v2
  std::string model_version;  // as asked for; empty: the server's choice
  int64_t batch_size = 1;
  bool json_tensors = false;   // HTTP: inputs as JSON instead of binary data
  bool json_outputs = false;   // HTTP: outputs as JSON; always so where no binary data is known
  bool binary_known = true;    // HTTP: the server has the binary tensor data extension
  bool check_outputs = false;  // outputs will be compared
  // How far floats may be from what is expected; without, every bit counts.
  std::optional<Tolerance> tolerance;
  std::string http_fields;  // further header lines, each with its CR LF
  // HTTP: the request line is a piece of its own and Host is left out, for the channel to put in
  // what depends on the server and the time.
  bool open_head = false;
  // Of bodies and messages, done here, once. gRPC calls must say it as well (grpc-encoding).
  net::Compression compression = net::Compression::kNone;
  // Tensors lie there instead of in the requests; must outlive the set. Without patch and
  // parameters.
  const SharedTensors* shared = nullptr;
  kserve::Parameters parameters;  // of every request
  PatchOptions patch;             // what each request says for itself
  uint16_t model = 0;             // which of several models it is of (load/mix.h)
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
  // Requests of a set with a patch must be sent as the patch makes them.
  const RequestPatch& patch() const { return patch_; }
  // Requests belong to sequences.
  bool sequences() const { return sequences_; }
  // RequestOptions::model.
  uint16_t model() const { return model_; }

  // Outputs in shared memory: a request is its one piece and, behind it, that of the part which its
  // outputs go to. Without: no parts.
  size_t output_parts() const { return output_pieces_.size(); }
  std::string_view output_piece(size_t part) const { return output_pieces_[part]; }
  const SharedTensors* shared() const { return shared_; }
  // As CountWrong, of the outputs that lie in that part; an error when they cannot be fetched.
  Result<uint32_t> CountWrongShared(size_t index, size_t part) const;

  // Compares a response body (as received, without gRPC prefix) with the expected outputs of
  // request `index`: how many of its inferences were wrong. kCorrupt when it cannot be read.
  Result<uint32_t> CountWrong(size_t index, std::string_view body,
                              std::string_view http_fields) const;

 private:
  RequestSet(const DataSet& data, const RequestOptions& options)
      : data_(data),
        batch_size_(options.batch_size),
        protocol_(options.protocol),
        check_outputs_(options.check_outputs),
        tolerance_(options.tolerance),
        shared_(options.shared),
        sequences_(options.patch.sequence != SequenceIdType::kNone),
        model_(options.model) {}
  std::string_view Own(std::string text);
  bool Matches(const DataSet::Column& expected, std::string_view got, std::string_view want) const;
  Result<void> EncodeOne(const ModelSignature& model, const RequestOptions& options,
                         size_t first_row);
  Result<void> EncodeShared(const ModelSignature& model, const RequestOptions& options,
                            size_t first_row);
  // These put what goes before a body or message in front of its pieces, and return how many pieces
  // at the beginning must stay as they are.
  size_t AddHttpHead(const ModelSignature& model, const RequestOptions& options, size_t json_bytes,
                     std::vector<std::string_view>& pieces);
  Result<size_t> AddGrpcPrefix(const RequestOptions& options,
                               std::vector<std::string_view>& pieces);
  void AddRequest(std::vector<std::string_view> pieces, size_t apart, size_t first_row);

  const DataSet& data_;
  const int64_t batch_size_;
  const kserve::Protocol protocol_;
  const bool check_outputs_;
  const std::optional<Tolerance> tolerance_;
  const SharedTensors* const shared_;
  std::vector<std::string> output_pieces_;
  const bool sequences_;
  const uint16_t model_;
  std::deque<std::string> owned_;  // heads, and whole requests where they are small
  std::deque<std::vector<std::string_view>> piece_lists_;
  std::vector<EncodedRequest> requests_;
  RequestPatch patch_;
  uint64_t copied_bytes_ = 0;
};

// The methods that inference requests call over gRPC.
constexpr std::string_view kGrpcStreamPath = "/inference.GRPCInferenceService/ModelStreamInfer";
constexpr std::string_view kGrpcInferPath = "/inference.GRPCInferenceService/ModelInfer";

}  // namespace sextant::load
