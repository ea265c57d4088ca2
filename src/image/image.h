// Pictures: PNG and JPEG decoded to 8-bit RGB (libpng and libjpeg-turbo, included here and nowhere
// else), and resized. Pure: bytes in, pixels out.
//
// Threads: plain values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sextant::image {

// Rows from the top, each pixel red, green, blue.
struct Image {
  int width = 0, height = 0;
  std::string rgb;  // width * height * 3 bytes
};

struct Header {
  bool jpeg = false;  // otherwise PNG
  int width = 0, height = 0;
};

// Errors: kCorrupt; kUnsupported for other formats, for CMYK JPEGs, and beyond 2^26 pixels.
Result<Header> ReadHeader(std::string_view bytes);
// Transparency is dropped, grey becomes RGB, 16 bits become 8, palettes are looked up; colour
// profiles, gamma and EXIF's orientation are not applied, as in most pipelines.
Result<Image> Decode(std::string_view bytes);

enum class Resize : uint8_t {
  kStretch,  // to the size, whatever becomes of the proportions
  kFit,      // the whole picture, in the middle of black
  kCrop,     // the size filled, what is beyond it cut off on both sides alike
};
// Bilinear; when it becomes smaller, each pixel is the weighted mean of all that it covers, as
// Pillow does it. Width and height are at least 1.
Image ResizeTo(const Image& image, int width, int height, Resize how);

}  // namespace sextant::image
