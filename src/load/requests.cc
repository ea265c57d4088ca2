#include "load/requests.h"

#include <algorithm>
#include <numeric>

#include "base/strings.h"
#include "kserve/infer_grpc.h"
#include "kserve/infer_http.h"
#include "kserve/infer_shared.h"
#include "net/http1.h"

namespace sextant::load {
namespace {

// Requests up to this size are laid out as one piece of memory, as long as all of them together
// stay below the total: one send call with one pointer. Larger ones refer to the data where it
// lies.
constexpr uint64_t kCopyBelow = 64 * 1024;
constexpr uint64_t kCopyTotal = 32 * 1024 * 1024;
// How far back a head is looked for that is the same: as many as a request has inputs, and some.
constexpr ptrdiff_t kRecentHeads = 8;

// Rows first .. first + count - 1 of a column, wrapping around at the end: at most two pieces when
// all rows have one size.
void AppendRows(const DataSet::Column& column, size_t rows, size_t first, size_t count,
                std::vector<std::string_view>& pieces) {
  while (count > 0) {
    const size_t run = std::min(count, rows - first);
    pieces.push_back(column.Rows({first, run}));
    count -= run;
    first = 0;
  }
}

uint64_t TotalSize(std::span<const std::string_view> pieces) {
  return std::accumulate(pieces.begin(), pieces.end(), uint64_t{0},
                         [](uint64_t sum, std::string_view piece) { return sum + piece.size(); });
}

// The tensors of a batch, their bytes still in pieces.
struct BatchInput {
  kserve::InferInput input;  // without data
  std::vector<std::string_view> pieces;
  uint64_t bytes = 0;
};

Result<std::vector<BatchInput>> GatherBatch(const ModelSignature& model, const DataSet& data,
                                            size_t first_row, size_t batch) {
  std::vector<BatchInput> out;
  for (const DataSet::Column& column : data.inputs()) {
    BatchInput& entry = out.emplace_back();
    entry.input.name = column.tensor.name;
    entry.input.type = column.tensor.type;
    entry.input.shape = column.RowShape(first_row);
    for (size_t i = 1; i < batch; ++i) {
      const size_t row = (first_row + i) % data.rows();
      if (column.RowShape(row) != entry.input.shape) {
        return InvalidArgument(
            Format("rows {} and {} cannot share a batch: input '{}' has shape {} in one and {} in "
                   "the other (use batch size 1)",
                   first_row, row, column.tensor.name, kserve::FormatShape(entry.input.shape),
                   kserve::FormatShape(column.RowShape(row))));
      }
    }
    if (model.max_batch_size > 0)
      entry.input.shape.insert(entry.input.shape.begin(), static_cast<int64_t>(batch));
    AppendRows(column, data.rows(), first_row, batch, entry.pieces);
    entry.bytes = TotalSize(entry.pieces);
  }
  return out;
}

Result<std::string> JsonRequest(const std::vector<BatchInput>& inputs,
                                const std::vector<kserve::RequestedOutput>& outputs,
                                const kserve::Parameters& parameters) {
  std::vector<kserve::InferInput> joined;
  std::deque<std::string> bytes;
  for (const BatchInput& entry : inputs) {
    std::string& text = bytes.emplace_back();
    for (const std::string_view piece : entry.pieces) text += piece;
    joined.push_back(entry.input);
    joined.back().data = text;
  }
  return kserve::EncodeHttpJsonRequest(joined, outputs, parameters);
}

std::string HttpRequestLine(const ModelSignature& model, const RequestOptions& options) {
  return Format("POST {}{}/infer HTTP/1.1\r\n", options.path_prefix,
                kserve::ModelPath(model.name, options.model_version));
}

// What follows the request line. `json_bytes`: of the JSON in front of binary tensors, before
// compression.
std::string HttpFields(const RequestOptions& options, uint64_t json_bytes, uint64_t body_bytes) {
  std::string head;
  if (!options.open_head) AppendFormat(head, "Host: {}\r\n", options.authority);
  if (options.compression != net::Compression::kNone)
    AppendFormat(head, "Content-Encoding: {}\r\n", net::CompressionName(options.compression));
  head += options.http_fields;
  if (options.json_tensors) {
    head += "Content-Type: application/json\r\n";
  } else {
    AppendFormat(
        head, "Content-Type: application/octet-stream\r\nInference-Header-Content-Length: {}\r\n",
        json_bytes);
  }
  AppendFormat(head, "Content-Length: {}\r\n\r\n", body_bytes);
  return head;
}

std::string Joined(std::span<const std::string_view> pieces) {
  std::string out;
  out.reserve(TotalSize(pieces));
  for (const std::string_view piece : pieces) out += piece;
  return out;
}

}  // namespace

Result<std::unique_ptr<RequestSet>> RequestSet::Encode(const ModelSignature& model,
                                                       const DataSet& data,
                                                       const RequestOptions& options) {
  if (options.batch_size < 1) return InvalidArgument("the batch size must be at least 1");
  if (options.batch_size > 1 && model.max_batch_size == 0) {
    return InvalidArgument(Format(
        "model '{}' takes no batches (its max_batch_size is 0): use batch size 1", model.name));
  }
  if (model.max_batch_size > 0 && options.batch_size > model.max_batch_size) {
    return InvalidArgument(Format("batch size {} is above the model's max_batch_size of {}",
                                  options.batch_size, model.max_batch_size));
  }
  const bool compressed = options.compression != net::Compression::kNone;
  if (options.shared != nullptr &&
      (options.patch.any() || !options.parameters.empty() || options.open_head || compressed)) {
    return Unsupported(
        "--shared-memory goes with requests that are all alike, to one server: leave out "
        "--streaming, "
        "sequences, request parameters, several URLs, tokens that are renewed, and compression");
  }
  if (compressed && options.patch.any()) {
    return Unsupported(
        "requests are compressed once, before the run, and those of streams and sequences are "
        "never "
        "the same twice: leave out the compression");
  }
  std::unique_ptr<RequestSet> set(new RequestSet(data, options));
  if (options.protocol == kserve::Protocol::kGrpc)
    set->patch_ = RequestPatch::ForGrpc(options.patch);
  // Request k starts at row k * batch, until that has come around to row 0.
  const size_t batch = static_cast<size_t>(options.batch_size);
  const size_t distinct = data.rows() / std::gcd(data.rows(), batch);
  if (options.shared != nullptr) {
    for (size_t part = 0; part < options.shared->parts(); ++part) {
      const auto outputs = options.shared->Outputs(part, batch);
      set->output_pieces_.push_back(options.protocol == kserve::Protocol::kHttp
                                        ? kserve::EncodeHttpSharedOutputs(outputs)
                                        : kserve::EncodeGrpcSharedOutputs(outputs));
    }
  }
  for (size_t k = 0; k < distinct; ++k) {
    const size_t row = k * batch % data.rows();
    SEXTANT_TRY(options.shared != nullptr ? set->EncodeShared(model, options, row)
                                          : set->EncodeOne(model, options, row));
  }
  // The lists no longer move: spans may refer to them.
  for (size_t k = 0; k < distinct; ++k) set->requests_[k].pieces = set->piece_lists_[k];
  return set;
}

std::string_view RequestSet::Own(std::string text) {
  // Heads of requests whose tensors are of one shape are alike.
  for (auto it = owned_.rbegin(); it != owned_.rend() && it - owned_.rbegin() < kRecentHeads;
       ++it) {
    if (*it == text) return *it;
  }
  return owned_.emplace_back(std::move(text));
}

Result<void> RequestSet::EncodeOne(const ModelSignature& model, const RequestOptions& options,
                                   size_t first_row) {
  SEXTANT_ASSIGN(const std::vector<BatchInput> inputs,
                 GatherBatch(model, data_, first_row, static_cast<size_t>(options.batch_size)));
  std::vector<kserve::InferInput> headers;
  // The header encoders look at sizes only; no byte of the tensors is copied for them.
  for (const BatchInput& entry : inputs) {
    headers.push_back(entry.input);
    headers.back().data =
        std::string_view(entry.pieces.empty() ? nullptr : entry.pieces[0].data(), entry.bytes);
  }
  std::vector<kserve::RequestedOutput> outputs;
  for (const kserve::TensorMetadata& output : model.outputs)
    outputs.push_back({.name = output.name, .binary = !options.json_outputs});

  // The body or message: what describes the tensors, then the tensors.
  kserve::Parameters parameters = RequestPatch::Placeholders(options.patch);
  parameters.insert(parameters.end(), options.parameters.begin(), options.parameters.end());
  std::vector<std::string_view> pieces;
  const bool http = options.protocol == kserve::Protocol::kHttp;
  if (http && options.json_tensors) {
    // A server that knows nothing of binary data must not be asked about it.
    if (!options.binary_known) outputs.clear();
    SEXTANT_ASSIGN(std::string json, JsonRequest(inputs, outputs, parameters));
    pieces.push_back(Own(std::move(json)));
  } else if (http) {
    pieces.push_back(Own(kserve::EncodeHttpRequestHeader(headers, outputs, {}, parameters)));
    for (const BatchInput& entry : inputs)
      pieces.insert(pieces.end(), entry.pieces.begin(), entry.pieces.end());
  } else {
    pieces.push_back(Own(kserve::EncodeGrpcRequestHeader(model.name, options.model_version, headers,
                                                         outputs, {}, options.parameters)));
    for (const BatchInput& entry : inputs) {
      pieces.push_back(Own(kserve::EncodeRawInputHeader(entry.bytes)));
      pieces.insert(pieces.end(), entry.pieces.begin(), entry.pieces.end());
    }
  }
  const size_t json_bytes = pieces.front().size();
  if (options.compression != net::Compression::kNone)
    pieces.assign(1, owned_.emplace_back(net::Compress(options.compression, Joined(pieces))));
  size_t apart = 0;
  if (http) {
    apart = AddHttpHead(model, options, json_bytes, pieces);
  } else {
    SEXTANT_ASSIGN(apart, AddGrpcPrefix(options, pieces));
  }
  AddRequest(std::move(pieces), apart, first_row);
  return {};
}

// The request line may stand alone, for what the channel puts in behind it. Where requests differ,
// the JSON is in three pieces, of which the middle one is each request's own.
size_t RequestSet::AddHttpHead(const ModelSignature& model, const RequestOptions& options,
                               size_t json_bytes, std::vector<std::string_view>& pieces) {
  const std::string fields = HttpFields(options, json_bytes, TotalSize(pieces));
  std::string head = HttpRequestLine(model, options);
  std::vector<std::string_view> front;
  if (options.open_head) front.push_back(Own(std::exchange(head, {})));
  head += fields;
  size_t apart = front.size();
  if (options.patch.sequence == SequenceIdType::kNone) {
    front.push_back(Own(std::move(head)));
  } else {
    head += pieces.front();
    pieces.erase(pieces.begin());
    const RequestPatch::Split split = RequestPatch::SplitHttp(Own(std::move(head)), options.patch);
    front.push_back(split.before);
    if (!patch_.any()) patch_ = RequestPatch::ForHttp(split.piece, options.patch, front.size());
    front.push_back(patch_.bytes());
    apart = front.size();
    front.push_back(split.after);
  }
  pieces.insert(pieces.begin(), front.begin(), front.end());
  return apart;
}

Result<size_t> RequestSet::AddGrpcPrefix(const RequestOptions& options,
                                         std::vector<std::string_view>& pieces) {
  const uint64_t bytes = TotalSize(pieces);
  if (bytes + patch_.bytes().size() > INT32_MAX) {
    return InvalidArgument(
        Format("a request of {} bytes is beyond gRPC's 2 GiB: use HTTP or a smaller batch", bytes));
  }
  if (patch_.any()) {
    pieces.insert(pieces.begin(), patch_.bytes());
    return 1;
  }
  std::string prefix;
  net::AppendGrpcPrefix(prefix, static_cast<uint32_t>(bytes),
                        options.compression != net::Compression::kNone);
  pieces.insert(pieces.begin(), Own(std::move(prefix)));
  return 0;
}

void RequestSet::AddRequest(std::vector<std::string_view> pieces, size_t apart, size_t first_row) {
  const uint64_t bytes = TotalSize(pieces);
  // Small requests in one piece; of large ones, at least the head and what describes the tensors.
  size_t joined = std::min(pieces.size(), apart + 2);
  const bool small = bytes <= kCopyBelow && copied_bytes_ + bytes <= kCopyTotal;
  if (small) {
    copied_bytes_ += bytes;
    joined = pieces.size();
  }
  if (joined > apart + 1) {
    const auto first = pieces.begin() + static_cast<ptrdiff_t>(apart);
    const auto last = pieces.begin() + static_cast<ptrdiff_t>(joined);
    std::string text = Joined({first, last});
    const std::string_view one =
        small ? owned_.emplace_back(std::move(text)) : Own(std::move(text));
    pieces.insert(pieces.erase(first, last), one);
  }
  piece_lists_.push_back(std::move(pieces));
  requests_.push_back(
      {.pieces = {}, .bytes = bytes, .first_row = static_cast<uint32_t>(first_row)});
}

// The first part of a request whose tensors lie in shared memory; all second parts have one size.
Result<void> RequestSet::EncodeShared(const ModelSignature& model, const RequestOptions& options,
                                      size_t first_row) {
  const size_t batch = static_cast<size_t>(options.batch_size);
  SEXTANT_ASSIGN(const std::vector<BatchInput> inputs, GatherBatch(model, data_, first_row, batch));
  std::vector<kserve::InferInput> headers;
  for (size_t i = 0; i < inputs.size(); ++i) {
    headers.push_back(inputs[i].input);
    headers.back().shared_memory = shared_->Input(i, first_row, batch);
  }
  const size_t tail = output_pieces_.empty() ? 0 : output_pieces_[0].size();
  std::string text;
  if (options.protocol == kserve::Protocol::kHttp) {
    const std::string json = kserve::EncodeHttpSharedInputs(headers);
    text = Format(
        "POST {}{}/infer HTTP/1.1\r\nHost: {}\r\n{}Content-Type: application/json\r\n"
        "Content-Length: {}\r\n\r\n{}",
        options.path_prefix, kserve::ModelPath(model.name, options.model_version),
        options.authority, options.http_fields, json.size() + tail, json);
  } else {
    const std::string header =
        kserve::EncodeGrpcSharedInputs(model.name, options.model_version, headers);
    net::AppendGrpcPrefix(text, static_cast<uint32_t>(header.size() + tail));
    text += header;
  }
  piece_lists_.push_back({owned_.emplace_back(std::move(text))});
  requests_.push_back({.bytes = piece_lists_.back()[0].size() + tail,
                       .first_row = static_cast<uint32_t>(first_row)});
  return {};
}

bool RequestSet::Matches(const DataSet::Column& expected, std::string_view got,
                         std::string_view want) const {
  if (!tolerance_) return got == want;
  return kserve::AllClose(expected.tensor.type, got, want, tolerance_->absolute,
                          tolerance_->relative);
}

Result<uint32_t> RequestSet::CountWrongShared(size_t index, size_t part) const {
  SEXTANT_TRY(shared_->Fetch(part));
  const size_t batch = static_cast<size_t>(batch_size_);
  std::vector<bool> wrong(batch);
  for (const DataSet::Column& expected : data_.expected()) {
    const std::string_view got = shared_->OutputBytes(expected.tensor.name, part);
    size_t at = 0;
    for (size_t i = 0; i < batch; ++i) {
      const std::string_view want = expected.Row((requests_[index].first_row + i) % data_.rows());
      if (got.size() < at + want.size() || !Matches(expected, got.substr(at, want.size()), want))
        wrong[i] = true;
      at += want.size();
    }
  }
  return static_cast<uint32_t>(std::count(wrong.begin(), wrong.end(), true));
}

Result<uint32_t> RequestSet::CountWrong(size_t index, std::string_view body,
                                        std::string_view http_fields) const {
  std::optional<kserve::ResponseView> view;
  if (protocol_ == kserve::Protocol::kGrpc) {
    SEXTANT_ASSIGN(view, kserve::DecodeGrpcResponse(body));
  } else {
    std::optional<uint64_t> header_length;
    if (const auto text = net::FindHeader(http_fields, "inference-header-content-length"))
      header_length = ParseUint(*text);
    SEXTANT_ASSIGN(view, kserve::DecodeHttpResponse(body, header_length));
  }
  const size_t batch = static_cast<size_t>(batch_size_);
  std::vector<bool> wrong(batch);
  for (const DataSet::Column& expected : data_.expected()) {
    const auto output = std::find_if(view->outputs.begin(), view->outputs.end(),
                                     [&](const auto& o) { return o.name == expected.tensor.name; });
    if (output == view->outputs.end() || output->type != expected.tensor.type) {
      wrong.assign(batch, true);
      break;
    }
    // Rows lie behind each other in both; expected rows may differ in size only for BYTES and
    // open shapes.
    size_t at = 0;
    for (size_t i = 0; i < batch; ++i) {
      const std::string_view want = expected.Row((requests_[index].first_row + i) % data_.rows());
      const std::string_view got =
          output->data.substr(std::min(at, output->data.size()), want.size());
      if (!Matches(expected, got, want)) wrong[i] = true;
      at += want.size();
    }
    // More than was expected: which row it belongs to cannot be told.
    if (at != output->data.size()) wrong.assign(batch, true);
  }
  return static_cast<uint32_t>(std::count(wrong.begin(), wrong.end(), true));
}

}  // namespace sextant::load
