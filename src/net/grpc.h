// gRPC over HTTP/2: status codes, message framing, the text forms of its headers. Pure.
// Protocol: "gRPC over HTTP2" (PROTOCOL-HTTP2.md of the gRPC project).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "net/http2.h"

namespace sextant::net {

enum class GrpcStatus : int {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};
// "UNAVAILABLE"; "STATUS_42" for numbers that the protocol does not know.
std::string GrpcStatusName(int status);

// What a client makes of a response without grpc-status, or of a reset stream.
GrpcStatus GrpcStatusFromHttp(int http_status);
GrpcStatus GrpcStatusFromReset(uint32_t http2_error);

// Every message is preceded by a flag byte (1: compressed) and its length.
constexpr size_t kGrpcPrefixBytes = 5;
void AppendGrpcPrefix(std::string& out, uint32_t message_bytes, bool compressed = false);
struct GrpcPrefix {
  bool compressed = false;
  uint32_t length = 0;
};
GrpcPrefix ParseGrpcPrefix(const char* bytes);

// grpc-message is percent-encoded.
std::string GrpcEncodeMessage(std::string_view text);
std::string GrpcDecodeMessage(std::string_view text);

// grpc-timeout: "5S", "250m"; at most eight digits.
std::string GrpcEncodeTimeout(Nanos timeout);
std::optional<Nanos> GrpcParseTimeout(std::string_view text);

}  // namespace sextant::net
