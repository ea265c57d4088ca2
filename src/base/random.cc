#include "base/random.h"

#include <random>

#include "base/strings.h"

namespace sextant {

std::string RandomWord(size_t digits) {
  std::random_device random;
  std::string out;
  while (out.size() < digits) AppendFormat(out, "{:08x}", random());
  out.resize(digits);
  return out;
}

}  // namespace sextant
