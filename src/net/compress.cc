#include "net/compress.h"

#include <zlib.h>

#include <algorithm>

#include "base/strings.h"

namespace sextant::net {
namespace {

constexpr int kGzipWindow = 15 + 16;    // zlib: +16 writes a gzip wrapper
constexpr int kDetectWindow = 15 + 32;  // +32 reads gzip and zlib wrappers alike

}  // namespace

std::optional<Compression> ParseCompression(std::string_view name) {
  if (name.empty() || EqualsIgnoreCase(name, "identity")) return Compression::kNone;
  if (EqualsIgnoreCase(name, "gzip")) return Compression::kGzip;
  if (EqualsIgnoreCase(name, "deflate")) return Compression::kDeflate;
  return std::nullopt;
}

std::string_view CompressionName(Compression kind) {
  switch (kind) {
    case Compression::kGzip:
      return "gzip";
    case Compression::kDeflate:
      return "deflate";
    case Compression::kNone:
      break;
  }
  return "identity";
}

Result<std::string> Decompress(Compression kind, std::string_view bytes, uint64_t max_bytes) {
  if (kind == Compression::kNone) return std::string(bytes);
  z_stream stream{};
  if (inflateInit2(&stream, kDetectWindow) != Z_OK) return Internal("zlib: out of memory");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  std::string out;
  size_t input_left = bytes.size();
  int status = Z_OK;
  while (status != Z_STREAM_END) {
    const auto chunk = static_cast<uInt>(std::min<size_t>(input_left, 1u << 30));
    stream.avail_in = chunk;
    const size_t before = out.size();
    out.resize(before + std::max<size_t>(64 * 1024, bytes.size()));
    const auto room = static_cast<uInt>(std::min<size_t>(out.size() - before, 1u << 30));
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + before);
    stream.avail_out = room;
    status = inflate(&stream, Z_NO_FLUSH);
    input_left -= chunk - stream.avail_in;
    out.resize(before + (room - stream.avail_out));
    const bool stuck = status == Z_BUF_ERROR || (status == Z_OK && stream.avail_in == 0 &&
                                                 input_left == 0 && stream.avail_out > 0);
    if ((status != Z_OK && status != Z_STREAM_END) || stuck) {
      inflateEnd(&stream);
      return Corrupt("malformed or truncated compressed data");
    }
    if (out.size() > max_bytes) {
      inflateEnd(&stream);
      return Error(ErrorCode::kResourceExhausted,
                   Format("more than {} bytes after decompression", max_bytes));
    }
  }
  inflateEnd(&stream);
  return out;
}

std::string Compress(Compression kind, std::string_view bytes) {
  if (kind == Compression::kNone) return std::string(bytes);
  z_stream stream{};
  const int window = kind == Compression::kGzip ? kGzipWindow : 15;
  SEXTANT_CHECK(deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, window, 8,
                             Z_DEFAULT_STRATEGY) == Z_OK,
                "zlib: out of memory");
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  SEXTANT_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END, "zlib: deflate did not finish");
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

Result<std::string> Inflate(std::string_view bytes, uint64_t size, uint32_t crc) {
  // Deflate packs 1032 to 1 at most: what claims more is damaged, and needs no memory.
  if (size / 1032 > bytes.size()) return Corrupt("malformed compressed data");
  z_stream stream{};
  if (inflateInit2(&stream, -15) != Z_OK) return Internal("zlib: out of memory");
  std::string out(size, '\0');
  size_t in = 0, made = 0;
  int status = Z_OK;
  while (status == Z_OK) {
    const auto take = static_cast<uInt>(std::min<size_t>(bytes.size() - in, 1u << 30));
    const auto room = static_cast<uInt>(std::min<size_t>(out.size() - made, 1u << 30));
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data() + in));
    stream.avail_in = take;
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + made);
    stream.avail_out = room;
    status = inflate(&stream, Z_NO_FLUSH);
    in += take - stream.avail_in;
    made += room - stream.avail_out;
    if (status == Z_OK && take == stream.avail_in && room == stream.avail_out) break;
  }
  inflateEnd(&stream);
  if (status != Z_STREAM_END || made != size || Crc32(out) != crc)
    return Corrupt("malformed or truncated compressed data");
  return out;
}

uint32_t Crc32(std::string_view bytes) {
  return static_cast<uint32_t>(
      crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

}  // namespace sextant::net
