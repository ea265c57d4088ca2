#include "base/secrets.h"

#include <algorithm>
#include <mutex>
#include <vector>

namespace sextant {
namespace {

constexpr size_t kShortest = 4;
constexpr std::string_view kInstead = "[secret]";

struct Registry {
  std::mutex mutex;
  std::vector<std::string> secrets;  // longer ones first: one may hold another
};
Registry& TheRegistry() {
  static auto* const registry = new Registry();  // used until the very end
  return *registry;
}

// How many characters at the text's end are the beginning of the secret.
size_t CutOff(std::string_view text, std::string_view secret) {
  for (size_t n = std::min(text.size(), secret.size() - 1); n >= kShortest; --n) {
    if (text.ends_with(secret.substr(0, n))) return n;
  }
  return 0;
}

}  // namespace

void AddSecret(std::string_view secret) {
  if (secret.size() < kShortest) return;
  Registry& registry = TheRegistry();
  const std::scoped_lock lock(registry.mutex);
  std::vector<std::string>& all = registry.secrets;
  if (std::find(all.begin(), all.end(), secret) != all.end()) return;
  const auto at = std::find_if(all.begin(), all.end(),
                               [&](const std::string& s) { return s.size() < secret.size(); });
  all.emplace(at, secret);
}

std::string RedactSecrets(std::string_view text) {
  std::string out(text);
  Registry& registry = TheRegistry();
  const std::scoped_lock lock(registry.mutex);
  for (const std::string& secret : registry.secrets) {
    for (size_t at = out.find(secret); at != std::string::npos;
         at = out.find(secret, at + kInstead.size()))
      out.replace(at, secret.size(), kInstead);
    if (const size_t cut = CutOff(out, secret); cut > 0)
      out.replace(out.size() - cut, cut, kInstead);
  }
  return out;
}

}  // namespace sextant
