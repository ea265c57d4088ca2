// NumPy's arrays and archives, alone and as the input data of a model.
#include <cstring>

#include "load/data_files.h"
#include "load/requests.h"
#include "net/compress.h"
#include "target.h"
#include "text/npy.h"
#include "text/zip.h"

namespace {

using namespace sextant;  // NOLINT

// More than a fuzzer may ask for.
constexpr uint64_t kMostBytes = 1 << 20;

void CheckArray(std::string_view bytes) {
  const auto array = text::ParseNpy(bytes);
  if (!array.has_value()) return;
  Require(array->data.size() <= bytes.size());
  if (array->elements() > 0) Require(text::NormalizeNpy(*array).size() == array->data.size());
  if (array->kind == 'S' || array->kind == 'U') {
    for (uint64_t i = 0; i < array->elements(); ++i) (void)text::NpyString(*array, i).has_value();
  }
}

void CheckTensor(std::string_view bytes) {
  for (int type = 0; type < kserve::kDataTypeCount; ++type) {
    for (const kserve::Shape& shape : {kserve::Shape{}, {-1}, {2, 2}, {-1, -1}}) {
      const auto rows =
          load::ReadNpy(std::string(bytes), {"X", static_cast<kserve::DataType>(type), shape}, {});
      if (!rows.has_value()) continue;
      Require(rows->rows > 0);
      size_t sum = 0;
      for (size_t row = 0; row < rows->rows && row < 1000; ++row)
        sum += rows->column.Row(row).size();
      Require(sum <= rows->column.bytes().size());
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes = AsText(data, size);
  CheckArray(bytes);
  CheckTensor(bytes);
  const auto entries = text::ParseZip(bytes);
  if (!entries.has_value()) return 0;
  for (const text::ZipEntry& entry : *entries) {
    if (!entry.deflated) {
      CheckArray(entry.data);
    } else if (entry.size < kMostBytes) {
      const auto inflated = net::Inflate(entry.data, entry.size, entry.crc);
      if (inflated.has_value()) CheckArray(*inflated);
    }
  }
  return 0;
}
