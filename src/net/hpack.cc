#include "net/hpack.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>

#include "base/check.h"

namespace sextant::net {
namespace {

constexpr uint64_t kStaticEntries = 61;

// Reads an integer with the given prefix; false when it is cut off or absurd.
bool TakeInteger(std::string_view& in, int prefix_bits, uint64_t& value) {
  if (in.empty()) return false;
  const uint8_t mask = static_cast<uint8_t>((1u << prefix_bits) - 1);
  value = static_cast<uint8_t>(in[0]) & mask;
  in.remove_prefix(1);
  if (value < mask) return true;
  for (int shift = 0; shift <= 28; shift += 7) {
    if (in.empty()) return false;
    const auto byte = static_cast<uint8_t>(in[0]);
    in.remove_prefix(1);
    value += static_cast<uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return true;
  }
  return false;
}

bool SkipString(std::string_view& in) {
  uint64_t length = 0;
  if (!TakeInteger(in, 7, length) || length > in.size()) return false;
  in.remove_prefix(length);
  return true;
}

}  // namespace

void AppendHpackInteger(std::string& out, uint8_t first_byte_bits, int prefix_bits,
                        uint64_t value) {
  const uint64_t mask = (1u << prefix_bits) - 1;
  if (value < mask) {
    out += static_cast<char>(first_byte_bits | value);
    return;
  }
  out += static_cast<char>(first_byte_bits | mask);
  for (value -= mask; value >= 0x80; value >>= 7) out += static_cast<char>(0x80 | (value & 0x7f));
  out += static_cast<char>(value);
}

void AppendHpackIndexed(std::string& out, uint64_t index) {
  AppendHpackInteger(out, 0x80, 7, index);
}

void AppendHpackField(std::string& out, uint64_t name_index, std::string_view name,
                      std::string_view value, bool insert) {
  AppendHpackInteger(out, insert ? 0x40 : 0x00, insert ? 6 : 4, name_index);
  if (name_index == 0) {
    AppendHpackInteger(out, 0, 7, name.size());
    out += name;
  }
  AppendHpackInteger(out, 0, 7, value.size());
  out += value;
}

HpackDependence ExamineHpack(std::string_view block) {
  bool reads = false;
  while (!block.empty()) {
    const auto first = static_cast<uint8_t>(block[0]);
    uint64_t index = 0;
    if ((first & 0x80) != 0) {
      if (!TakeInteger(block, 7, index)) return HpackDependence::kChanges;
    } else if ((first & 0xe0) == 0 || (first & 0xf0) == 0x10) {  // literal, not inserted
      if (!TakeInteger(block, 4, index)) return HpackDependence::kChanges;
      if (index == 0 && !SkipString(block)) return HpackDependence::kChanges;
      if (!SkipString(block)) return HpackDependence::kChanges;
    } else {
      return HpackDependence::kChanges;
    }
    reads |= index > kStaticEntries;
  }
  return reads ? HpackDependence::kReads : HpackDependence::kNone;
}

HpackDecoder::HpackDecoder() {
  SEXTANT_CHECK(nghttp2_hd_inflate_new(&inflater_) == 0, "nghttp2: out of memory");
}

HpackDecoder::~HpackDecoder() { nghttp2_hd_inflate_del(inflater_); }

bool HpackDecoder::Decode(std::string_view block, std::vector<HeaderField>& fields,
                          size_t max_bytes) {
  size_t used = 0, bytes = 0;
  const auto* in = reinterpret_cast<const uint8_t*>(block.data());
  size_t left = block.size();
  for (;;) {
    nghttp2_nv field{};
    int flags = 0;
    const ssize_t consumed = nghttp2_hd_inflate_hd2(inflater_, &field, &flags, in, left, 1);
    if (consumed < 0) return false;
    in += consumed;
    left -= static_cast<size_t>(consumed);
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
      bytes += field.namelen + field.valuelen + 32;
      if (bytes > max_bytes) return false;
      if (used == fields.size()) fields.emplace_back();
      fields[used].name.assign(reinterpret_cast<const char*>(field.name), field.namelen);
      fields[used].value.assign(reinterpret_cast<const char*>(field.value), field.valuelen);
      ++used;
    }
    if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) == 0 && left == 0) break;
  }
  nghttp2_hd_inflate_end_headers(inflater_);
  fields.resize(used);
  return true;
}

}  // namespace sextant::net
