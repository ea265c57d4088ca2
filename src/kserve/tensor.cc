#include "kserve/tensor.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/strings.h"

namespace sextant::kserve {
namespace {

struct TypeRow {
  std::string_view name;
  std::string_view config_name;
  int config_number;
  size_t size;
};
// In the order of DataType. Numbers: proto/model_config.proto.
constexpr std::array<TypeRow, kDataTypeCount> kTypes{{
    {"BOOL", "TYPE_BOOL", 1, 1},
    {"UINT8", "TYPE_UINT8", 2, 1},
    {"UINT16", "TYPE_UINT16", 3, 2},
    {"UINT32", "TYPE_UINT32", 4, 4},
    {"UINT64", "TYPE_UINT64", 5, 8},
    {"INT8", "TYPE_INT8", 6, 1},
    {"INT16", "TYPE_INT16", 7, 2},
    {"INT32", "TYPE_INT32", 8, 4},
    {"INT64", "TYPE_INT64", 9, 8},
    {"FP16", "TYPE_FP16", 10, 2},
    {"FP32", "TYPE_FP32", 11, 4},
    {"FP64", "TYPE_FP64", 12, 8},
    {"BYTES", "TYPE_STRING", 13, 0},
    {"BF16", "TYPE_BF16", 14, 2},
}};

const TypeRow& Row(DataType type) { return kTypes[static_cast<size_t>(type)]; }

template <typename T>
void AppendRaw(T value, std::string& out) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof value);
}

template <typename T>
T ReadRaw(std::string_view bytes, uint64_t i) {
  T value;
  std::memcpy(&value, bytes.data() + i * sizeof value, sizeof value);
  return value;
}

template <typename T, typename V>
Result<void> AppendInteger(DataType type, V value, std::string& out) {
  bool fits;
  if constexpr (std::is_same_v<V, double>) {
    // The upper limit as a double rounds up to the next power of two for 64-bit types.
    fits = std::trunc(value) == value &&
           value >= static_cast<double>(std::numeric_limits<T>::min()) &&
           value < static_cast<double>(std::numeric_limits<T>::max()) + 1;
  } else {
    fits = std::in_range<T>(value);
  }
  if (!fits) return InvalidArgument(Format("{} does not fit {}", value, Row(type).name));
  AppendRaw(static_cast<T>(value), out);
  return {};
}

template <typename V>
Result<void> AppendAny(DataType type, V value, std::string& out) {
  switch (type) {
    case DataType::kBool:
      if (value != 0 && value != 1) return InvalidArgument(Format("{} is not a BOOL", value));
      AppendRaw(static_cast<uint8_t>(value), out);
      return {};
    case DataType::kUint8:
      return AppendInteger<uint8_t>(type, value, out);
    case DataType::kUint16:
      return AppendInteger<uint16_t>(type, value, out);
    case DataType::kUint32:
      return AppendInteger<uint32_t>(type, value, out);
    case DataType::kUint64:
      return AppendInteger<uint64_t>(type, value, out);
    case DataType::kInt8:
      return AppendInteger<int8_t>(type, value, out);
    case DataType::kInt16:
      return AppendInteger<int16_t>(type, value, out);
    case DataType::kInt32:
      return AppendInteger<int32_t>(type, value, out);
    case DataType::kInt64:
      return AppendInteger<int64_t>(type, value, out);
    case DataType::kFp16:
      return AppendRaw(FloatToHalf(static_cast<float>(value)), out), Result<void>();
    case DataType::kBf16:
      return AppendRaw(FloatToBf16(static_cast<float>(value)), out), Result<void>();
    case DataType::kFp32:
      return AppendRaw(static_cast<float>(value), out), Result<void>();
    case DataType::kFp64:
      return AppendRaw(static_cast<double>(value), out), Result<void>();
    case DataType::kBytes:
      return InvalidArgument("a BYTES element must be a string");
  }
  return Internal("unknown data type");
}

}  // namespace

std::string_view DataTypeName(DataType type) { return Row(type).name; }

std::optional<DataType> ParseDataType(std::string_view name) {
  for (size_t i = 0; i < kTypes.size(); ++i) {
    if (kTypes[i].name == name) return static_cast<DataType>(i);
  }
  return std::nullopt;
}

std::string ConfigTypeName(DataType type) { return std::string(Row(type).config_name); }
int ConfigTypeNumber(DataType type) { return Row(type).config_number; }

std::optional<DataType> DataTypeFromConfig(int config_number) {
  for (size_t i = 0; i < kTypes.size(); ++i) {
    if (kTypes[i].config_number == config_number) return static_cast<DataType>(i);
  }
  return std::nullopt;
}

size_t ElementSize(DataType type) { return Row(type).size; }

std::string FormatShape(std::span<const int64_t> shape) {
  return Format("[{}]", fmt::join(shape, ","));
}

std::optional<uint64_t> ElementCount(std::span<const int64_t> shape) {
  uint64_t count = 1;
  for (const int64_t dim : shape) {
    if (dim < 0 || __builtin_mul_overflow(count, static_cast<uint64_t>(dim), &count))
      return std::nullopt;
  }
  return count;
}

std::optional<uint64_t> ByteSize(DataType type, std::span<const int64_t> shape) {
  const std::optional<uint64_t> count = ElementCount(shape);
  uint64_t size = 0;
  if (!count || ElementSize(type) == 0 || __builtin_mul_overflow(*count, ElementSize(type), &size))
    return std::nullopt;
  return size;
}

uint16_t FloatToHalf(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x7f800000) {  // infinity or NaN (kept quiet)
    return static_cast<uint16_t>(sign | 0x7c00 |
                                 (magnitude > 0x7f800000 ? 0x200 | (magnitude >> 13 & 0x3ff) : 0));
  }
  if (magnitude >= 0x477ff000) return sign | 0x7c00;  // rounds to infinity: 65520 and above
  if (magnitude < 0x33000001) return sign;            // rounds to zero: 2^-25 and below
  const int exponent = static_cast<int>(magnitude >> 23) - 127;
  const uint32_t mantissa = (magnitude & 0x7fffff) | 0x800000;
  // Bits that fall off: 13 for normal results, more for subnormal ones.
  const int shift = exponent < -14 ? 13 + (-14 - exponent) : 13;
  const uint32_t kept = mantissa >> shift;
  const uint32_t rest = mantissa & ((1u << shift) - 1), half = 1u << (shift - 1);
  const uint32_t rounded = kept + (rest > half || (rest == half && (kept & 1) != 0) ? 1 : 0);
  // A normal mantissa still carries its leading one, which adds itself to the exponent field; so
  // does a carry out of the rounding.
  const uint32_t biased = exponent < -14 ? 0 : static_cast<uint32_t>(exponent + 14) << 10;
  return static_cast<uint16_t>(sign | (biased + rounded));
}

float HalfToFloat(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t exponent = half >> 10 & 0x1f, mantissa = half & 0x3ff;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000 | mantissa << 13);
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
  }
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
}

uint16_t FloatToBf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float Bf16ToFloat(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

Result<void> AppendElement(DataType type, double value, std::string& out) {
  return AppendAny(type, value, out);
}
Result<void> AppendElement(DataType type, int64_t value, std::string& out) {
  return AppendAny(type, value, out);
}
Result<void> AppendElement(DataType type, uint64_t value, std::string& out) {
  return AppendAny(type, value, out);
}

void AppendBytesElement(std::string_view element, std::string& out) {
  AppendRaw(static_cast<uint32_t>(element.size()), out);
  out.append(element);
}

double ElementAsDouble(DataType type, std::string_view bytes, uint64_t i) {
  switch (type) {
    case DataType::kBool:
    case DataType::kUint8:
      return ReadRaw<uint8_t>(bytes, i);
    case DataType::kUint16:
      return ReadRaw<uint16_t>(bytes, i);
    case DataType::kUint32:
      return ReadRaw<uint32_t>(bytes, i);
    case DataType::kUint64:
      return static_cast<double>(ReadRaw<uint64_t>(bytes, i));
    case DataType::kInt8:
      return ReadRaw<int8_t>(bytes, i);
    case DataType::kInt16:
      return ReadRaw<int16_t>(bytes, i);
    case DataType::kInt32:
      return ReadRaw<int32_t>(bytes, i);
    case DataType::kInt64:
      return static_cast<double>(ReadRaw<int64_t>(bytes, i));
    case DataType::kFp16:
      return HalfToFloat(ReadRaw<uint16_t>(bytes, i));
    case DataType::kBf16:
      return Bf16ToFloat(ReadRaw<uint16_t>(bytes, i));
    case DataType::kFp32:
      return ReadRaw<float>(bytes, i);
    case DataType::kFp64:
      return ReadRaw<double>(bytes, i);
    case DataType::kBytes:
      break;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

namespace {

int64_t IntegerAt(DataType type, std::string_view bytes, uint64_t i) {
  return type == DataType::kInt64 ? ReadRaw<int64_t>(bytes, i)
                                  : static_cast<int64_t>(ElementAsDouble(type, bytes, i));
}
bool IsFraction(DataType type) {
  return type == DataType::kFp16 || type == DataType::kFp32 || type == DataType::kFp64 ||
         type == DataType::kBf16;
}
template <typename T>
int Compare(T a, T b) {
  return a < b ? -1 : a > b ? 1 : 0;
}

}  // namespace

int CompareElements(DataType type, std::string_view bytes, uint64_t a, uint64_t b) {
  if (type == DataType::kUint64)
    return Compare(ReadRaw<uint64_t>(bytes, a), ReadRaw<uint64_t>(bytes, b));
  if (!IsFraction(type)) return Compare(IntegerAt(type, bytes, a), IntegerAt(type, bytes, b));
  const double x = ElementAsDouble(type, bytes, a), y = ElementAsDouble(type, bytes, b);
  if (std::isnan(x) || std::isnan(y)) return Compare(!std::isnan(x), !std::isnan(y));
  return Compare(x, y);
}

bool AllClose(DataType type, std::string_view got, std::string_view want, double absolute,
              double relative) {
  if (got == want) return true;
  if (got.size() != want.size() || !IsFraction(type)) return false;
  const uint64_t count = want.size() / ElementSize(type);
  for (uint64_t i = 0; i < count; ++i) {
    const double a = ElementAsDouble(type, got, i), b = ElementAsDouble(type, want, i);
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    // Not what is close to infinity: the difference would be NaN or the bound infinite.
    if (!std::isfinite(a) || !std::isfinite(b)) return false;
    if (std::abs(a - b) > absolute + relative * std::abs(b)) return false;
  }
  return true;
}

std::string ElementText(DataType type, std::string_view bytes, uint64_t i) {
  if (type == DataType::kUint64) return Format("{}", ReadRaw<uint64_t>(bytes, i));
  if (!IsFraction(type)) return Format("{}", IntegerAt(type, bytes, i));
  return Format("{:f}", ElementAsDouble(type, bytes, i));
}

Result<std::vector<std::string_view>> SplitBytes(std::string_view bytes, uint64_t count) {
  std::vector<std::string_view> out;
  while (!bytes.empty()) {
    if (bytes.size() < 4) return Corrupt(Format("element {} is cut off in its length", out.size()));
    const auto length = ReadRaw<uint32_t>(bytes, 0);
    if (bytes.size() - 4 < length)
      return Corrupt(
          Format("element {} is cut off: {} of {} bytes", out.size(), bytes.size() - 4, length));
    if (out.size() == count) return Corrupt(Format("more than the expected {} elements", count));
    out.push_back(bytes.substr(4, length));
    bytes.remove_prefix(4 + length);
  }
  if (out.size() != count)
    return Corrupt(Format("expected {} elements, got {}", count, out.size()));
  return out;
}

}  // namespace sextant::kserve
