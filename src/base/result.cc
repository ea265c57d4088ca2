#include "base/result.h"

#include <cstring>

namespace sextant {

std::string_view ErrorCodeName(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "invalid argument";
    case ErrorCode::kNotFound:
      return "not found";
    case ErrorCode::kAlreadyExists:
      return "already exists";
    case ErrorCode::kUnavailable:
      return "unavailable";
    case ErrorCode::kDeadlineExceeded:
      return "deadline exceeded";
    case ErrorCode::kCancelled:
      return "cancelled";
    case ErrorCode::kUnsupported:
      return "unsupported";
    case ErrorCode::kResourceExhausted:
      return "resource exhausted";
    case ErrorCode::kCorrupt:
      return "corrupt";
    case ErrorCode::kIo:
      return "input/output";
    case ErrorCode::kInternal:
      return "internal";
  }
  return "unknown";
}

Error IoError(std::string_view what, int error_number) {
  ErrorCode code = ErrorCode::kIo;
  if (error_number == ENOENT) code = ErrorCode::kNotFound;
  if (error_number == EEXIST) code = ErrorCode::kAlreadyExists;
  if (error_number == ECONNREFUSED) code = ErrorCode::kUnavailable;
  if (error_number == ETIMEDOUT) code = ErrorCode::kDeadlineExceeded;
  if (error_number == EMFILE || error_number == ENFILE || error_number == ENOSPC) {
    code = ErrorCode::kResourceExhausted;
  }
  char buffer[128];
  // The GNU variant: returns the text, which need not lie in the buffer.
  const char* text = strerror_r(error_number, buffer, sizeof buffer);
  return {code, std::string(what) + ": " + text};
}

}  // namespace sextant
