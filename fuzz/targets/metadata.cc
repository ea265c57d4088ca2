// What servers answer to questions about themselves.
#include "kserve/metadata.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sextant::kserve;  // NOLINT
  const std::string_view text = AsText(data, size);
  static_cast<void>(ParseServerMetadata(text));
  if (const auto model = ParseModelMetadata(text); model.has_value())
    Require(ParseModelMetadata(ToJson(*model)).has_value());
  if (const auto statistics = ParseStatistics(text); statistics.has_value())
    Require(ParseStatistics(ToJson(*statistics)).has_value());
  return 0;
}
