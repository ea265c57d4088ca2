// What must never be shown: tokens and the like. Whoever learns of one adds it; whoever writes text
// that others had a part in (a server may repeat a request's headers in its refusal) takes it out.
//
// Threads: any. Secrets are kept until the program ends.
#pragma once

#include <string>
#include <string_view>

namespace sextant {

// Values shorter than four characters are left alone: they would be found everywhere.
void AddSecret(std::string_view secret);

// The text with "[secret]" in place of each secret, and of the beginning of one at the text's end,
// where the text may have been cut.
std::string RedactSecrets(std::string_view text);

}  // namespace sextant
