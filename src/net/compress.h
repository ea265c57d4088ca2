// gzip and deflate, as HTTP bodies, gRPC messages and archives use them (zlib, included here and
// nowhere else).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sextant::net {

enum class Compression : uint8_t { kNone, kGzip, kDeflate };

// "identity" and "" are kNone; nothing for names that are not known.
std::optional<Compression> ParseCompression(std::string_view name);

// "identity", "gzip", "deflate"
std::string_view CompressionName(Compression kind);

// kCorrupt when malformed or cut off; kResourceExhausted beyond `max_bytes` of output.
Result<std::string> Decompress(Compression kind, std::string_view bytes, uint64_t max_bytes);
std::string Compress(Compression kind, std::string_view bytes);

// Deflate data without a wrapper, as ZIP archives have it, of exactly `size` bytes with the CRC-32
// `crc` when decompressed. kCorrupt when it is not that.
Result<std::string> Inflate(std::string_view bytes, uint64_t size, uint32_t crc);
uint32_t Crc32(std::string_view bytes);

}  // namespace sextant::net
