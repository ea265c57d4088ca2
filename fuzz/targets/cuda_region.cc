// What clients send to register a region of GPU memory over HTTP.
#include "kserve/cuda_shared_memory.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sextant::kserve;  // NOLINT
  const auto region = ParseCudaRegion("r", AsText(data, size));
  if (!region.has_value()) return 0;
  const auto again = ParseCudaRegion("r", CudaRegionToJson(*region));
  Require(again.has_value() && again->handle == region->handle && again->device == region->device &&
          again->byte_size == region->byte_size);
  return 0;
}
