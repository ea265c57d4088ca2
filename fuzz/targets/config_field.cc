// A dotted path and a value, of any configuration: PATH, a line, a JSON value, a line,
// config.pbtxt.
#include "kserve/config_fields.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sextant;  // NOLINT
  const std::string_view all = AsText(data, size);
  const size_t first = all.find('\n');
  if (first == std::string_view::npos) return 0;
  const std::string_view path = all.substr(0, first);
  const std::string_view rest = all.substr(first + 1);
  const size_t second = std::min(rest.find('\n'), rest.size());
  const auto value = text::ParseJson(rest.substr(0, second));
  if (!value.has_value()) return 0;
  auto config = kserve::ParseModelConfig(rest.substr(std::min(second + 1, rest.size())));
  if (!config.has_value()) return 0;
  static_cast<void>(kserve::GetField(*config, path));
  static_cast<void>(kserve::CheckSense(*config));
  const std::string before = kserve::FormatModelConfig(*config);
  const auto canonical = kserve::CanonicalValue(path, *value);
  if (!kserve::SetField(*config, path, *value).has_value()) {
    Require(kserve::FormatModelConfig(*config) == before);
    return 0;
  }
  // What may be set may be read, and what was read may be set and changes nothing.
  Require(canonical.has_value());
  const auto now = kserve::GetField(*config, path);
  Require(now.has_value());
  const std::string after = kserve::FormatModelConfig(*config);
  if (now->IsNull()) return 0;
  Require(kserve::SetField(*config, path, *now).has_value());
  Require(kserve::FormatModelConfig(*config).size() == after.size());
  return 0;
}
