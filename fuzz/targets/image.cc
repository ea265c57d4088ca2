// PNG and JPEG: the header of anything, the pixels of what is small, and resizing.
#include "image/image.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sextant;  // NOLINT
  const std::string_view bytes = AsText(data, size);
  const auto header = image::ReadHeader(bytes);
  if (!header.has_value()) return 0;
  Require(header->width > 0 && header->height > 0);
  if (int64_t{header->width} * header->height > 1 << 16) return 0;
  const auto image = image::Decode(bytes);
  if (!image.has_value()) return 0;
  Require(image->width == header->width && image->height == header->height);
  for (const auto how : {image::Resize::kStretch, image::Resize::kFit, image::Resize::kCrop})
    Require(image::ResizeTo(*image, 5, 3, how).rgb.size() == 45);
  return 0;
}
