// gzip and deflate, as HTTP bodies and gRPC messages use them (zlib, included here and nowhere
// else).
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

}  // namespace sextant::net
