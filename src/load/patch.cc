#include "load/patch.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "kserve/infer_grpc.h"
#include "load/requests.h"
#include "net/grpc.h"
#include "net/http2.h"

namespace sextant::load {
namespace {

constexpr size_t kHexDigits = 16;
constexpr size_t kVarintBytes = 10;
// Nineteen digits: the longest number that fits 63 bits.
constexpr int64_t kLongestId = 1'000'000'000'000'000'000;
constexpr size_t kDecimalDigits = 19;
constexpr std::string_view kStringId = "s0000000000000000";
constexpr std::string_view kIdName = "sequence_id", kStartName = "sequence_start",
                           kEndName = "sequence_end";

void WriteHex(char* to, uint64_t value) {
  for (size_t i = kHexDigits; i-- > 0; value >>= 4) to[i] = "0123456789abcdef"[value & 15];
}

// Always ten bytes: a reader takes leading zeros.
void WriteVarint(char* to, uint64_t value) {
  for (size_t i = 0; i + 1 < kVarintBytes; ++i, value >>= 7)
    to[i] = static_cast<char>((value & 0x7f) | 0x80);
  to[kVarintBytes - 1] = static_cast<char>(value);
}

void WriteDecimal(char* to, uint64_t value) {
  char* p = to + kDecimalDigits;
  do {
    *--p = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value > 0);
  std::fill(to, p, ' ');
}

// Where the value of a member or field begins, behind its name.
size_t Behind(std::string_view bytes, std::string_view name, size_t gap) {
  const size_t at = bytes.find(name);
  SEXTANT_CHECK(at != std::string_view::npos, "a patched field that was not encoded");
  return at + name.size() + gap;
}

}  // namespace

std::string SequenceText(uint64_t id) {
  std::string out(1 + kHexDigits, 's');
  WriteHex(out.data() + 1, id);
  return out;
}

std::optional<uint64_t> ParseRequestId(std::string_view text) {
  if (text.size() != kHexDigits) return std::nullopt;
  uint64_t out = 0;
  for (const char c : text) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return std::nullopt;
    out = out << 4 | static_cast<uint64_t>(digit);
  }
  return out;
}

kserve::Parameters RequestPatch::Placeholders(const PatchOptions& options) {
  if (options.sequence == SequenceIdType::kNone) return {};
  kserve::Parameter id = kLongestId;
  if (options.sequence == SequenceIdType::kString) id = std::string(kStringId);
  return {
      {std::string(kIdName), id}, {std::string(kStartName), false}, {std::string(kEndName), false}};
}

RequestPatch RequestPatch::ForGrpc(const PatchOptions& options) {
  RequestPatch patch;
  if (!options.any()) return patch;
  patch.grpc_ = true;
  patch.text_id_ = options.sequence == SequenceIdType::kString;
  kserve::Parameters parameters = Placeholders(options);
  // Negative: ten bytes long.
  if (options.sequence == SequenceIdType::kInteger) parameters[0].second = int64_t{-1};
  const std::string id = options.request_id ? std::string(kHexDigits, '0') : std::string();
  net::AppendGrpcPrefix(patch.bytes_, 0);
  patch.bytes_ += kserve::EncodeGrpcRequestHeader({}, {}, {}, {}, id, parameters);
  // The id's field is the first: its tag and its length.
  if (options.request_id) patch.id_ = net::kGrpcPrefixBytes + 2;
  if (options.sequence != SequenceIdType::kNone) {
    // Behind the name: tag and length of the value, then the tag of its kind; of a text its length
    // too. A flag's kind is a tag and one byte.
    patch.sequence_ = Behind(patch.bytes_, kIdName, patch.text_id_ ? 4 : 3);
    patch.start_ = Behind(patch.bytes_, kStartName, 3);
    patch.end_ = Behind(patch.bytes_, kEndName, 3);
  }
  return patch;
}

RequestPatch::Split RequestPatch::SplitHttp(std::string_view head, const PatchOptions& options) {
  if (options.sequence == SequenceIdType::kNone) return {head, {}, {}};
  // Name and value of all three, which follow each other in front of all that a user may name.
  const size_t begin = head.find(kIdName, head.find("\r\n\r\n"));
  const size_t last = head.find(kEndName, begin);
  SEXTANT_CHECK(begin != std::string_view::npos && last != std::string_view::npos,
                "a sequence's parameters that were not encoded");
  const size_t end = head.find("false", last) + std::string_view("false").size();
  return {head.substr(0, begin), head.substr(begin, end - begin), head.substr(end)};
}

RequestPatch RequestPatch::ForHttp(std::string_view piece, const PatchOptions& options,
                                   size_t place) {
  RequestPatch patch;
  if (options.sequence == SequenceIdType::kNone) return patch;
  patch.bytes_ = piece;
  patch.piece_ = place;
  patch.text_id_ = options.sequence == SequenceIdType::kString;
  // Behind the name: its closing quote and a colon, and a text's opening quote.
  patch.sequence_ = Behind(piece, kIdName, patch.text_id_ ? 3 : 2);
  patch.start_ = Behind(piece, kStartName, 2);
  patch.end_ = Behind(piece, kEndName, 2);
  return patch;
}

void RequestPatch::Apply(const EncodedRequest& request, const PatchValues& values,
                         PatchedRequest& out) const {
  if (out.bytes.size() != bytes_.size()) out.bytes = bytes_;
  char* const bytes = out.bytes.data();
  if (grpc_) {
    const uint64_t message = request.bytes - net::kGrpcPrefixBytes;
    net::WriteBigEndian32(bytes + 1, static_cast<uint32_t>(message));
  }
  if (id_ != kAbsent) WriteHex(bytes + id_, values.request_id);
  if (sequence_ != kAbsent) {
    if (text_id_) {
      WriteHex(bytes + sequence_ + 1, values.sequence_id);
    } else if (grpc_) {
      WriteVarint(bytes + sequence_, values.sequence_id);
    } else {
      WriteDecimal(bytes + sequence_, values.sequence_id);
    }
    if (grpc_) {
      bytes[start_] = values.start ? 1 : 0;
      bytes[end_] = values.end ? 1 : 0;
    } else {
      std::memcpy(bytes + start_, values.start ? "true " : "false", 5);
      std::memcpy(bytes + end_, values.end ? "true " : "false", 5);
    }
  }
  out.pieces.assign(request.pieces.begin(), request.pieces.end());
  out.pieces[piece_] = out.bytes;
  out.request = request;
  out.request.pieces = out.pieces;
  out.request.id = values.request_id;
}

}  // namespace sextant::load
