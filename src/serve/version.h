// The version that the server reports.
#pragma once

#include <string_view>

namespace sextant::serve {

inline constexpr std::string_view kServerVersion = SEXTANT_VERSION;

}  // namespace sextant::serve
