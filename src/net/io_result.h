// What a non-blocking read or write came to.
#pragma once

#include <sys/uio.h>

#include <cstddef>

namespace sextant::net {

struct IoResult {
  size_t bytes = 0;
  bool closed = false;  // orderly end of the stream
  bool would_block = false;
  int error = 0;  // errno of a failure; under TLS also EPROTO, explained by the stream
};

}  // namespace sextant::net
