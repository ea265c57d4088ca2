// How values of a type are read from and written to text: the part of the option table that knows
// types.
//
// ValueType<T> is specialised for the types that options have; a type of another folder specialises
// it there. Parse() and Format() are inverse. Pure.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/strings.h"
#include "base/units.h"
#include "text/json.h"

namespace sextant::options {

// Limits of a numeric option; the defaults are no limits.
struct Limits {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
};

template <typename T>
struct ValueType;

// The names of an enumeration, in one table:
//   template <> struct EnumNames<Mode> { static constexpr std::pair<std::string_view, Mode>
//   kNames[] = {...}; };
template <typename E>
struct EnumNames;

Result<void> CheckLimits(double value, const Limits& limits, std::string_view text);
// " from 1 to 10", " of at least 1", "".
std::string DescribeLimits(const Limits& limits);

template <typename T>
  requires std::is_integral_v<T>
struct ValueType<T> {
  static Result<T> Parse(std::string_view text, const Limits& limits) {
    const auto fault = [&] { return InvalidArgument(Format("must be {}", Describe(limits))); };
    if constexpr (std::is_signed_v<T>) {
      const std::optional<int64_t> value = ParseInt(text);
      if (!value || !std::in_range<T>(*value)) return fault();
      SEXTANT_TRY(CheckLimits(static_cast<double>(*value), limits, text));
      return static_cast<T>(*value);
    } else {
      const std::optional<uint64_t> value = ParseUint(text);
      if (!value || !std::in_range<T>(*value)) return fault();
      SEXTANT_TRY(CheckLimits(static_cast<double>(*value), limits, text));
      return static_cast<T>(*value);
    }
  }
  static std::string Format_(T value) { return Format("{}", value); }
  static std::string Describe(const Limits& limits) {
    if (std::is_unsigned_v<T> && limits.low < 0)
      return "a whole number" + DescribeLimits({0, limits.high});
    return "a whole number" + DescribeLimits(limits);
  }
  static text::Json Schema(const Limits& limits);
};

template <>
struct ValueType<bool> {
  static Result<bool> Parse(std::string_view text, const Limits&);
  static std::string Format_(bool value) { return value ? "true" : "false"; }
  static std::string Describe(const Limits&) { return "true or false"; }
  static text::Json Schema(const Limits&);
};

template <>
struct ValueType<double> {
  static Result<double> Parse(std::string_view text, const Limits& limits);
  static std::string Format_(double value) { return Format("{}", value); }
  static std::string Describe(const Limits& limits) { return "a number" + DescribeLimits(limits); }
  static text::Json Schema(const Limits& limits);
};

template <>
struct ValueType<std::string> {
  static Result<std::string> Parse(std::string_view text, const Limits&) {
    return std::string(text);
  }
  static std::string Format_(const std::string& value) { return value; }
  static std::string Describe(const Limits&) { return "text"; }
  static text::Json Schema(const Limits&);
};

template <>
struct ValueType<Nanos> {
  static Result<Nanos> Parse(std::string_view text, const Limits& limits);
  static std::string Format_(Nanos value) { return FormatDuration(value); }
  static std::string Describe(const Limits&) { return "a duration, such as 500ms, 10s or 2m"; }
  static text::Json Schema(const Limits&);
};

text::Json EnumSchema(const std::vector<std::string_view>& names);

template <typename E>
  requires std::is_enum_v<E>
struct ValueType<E> {
  static Result<E> Parse(std::string_view text, const Limits&) {
    for (const auto& [name, value] : EnumNames<E>::kNames) {
      if (EqualsIgnoreCase(name, text)) return value;
    }
    std::string message = Format("must be {}", Describe({}));
    if (const auto nearest = NearestName(text, Choices()))
      message += Format("; did you mean '{}'?", *nearest);
    return InvalidArgument(std::move(message));
  }
  static std::string Format_(E value) {
    for (const auto& [name, known] : EnumNames<E>::kNames) {
      if (known == value) return std::string(name);
    }
    return "?";
  }
  static std::vector<std::string_view> Choices() {
    std::vector<std::string_view> out;
    for (const auto& [name, value] : EnumNames<E>::kNames) out.push_back(name);
    return out;
  }
  static std::string Describe(const Limits&) {
    std::string out;
    for (const std::string_view name : Choices())
      out += Format("{}{}", out.empty() ? "" : "|", name);
    return out;
  }
  static text::Json Schema(const Limits&) { return EnumSchema(Choices()); }
};

// Unset is the empty text.
template <typename T>
struct ValueType<std::optional<T>> {
  static Result<std::optional<T>> Parse(std::string_view text, const Limits& limits) {
    if (text.empty()) return std::optional<T>();
    SEXTANT_ASSIGN(T value, ValueType<T>::Parse(text, limits));
    return std::optional<T>(std::move(value));
  }
  static std::string Format_(const std::optional<T>& value) {
    return value ? ValueType<T>::Format_(*value) : "";
  }
  static std::string Describe(const Limits& limits) { return ValueType<T>::Describe(limits); }
  static text::Json Schema(const Limits& limits) { return ValueType<T>::Schema(limits); }
};

}  // namespace sextant::options
