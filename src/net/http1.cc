#include "net/http1.h"

#include <array>
#include <charconv>
#include <cstring>

#include "base/strings.h"

namespace sextant::net {
namespace {

// RFC 9110 token characters.
constexpr auto kTokenChars = [] {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[static_cast<size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) table[static_cast<size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[static_cast<size_t>(c)] = true;
  for (const char c :
       {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'}) {
    table[static_cast<uint8_t>(c)] = true;
  }
  return table;
}();

bool IsToken(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    if (!kTokenChars[static_cast<uint8_t>(c)]) return false;
  }
  return true;
}

bool IsFieldValue(std::string_view text) {
  for (const char c : text) {
    const auto b = static_cast<uint8_t>(c);
    if ((b < 0x20 && b != '\t') || b == 0x7f) return false;
  }
  return true;
}

std::string_view TrimBlanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Whether the comma-separated list holds the word.
bool ListHas(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    if (EqualsIgnoreCase(TrimBlanks(list.substr(0, comma)), word)) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
  return false;
}

// Takes one line off `rest`, without its CR LF (a lone LF is accepted, as everybody does).
bool TakeLine(std::string_view& rest, std::string_view& line) {
  if (rest.empty()) return false;
  const void* end = std::memchr(rest.data(), '\n', rest.size());
  if (end == nullptr) return false;
  const auto length = static_cast<size_t>(static_cast<const char*>(end) - rest.data());
  line = rest.substr(0, length > 0 && rest[length - 1] == '\r' ? length - 1 : length);
  rest.remove_prefix(length + 1);
  return true;
}

// The headers that frame a message; the others are only checked for form.
bool TakeFramingHeader(std::string_view name, std::string_view value, HttpHead& head,
                       std::string_view& fault) {
  switch (name.size()) {
    case 6:
      if (EqualsIgnoreCase(name, "expect"))
        head.expects_continue = EqualsIgnoreCase(value, "100-continue");
      break;
    case 10:
      if (EqualsIgnoreCase(name, "connection")) {
        if (ListHas(value, "close")) head.keep_alive = false;
        if (head.minor_version == 0 && ListHas(value, "keep-alive")) head.keep_alive = true;
      }
      break;
    case 14:
      if (EqualsIgnoreCase(name, "content-length")) {
        const std::optional<uint64_t> length = ParseUint(value);
        if (!length) return fault = "Content-Length is not a number", false;
        if (head.content_length && *head.content_length != *length) {
          return fault = "contradicting Content-Length headers", false;
        }
        head.content_length = length;
      }
      break;
    case 17:
      if (EqualsIgnoreCase(name, "transfer-encoding")) {
        if (!EqualsIgnoreCase(value, "chunked"))
          return fault = "unsupported Transfer-Encoding", false;
        if (head.chunked) return fault = "repeated Transfer-Encoding", false;
        head.chunked = true;
      }
      break;
    default:
      break;
  }
  return true;
}

bool ParseFields(std::string_view& rest, HttpHead& head, std::string_view& fault, bool& complete) {
  const char* begin = rest.data();
  std::string_view line;
  complete = false;
  for (;;) {
    const char* line_start = rest.data();
    if (!TakeLine(rest, line)) return true;
    if (line.empty()) {
      head.fields = {begin, static_cast<size_t>(line_start - begin)};
      complete = true;
      if (head.chunked && head.content_length)
        return fault = "Content-Length beside Transfer-Encoding", false;
      return true;
    }
    const void* colon = std::memchr(line.data(), ':', line.size());
    if (colon == nullptr) return fault = "a header line without a colon", false;
    const auto at = static_cast<size_t>(static_cast<const char*>(colon) - line.data());
    const std::string_view name = line.substr(0, at);
    const std::string_view value = TrimBlanks(line.substr(at + 1));
    if (!IsToken(name)) return fault = "a header name with characters that are not allowed", false;
    if (!IsFieldValue(value)) return fault = "a header value with control characters", false;
    if (!TakeFramingHeader(name, value, head, fault)) return false;
  }
}

bool ParseVersion(std::string_view text, HttpHead& head) {
  if (text == "HTTP/1.1") return head.minor_version = 1, true;
  if (text == "HTTP/1.0") return head.minor_version = 0, head.keep_alive = false, true;
  return false;
}

HttpParse Incomplete(std::string_view bytes, std::string_view& fault) {
  if (bytes.size() <= kMaxHttpHeadBytes) return HttpParse::kIncomplete;
  fault = "the head is larger than 64 KiB";
  return HttpParse::kBad;
}

template <typename ParseStartLine>
HttpParse ParseHead(std::string_view bytes, HttpHead& head, std::string_view& fault,
                    ParseStartLine&& parse_start) {
  head = HttpHead();
  std::string_view rest = bytes, line;
  if (!TakeLine(rest, line)) return Incomplete(bytes, fault);
  if (!parse_start(line)) return HttpParse::kBad;
  bool complete = false;
  if (!ParseFields(rest, head, fault, complete)) return HttpParse::kBad;
  if (!complete) return Incomplete(bytes, fault);
  head.size = static_cast<size_t>(rest.data() - bytes.data());
  if (head.size > kMaxHttpHeadBytes)
    return fault = "the head is larger than 64 KiB", HttpParse::kBad;
  return HttpParse::kComplete;
}

}  // namespace

HttpParse ParseRequestHead(std::string_view bytes, HttpHead& head, std::string_view& fault) {
  return ParseHead(bytes, head, fault, [&](std::string_view line) {
    const size_t first = line.find(' '), last = line.rfind(' ');
    if (first == std::string_view::npos || last == first)
      return fault = "not a request line", false;
    head.method = line.substr(0, first);
    head.target = line.substr(first + 1, last - first - 1);
    if (!IsToken(head.method) || head.target.empty()) return fault = "not a request line", false;
    for (const char c : head.target) {
      if (static_cast<uint8_t>(c) <= 0x20 || c == 0x7f)
        return fault = "a control character in the request target", false;
    }
    if (!ParseVersion(line.substr(last + 1), head))
      return fault = "not HTTP/1.1 or HTTP/1.0", false;
    return true;
  });
}

HttpParse ParseResponseHead(std::string_view bytes, HttpHead& head, std::string_view& fault) {
  return ParseHead(bytes, head, fault, [&](std::string_view line) {
    const auto digit = [&](size_t i) { return line[i] >= '0' && line[i] <= '9'; };
    if (line.size() < 12 || line[8] != ' ' || !digit(9) || !digit(10) || !digit(11) ||
        (line.size() > 12 && line[12] != ' ') || !ParseVersion(line.substr(0, 8), head)) {
      return fault = "not an HTTP/1 status line", false;
    }
    head.status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
    return true;
  });
}

std::optional<std::string_view> FindHeader(std::string_view fields, std::string_view name) {
  std::string_view line;
  while (TakeLine(fields, line)) {
    if (line.size() > name.size() && line[name.size()] == ':' &&
        EqualsIgnoreCase(line.substr(0, name.size()), name)) {
      return TrimBlanks(line.substr(name.size() + 1));
    }
  }
  return std::nullopt;
}

void HttpBody::StartRequest(const HttpHead& head) {
  left_ = head.content_length.value_or(0);
  trailer_bytes_ = 0;
  state_ = head.chunked ? State::kChunkSize : left_ > 0 ? State::kLength : State::kDone;
}

void HttpBody::StartResponse(const HttpHead& head) {
  left_ = head.content_length.value_or(0);
  trailer_bytes_ = 0;
  if (head.status / 100 == 1 || head.status == 204 || head.status == 304) {
    state_ = State::kDone;
  } else if (head.chunked) {
    state_ = State::kChunkSize;
  } else if (head.content_length) {
    state_ = left_ > 0 ? State::kLength : State::kDone;
  } else {
    state_ = State::kUntilClose;
  }
}

HttpBody::Step HttpBody::Next(std::string_view bytes) {
  Step step;
  switch (state_) {
    case State::kDone:
      break;
    case State::kUntilClose:
      step.data = bytes;
      step.consumed = bytes.size();
      break;
    case State::kLength:
    case State::kChunkData:
      step.data = bytes.substr(0, left_);
      step.consumed = step.data.size();
      left_ -= step.consumed;
      if (left_ == 0) state_ = state_ == State::kLength ? State::kDone : State::kChunkEnd;
      break;
    case State::kChunkSize: {
      std::string_view rest = bytes, line;
      if (!TakeLine(rest, line)) {
        step.bad = bytes.size() > 1024;  // an extension nobody sends
        break;
      }
      line = TrimBlanks(line.substr(0, line.find(';')));
      uint64_t size = 0;
      const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), size, 16);
      if (error != std::errc() || end != line.data() + line.size() || size >> 60 != 0) {
        step.bad = true;
        break;
      }
      step.consumed = static_cast<size_t>(rest.data() - bytes.data());
      left_ = size;
      state_ = size > 0 ? State::kChunkData : State::kTrailer;
      break;
    }
    case State::kChunkEnd: {
      if (bytes.empty() || (bytes[0] == '\r' && bytes.size() < 2)) break;
      const size_t length = bytes[0] == '\r' ? 2 : 1;
      if (bytes[length - 1] != '\n') {
        step.bad = true;
        break;
      }
      step.consumed = length;
      state_ = State::kChunkSize;
      break;
    }
    case State::kTrailer: {
      std::string_view rest = bytes, line;
      if (!TakeLine(rest, line)) {
        step.bad = bytes.size() > kMaxHttpHeadBytes;
        break;
      }
      step.consumed = static_cast<size_t>(rest.data() - bytes.data());
      trailer_bytes_ += step.consumed;
      step.bad = trailer_bytes_ > kMaxHttpHeadBytes;
      if (line.empty()) state_ = State::kDone;
      break;
    }
  }
  return step;
}

std::string_view HttpReason(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 499:
      return "Client Closed Request";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "Unknown";
  }
}

std::optional<std::string> PercentDecode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    uint8_t byte = 0;
    if (i + 2 >= text.size()) return std::nullopt;
    const auto [end, error] = std::from_chars(text.data() + i + 1, text.data() + i + 3, byte, 16);
    if (error != std::errc() || end != text.data() + i + 3) return std::nullopt;
    out += static_cast<char>(byte);
    i += 2;
  }
  return out;
}

std::string PercentEncodePathSegment(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto b = static_cast<uint8_t>(c);
    const bool plain = (b >= '0' && b <= '9') || (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') ||
                       std::string_view("-._~!$&'()*+,;=:@").find(c) != std::string_view::npos;
    if (plain) {
      out += c;
    } else {
      AppendFormat(out, "%{:02X}", b);
    }
  }
  return out;
}

}  // namespace sextant::net
