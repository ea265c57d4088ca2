#include "kserve/config_path.h"

#include "base/strings.h"

namespace sextant::kserve {
namespace {

// Deeper than any field of the message lies.
constexpr size_t kMostSteps = 32;

Error Fault(std::string_view path, size_t at, std::string_view what) {
  return InvalidArgument(Format("'{}', column {}: {}", Printable(path, 120), at + 1, what));
}

}  // namespace

Result<std::vector<PathStep>> ParseFieldPath(std::string_view path) {
  std::vector<PathStep> steps;
  for (size_t at = 0;;) {
    const size_t end = std::min(path.find_first_of(".[]", at), path.size());
    PathStep step{.name = std::string(path.substr(at, end - at)), .key = {}, .column = at + 1};
    if (step.name.empty()) return Fault(path, at, "a field's name is missing");
    at = end;
    if (at < path.size() && path[at] == '[') {
      const bool quoted = path.substr(at).starts_with("[\"");
      const size_t begin = at + (quoted ? 2 : 1);
      const size_t close = path.find(quoted ? "\"]" : "]", begin);
      if (close == std::string_view::npos) return Fault(path, at, "this bracket is not closed");
      step.key = std::string(path.substr(begin, close - begin));
      if (step.key->empty() && !quoted) return Fault(path, at, "nothing stands in the brackets");
      at = close + (quoted ? 2 : 1);
    }
    steps.push_back(std::move(step));
    if (at == path.size()) return steps;
    if (path[at] != '.') return Fault(path, at, "a dot is wanted here, or the end");
    if (steps.size() == kMostSteps) return Fault(path, at, "no field lies so deep");
    ++at;
  }
}

}  // namespace sextant::kserve
