// HPACK header compression (RFC 7541).
//
// Writing is ours: literals and static-table references without state, or a block of indices into
// entries that the first block of a connection has inserted. Reading is nghttp2's inflater.
// Threads: a decoder belongs to one connection.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

struct nghttp2_hd_inflater;

namespace sextant::net {

// Entries of the static table that are used here.
enum HpackStatic : uint8_t {
  kHpackAuthority = 1,
  kHpackMethodPost = 3,
  kHpackPath = 4,
  kHpackSchemeHttp = 6,
  kHpackSchemeHttps = 7,
  kHpackStatus200 = 8,
  kHpackStatusName = 8,  // ":status" with another value
  kHpackContentType = 31,
  kHpackUserAgent = 58,
};

void AppendHpackInteger(std::string& out, uint8_t first_byte_bits, int prefix_bits, uint64_t value);
// A whole field by its index (static, or dynamic from 62).
void AppendHpackIndexed(std::string& out, uint64_t index);
// A field with a literal value; its name by static index, or literal when name_index is 0. No
// Huffman. `insert`: into the dynamic table ("incremental indexing"), else "without indexing".
void AppendHpackField(std::string& out, uint64_t name_index, std::string_view name,
                      std::string_view value, bool insert = false);

// How a block of header bytes depends on the decoder's dynamic table.
enum class HpackDependence : uint8_t {
  kNone,   // only static entries and literals that are not inserted: means the same in every state
  kReads,  // refers to dynamic entries but changes nothing
  kChanges,  // inserts or resizes, or is malformed
};
HpackDependence ExamineHpack(std::string_view block);

struct HeaderField {
  std::string name, value;
};

class HpackDecoder {
 public:
  HpackDecoder();
  ~HpackDecoder();
  HpackDecoder(const HpackDecoder&) = delete;
  HpackDecoder& operator=(const HpackDecoder&) = delete;

  // Decodes a complete block, replacing the contents of `fields`; false when it is malformed (the
  // connection is then lost). Names and values together are limited to `max_bytes`.
  bool Decode(std::string_view block, std::vector<HeaderField>& fields,
              size_t max_bytes = 64 * 1024);

 private:
  nghttp2_hd_inflater* inflater_;
};

}  // namespace sextant::net
