#include "text/csv.h"

namespace sextant::text {

void AppendCsvRow(std::string& out, std::span<const std::string> cells) {
  for (const std::string& cell : cells) {
    if (&cell != &cells.front()) out += ',';
    if (cell.find_first_of(",\"\r\n") == std::string::npos) {
      out += cell;
      continue;
    }
    out += '"';
    for (const char c : cell) {
      if (c == '"') out += '"';
      out += c;
    }
    out += '"';
  }
  out += '\n';
}

}  // namespace sextant::text
