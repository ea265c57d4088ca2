// Protocol buffers' wire format, for the two messages on the path of every request.
//
// The generated classes copy every tensor at least once; here tensor bytes stay where they are.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sextant::kserve {

enum class WireType : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

// Reads fields front to back; ok() is false after malformed input, and then Next() too.
class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : rest_(bytes) {}

  // Moves to the next field; false at the end or on malformed input.
  bool Next() {
    if (rest_.empty() || !ok_) return false;
    uint64_t tag = 0;
    if (!TakeVarint(tag) || tag >> 3 == 0 || tag > UINT32_MAX) return Fail();
    field_ = static_cast<uint32_t>(tag >> 3);
    type_ = static_cast<WireType>(tag & 7);
    switch (type_) {
      case WireType::kVarint:
        return TakeVarint(number_) || Fail();
      case WireType::kBytes: {
        uint64_t length = 0;
        if (!TakeVarint(length) || length > rest_.size()) return Fail();
        bytes_ = rest_.substr(0, length);
        rest_.remove_prefix(length);
        return true;
      }
      case WireType::kFixed64:
        return TakeFixed(8);
      case WireType::kFixed32:
        return TakeFixed(4);
    }
    return Fail();  // groups are not used
  }

  bool ok() const { return ok_; }
  uint32_t field() const { return field_; }
  WireType type() const { return type_; }
  bool Is(uint32_t field, WireType type) const { return field_ == field && type_ == type; }
  // Of the current field: varints and fixed widths as a number, the rest as bytes.
  uint64_t number() const { return number_; }
  std::string_view bytes() const { return bytes_; }

  // Takes a varint off the front: also for packed fields.
  bool TakeVarint(uint64_t& value) {
    value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) return false;
      const auto byte = static_cast<uint8_t>(rest_[0]);
      rest_.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return true;
    }
    return false;
  }
  bool empty() const { return rest_.empty(); }

 private:
  bool Fail() {
    ok_ = false;
    return false;
  }
  bool TakeFixed(size_t n) {
    if (rest_.size() < n) return Fail();
    number_ = 0;
    for (size_t i = 0; i < n; ++i)
      number_ |= static_cast<uint64_t>(static_cast<uint8_t>(rest_[i])) << (8 * i);
    rest_.remove_prefix(n);
    return true;
  }

  std::string_view rest_;
  bool ok_ = true;
  uint32_t field_ = 0;
  WireType type_{};
  uint64_t number_ = 0;
  std::string_view bytes_;
};

inline void AppendVarint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}
inline void AppendTag(std::string& out, uint32_t field, WireType type) {
  AppendVarint(out, uint64_t{field} << 3 | static_cast<uint64_t>(type));
}
inline void AppendNumberField(std::string& out, uint32_t field, uint64_t value) {
  AppendTag(out, field, WireType::kVarint);
  AppendVarint(out, value);
}
// The tag and length of a bytes field whose bytes follow.
inline void AppendBytesHeader(std::string& out, uint32_t field, uint64_t length) {
  AppendTag(out, field, WireType::kBytes);
  AppendVarint(out, length);
}
inline void AppendBytesField(std::string& out, uint32_t field, std::string_view bytes) {
  AppendBytesHeader(out, field, bytes.size());
  out.append(bytes);
}

}  // namespace sextant::kserve
