#include "base/strings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>

namespace sextant {
namespace {

constexpr std::string_view kBase64Alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char LowerChar(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

template <typename T>
std::optional<T> ParseWhole(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Length in bytes of the valid UTF-8 sequence at the start of `text`, or 0.
size_t Utf8Length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xf0 && lead <= 0xf4  ? 4
                        : lead >= 0xe0 && lead < 0xf0 ? 3
                        : lead >= 0xc2 && lead < 0xe0 ? 2
                                                      : 0;
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, beyond U+10FFFF.
  if ((lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xed && byte(1) >= 0xa0)) return 0;
  if ((lead == 0xf0 && byte(1) < 0x90) || (lead == 0xf4 && byte(1) >= 0x90)) return 0;
  return length;
}

size_t EditDistance(std::string_view a, std::string_view b) {
  // Optimal string alignment; three rows suffice.
  std::vector<size_t> before(b.size() + 1), previous(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) previous[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replace = previous[j - 1] + (LowerChar(a[i - 1]) == LowerChar(b[j - 1]) ? 0 : 1);
      row[j] = std::min({previous[j] + 1, row[j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, previous);
    std::swap(previous, row);
  }
  return previous[b.size()];
}

}  // namespace

std::string_view TrimSpace(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> pieces;
  for (;;) {
    const size_t at = text.find(separator);
    pieces.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return pieces;
    text.remove_prefix(at + 1);
  }
}

std::string Join(std::span<const std::string> pieces, std::string_view separator) {
  std::string out;
  for (const std::string& piece : pieces) {
    if (&piece != &pieces.front()) out += separator;
    out += piece;
  }
  return out;
}

std::string ToLower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), LowerChar);
  return out;
}

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return LowerChar(x) == LowerChar(y);
         });
}

std::optional<int64_t> ParseInt(std::string_view text) { return ParseWhole<int64_t>(text); }
std::optional<uint64_t> ParseUint(std::string_view text) { return ParseWhole<uint64_t>(text); }
std::optional<double> ParseDouble(std::string_view text) {
  const std::optional<double> value = ParseWhole<double>(text);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

std::optional<std::string_view> NearestName(std::string_view name,
                                            std::span<const std::string_view> candidates) {
  std::optional<std::string_view> best;
  size_t best_distance = std::max<size_t>(1, name.size() / 3) + 1;
  for (const std::string_view candidate : candidates) {
    const size_t distance = EditDistance(name, candidate);
    if (distance < best_distance) best = candidate, best_distance = distance;
  }
  if (best) return best;
  // Nothing close by spelling: a name that begins with what was typed is what was meant.
  for (const std::string_view candidate : candidates) {
    if (name.size() >= 3 && candidate.starts_with(name)) return candidate;
  }
  return std::nullopt;
}

std::string Printable(std::string_view bytes, size_t max_bytes) {
  std::string out;
  size_t i = 0;
  while (i < bytes.size() && i < max_bytes) {
    const uint8_t c = static_cast<uint8_t>(bytes[i]);
    const size_t length = Utf8Length(bytes.substr(i));
    if (length == 0 || c < 0x20 || c == 0x7f) {
      if (c == '\n') {
        out += "\\n";
      } else {
        AppendFormat(out, "\\x{:02x}", c);
      }
      ++i;
    } else {
      out += bytes.substr(i, length);
      i += length;
    }
  }
  if (i < bytes.size()) out += "...";
  return out;
}

bool IsValidUtf8(std::string_view text) {
  while (!text.empty()) {
    // Most text is ASCII, and there can be gigabytes of it.
    uint64_t eight = 0;
    for (; text.size() >= sizeof eight; text.remove_prefix(sizeof eight)) {
      std::memcpy(&eight, text.data(), sizeof eight);
      if ((eight & 0x8080808080808080) != 0) break;
    }
    if (text.empty()) break;
    const size_t length = Utf8Length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string Base64Encode(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t n = std::min<size_t>(3, bytes.size() - i);
    uint32_t word = 0;
    for (size_t j = 0; j < 3; ++j) {
      word = word << 8 | (j < n ? static_cast<uint8_t>(bytes[i + j]) : 0);
    }
    for (size_t j = 0; j < 4; ++j) {
      out += j <= n ? kBase64Alphabet[word >> (18 - 6 * j) & 63] : '=';
    }
  }
  return out;
}

bool Base64Decode(std::string_view text, std::string& bytes) {
  // What a character is worth at each of its four places in a group; a fault is above all bits.
  static constexpr uint32_t kFault = 1U << 24;
  static const std::array<std::array<uint32_t, 256>, 4> kWorth = [] {
    std::array<std::array<uint32_t, 256>, 4> worth;
    for (size_t place = 0; place < 4; ++place) {
      worth[place].fill(kFault);
      for (uint32_t i = 0; i < kBase64Alphabet.size(); ++i)
        worth[place][static_cast<uint8_t>(kBase64Alphabet[i])] = i << (18 - 6 * place);
    }
    return worth;
  }();
  bytes.clear();
  if (text.size() % 4 != 0) return false;
  size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  bytes.resize(text.size() / 4 * 3);
  char* to = bytes.data();
  // Faults are gathered and looked at once: input data can be gigabytes of this.
  uint32_t all = 0;
  const auto decode = [&](const char* group) {
    const auto worth = [&](size_t place) {
      return kWorth[place][static_cast<uint8_t>(group[place])];
    };
    const uint32_t word = worth(0) | worth(1) | worth(2) | worth(3);
    all |= word;
    *to++ = static_cast<char>(word >> 16);
    *to++ = static_cast<char>(word >> 8);
    *to++ = static_cast<char>(word);
  };
  const char* const last = text.data() + (padding > 0 ? text.size() - 4 : text.size());
  for (const char* p = text.data(); p != last; p += 4) decode(p);
  if (padding > 0) {
    const std::array<char, 4> group{last[0], last[1], padding > 1 ? 'A' : last[2], 'A'};
    decode(group.data());
  }
  bytes.resize(bytes.size() - padding);
  return (all & kFault) == 0;
}

std::string GroupDigits(uint64_t n) {
  std::string digits = std::to_string(n);
  for (size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

}  // namespace sextant
