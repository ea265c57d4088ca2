// CSV rows (RFC 4180): cells with comma, quote or line break are quoted.
#pragma once

#include <span>
#include <string>

namespace sextant::text {

void AppendCsvRow(std::string& out, std::span<const std::string> cells);

}  // namespace sextant::text
