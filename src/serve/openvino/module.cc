// The engine module: ONNX models on the CPU through OpenVINO (included here and nowhere else).
#include <cstring>
#include <mutex>
#include <openvino/openvino.hpp>

#include "base/strings.h"
#include "serve/onnx_engine.h"

namespace sextant::serve {
namespace {

std::optional<kserve::DataType> FromElement(const ov::element::Type& type) {
  switch (type) {
    case ov::element::boolean:
      return kserve::DataType::kBool;
    case ov::element::u8:
      return kserve::DataType::kUint8;
    case ov::element::u16:
      return kserve::DataType::kUint16;
    case ov::element::u32:
      return kserve::DataType::kUint32;
    case ov::element::u64:
      return kserve::DataType::kUint64;
    case ov::element::i8:
      return kserve::DataType::kInt8;
    case ov::element::i16:
      return kserve::DataType::kInt16;
    case ov::element::i32:
      return kserve::DataType::kInt32;
    case ov::element::i64:
      return kserve::DataType::kInt64;
    case ov::element::f16:
      return kserve::DataType::kFp16;
    case ov::element::bf16:
      return kserve::DataType::kBf16;
    case ov::element::f32:
      return kserve::DataType::kFp32;
    case ov::element::f64:
      return kserve::DataType::kFp64;
    case ov::element::string:
      return kserve::DataType::kBytes;
    default:
      return std::nullopt;
  }
}

// OpenVINO throws; nothing may cross the border of the module but a Result.
template <typename F>
auto Guard(std::string_view what, F&& f) -> decltype(f()) {
  try {
    return f();
  } catch (const std::exception& e) {
    return Internal(Format("{}: {}", what, Printable(e.what(), 400)));
  }
}

class OpenvinoSession final : public EngineSession {
 public:
  explicit OpenvinoSession(ov::InferRequest request) : request_(std::move(request)) {}

  Result<void> Run(std::span<const EngineTensor> inputs, std::span<const std::string> output_names,
                   std::vector<EngineOutput>& outputs) override {
    return Guard("inference", [&]() -> Result<void> {
      for (const EngineTensor& input : inputs) SEXTANT_TRY(SetInput(input));
      request_.infer();
      outputs.resize(output_names.size());
      for (size_t i = 0; i < output_names.size(); ++i) {
        const ov::Tensor tensor = request_.get_tensor(output_names[i]);
        const ov::Shape& shape = tensor.get_shape();
        outputs[i].shape.assign(shape.begin(), shape.end());
        outputs[i].data.clear();
        if (tensor.get_element_type() == ov::element::string) {
          const auto* strings = tensor.data<const std::string>();
          for (size_t j = 0; j < tensor.get_size(); ++j)
            kserve::AppendBytesElement(strings[j], outputs[i].data);
        } else {
          outputs[i].data.assign(static_cast<const char*>(tensor.data()), tensor.get_byte_size());
        }
      }
      return {};
    });
  }

 private:
  Result<void> SetInput(const EngineTensor& input) {
    const std::string name(input.name);
    const ov::Shape shape(input.shape.begin(), input.shape.end());
    ov::Tensor tensor = request_.get_tensor(name);
    const ov::element::Type type = tensor.get_element_type();
    if (type == ov::element::string) {
      tensor.set_shape(shape);
      SEXTANT_ASSIGN(const auto elements, kserve::SplitBytes(input.data, tensor.get_size()));
      auto* strings = tensor.data<std::string>();
      for (size_t i = 0; i < elements.size(); ++i) strings[i] = elements[i];
      return {};
    }
    // Read in place where the bytes lie as the engine wants them, copied where they do not.
    constexpr uintptr_t kAlignment = 64;
    if (reinterpret_cast<uintptr_t>(input.data.data()) % kAlignment == 0 && !input.data.empty()) {
      request_.set_tensor(name, ov::Tensor(type, shape, const_cast<char*>(input.data.data())));
      own_.erase(name);
      return {};
    }
    ov::Tensor& own = own_[name];
    if (!own || own.get_shape() != shape) own = ov::Tensor(type, shape);
    if (own.get_byte_size() != input.data.size())
      return Internal("input size does not match its shape");
    std::memcpy(own.data(), input.data.data(), input.data.size());
    request_.set_tensor(name, own);
    return {};
  }

  ov::InferRequest request_;
  std::map<std::string, ov::Tensor> own_;
};

class OpenvinoModel final : public EngineModel {
 public:
  OpenvinoModel(ov::Core& core, std::shared_ptr<ov::Model> model,
                std::vector<kserve::TensorMetadata> inputs,
                std::vector<kserve::TensorMetadata> outputs)
      : core_(core),
        model_(std::move(model)),
        inputs_(std::move(inputs)),
        outputs_(std::move(outputs)) {}

  const std::vector<kserve::TensorMetadata>& inputs() const override { return inputs_; }
  const std::vector<kserve::TensorMetadata>& outputs() const override { return outputs_; }

  Result<std::unique_ptr<EngineSession>> CreateSession(const EngineOptions& options) override {
    return Guard("compiling the model", [&]() -> Result<std::unique_ptr<EngineSession>> {
      if (!compiled_) {
        // Each session is a stream of its own with its share of the threads. Bit-exact arithmetic
        // in the model's own precision: a server that silently rounds is no ground truth.
        compiled_ = core_.compile_model(
            model_, "CPU", ov::num_streams(options.sessions),
            ov::inference_num_threads(options.sessions * options.threads_per_session),
            ov::hint::inference_precision(ov::element::f32), ov::hint::enable_cpu_pinning(false));
      }
      return std::unique_ptr<EngineSession>(
          std::make_unique<OpenvinoSession>(compiled_.create_infer_request()));
    });
  }

 private:
  ov::Core& core_;
  std::shared_ptr<ov::Model> model_;
  ov::CompiledModel compiled_;
  std::vector<kserve::TensorMetadata> inputs_, outputs_;
};

Result<std::vector<kserve::TensorMetadata>> Describe(
    const std::vector<ov::Output<ov::Node>>& ports) {
  std::vector<kserve::TensorMetadata> out;
  for (const ov::Output<ov::Node>& port : ports) {
    kserve::TensorMetadata& tensor = out.emplace_back();
    tensor.name = port.get_any_name();
    const std::optional<kserve::DataType> type = FromElement(port.get_element_type());
    if (!type)
      return Unsupported(Format("tensor '{}' has the type {}", tensor.name,
                                port.get_element_type().get_type_name()));
    tensor.type = *type;
    const ov::PartialShape& shape = port.get_partial_shape();
    if (shape.rank().is_dynamic())
      return Unsupported(Format("tensor '{}' has no fixed number of dimensions", tensor.name));
    for (const ov::Dimension& dim : shape)
      tensor.shape.push_back(dim.is_dynamic() ? -1 : dim.get_length());
  }
  return out;
}

class OpenvinoEngine final : public OnnxEngine {
 public:
  std::string Version() const override { return ov::get_openvino_version().buildNumber; }

  Result<std::unique_ptr<EngineModel>> Read(const std::string& path) override {
    return Guard("reading " + path, [&]() -> Result<std::unique_ptr<EngineModel>> {
      std::shared_ptr<ov::Model> model = core_.read_model(path);
      SEXTANT_ASSIGN(auto inputs, Describe(model->inputs()));
      SEXTANT_ASSIGN(auto outputs, Describe(model->outputs()));
      return std::unique_ptr<EngineModel>(std::make_unique<OpenvinoModel>(
          core_, std::move(model), std::move(inputs), std::move(outputs)));
    });
  }

 private:
  ov::Core core_;
};

}  // namespace
}  // namespace sextant::serve

extern "C" __attribute__((visibility("default"))) sextant::serve::OnnxEngine* sextant_onnx_engine(
    uint32_t abi) {
  if (abi != sextant::serve::kEngineAbi) return nullptr;
  try {
    return new sextant::serve::OpenvinoEngine();
  } catch (const std::exception&) {
    return nullptr;
  }
}
