// The border between the server and the engine that runs ONNX models.
//
// The engine lives in a module of its own (libsextant_openvino.so), loaded when a model needs it,
// so that the program starts and installs without it. Only plain types and pure virtual classes
// cross the border; both sides are built together, and kEngineAbi catches the case that they were
// not.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kserve/tensor.h"

namespace sextant::serve {

struct EngineTensor {
  std::string_view name;
  kserve::DataType type = kserve::DataType::kFp32;
  std::span<const int64_t> shape;
  std::string_view data;
};

struct EngineOutput {
  kserve::Shape shape;
  std::string data;
};

// One inference at a time.
class EngineSession {
 public:
  virtual ~EngineSession() = default;
  // Inputs in any order; outputs[i] for output_names[i].
  virtual Result<void> Run(std::span<const EngineTensor> inputs,
                           std::span<const std::string> output_names,
                           std::vector<EngineOutput>& outputs) = 0;
};

struct EngineOptions {
  int sessions = 1;  // that will run at the same time
  int threads_per_session = 1;
};

class EngineModel {
 public:
  virtual ~EngineModel() = default;
  virtual const std::vector<kserve::TensorMetadata>& inputs() const = 0;
  virtual const std::vector<kserve::TensorMetadata>& outputs() const = 0;
  // Compiles on the first call.
  virtual Result<std::unique_ptr<EngineSession>> CreateSession(const EngineOptions& options) = 0;
};

class OnnxEngine {
 public:
  virtual ~OnnxEngine() = default;
  virtual std::string Version() const = 0;
  // Reads a model without compiling it.
  virtual Result<std::unique_ptr<EngineModel>> Read(const std::string& path) = 0;
};

constexpr uint32_t kEngineAbi = 1;
// The module exports `sextant_onnx_engine`: null when the ABI differs.
using MakeOnnxEngine = OnnxEngine* (*)(uint32_t abi);
constexpr const char* kMakeOnnxEngineSymbol = "sextant_onnx_engine";

// Loads the module: the given path, or beside the program. kUnavailable with the remedy when
// absent.
Result<std::unique_ptr<OnnxEngine>> LoadOnnxEngine(const std::string& module_path);

}  // namespace sextant::serve
