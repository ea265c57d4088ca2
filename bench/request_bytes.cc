// Writes the bytes that the engine sends for one inference of the benchmarks' model, so that every
// client that it is compared with sends the same.
//
//   request_bytes http|grpc HOST:PORT ELEMENTS FILE [sequence]
//
// With `sequence` it is a step of one, with its id and flags.
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
                   const std::string& path, bool sequence) {
  const load::ModelSignature model{.name = "null",
                                   .max_batch_size = 64,
                                   .inputs = {{"INPUT", kserve::DataType::kFp32, {elements}}},
                                   .outputs = {{"OUTPUT", kserve::DataType::kFp32, {elements}}},
                                   .optional_inputs = {false}};
  SEXTANT_ASSIGN(const load::DataSet data, load::GenerateData(model, {.zero = true}));
  SEXTANT_ASSIGN(
      const auto set,
      load::RequestSet::Encode(model, data,
                               {.protocol = protocol,
                                .authority = authority,
                                .patch = {.sequence = sequence ? load::SequenceIdType::kInteger
                                                               : load::SequenceIdType::kNone}}));
  const load::EncodedRequest* request = &set->requests()[0];
  load::PatchedRequest patched;
  if (sequence) {
    set->patch().Apply(*request, {.sequence_id = 4'000'000'000, .start = true, .end = true},
                       patched);
    request = &patched.request;
  }
  std::string bytes;
  for (const std::string_view piece : request->pieces) bytes += piece;
  return WriteFileAtomic(path, bytes);
}

}  // namespace
}  // namespace sextant

int main(int argc, char** argv) {
  using namespace sextant;
  const bool sequence = argc == 6 && std::string_view(argv[5]) == "sequence";
  const auto elements = argc == 5 || sequence ? ParseUint(argv[3]) : std::nullopt;
  if (!elements) {
    std::fputs("usage: request_bytes http|grpc HOST:PORT ELEMENTS FILE [sequence]\n", stderr);
    return 2;
  }
  const auto protocol =
      std::string_view(argv[1]) == "grpc" ? kserve::Protocol::kGrpc : kserve::Protocol::kHttp;
  const Result<void> written =
      Write(protocol, argv[2], static_cast<int64_t>(*elements), argv[4], sequence);
  if (written.has_value()) return 0;
  std::fprintf(stderr, "request_bytes: %s\n", written.error().message().c_str());
  return 1;
}
