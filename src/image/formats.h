// The formats, each in its file.
#pragma once

#include "image/image.h"

namespace sextant::image {

// Without pixels when `header_only`.
Result<Image> DecodePng(std::string_view bytes, bool header_only);
Result<Image> DecodeJpeg(std::string_view bytes, bool header_only);

// Errors: kUnsupported when it is larger than anything that is meant.
Result<void> CheckSize(uint64_t width, uint64_t height);

}  // namespace sextant::image
