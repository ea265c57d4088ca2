// ZIP archives: what is in them and where. Pure: bytes in, values out; decompression is the
// caller's (net/compress.h has zlib).
//
// Format: PKWARE's APPNOTE 6.3, with ZIP64, which NumPy writes. Not: encryption, several volumes,
// methods other than stored and deflate. Threads: plain values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sextant::text {

struct ZipEntry {
  std::string name;
  bool deflated = false;
  std::string_view data;  // as it lies in the archive
  uint64_t size = 0;      // when decompressed
  uint32_t crc = 0;       // of the decompressed bytes
};

// The entries in the order of the archive's directory. Errors: kCorrupt when it is not an archive,
// is cut off, or points outside itself; kUnsupported for what is named above.
Result<std::vector<ZipEntry>> ParseZip(std::string_view bytes);

}  // namespace sextant::text
