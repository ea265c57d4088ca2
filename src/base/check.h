// SEXTANT_CHECK: a condition that only a bug can break. Prints the place, the condition and the
// reason to stderr and aborts, in every build type.
#pragma once

#include <string_view>

namespace sextant {

[[noreturn]] void CheckFailed(std::string_view condition, const char* file, int line,
                              std::string_view reason);

}  // namespace sextant

#define SEXTANT_CHECK(condition, reason)                                \
  do {                                                                  \
    if (!(condition)) [[unlikely]]                                      \
      ::sextant::CheckFailed(#condition, __FILE__, __LINE__, (reason)); \
  } while (false)
