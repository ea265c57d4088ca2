#include "base/log.h"

#include "base/clock.h"

namespace sextant {

void Log::WriteLine(LogLevel level, std::string_view text) {
  constexpr std::string_view kLetters = "EWIV";
  const std::string line =
      Format("{} {} {}", FormatWallTime(WallNow()), kLetters[static_cast<size_t>(level)], text);
  const std::scoped_lock lock(mutex_);
  sink_(line);
}

}  // namespace sextant
