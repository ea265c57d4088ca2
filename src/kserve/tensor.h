// Tensors of the Open Inference Protocol: data types, shapes, and the bytes of their elements.
//
// Elements are little-endian and row-major. A BYTES element is a 4-byte length and that many bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sextant::kserve {

enum class DataType : uint8_t {
  kBool,
  kUint8,
  kUint16,
  kUint32,
  kUint64,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kFp16,
  kFp32,
  kFp64,
  kBytes,
  kBf16,
};
constexpr int kDataTypeCount = 14;

// "FP32": the protocol's name.
std::string_view DataTypeName(DataType type);
std::optional<DataType> ParseDataType(std::string_view name);
// "TYPE_FP32": the model configuration's name (BYTES is TYPE_STRING), and its number there.
std::string ConfigTypeName(DataType type);
int ConfigTypeNumber(DataType type);
std::optional<DataType> DataTypeFromConfig(int config_number);
// 0 for BYTES.
size_t ElementSize(DataType type);

using Shape = std::vector<int64_t>;
// "[1,3,-1]"
std::string FormatShape(std::span<const int64_t> shape);
// The product of the dimensions; nothing when one is negative or the product does not fit.
std::optional<uint64_t> ElementCount(std::span<const int64_t> shape);
// Bytes of a tensor of fixed element size; nothing for BYTES or as ElementCount.
std::optional<uint64_t> ByteSize(DataType type, std::span<const int64_t> shape);

struct TensorMetadata {
  std::string name;
  DataType type = DataType::kFp32;
  Shape shape;  // -1: any size
};

// IEEE 754 binary16 and bfloat16, rounding to nearest even.
uint16_t FloatToHalf(float value);
float HalfToFloat(uint16_t half);
uint16_t FloatToBf16(float value);
float Bf16ToFloat(uint16_t bits);

// Appends one element. Values out of the type's range, or not whole for an integer type, are
// errors.
Result<void> AppendElement(DataType type, double value, std::string& out);
Result<void> AppendElement(DataType type, int64_t value, std::string& out);
Result<void> AppendElement(DataType type, uint64_t value, std::string& out);
void AppendBytesElement(std::string_view element, std::string& out);
// Element i of tensor bytes as a number (BOOL: 0 or 1). Not for BYTES.
double ElementAsDouble(DataType type, std::string_view bytes, uint64_t i);
// Which of two elements is larger: negative, 0 or positive. Exact also for 64-bit integers; a NaN
// is smaller than every number. Not for BYTES.
int CompareElements(DataType type, std::string_view bytes, uint64_t a, uint64_t b);
// Whether elements are equal: floats when |got - want| <= absolute + relative * |want| (NaN equals
// NaN, infinities themselves), all others exactly. False when the sizes differ.
bool AllClose(DataType type, std::string_view got, std::string_view want, double absolute,
              double relative);
// Element i as text: integers whole, the others with six decimals. Not for BYTES.
std::string ElementText(DataType type, std::string_view bytes, uint64_t i);

// Splits BYTES tensor bytes into their elements; kCorrupt when they are not exactly `count`
// elements.
Result<std::vector<std::string_view>> SplitBytes(std::string_view bytes, uint64_t count);

}  // namespace sextant::kserve
