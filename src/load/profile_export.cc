#include "load/profile_export.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/strings.h"
#include "kserve/infer_grpc.h"
#include "kserve/infer_http.h"
#include "load/patch.h"
#include "run/profile_export.h"

namespace sextant::load {
namespace {

// Text that is gathered before it is written.
constexpr size_t kChunk = 1 << 20;
// Rows whose text is kept, as most data sets are small and used over and over.
constexpr size_t kKeptInputs = 8 << 20;
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

void AppendText(std::string_view bytes, std::string& out) {
  if (IsValidUtf8(bytes)) return text::AppendJsonString(out, bytes);
  std::string valid;
  while (!bytes.empty()) {
    size_t n = 1;
    while (n < std::min<size_t>(4, bytes.size()) && !IsValidUtf8(bytes.substr(0, n))) ++n;
    if (!IsValidUtf8(bytes.substr(0, n))) {
      valid += kReplacement;
      n = 1;
    } else {
      valid += bytes.substr(0, n);
    }
    bytes.remove_prefix(n);
  }
  text::AppendJsonString(out, valid);
}

template <typename T>
T Load(std::string_view bytes, size_t i) {
  T value;
  std::memcpy(&value, bytes.data() + i * sizeof value, sizeof value);
  return value;
}

void AppendElement(kserve::DataType type, std::string_view bytes, size_t i, std::string& out) {
  using kserve::DataType;
  switch (type) {
    case DataType::kBool:
      out += bytes[i] != 0 ? "true" : "false";
      return;
    case DataType::kInt8:
    case DataType::kInt16:
    case DataType::kInt32:
    case DataType::kInt64:
    case DataType::kUint8:
    case DataType::kUint16:
    case DataType::kUint32:
    case DataType::kUint64:
      out += kserve::ElementText(type, bytes, i);
      return;
    case DataType::kFp16:
    case DataType::kBf16:
    case DataType::kFp32:
    case DataType::kFp64:
      run::AppendJsonDouble(kserve::ElementAsDouble(type, bytes, i), out);
      return;
    case DataType::kBytes:
      return;  // below: their elements have lengths of their own
  }
}

void AppendBytesTensor(std::string_view bytes, std::string& out) {
  std::vector<std::string_view> elements;
  while (bytes.size() >= sizeof(uint32_t)) {
    const auto length = Load<uint32_t>(bytes, 0);
    bytes.remove_prefix(sizeof(uint32_t));
    elements.push_back(bytes.substr(0, length));
    bytes.remove_prefix(std::min<size_t>(length, bytes.size()));
  }
  if (elements.size() == 1) return AppendText(elements[0], out);
  out += '[';
  for (size_t i = 0; i < elements.size(); ++i) {
    if (i > 0) out += ',';
    AppendText(elements[i], out);
  }
  out += ']';
}

}  // namespace

void AppendTensorJson(kserve::DataType type, std::string_view bytes, std::string& out) {
  if (type == kserve::DataType::kBytes) return AppendBytesTensor(bytes, out);
  const size_t count = bytes.size() / kserve::ElementSize(type);
  if (count == 1) return AppendElement(type, bytes, 0, out);
  out += '[';
  for (size_t i = 0; i < count; ++i) {
    if (i > 0) out += ',';
    AppendElement(type, bytes, i, out);
  }
  out += ']';
}

Result<std::unique_ptr<ProfileExporter>> ProfileExporter::Create(Options options) {
  Fd file(open(options.path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!file.valid()) return IoError("create " + options.path, errno);
  auto spill =
      RequestSpill::Create(DirectoryOf(options.path), options.tensors == ExportTensors::kAll);
  if (!spill.has_value()) {
    unlink(options.path.c_str());
    return std::move(spill).error();
  }
  std::unique_ptr<ProfileExporter> out(
      new ProfileExporter(std::move(options), std::move(file), *std::move(spill)));
  std::string text;
  run::BeginProfileExport(text);
  out->end_ = static_cast<int64_t>(text.size());
  run::EndProfileExport(out->options_.version, out->options_.service_kind, out->options_.endpoint,
                        text);
  SEXTANT_TRY(WriteAll(out->file_.get(), text, out->options_.path));
  return out;
}

ProfileExporter::~ProfileExporter() {
  if (levels_ == 0) unlink(options_.path.c_str());
}

// What a request of this set carried, from its data: nothing of it was copied while it was sent.
const std::string& ProfileExporter::Inputs(const RequestSet& requests, uint32_t request) {
  static const std::string kNothing = "{}";
  if (options_.tensors == ExportTensors::kNone) return kNothing;
  if (const auto found = inputs_.find(request); found != inputs_.end()) return found->second;
  inputs_once_ = '{';
  for (const DataSet::Column& column : requests.data().inputs()) {
    if (inputs_once_.size() > 1) inputs_once_ += ',';
    AppendText(column.tensor.name, inputs_once_);
    inputs_once_ += ':';
    AppendTensorJson(column.tensor.type, column.Row(requests.requests()[request].first_row),
                     inputs_once_);
  }
  inputs_once_ += '}';
  if (inputs_bytes_ + inputs_once_.size() > kKeptInputs) return inputs_once_;
  inputs_bytes_ += inputs_once_.size();
  return inputs_[request] = inputs_once_;
}

void ProfileExporter::AppendOutputs(const LoggedRequest& request, kserve::Protocol protocol,
                                    std::string& out) {
  for (const LoggedRequest::Response& response : request.responses) {
    if (&response != &request.responses.front()) out += ',';
    out += '{';
    bool first = true;
    const auto name = [&](std::string_view text) {
      if (!std::exchange(first, false)) out += ',';
      AppendText(text, out);
      out += ':';
    };
    if (response.empty && needs_bodies()) {
      for (const kserve::TensorMetadata& output : options_.outputs) {
        name(output.name);
        out += output.type == kserve::DataType::kBytes ? "\"\"" : "[]";
      }
    } else if (!response.body.empty()) {
      const auto view = protocol == kserve::Protocol::kGrpc
                            ? kserve::DecodeGrpcResponse(response.body)
                            : kserve::DecodeHttpResponse(response.body, response.json_bytes);
      // An answer that cannot be read has no outputs; with --validate it would have been counted.
      for (size_t i = 0; view.has_value() && i < view->outputs.size(); ++i) {
        name(view->outputs[i].name);
        AppendTensorJson(view->outputs[i].type, view->outputs[i].data, out);
      }
    }
    out += '}';
  }
}

void ProfileExporter::AppendRequest(const LoggedRequest& request, const RequestSet& requests,
                                    bool first, std::string& out) {
  stamps_.clear();
  for (const LoggedRequest::Response& response : request.responses)
    stamps_.push_back(Unix(response.received));
  outputs_text_.clear();
  AppendOutputs(request, requests.protocol(), outputs_text_);
  std::string sequence;
  if (request.sequence_id) {
    sequence = options_.text_sequence_ids ? Format("\"{}\"", SequenceText(*request.sequence_id))
                                          : Format("{}", *request.sequence_id);
  }
  run::AppendExportedRequest({.timestamp = Unix(request.due),
                              .sequence_id = sequence,
                              .inputs = Inputs(requests, request.request),
                              .responses = stamps_,
                              .outputs = outputs_text_},
                             first, out);
}

Result<void> ProfileExporter::WriteLevel(const Fd& ready, const run::LoadPoint& load,
                                         const RequestSet& requests, std::span<const Instant> edges,
                                         const std::function<void(uint64_t)>& progress) {
  const bool closed = load.mode == run::LoadMode::kConcurrency;
  const text::Json value = closed ? text::Json(static_cast<int64_t>(load.value)) : load.value;
  std::string text = levels_ > 0 ? "," : "";
  run::BeginExperiment(closed ? "concurrency" : "request_rate", value, text);
  uint64_t written = 0;
  Instant said = SteadyNow();
  SEXTANT_TRY(spill_->Read([&](const LoggedRequest& request) -> Result<void> {
    // What was due behind the end that was found later is no window's.
    if (request.due < edges.front() || request.due >= edges.back()) return {};
    AppendRequest(request, requests, written++ == 0, text);
    if (text.size() < kChunk) return {};
    if (progress && SteadyNow() - said > 250ms) {
      said = SteadyNow();
      progress(written);
    }
    SEXTANT_TRY(WriteAll(ready.get(), text, options_.path));
    text.clear();
    return {};
  }));
  stamps_.clear();
  for (const Instant edge : edges) stamps_.push_back(Unix(edge));
  run::EndExperiment(stamps_, text);
  return WriteAll(ready.get(), text, options_.path);
}

Result<void> ProfileExporter::CloseAt(int64_t end) {
  std::string text;
  run::EndProfileExport(options_.version, options_.service_kind, options_.endpoint, text);
  if (lseek(file_.get(), end, SEEK_SET) < 0) return IoError("write " + options_.path, errno);
  return WriteAll(file_.get(), text, options_.path);
}

// Over what closes the file, which is then closed again: behind the level, or, where that does not
// fit, behind the one before.
Result<void> ProfileExporter::PutIntoFile(const Fd& ready) {
  Result<int64_t> end = CopyIntoFile(ready);
  if (end.has_value()) {
    if (Result<void> closed = CloseAt(*end); !closed.has_value()) end = std::move(closed).error();
  }
  if (!end.has_value()) {
    if (ftruncate(file_.get(), end_) == 0) static_cast<void>(CloseAt(end_));
    return std::move(end).error();
  }
  end_ = *end;
  ++levels_;
  return {};
}

Result<int64_t> ProfileExporter::CopyIntoFile(const Fd& ready) {
  int64_t from = 0, to = end_;
  const int64_t length = lseek(ready.get(), 0, SEEK_END);
  std::string buffer;
  while (from < length) {
    buffer.resize(std::min<size_t>(kChunk, static_cast<size_t>(length - from)));
    const ssize_t n = pread(ready.get(), buffer.data(), buffer.size(), from);
    if (n <= 0) return IoError("read the temporary file", n < 0 ? errno : EIO);
    buffer.resize(static_cast<size_t>(n));
    if (lseek(file_.get(), to, SEEK_SET) < 0) return IoError("write " + options_.path, errno);
    SEXTANT_TRY(WriteAll(file_.get(), buffer, options_.path));
    from += n;
    to += n;
  }
  return to;
}

Result<uint64_t> ProfileExporter::EndLevel(const run::LoadPoint& load, const RequestSet& requests,
                                           std::span<const Instant> edges,
                                           const std::function<void(uint64_t)>& progress) {
  inputs_.clear();
  inputs_bytes_ = 0;
  SEXTANT_ASSIGN(const Fd ready, OpenNameless(DirectoryOf(options_.path)));
  SEXTANT_TRY(WriteLevel(ready, load, requests, edges, progress));
  SEXTANT_TRY(PutIntoFile(ready));
  return spill_->Clear();
}

}  // namespace sextant::load
