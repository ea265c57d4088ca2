// Text: formatting (libfmt, included here and nowhere else), splitting, numbers, nearest names.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sextant {

// Compile-time checked formatting; std::format's syntax.
using fmt::format_string;
template <typename... Args>
std::string Format(format_string<Args...> text, Args&&... args) {
  return fmt::format(text, std::forward<Args>(args)...);
}
template <typename... Args>
void AppendFormat(std::string& out, format_string<Args...> text, Args&&... args) {
  fmt::format_to(std::back_inserter(out), text, std::forward<Args>(args)...);
}

std::string_view TrimSpace(std::string_view text);
// Keeps empty pieces: Split("a,,b", ',') has three; Split("", ',') has one, empty.
std::vector<std::string_view> Split(std::string_view text, char separator);
std::string Join(std::span<const std::string> pieces, std::string_view separator);
std::string ToLower(std::string_view text);
bool EqualsIgnoreCase(std::string_view a, std::string_view b);

// The whole text as a number, or nothing: no leading or trailing space, no partial reads. Doubles
// must be finite.
std::optional<int64_t> ParseInt(std::string_view text);
std::optional<uint64_t> ParseUint(std::string_view text);
std::optional<double> ParseDouble(std::string_view text);

// The candidate with the smallest edit distance to `name` (insert, delete, replace, swap of
// neighbours each cost 1), if that is small enough to be a plausible slip of the finger.
std::optional<std::string_view> NearestName(std::string_view name,
                                            std::span<const std::string_view> candidates);

// Text for people from bytes of unknown origin: control characters and invalid UTF-8 as \xNN, cut
// with "..." beyond `max_bytes`.
std::string Printable(std::string_view bytes, size_t max_bytes = 200);

bool IsValidUtf8(std::string_view text);

std::string Base64Encode(std::string_view bytes);
// Replaces `bytes`, whose memory is used again; false when the text is not base64.
bool Base64Decode(std::string_view text, std::string& bytes);

// 1234567 -> "1,234,567".
std::string GroupDigits(uint64_t n);

}  // namespace sextant
