#include "options/value.h"

#include <cmath>

namespace sextant::options {
namespace {

text::Json TypeSchema(std::string_view type) {
  text::Json schema;
  schema.Set("type", type);
  return schema;
}

void SetLimits(text::Json& schema, const Limits& limits) {
  if (std::isfinite(limits.low)) schema.Set("minimum", limits.low);
  if (std::isfinite(limits.high)) schema.Set("maximum", limits.high);
}

}  // namespace

Result<void> CheckLimits(double value, const Limits& limits, std::string_view) {
  if (value >= limits.low && value <= limits.high) return {};
  return InvalidArgument("must be a number" + DescribeLimits(limits));
}

std::string DescribeLimits(const Limits& limits) {
  if (std::isfinite(limits.low) && std::isfinite(limits.high))
    return Format(" from {} to {}", limits.low, limits.high);
  if (std::isfinite(limits.low)) return Format(" of at least {}", limits.low);
  if (std::isfinite(limits.high)) return Format(" of at most {}", limits.high);
  return {};
}

template <typename T>
  requires std::is_integral_v<T>
text::Json ValueType<T>::Schema(const Limits& limits) {
  text::Json schema = TypeSchema("integer");
  SetLimits(schema, std::is_unsigned_v<T> && limits.low < 0 ? Limits{0, limits.high} : limits);
  return schema;
}
template struct ValueType<int>;
template struct ValueType<int64_t>;
template struct ValueType<uint32_t>;
template struct ValueType<uint64_t>;

Result<bool> ValueType<bool>::Parse(std::string_view text, const Limits&) {
  for (const std::string_view yes : {"true", "1", "yes", "on"}) {
    if (EqualsIgnoreCase(text, yes)) return true;
  }
  for (const std::string_view no : {"false", "0", "no", "off"}) {
    if (EqualsIgnoreCase(text, no)) return false;
  }
  return InvalidArgument("must be true or false");
}

text::Json ValueType<bool>::Schema(const Limits&) { return TypeSchema("boolean"); }

Result<double> ValueType<double>::Parse(std::string_view text, const Limits& limits) {
  const std::optional<double> value = ParseDouble(text);
  if (!value) return InvalidArgument("must be " + Describe(limits));
  SEXTANT_TRY(CheckLimits(*value, limits, text));
  return *value;
}

text::Json ValueType<double>::Schema(const Limits& limits) {
  text::Json schema = TypeSchema("number");
  SetLimits(schema, limits);
  return schema;
}

text::Json ValueType<std::string>::Schema(const Limits&) { return TypeSchema("string"); }

Result<Nanos> ValueType<Nanos>::Parse(std::string_view text, const Limits& limits) {
  SEXTANT_ASSIGN(const Nanos value, ParseDuration(text));
  if (Seconds(value) < limits.low || Seconds(value) > limits.high) {
    return InvalidArgument(Format("must be a duration{} seconds", DescribeLimits(limits)));
  }
  return value;
}

text::Json ValueType<Nanos>::Schema(const Limits&) { return TypeSchema("string"); }

text::Json EnumSchema(const std::vector<std::string_view>& names) {
  text::Json::Array list;
  for (const std::string_view name : names) list.emplace_back(name);
  text::Json schema;
  schema.Set("enum", std::move(list));
  return schema;
}

}  // namespace sextant::options
