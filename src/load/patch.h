// What differs between requests that are otherwise sent as they were encoded: the id that finds a
// stream's answers, and a sequence's id and flags.
//
// The encoded request keeps these fields together in one piece of fixed length: numbers have room
// for their longest form (JSON pads with spaces, protocol buffers with continuation bytes). Each
// request slot owns a copy of that piece and writes its values into it; the rest is shared.
//
// Threads: a RequestPatch is immutable once made; a PatchedRequest belongs to its slot.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kserve/control_client.h"
#include "kserve/infer.h"

namespace sextant::load {

struct EncodedRequest;

enum class SequenceIdType : uint8_t { kNone, kInteger, kString };

struct PatchOptions {
  bool request_id = false;
  SequenceIdType sequence = SequenceIdType::kNone;
  bool any() const { return request_id || sequence != SequenceIdType::kNone; }
};

struct PatchValues {
  uint64_t request_id = 0;
  uint64_t sequence_id = 0;  // as a string: its hexadecimal form behind "s"
  bool start = false, end = false;
};

// A slot's own request: its piece and the shared ones, to be given to a channel. It must not move
// while it is being sent.
struct PatchedRequest;

class RequestPatch {
 public:
  RequestPatch() = default;
  // gRPC: the piece begins with the message's prefix and comes first.
  static RequestPatch ForGrpc(const PatchOptions& options);
  // HTTP: splits a request's head (lines and JSON) that was encoded with Placeholders() into what
  // is before the piece, the piece, and what is behind it.
  struct Split {
    std::string_view before, piece, after;
  };
  static kserve::Parameters Placeholders(const PatchOptions& options);
  static Split SplitHttp(std::string_view head, const PatchOptions& options);
  // `place`: which of the request's pieces it is.
  static RequestPatch ForHttp(std::string_view piece, const PatchOptions& options, size_t place);

  bool any() const { return !bytes_.empty(); }
  std::string_view bytes() const { return bytes_; }
  // Makes `out` the request with these values. Allocates only the first time, and when a request
  // has more pieces than any before.
  void Apply(const EncodedRequest& request, const PatchValues& values, PatchedRequest& out) const;

 private:
  static constexpr size_t kAbsent = SIZE_MAX;
  std::string bytes_;
  size_t piece_ = 0;  // which one of a request's pieces it is
  bool grpc_ = false, text_id_ = false;
  size_t id_ = kAbsent, sequence_ = kAbsent, start_ = kAbsent, end_ = kAbsent;
};

// A sequence's id where ids are text.
std::string SequenceText(uint64_t id);

// The request id of an answer, or nothing when it is not one of ours.
std::optional<uint64_t> ParseRequestId(std::string_view text);

}  // namespace sextant::load
