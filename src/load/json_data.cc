// perf_analyzer's JSON input data, read event by event: memory is that of the tensors, not of the
// text.
#include <algorithm>

#include "base/strings.h"
#include "load/data.h"
#include "text/json.h"

namespace sextant::load {
namespace {

using kserve::DataType;

constexpr size_t kMostFaults = 20;

class JsonDataReader final : public text::JsonHandler {
 public:
  JsonDataReader(std::string_view source, const ModelSignature& model,
                 const JsonDataOptions& options)
      : source_(source),
        all_optional_(model.outputs.size(), true),
        inputs_("input", model.inputs, model.optional_inputs, options.shapes),
        expected_("output", model.outputs, all_optional_, no_shapes_) {}

  Result<void> OnNull() override {
    return Scalar("null",
                  [](DataType, std::string&) { return InvalidArgument("null is not a value"); });
  }
  Result<void> OnBool(bool v) override {
    return Scalar("a boolean", [v](DataType type, std::string& out) -> Result<void> {
      if (type != DataType::kBool)
        return InvalidArgument(Format("a boolean does not fit {}", kserve::DataTypeName(type)));
      return kserve::AppendElement(type, int64_t{v}, out);
    });
  }
  Result<void> OnInt(int64_t v) override {
    if (in_shape_) {
      shape_->push_back(v);
      return {};
    }
    return Number(v);
  }
  Result<void> OnUint(uint64_t v) override { return Number(v); }
  Result<void> OnDouble(double v) override { return Number(v); }
  Result<void> OnString(std::string_view v) override {
    if (Top() == Frame::kTensor && tensor_key_ == "b64") return Base64(v);
    return Scalar("a string", [v](DataType type, std::string& out) -> Result<void> {
      if (type != DataType::kBytes)
        return InvalidArgument(Format("a string does not fit {}", kserve::DataTypeName(type)));
      kserve::AppendBytesElement(v, out);
      return {};
    });
  }

  Result<void> OnKey(std::string_view key) override {
    switch (Top()) {
      case Frame::kRoot:
        if (key != "data" && key != "validation_data") {
          return Corrupt(Format("unknown member '{}': there are \"data\" and \"validation_data\"",
                                Printable(key, 40)));
        }
        section_ = key == "data" ? &inputs_ : &expected_;
        row_ = 0;
        return {};
      case Frame::kRow:
        return BeginTensor(key);
      case Frame::kTensor:
        // {"content": {"b64": "..."}} has one level more for the same thing.
        if (key != "content" && key != "shape" && key != "b64") {
          Fault(Format("'{}': unknown member '{}': there are \"content\", \"shape\" and \"b64\"",
                       tensor_, Printable(key, 40)));
        }
        tensor_key_ = key;
        return {};
      default:
        return {};
    }
  }

  Result<void> OnStartObject() override {
    if (stack_.empty()) return Push(Frame::kRoot);
    if (Top() == Frame::kSection || Top() == Frame::kSequence) {
      row_bad_ = false;
      return Push(Frame::kRow);
    }
    if (Top() == Frame::kRow || (Top() == Frame::kTensor && tensor_key_ == "content"))
      return Push(Frame::kTensor);
    return Unexpected("an object");
  }

  Result<void> OnEndObject() override {
    const Frame frame = Top();
    stack_.pop_back();
    if (frame == Frame::kRow) EndRow();
    if (frame == Frame::kTensor && Top() == Frame::kRow) EndTensor();
    return {};
  }

  Result<void> OnStartArray() override {
    if (stack_.empty()) return Unexpected("an array");
    switch (Top()) {
      case Frame::kRoot:
        return Push(Frame::kSection);
      case Frame::kSection:
        return Push(Frame::kSequence);
      case Frame::kRow:
        return Push(Frame::kValues);
      case Frame::kValues:
        return Push(Frame::kValues);
      case Frame::kTensor:
        if (tensor_key_ == "content") return Push(Frame::kValues);
        if (tensor_key_ == "shape") {
          in_shape_ = true;
          shape_.emplace();
          return Push(Frame::kShape);
        }
        return Unexpected("an array");
      default:
        return Unexpected("an array");
    }
  }

  Result<void> OnEndArray() override {
    const Frame frame = Top();
    stack_.pop_back();
    if (frame == Frame::kShape) in_shape_ = false;
    if (frame == Frame::kValues && Top() == Frame::kRow) EndTensor();
    return {};
  }

  Result<DataSet> Finish(const std::string& source) {
    if (!faults_.empty()) {
      std::string text = Format("{} of the input data do not fit the model:",
                                fault_count_ == 1 ? "1 part" : Format("{} parts", fault_count_));
      for (const std::string& fault : faults_) text += "\n  " + fault;
      if (fault_count_ > faults_.size())
        text += Format("\n  ... and {} more", fault_count_ - faults_.size());
      return InvalidArgument(std::move(text));
    }
    const size_t rows = inputs_.rows();
    return MakeDataSet(std::move(inputs_), std::move(expected_),
                       Format("{}, {} rows", source, rows));
  }

 private:
  enum class Frame { kNothing, kRoot, kSection, kSequence, kRow, kTensor, kValues, kShape };

  Frame Top() const { return stack_.empty() ? Frame::kNothing : stack_.back(); }
  Result<void> Push(Frame frame) {
    stack_.push_back(frame);
    return {};
  }
  Result<void> Unexpected(std::string_view what) const {
    return Corrupt(Format("{} is not expected here", what));
  }

  void Fault(std::string_view text) {
    row_bad_ = true;
    if (++fault_count_ > kMostFaults) return;
    faults_.push_back(Format("{} row {} (line {}): {}",
                             section_ == &inputs_ ? "data" : "validation_data", row_,
                             text::FindLineColumn(source_, position).line, text));
  }

  Result<void> BeginTensor(std::string_view name) {
    tensor_ = name;
    tensor_key_.clear();
    bytes_.clear();
    elements_ = 0;
    shape_.reset();
    tensor_bad_ = false;
    const kserve::TensorMetadata* metadata = section_->Find(name);
    type_ = metadata == nullptr ? DataType::kBytes : metadata->type;
    tensor_known_ = metadata != nullptr;
    return {};
  }

  template <typename T>
  Result<void> Number(T v) {
    return Scalar("a number", [v](DataType type, std::string& out) {
      return kserve::AppendElement(type, v, out);
    });
  }

  template <typename Append>
  Result<void> Scalar(std::string_view what, Append&& append) {
    if (stack_.empty()) return Unexpected(what);
    const Frame frame = Top();
    if (frame == Frame::kShape) {
      if (!tensor_bad_) Fault(Format("'{}': a shape holds whole numbers", tensor_));
      tensor_bad_ = true;
      return {};
    }
    const bool whole_tensor = frame == Frame::kRow;  // "x": 5 for a single element
    if (frame != Frame::kValues && !whole_tensor) return Unexpected(what);
    ++elements_;
    if (tensor_known_ && !tensor_bad_) {
      if (Result<void> appended = append(type_, bytes_); !appended.has_value()) {
        Fault(Format("'{}', element {}: {}", tensor_, elements_ - 1, appended.error().message()));
        tensor_bad_ = true;
      }
    }
    if (whole_tensor) EndTensor();
    return {};
  }

  Result<void> Base64(std::string_view text) {
    std::optional<std::string> decoded = Base64Decode(text);
    if (!decoded) {
      Fault(Format("'{}': not base64", tensor_));
      tensor_bad_ = true;
      return {};
    }
    bytes_ = *std::move(decoded);
    const size_t size = kserve::ElementSize(type_);
    if (size > 0) {
      elements_ = bytes_.size() / size;
      if (bytes_.size() % size != 0) {
        Fault(Format("'{}': {} bytes are not a whole number of {} elements", tensor_, bytes_.size(),
                     kserve::DataTypeName(type_)));
        tensor_bad_ = true;
      }
      return {};
    }
    // BYTES: count the elements by their length prefixes.
    elements_ = 0;
    for (size_t at = 0; at < bytes_.size(); ++elements_) {
      uint32_t length = 0;
      if (bytes_.size() - at >= 4)
        std::copy_n(bytes_.data() + at, 4, reinterpret_cast<char*>(&length));
      if (bytes_.size() - at < 4 || bytes_.size() - at - 4 < length) {
        Fault(Format("'{}': base64 of BYTES must hold 4-byte length prefixes", tensor_));
        tensor_bad_ = true;
        return {};
      }
      at += 4 + length;
    }
    return {};
  }

  void EndTensor() {
    // perf_analyzer lets a row carry a member "model" and ignores it; "timestamp" belongs to its
    // fixed schedules (load/trace.h).
    if (!tensor_known_ && (tensor_ == "model" || tensor_ == "timestamp")) return;
    if (tensor_bad_) return;
    if (Result<void> added = section_->Add(tensor_, shape_, bytes_, elements_); !added.has_value())
      Fault(added.error().message());
  }

  void EndRow() {
    if (!row_bad_) {
      if (Result<void> ended = section_->EndRow(); !ended.has_value())
        Fault(ended.error().message());
    }
    if (row_bad_) section_->DropRow();
    ++row_;
  }

  const std::string_view source_;
  const std::vector<bool> all_optional_;
  const std::map<std::string, kserve::Shape> no_shapes_;
  ColumnsBuilder inputs_, expected_;
  ColumnsBuilder* section_ = &inputs_;
  std::vector<Frame> stack_;
  size_t row_ = 0;
  bool row_bad_ = false;

  // Of the tensor being read.
  std::string tensor_, tensor_key_, bytes_;
  std::optional<kserve::Shape> shape_;
  DataType type_ = DataType::kBytes;
  uint64_t elements_ = 0;
  bool tensor_known_ = false, tensor_bad_ = false, in_shape_ = false;

  std::vector<std::string> faults_;
  size_t fault_count_ = 0;
};

}  // namespace

Result<DataSet> ParseJsonData(std::string_view json, const std::string& source,
                              const ModelSignature& model, const JsonDataOptions& options) {
  JsonDataReader reader(json, model, options);
  Result<void> parsed = text::ParseJsonEvents(json, {.nan_and_inf = true}, reader);
  if (!parsed.has_value()) return std::move(parsed).error().In(source);
  Result<DataSet> data = reader.Finish(source);
  if (!data.has_value()) return std::move(data).error().In(source);
  return data;
}

}  // namespace sextant::load
