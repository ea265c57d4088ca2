// Values of a YAML file as the types that are wanted, and its mistakes with their places. Internal
// to this folder.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/json.h"

namespace sextant::analyze {

// Each function gives nothing after having noted what is wrong.
class YamlReader {
 public:
  explicit YamlReader(std::string_view source) : source_(source) {}

  void Fault(const text::Json& at, std::string_view key, std::string_view what);

  std::optional<std::string> Text(std::string_view key, const text::Json& value);
  // Numbers and switches are texts too, where a list of words is wanted.
  std::optional<std::vector<std::string>> Words(std::string_view key, const text::Json& value);
  std::optional<int64_t> Whole(std::string_view key, const text::Json& value, int64_t least);
  std::optional<double> Number(std::string_view key, const text::Json& value, double least);
  std::optional<bool> Truth(std::string_view key, const text::Json& value);
  // The position in `names` of the one that is given.
  std::optional<size_t> OneOf(std::string_view key, const text::Json& value,
                              const std::vector<std::string_view>& names);
  // Scalars by name.
  std::optional<std::vector<std::pair<std::string, std::string>>> Map(std::string_view key,
                                                                      const text::Json& value);

  const std::vector<std::string>& faults() const { return faults_; }

 private:
  std::string_view source_;
  std::vector<std::string> faults_;
};

// A scalar as it would be written, nothing for lists, maps and null.
std::optional<std::string> ScalarText(const text::Json& value);

}  // namespace sextant::analyze
