#include "load/requests.h"

#include <algorithm>
#include <numeric>

#include "base/strings.h"
#include "kserve/infer_grpc.h"
#include "kserve/infer_http.h"
#include "net/http1.h"

namespace sextant::load {
namespace {

// Requests up to this size are laid out as one piece of memory, as long as all of them together
// stay below the total: one send call with one pointer. Larger ones refer to the data where it
// lies.
constexpr uint64_t kCopyBelow = 64 * 1024;
constexpr uint64_t kCopyTotal = 64 * 1024 * 1024;

// Rows first .. first + count - 1 of a column, wrapping around at the end: at most two pieces when
// all rows have one size.
void AppendRows(const DataSet::Column& column, size_t rows, size_t first, size_t count,
                std::vector<std::string_view>& pieces) {
  while (count > 0) {
    const size_t run = std::min(count, rows - first);
    if (column.offsets.empty()) {
      pieces.push_back(
          std::string_view(column.bytes).substr(first * column.row_bytes, run * column.row_bytes));
    } else {
      pieces.push_back(
          std::string_view(column.bytes)
              .substr(column.offsets[first], column.offsets[first + run] - column.offsets[first]));
    }
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

Result<std::string> JsonRequest(const std::vector<BatchInput>& inputs) {
  std::vector<kserve::InferInput> joined;
  std::deque<std::string> bytes;
  for (const BatchInput& entry : inputs) {
    std::string& text = bytes.emplace_back();
    for (const std::string_view piece : entry.pieces) text += piece;
    joined.push_back(entry.input);
    joined.back().data = text;
  }
  return kserve::EncodeHttpJsonRequest(joined);
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
  std::unique_ptr<RequestSet> set(new RequestSet(data, options));
  // Request k starts at row k * batch, until that has come around to row 0.
  const size_t batch = static_cast<size_t>(options.batch_size);
  const size_t distinct = data.rows() / std::gcd(data.rows(), batch);
  for (size_t k = 0; k < distinct; ++k)
    SEXTANT_TRY(set->EncodeOne(model, options, k * batch % data.rows()));
  // The lists no longer move: spans may refer to them.
  for (size_t k = 0; k < distinct; ++k) set->requests_[k].pieces = set->piece_lists_[k];
  return set;
}

Result<void> RequestSet::EncodeOne(const ModelSignature& model, const RequestOptions& options,
                                   size_t first_row) {
  SEXTANT_ASSIGN(const std::vector<BatchInput> inputs,
                 GatherBatch(model, data_, first_row, static_cast<size_t>(options.batch_size)));
  std::vector<kserve::InferInput> headers;
  uint64_t tensor_bytes = 0;
  // The header encoders look at sizes only; no byte of the tensors is copied for them.
  for (const BatchInput& entry : inputs) {
    headers.push_back(entry.input);
    headers.back().data =
        std::string_view(entry.pieces.empty() ? nullptr : entry.pieces[0].data(), entry.bytes);
    tensor_bytes += entry.bytes;
  }
  std::vector<kserve::RequestedOutput> outputs;
  for (const kserve::TensorMetadata& output : model.outputs)
    outputs.push_back({.name = output.name, .binary = true});

  // The body or message: what describes the tensors, then the tensors.
  std::vector<std::string_view> pieces;
  const bool http = options.protocol == kserve::Protocol::kHttp;
  if (http && options.json_tensors) {
    SEXTANT_ASSIGN(std::string json, JsonRequest(inputs));
    pieces.push_back(owned_.emplace_back(std::move(json)));
  } else if (http) {
    pieces.push_back(
        owned_.emplace_back(kserve::EncodeHttpRequestHeader(headers, outputs, {}, {})));
    for (const BatchInput& entry : inputs)
      pieces.insert(pieces.end(), entry.pieces.begin(), entry.pieces.end());
  } else {
    pieces.push_back(owned_.emplace_back(kserve::EncodeGrpcRequestHeader(
        model.name, options.model_version, headers, outputs, {}, {})));
    for (const BatchInput& entry : inputs) {
      pieces.push_back(owned_.emplace_back(kserve::EncodeRawInputHeader(entry.bytes)));
      pieces.insert(pieces.end(), entry.pieces.begin(), entry.pieces.end());
    }
  }
  const size_t json_bytes = pieces.front().size();
  if (options.compression != net::Compression::kNone)
    pieces.assign(1, owned_.emplace_back(net::Compress(options.compression, Joined(pieces))));
  // What goes before it; of HTTP the request line may stand alone, for what is put in behind it.
  const uint64_t body_bytes = TotalSize(pieces);
  size_t apart = 0;
  if (http) {
    std::string head = HttpRequestLine(model, options);
    if (options.open_head) {
      pieces.insert(pieces.begin(), owned_.emplace_back(std::move(head)));
      head.clear();
      apart = 1;
    }
    head += HttpFields(options, json_bytes, body_bytes);
    pieces.insert(pieces.begin() + static_cast<ptrdiff_t>(apart),
                  owned_.emplace_back(std::move(head)));
  } else {
    if (body_bytes > INT32_MAX) {
      return InvalidArgument(Format(
          "a request of {} bytes is beyond gRPC's 2 GiB: use HTTP or a smaller batch", body_bytes));
    }
    std::string prefix;
    net::AppendGrpcPrefix(prefix, static_cast<uint32_t>(body_bytes),
                          options.compression != net::Compression::kNone);
    pieces.insert(pieces.begin(), owned_.emplace_back(std::move(prefix)));
  }
  AddRequest(std::move(pieces), apart, first_row);
  return {};
}

void RequestSet::AddRequest(std::vector<std::string_view> pieces, size_t apart, size_t first_row) {
  const uint64_t bytes = TotalSize(pieces);
  // Small requests in one piece; of large ones, at least the head and what describes the tensors.
  size_t joined = std::min(pieces.size(), apart + 2);
  if (bytes <= kCopyBelow && copied_bytes_ + bytes <= kCopyTotal) {
    copied_bytes_ += bytes;
    joined = pieces.size();
  }
  const auto first = pieces.begin() + static_cast<ptrdiff_t>(apart);
  const auto last = pieces.begin() + static_cast<ptrdiff_t>(joined);
  const std::string_view one = owned_.emplace_back(Joined({first, last}));
  pieces.insert(pieces.erase(first, last), one);
  piece_lists_.push_back(std::move(pieces));
  requests_.push_back({.bytes = bytes, .first_row = static_cast<uint32_t>(first_row)});
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
    // Rows lie behind each other in both; expected rows may differ in size only for BYTES and open
    // shapes.
    size_t at = 0;
    for (size_t i = 0; i < batch; ++i) {
      const std::string_view want = expected.Row((requests_[index].first_row + i) % data_.rows());
      if (output->data.size() < at + want.size() || output->data.substr(at, want.size()) != want)
        wrong[i] = true;
      at += want.size();
    }
    if (at != output->data.size() && batch == 1) wrong[0] = true;
  }
  return static_cast<uint32_t>(std::count(wrong.begin(), wrong.end(), true));
}

}  // namespace sextant::load
