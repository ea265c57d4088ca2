// Profile exports; what reads is written again so that it reads as the same.
#include "run/profile_export.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sextant;  // NOLINT
  const auto file = run::ParseProfileExport(AsText(data, size));
  if (!file.has_value()) return 0;
  const std::string text = run::FormatProfileExport(*file);
  const auto again = run::ParseProfileExport(text);
  Require(again.has_value());
  Require(run::FormatProfileExport(*again) == text);
  return 0;
}
