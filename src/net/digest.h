// SHA-256 of bytes, for keys made of content (FIPS 180-4; OpenSSL's implementation).
// Threads: one at a time per object.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace sextant::net {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void Add(std::string_view bytes);
  // 64 hexadecimal digits; nothing may be added afterwards.
  std::string Hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string Sha256Hex(std::string_view bytes);

}  // namespace sextant::net
