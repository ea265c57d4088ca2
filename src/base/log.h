// Leveled lines for operators: "2026-11-21T10:15:03.123Z I server: listening on ...".
//
// Libraries never print; those that have something to say to an operator are given a Log. A null
// sink (the default) discards. Thread-safe. Never pass a secret: nothing here can know one.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include "base/strings.h"

namespace sextant {

enum class LogLevel { kError, kWarning, kInfo, kVerbose };

class Log {
 public:
  using Sink = std::function<void(std::string_view line)>;

  Log() = default;
  Log(LogLevel level, Sink sink) : level_(level), sink_(std::move(sink)) {}

  bool enabled(LogLevel level) const { return sink_ != nullptr && level <= level_; }
  template <typename... Args>
  void Write(LogLevel level, format_string<Args...> text, Args&&... args) {
    if (enabled(level)) WriteLine(level, Format(text, std::forward<Args>(args)...));
  }

 private:
  void WriteLine(LogLevel level, std::string_view text);

  LogLevel level_ = LogLevel::kError;
  Sink sink_;
  std::mutex mutex_;
};

}  // namespace sextant
