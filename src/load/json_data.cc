// perf_analyzer's JSON input data, read event by event: memory is that of the tensors, not of the
// text.
#include <algorithm>

#include "base/strings.h"
#include "load/columns.h"
#include "text/json.h"

namespace sextant::load {
namespace {

using kserve::DataType;

constexpr Nanos kNoTime{-1};
// Later than any run lasts, and far from overflowing.
constexpr double kMostMilliseconds = 1e12;

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
        if (rows_of_[section_ == &expected_].alone || rows_of_[section_ == &expected_].in_arrays)
          return Corrupt(Format("\"{}\" is given twice", key));
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
    if (Top() == Frame::kText) return Push(Frame::kText);
    if (Top() == Frame::kSection || Top() == Frame::kStream) {
      row_bad_ = false;
      row_begin_ = position - 1;
      rows_of_[section_ == &expected_].Begin(Top() == Frame::kStream);
      return Push(Frame::kRow);
    }
    if (Top() == Frame::kValues && type_ == DataType::kBytes) {
      text_begin_ = position - 1;
      return Push(Frame::kText);
    }
    if (Top() == Frame::kRow || (Top() == Frame::kTensor && tensor_key_ == "content"))
      return Push(Frame::kTensor);
    return Unexpected("an object");
  }

  Result<void> OnEndObject() override {
    const Frame frame = Top();
    stack_.pop_back();
    if (frame == Frame::kText && Top() != Frame::kText) return Text();
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
        rows_of_[section_ == &expected_].BeginStream(section_->rows());
        return Push(Frame::kStream);
      case Frame::kText:
        return Push(Frame::kText);
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
    if (frame == Frame::kStream) EndStream();
    if (frame == Frame::kSection) EndSection();
    if (frame == Frame::kValues && Top() == Frame::kRow) EndTensor();
    return {};
  }

  Result<DataSet> Finish(const std::string& source) {
    CheckTimes("timestamp", timestamps_);
    CheckTimes("delay", delays_);
    if (!faults_.empty()) return faults_.ToError();
    DataSet::Parts parts{.rows = inputs_.rows(),
                         .timestamps = std::move(timestamps_),
                         .delays = std::move(delays_),
                         .description = Format("{}, {} rows", source, inputs_.rows())};
    parts.streams = std::move(rows_of_[0].streams);
    if (expected_.rows() > 0) {
      if (expected_.rows() != parts.rows) {
        return InvalidArgument(
            Format("{} rows of validation data for {} rows of data", expected_.rows(), parts.rows));
      }
      if (rows_of_[1].streams != parts.streams) {
        return InvalidArgument(
            "the arrays of validation_data are not as long as those of data: each must have a row "
            "for each row of data");
      }
      parts.expected = expected_.Take();
    }
    if (parts.rows > 0) parts.inputs = inputs_.Take();
    return DataSet::Make(std::move(parts));
  }

 private:
  enum class Frame {
    kNothing,
    kRoot,
    kSection,
    kStream,
    kRow,
    kTensor,
    kValues,
    kShape,
    kText  // an object that is an element of BYTES, and all within
  };

  // Whether the rows of a section stand alone or in arrays, and the arrays.
  struct Rows {
    bool alone = false, in_arrays = false;
    std::vector<RowRange> streams;

    void Begin(bool in_array) { (in_array ? in_arrays : alone) = true; }
    void BeginStream(size_t row) {
      in_arrays = true;
      streams.push_back({row, 0});
    }
  };

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
    faults_.Add(Format("{} row {} (line {}): {}", section_ == &inputs_ ? "data" : "validation_data",
                       row_, text::FindLineColumn(source_, position).line, text));
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
    times_ = nullptr;
    time_.reset();
    if (!tensor_known_ && section_ == &inputs_) {
      if (name == "timestamp") times_ = &timestamps_;
      if (name == "delay") times_ = &delays_;
    }
    return {};
  }

  template <typename T>
  Result<void> Number(T v) {
    const auto milliseconds = static_cast<double>(v);
    if (Top() != Frame::kText && milliseconds >= 0 && milliseconds <= kMostMilliseconds)
      time_ = FromSeconds(milliseconds / 1e3);
    return Scalar("a number", [v](DataType type, std::string& out) {
      return kserve::AppendElement(type, v, out);
    });
  }

  template <typename Append>
  Result<void> Scalar(std::string_view what, Append&& append) {
    if (stack_.empty()) return Unexpected(what);
    const Frame frame = Top();
    if (frame == Frame::kText) return {};
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
    if (!Base64Decode(text, bytes_)) {
      Fault(Format("'{}': not base64", tensor_));
      tensor_bad_ = true;
      return {};
    }
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
    const std::optional<uint64_t> count = CountBytesElements(bytes_);
    elements_ = count.value_or(0);
    if (!count && tensor_known_) {
      Fault(Format("'{}': base64 of BYTES must hold 4-byte length prefixes", tensor_));
      tensor_bad_ = true;
    }
    return {};
  }

  // An object among BYTES elements is the element's text, as it stands in the source.
  Result<void> Text() {
    const std::string_view text = source_.substr(text_begin_, position - text_begin_);
    ++elements_;
    if (!tensor_bad_) kserve::AppendBytesElement(text, bytes_);
    return {};
  }

  void EndTensor() {
    // perf_analyzer lets a row carry a member "model" and ignores it.
    if (!tensor_known_ && tensor_ == "model") return;
    if (times_ != nullptr) {
      if (!time_ || elements_ != 1) {
        Fault(Format("'{}': must be one number of milliseconds, such as [250]", tensor_));
      } else {
        times_->resize(inputs_.rows(), kNoTime);
        times_->push_back(*time_);
      }
      return;
    }
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
    // Rows are mostly alike, so the first tells how many there will be.
    if (section_->rows() == 1) section_->Reserve(source_.size() / (position - row_begin_) + 1);
    for (std::vector<Nanos>* times : {&timestamps_, &delays_})
      if (row_bad_ && section_ == &inputs_ && times->size() > inputs_.rows()) times->pop_back();
    ++row_;
  }

  void EndStream() {
    RowRange& stream = rows_of_[section_ == &expected_].streams.back();
    stream.count = section_->rows() - stream.first;
    if (stream.count == 0 && faults_.empty()) {
      row_bad_ = false;
      Fault("an empty array: a stream has at least one row");
    }
  }

  void EndSection() {
    Rows& rows = rows_of_[section_ == &expected_];
    if (rows.alone && rows.in_arrays) {
      Fault(
          "rows and arrays of rows are mixed: either all rows stand in arrays, one per stream, or "
          "none does");
    }
    if (rows.streams.empty() && section_->rows() > 0) rows.streams = {{0, section_->rows()}};
  }

  void CheckTimes(std::string_view name, const std::vector<Nanos>& times) {
    if (times.empty() || !faults_.empty()) return;
    const bool in_all = times.size() == inputs_.rows() &&
                        std::find(times.begin(), times.end(), kNoTime) == times.end();
    if (in_all) return;
    faults_.Add(Format("\"{}\" is in some rows and not in others: it is in all or in none", name));
  }

  const std::string_view source_;
  const std::vector<bool> all_optional_;
  const ShapeByName no_shapes_;
  ColumnsBuilder inputs_, expected_;
  ColumnsBuilder* section_ = &inputs_;
  Rows rows_of_[2];  // of the inputs, of the expected outputs
  std::vector<Frame> stack_;
  size_t row_ = 0, row_begin_ = 0;  // its number, and where in the source
  bool row_bad_ = false;

  // Of the tensor being read.
  std::string tensor_, tensor_key_, bytes_;
  std::optional<kserve::Shape> shape_;
  DataType type_ = DataType::kBytes;
  uint64_t elements_ = 0;
  bool tensor_known_ = false, tensor_bad_ = false, in_shape_ = false;

  std::vector<Nanos> timestamps_, delays_;
  std::vector<Nanos>* times_ = nullptr;  // which of them the member being read goes to
  std::optional<Nanos> time_;            // the number read last
  size_t text_begin_ = 0;

  FaultList faults_;
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
