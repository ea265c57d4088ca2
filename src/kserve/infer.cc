#include "kserve/infer.h"

#include <array>

#include "base/strings.h"

namespace sextant::kserve {
namespace {

enum class Kind : uint8_t { kBool, kNatural, kName };
struct ReservedRow {
  std::string_view name;
  Kind kind;
  std::string_view expected;
};
constexpr std::array<ReservedRow, 6> kReserved{{
    {"priority", Kind::kNatural, "a non-negative integer"},
    {"timeout", Kind::kNatural, "a non-negative integer"},
    {"sequence_id", Kind::kName, "an integer or a string"},
    {"sequence_start", Kind::kBool, "a boolean"},
    {"sequence_end", Kind::kBool, "a boolean"},
    {"triton_enable_empty_final_response", Kind::kBool, "a boolean"},
}};

bool Fits(Kind kind, const Parameter& value) {
  const int64_t* number = std::get_if<int64_t>(&value);
  switch (kind) {
    case Kind::kBool:
      return std::holds_alternative<bool>(value);
    case Kind::kNatural:
      return number != nullptr && *number >= 0;
    case Kind::kName:
      return number != nullptr || std::holds_alternative<std::string>(value);
  }
  return false;
}

}  // namespace

const Parameter* FindParameter(const Parameters& parameters, std::string_view name) {
  for (const auto& [key, value] : parameters) {
    if (key == name) return &value;
  }
  return nullptr;
}

Result<void> CheckReservedParameters(const Parameters& parameters) {
  for (const auto& [key, value] : parameters) {
    for (const ReservedRow& row : kReserved) {
      if (row.name == key && !Fits(row.kind, value))
        return InvalidArgument(Format("parameter '{}' must be {}", key, row.expected));
    }
  }
  return {};
}

std::string ShapeTooLarge(std::string_view what, const Shape& shape) {
  return Format("{}: the shape {} is not valid: negative, or too large", what, FormatShape(shape));
}

Result<void> CheckDataSize(const InferInput& input, std::string_view what) {
  const std::optional<uint64_t> count = ElementCount(input.shape);
  if (!count) return InvalidArgument(ShapeTooLarge(what, input.shape));
  if (input.type == DataType::kBytes) {
    if (Result<std::vector<std::string_view>> split = SplitBytes(input.data, *count);
        !split.has_value())
      return InvalidArgument(Format("{}: {}", what, split.error().message()));
    return {};
  }
  const std::optional<uint64_t> expected = ByteSize(input.type, input.shape);
  if (!expected) return InvalidArgument(ShapeTooLarge(what, input.shape));
  if (*expected != input.data.size()) {
    return InvalidArgument(Format(
        "byte size mismatch for {} with shape {} and type {}: expected {} bytes, got {}", what,
        FormatShape(input.shape), DataTypeName(input.type), *expected, input.data.size()));
  }
  return {};
}

}  // namespace sextant::kserve
