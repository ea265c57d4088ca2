// The version of the program, as `sextant --version` and servers' metadata say it.
#pragma once

#include <string_view>

namespace sextant {

std::string_view Version();  // "0.1.0", NUL-terminated

}  // namespace sextant
