// Images as rows of a tensor: decoded, resized, laid out and scaled as vision models want them.
#pragma once

#include <string>
#include <string_view>

#include "image/image.h"
#include "load/data.h"
#include "load/data_files.h"

namespace sextant::load {

struct ImageOptions {
  enum class Layout { kFromShape, kChw, kHwc };
  // What a colour value v of 0 to 255 becomes. none: v; unit: v / 255; inception: v / 127.5 - 1;
  // imagenet: (v / 255 - mean) / deviation of ImageNet's colours; vgg: v - mean of its colours.
  enum class Scale { kNone, kUnit, kInception, kImagenet, kVgg };
  image::Resize resize = image::Resize::kStretch;
  Layout layout = Layout::kFromShape;
  Scale scale = Scale::kNone;
  bool bgr = false;
};
// "resize=fit,layout=chw": false when a word is not known.
bool ParseImageOptions(std::string_view text, ImageOptions& options);

// The images at `path`, a file or all PNG and JPEG files of a directory by their names, one row
// each. The tensor's shape has three dimensions (or four, the first being 1), one of them the
// channels: 3 or 1 (grey). Open heights and widths are the image's own. Types FP32, FP16, BF16,
// FP64, and with scale "none" the integers; BYTES takes the file itself. Faults go to `faults`.
TensorRows ReadImages(const std::string& path, const ImageOptions& options,
                      const kserve::TensorMetadata& tensor, const ShapeByName& shapes,
                      FaultList& faults);

}  // namespace sextant::load
