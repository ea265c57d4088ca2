#include "base/version.h"

namespace sextant {

std::string_view Version() { return SEXTANT_VERSION; }

}  // namespace sextant
