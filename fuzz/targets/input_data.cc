// perf_analyzer's JSON input data, for a model with one tensor of each kind.
#include "load/data.h"
#include "load/requests.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sextant;  // NOLINT
  static const load::ModelSignature model{.name = "m",
                                          .max_batch_size = 4,
                                          .inputs = {{"F", kserve::DataType::kFp32, {2, 2}},
                                                     {"N", kserve::DataType::kInt8, {-1}},
                                                     {"H", kserve::DataType::kFp16, {-1, -1}},
                                                     {"S", kserve::DataType::kBytes, {1}},
                                                     {"B", kserve::DataType::kBool, {1}}},
                                          .outputs = {{"L", kserve::DataType::kInt64, {1}}},
                                          .optional_inputs = {false, true, true, true, true}};
  const auto set = load::ParseJsonData(AsText(data, size), "fuzz", model, {});
  if (!set.has_value()) return 0;
  Require(set->rows() > 0);
  for (const kserve::Protocol protocol : {kserve::Protocol::kHttp, kserve::Protocol::kGrpc}) {
    for (const int64_t batch : {1, 3}) {
      const auto requests = load::RequestSet::Encode(
          model, *set, {.protocol = protocol, .authority = "h", .batch_size = batch});
      if (!requests.has_value()) continue;
      for (const load::EncodedRequest& request : (*requests)->requests())
        Require(request.bytes > 0);
    }
  }
  return 0;
}
