// Result<T>: a value or the reason why there is none.
//
// It has std::expected's shape (C++23), so that it can be replaced by it: has_value(), operator*,
// operator->, value(), error(). Failures of the environment travel as Result; a bug is a
// SEXTANT_CHECK; a failed inference request is data and not an error at all.
//
//   Result<Config> ReadConfig(const std::string& path) {
//     SEXTANT_ASSIGN(std::string text, ReadFile(path));
//     SEXTANT_ASSIGN(Config config, ParseConfig(text), "in " + path);
//     return config;
//   }
//
// Threads: plain values, no shared state.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/check.h"

namespace sextant {

// What kind of failure, for callers that act on it and for exit codes and wire statuses.
enum class ErrorCode : uint8_t {
  kInvalidArgument,    // the caller's or the user's mistake
  kNotFound,           // the named thing does not exist
  kAlreadyExists,      // the named thing exists and must not
  kUnavailable,        // the peer is not there or not ready; trying again may help
  kDeadlineExceeded,   // it took longer than allowed
  kCancelled,          // somebody asked to stop
  kUnsupported,        // well-formed, and not something this program does
  kResourceExhausted,  // a limit (queue, memory, descriptors) was reached
  kCorrupt,            // bytes that cannot be what they claim to be
  kIo,                 // the operating system refused
  kInternal,           // a fault of this program, reported rather than fatal
};

std::string_view ErrorCodeName(ErrorCode code);

class [[nodiscard]] Error {
 public:
  Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}

  ErrorCode code() const { return code_; }
  // Outermost context first: "in models/a/config.pbtxt: line 3: unknown field 'x'".
  const std::string& message() const { return message_; }
  // The same error with `context` put before it.
  Error In(std::string_view context) && {
    if (!context.empty()) message_.insert(0, std::string(context) + ": ");
    return std::move(*this);
  }

 private:
  ErrorCode code_;
  std::string message_;
};

inline Error InvalidArgument(std::string m) { return {ErrorCode::kInvalidArgument, std::move(m)}; }
inline Error NotFound(std::string m) { return {ErrorCode::kNotFound, std::move(m)}; }
inline Error Unavailable(std::string m) { return {ErrorCode::kUnavailable, std::move(m)}; }
inline Error Unsupported(std::string m) { return {ErrorCode::kUnsupported, std::move(m)}; }
inline Error Corrupt(std::string m) { return {ErrorCode::kCorrupt, std::move(m)}; }
inline Error Internal(std::string m) { return {ErrorCode::kInternal, std::move(m)}; }
// `what` failed with the given errno: "open /x: No such file or directory".
Error IoError(std::string_view what, int error_number);

template <typename T>
class [[nodiscard]] Result {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): functions return either as it is
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  // NOLINTNEXTLINE(google-explicit-constructor): functions return either as it is
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  T& value() & { return Checked(); }
  const T& value() const& { return const_cast<Result*>(this)->Checked(); }
  T&& value() && { return std::move(Checked()); }
  T& operator*() & { return Checked(); }
  const T& operator*() const& { return const_cast<Result*>(this)->Checked(); }
  T&& operator*() && { return std::move(Checked()); }
  T* operator->() { return &Checked(); }
  const T* operator->() const { return &const_cast<Result*>(this)->Checked(); }

  const Error& error() const& {
    SEXTANT_CHECK(!has_value(), "error() of a Result that holds a value");
    return std::get<1>(state_);
  }
  Error&& error() && {
    SEXTANT_CHECK(!has_value(), "error() of a Result that holds a value");
    return std::get<1>(std::move(state_));
  }

 private:
  T& Checked() {
    if (!has_value())
      CheckFailed("Result::value", __FILE__, __LINE__, std::get<1>(state_).message());
    return std::get<0>(state_);
  }

  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): functions return either as it is
  Result(Error error) : error_(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const { return error_.index() == 0; }
  explicit operator bool() const { return has_value(); }
  void value() const {
    if (!has_value()) CheckFailed("Result::value", __FILE__, __LINE__, error().message());
  }
  const Error& error() const& { return std::get<1>(error_); }
  Error&& error() && { return std::get<1>(std::move(error_)); }

 private:
  std::variant<std::monostate, Error> error_;
};

namespace internal {
template <typename R>
Error TakeError(R&& result, std::string_view context = {}) {
  return std::forward<R>(result).error().In(context);
}
}  // namespace internal

#define SEXTANT_CONCAT_INNER(a, b) a##b
#define SEXTANT_CONCAT(a, b) SEXTANT_CONCAT_INNER(a, b)

// SEXTANT_ASSIGN(decl, expr[, context]): decl = *expr, or return its error with the context.
#define SEXTANT_ASSIGN(decl, ...) \
  SEXTANT_ASSIGN_INNER(SEXTANT_CONCAT(sextant_result_, __LINE__), decl, __VA_ARGS__)
#define SEXTANT_ASSIGN_INNER(result, decl, expr, ...)                                    \
  auto result = (expr);                                                                  \
  if (!result.has_value())                                                               \
    return ::sextant::internal::TakeError(std::move(result) __VA_OPT__(, ) __VA_ARGS__); \
  decl = *std::move(result)

// SEXTANT_TRY(expr[, context]): return the error of a Result<void> (or of any Result) if it has
// one.
#define SEXTANT_TRY(expr, ...)                                                           \
  do {                                                                                   \
    auto sextant_try_result = (expr);                                                    \
    if (!sextant_try_result.has_value())                                                 \
      return ::sextant::internal::TakeError(std::move(sextant_try_result) __VA_OPT__(, ) \
                                                __VA_ARGS__);                            \
  } while (false)

}  // namespace sextant
