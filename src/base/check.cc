#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace sextant {

void CheckFailed(std::string_view condition, const char* file, int line, std::string_view reason) {
  std::fprintf(stderr,
               "sextant: bug at %s:%d: %.*s: %.*s\nPlease report it with the command line.\n", file,
               line, static_cast<int>(condition.size()), condition.data(),
               static_cast<int>(reason.size()), reason.data());
  std::abort();
}

}  // namespace sextant
