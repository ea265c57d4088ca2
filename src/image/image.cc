#include "image/image.h"

#include "base/strings.h"
#include "image/formats.h"

namespace sextant::image {
namespace {

constexpr uint64_t kMostPixels = 1 << 26;

bool IsPng(std::string_view bytes) { return bytes.starts_with("\x89PNG\r\n\x1a\n"); }
bool IsJpeg(std::string_view bytes) { return bytes.starts_with("\xff\xd8\xff"); }

Result<Image> Read(std::string_view bytes, bool header_only) {
  if (IsPng(bytes)) return DecodePng(bytes, header_only);
  if (IsJpeg(bytes)) return DecodeJpeg(bytes, header_only);
  return Unsupported("neither PNG nor JPEG");
}

}  // namespace

Result<void> CheckSize(uint64_t width, uint64_t height) {
  if (width == 0 || height == 0) return Corrupt("an image without pixels");
  if (width > kMostPixels / height)
    return Unsupported(Format("{} x {} pixels: more than 2^26", width, height));
  return {};
}

Result<Header> ReadHeader(std::string_view bytes) {
  SEXTANT_ASSIGN(const Image image, Read(bytes, true));
  return Header{.jpeg = IsJpeg(bytes), .width = image.width, .height = image.height};
}

Result<Image> Decode(std::string_view bytes) { return Read(bytes, false); }

}  // namespace sextant::image
