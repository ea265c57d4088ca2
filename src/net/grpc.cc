#include "net/grpc.h"

#include <array>

#include "base/strings.h"
#include "net/http1.h"

namespace sextant::net {

std::string GrpcStatusName(int status) {
  constexpr std::array<std::string_view, 17> kNames{"OK",
                                                    "CANCELLED",
                                                    "UNKNOWN",
                                                    "INVALID_ARGUMENT",
                                                    "DEADLINE_EXCEEDED",
                                                    "NOT_FOUND",
                                                    "ALREADY_EXISTS",
                                                    "PERMISSION_DENIED",
                                                    "RESOURCE_EXHAUSTED",
                                                    "FAILED_PRECONDITION",
                                                    "ABORTED",
                                                    "OUT_OF_RANGE",
                                                    "UNIMPLEMENTED",
                                                    "INTERNAL",
                                                    "UNAVAILABLE",
                                                    "DATA_LOSS",
                                                    "UNAUTHENTICATED"};
  if (status >= 0 && static_cast<size_t>(status) < kNames.size())
    return std::string(kNames[static_cast<size_t>(status)]);
  return Format("STATUS_{}", status);
}

GrpcStatus GrpcStatusFromHttp(int http_status) {
  switch (http_status) {
    case 400:
      return GrpcStatus::kInternal;
    case 401:
      return GrpcStatus::kUnauthenticated;
    case 403:
      return GrpcStatus::kPermissionDenied;
    case 404:
      return GrpcStatus::kUnimplemented;
    case 429:
    case 502:
    case 503:
    case 504:
      return GrpcStatus::kUnavailable;
    default:
      return GrpcStatus::kUnknown;
  }
}

GrpcStatus GrpcStatusFromReset(uint32_t http2_error) {
  switch (static_cast<Http2Error>(http2_error)) {
    case Http2Error::kRefusedStream:
      return GrpcStatus::kUnavailable;
    case Http2Error::kCancel:
      return GrpcStatus::kCancelled;
    case Http2Error::kEnhanceYourCalm:
      return GrpcStatus::kResourceExhausted;
    case Http2Error::kInadequateSecurity:
      return GrpcStatus::kPermissionDenied;
    default:
      return GrpcStatus::kInternal;
  }
}

void AppendGrpcPrefix(std::string& out, uint32_t message_bytes, bool compressed) {
  const char bytes[kGrpcPrefixBytes] = {
      static_cast<char>(compressed), static_cast<char>(message_bytes >> 24),
      static_cast<char>(message_bytes >> 16), static_cast<char>(message_bytes >> 8),
      static_cast<char>(message_bytes)};
  out.append(bytes, sizeof bytes);
}

GrpcPrefix ParseGrpcPrefix(const char* bytes) {
  const auto* b = reinterpret_cast<const uint8_t*>(bytes);
  return {.compressed = b[0] != 0,
          .length = uint32_t{b[1]} << 24 | uint32_t{b[2]} << 16 | uint32_t{b[3]} << 8 | b[4]};
}

std::string GrpcEncodeMessage(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto b = static_cast<uint8_t>(c);
    if (b >= 0x20 && b <= 0x7e && c != '%') {
      out += c;
    } else {
      AppendFormat(out, "%{:02X}", b);
    }
  }
  return out;
}

std::string GrpcDecodeMessage(std::string_view text) {
  // A malformed message is shown as it came: it is all there is.
  return PercentDecode(text).value_or(std::string(text));
}

std::string GrpcEncodeTimeout(Nanos timeout) {
  struct Unit {
    char letter;
    int64_t nanos;
  };
  constexpr std::array<Unit, 6> kUnits{{{'n', 1},
                                        {'u', 1'000},
                                        {'m', 1'000'000},
                                        {'S', 1'000'000'000},
                                        {'M', 60'000'000'000},
                                        {'H', 3'600'000'000'000}}};
  for (const Unit& unit : kUnits) {
    const int64_t amount =
        (timeout.count() + unit.nanos - 1) / unit.nanos;  // never shorter than asked
    if (amount <= 99'999'999) return Format("{}{}", amount, unit.letter);
  }
  return "99999999H";
}

std::optional<Nanos> GrpcParseTimeout(std::string_view text) {
  if (text.size() < 2 || text.size() > 9) return std::nullopt;
  const std::optional<uint64_t> amount = ParseUint(text.substr(0, text.size() - 1));
  if (!amount) return std::nullopt;
  const auto n = static_cast<int64_t>(*amount);
  switch (text.back()) {
    case 'n':
      return Nanos(n);
    case 'u':
      return std::chrono::microseconds(n);
    case 'm':
      return std::chrono::milliseconds(n);
    case 'S':
      return std::chrono::seconds(n);
    case 'M':
      return std::chrono::minutes(n);
    case 'H':
      if (n > 2'000'000) return Nanos::max();
      return std::chrono::hours(n);
    default:
      return std::nullopt;
  }
}

}  // namespace sextant::net
