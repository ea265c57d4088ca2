// JSON: what parses is written and parses again to the same.
#include "text/json.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sextant::text;  // NOLINT
  for (const bool nan : {false, true}) {
    const auto value = ParseJson(AsText(data, size), {.nan_and_inf = nan});
    if (!value.has_value()) continue;
    const std::string text = FormatJson(*value);
    const auto again = ParseJson(text);
    Require(again.has_value());
    Require(FormatJson(*again) == text);
  }
  return 0;
}
