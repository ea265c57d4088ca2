// Resizing by a triangle filter, separably: first along rows, then along columns, each pass rounded
// to 8 bits. When a side shrinks the filter is widened by the same factor, so that every source
// pixel has its share (Pillow's BILINEAR, which the published pipelines of vision models assume).
#include <algorithm>
#include <cmath>
#include <vector>

#include "image/image.h"

namespace sextant::image {
namespace {

constexpr int kColours = 3;

// Where an output pixel's value comes from: source pixels first .. first + weights.size() - 1.
struct Source {
  int first = 0;
  std::vector<double> weights;
};

// `size` pixels from the part begin .. end of `source_size` pixels.
std::vector<Source> Filter(int source_size, double begin, double end, int size) {
  const double scale = (end - begin) / size, width = std::max(scale, 1.0);
  std::vector<Source> out(static_cast<size_t>(size));
  for (int i = 0; i < size; ++i) {
    Source& source = out[static_cast<size_t>(i)];
    const double centre = begin + (i + 0.5) * scale;
    source.first = std::max(0, static_cast<int>(centre - width + 0.5));
    const int last = std::min(source_size, static_cast<int>(centre + width + 0.5));
    double sum = 0;
    for (int x = source.first; x < last; ++x) {
      const double weight = std::max(0.0, 1 - std::abs((x + 0.5 - centre) / width));
      source.weights.push_back(weight);
      sum += weight;
    }
    for (double& weight : source.weights) weight /= sum;
  }
  return out;
}

char Round(double value) {
  return static_cast<char>(static_cast<uint8_t>(std::clamp(std::floor(value + 0.5), 0.0, 255.0)));
}

double At(const std::string& rgb, size_t i) { return static_cast<uint8_t>(rgb[i]); }

Image AlongRows(const Image& image, const std::vector<Source>& filter) {
  Image out{.width = static_cast<int>(filter.size()), .height = image.height};
  out.rgb.reserve(filter.size() * static_cast<size_t>(image.height) * kColours);
  for (int y = 0; y < image.height; ++y) {
    const size_t row = static_cast<size_t>(y) * static_cast<size_t>(image.width) * kColours;
    for (const Source& source : filter) {
      for (size_t c = 0; c < kColours; ++c) {
        double sum = 0;
        size_t at = row + static_cast<size_t>(source.first) * kColours + c;
        for (const double weight : source.weights) {
          sum += weight * At(image.rgb, at);
          at += kColours;
        }
        out.rgb += Round(sum);
      }
    }
  }
  return out;
}

Image AlongColumns(const Image& image, const std::vector<Source>& filter) {
  Image out{.width = image.width, .height = static_cast<int>(filter.size())};
  const size_t row = static_cast<size_t>(image.width) * kColours;
  out.rgb.reserve(row * filter.size());
  for (const Source& source : filter) {
    for (size_t x = 0; x < row; ++x) {
      double sum = 0;
      size_t at = static_cast<size_t>(source.first) * row + x;
      for (const double weight : source.weights) {
        sum += weight * At(image.rgb, at);
        at += row;
      }
      out.rgb += Round(sum);
    }
  }
  return out;
}

// A part of the image, in pixels and fractions of them.
struct Box {
  double left = 0, top = 0, right = 0, bottom = 0;
};

Image ResizeBox(const Image& image, const Box& box, int width, int height) {
  return AlongColumns(AlongRows(image, Filter(image.width, box.left, box.right, width)),
                      Filter(image.height, box.top, box.bottom, height));
}

Image InBlack(const Image& image, int width, int height) {
  Image out{.width = width, .height = height};
  const auto row = static_cast<size_t>(width) * kColours;
  out.rgb.assign(row * static_cast<size_t>(height), '\0');
  const auto left = static_cast<size_t>((width - image.width) / 2) * kColours;
  const auto top = static_cast<size_t>((height - image.height) / 2);
  const auto source_row = static_cast<size_t>(image.width) * kColours;
  for (size_t y = 0; y < static_cast<size_t>(image.height); ++y)
    out.rgb.replace((top + y) * row + left, source_row, image.rgb, y * source_row, source_row);
  return out;
}

}  // namespace

Image ResizeTo(const Image& image, int width, int height, Resize how) {
  Box box{.right = static_cast<double>(image.width), .bottom = static_cast<double>(image.height)};
  const double ratio = static_cast<double>(width) / height, own = box.right / box.bottom;
  if (how == Resize::kFit) {
    const int fit_width =
        own > ratio ? width : std::max(1, static_cast<int>(std::lround(height * own)));
    const int fit_height =
        own > ratio ? std::max(1, static_cast<int>(std::lround(width / own))) : height;
    return InBlack(ResizeBox(image, box, std::min(fit_width, width), std::min(fit_height, height)),
                   width, height);
  }
  if (how == Resize::kCrop) {
    const double margin_x = own > ratio ? (box.right - box.bottom * ratio) / 2 : 0;
    const double margin_y = own > ratio ? 0 : (box.bottom - box.right / ratio) / 2;
    box = {margin_x, margin_y, box.right - margin_x, box.bottom - margin_y};
  }
  if (how == Resize::kStretch && width == image.width && height == image.height) return image;
  return ResizeBox(image, box, width, height);
}

}  // namespace sextant::image
