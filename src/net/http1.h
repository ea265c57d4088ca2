// HTTP/1.1 messages (RFC 9112): heads parsed in place, bodies by length, chunks or end of
// connection.
//
// One parser for both sides. It is strict where leniency has been used for request smuggling: no
// obsolete line folding, no space before a colon, no control bytes, no contradicting lengths, no
// Content-Length beside Transfer-Encoding. Pure: no I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sextant::net {

constexpr size_t kMaxHttpHeadBytes = 64 * 1024;

struct HttpHead {
  // Of a request.
  std::string_view method, target;
  // Of a response.
  int status = 0;
  // Of both.
  int minor_version = 1;
  size_t size = 0;          // bytes of the head including the empty line
  std::string_view fields;  // the header lines, for FindHeader
  std::optional<uint64_t> content_length;
  bool chunked = false;
  bool keep_alive = true;
  bool expects_continue = false;
};

enum class HttpParse : uint8_t { kComplete, kIncomplete, kBad };

// Parses the head at the start of `bytes`. kIncomplete: more bytes are needed; call again with the
// grown buffer. kBad: `fault` says why.
HttpParse ParseRequestHead(std::string_view bytes, HttpHead& head, std::string_view& fault);
HttpParse ParseResponseHead(std::string_view bytes, HttpHead& head, std::string_view& fault);

// The value of the first header of that name (any case), trimmed.
std::optional<std::string_view> FindHeader(std::string_view fields, std::string_view name);

// Splits a body out of the bytes after a head.
class HttpBody {
 public:
  // For a request, or for a response to a request that was not HEAD.
  void StartRequest(const HttpHead& head);
  void StartResponse(const HttpHead& head);

  bool complete() const { return state_ == State::kDone; }
  // Whether the body ends only with the connection (then EndOfConnection() completes it).
  bool until_close() const { return state_ == State::kUntilClose; }
  void EndOfConnection() {
    if (until_close()) state_ = State::kDone;
  }

  struct Step {
    std::string_view data;  // body bytes found, possibly none
    size_t consumed = 0;    // bytes of the input used up, body or framing
    bool bad = false;
  };
  // Takes the next piece off the front of `bytes`. Call until complete(), or until it consumes
  // nothing (more bytes are needed) or is bad.
  Step Next(std::string_view bytes);

 private:
  enum class State : uint8_t {
    kDone,
    kLength,
    kUntilClose,
    kChunkSize,
    kChunkData,
    kChunkEnd,
    kTrailer
  };
  State state_ = State::kDone;
  uint64_t left_ = 0;
  size_t trailer_bytes_ = 0;
};

// The reason phrase of a status code.
std::string_view HttpReason(int status);
// Decodes %XX; nothing when malformed.
std::optional<std::string> PercentDecode(std::string_view text);
std::string PercentEncodePathSegment(std::string_view text);

}  // namespace sextant::net
