// Writes the bytes that the engine sends for one inference of the benchmarks' model, so that every
// client that it is compared with sends the same.
//
//   request_bytes http|grpc HOST:PORT ELEMENTS FILE
//
// HTTP: the whole request. gRPC: the message with its five bytes of prefix.
#include <cstdio>
#include <string>

#include "base/files.h"
#include "base/strings.h"
#include "load/generate.h"
#include "load/requests.h"

namespace sextant {
namespace {

Result<void> Write(kserve::Protocol protocol, const std::string& authority, int64_t elements,
                   const std::string& path) {
  const load::ModelSignature model{.name = "null",
                                   .max_batch_size = 64,
                                   .inputs = {{"INPUT", kserve::DataType::kFp32, {elements}}},
                                   .outputs = {{"OUTPUT", kserve::DataType::kFp32, {elements}}},
                                   .optional_inputs = {false}};
  SEXTANT_ASSIGN(const load::DataSet data, load::GenerateData(model, {.zero = true}));
  SEXTANT_ASSIGN(const auto set, load::RequestSet::Encode(
                                     model, data, {.protocol = protocol, .authority = authority}));
  std::string bytes;
  for (const std::string_view piece : set->requests()[0].pieces) bytes += piece;
  return WriteFileAtomic(path, bytes);
}

}  // namespace
}  // namespace sextant

int main(int argc, char** argv) {
  using namespace sextant;
  const auto elements = argc == 5 ? ParseUint(argv[3]) : std::nullopt;
  if (!elements) {
    std::fputs("usage: request_bytes http|grpc HOST:PORT ELEMENTS FILE\n", stderr);
    return 2;
  }
  const auto protocol =
      std::string_view(argv[1]) == "grpc" ? kserve::Protocol::kGrpc : kserve::Protocol::kHttp;
  const Result<void> written = Write(protocol, argv[2], static_cast<int64_t>(*elements), argv[4]);
  if (written.has_value()) return 0;
  std::fprintf(stderr, "request_bytes: %s\n", written.error().message().c_str());
  return 1;
}
