// Against numbers that Pillow 11.3 computed from the same files (fuzz/corpus/image: a picture of
// 40 x 30 pixels with red 6x, green 8y and blue xy/5, each modulo 256).
#include "image/image.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>

#include "base/files.h"
#include "base/strings.h"

namespace sextant::image {
namespace {

std::string Sample(std::string_view name) {
  return *ReadFile(Format("{}/fuzz/corpus/image/{}", SEXTANT_SOURCE_DIR, name));
}

struct Pixel {
  int y, x;
  std::array<int, 3> rgb;
};

// Pillow reckons in fixed point, so a value may be off by one.
void ExpectPixels(const Image& image, std::initializer_list<Pixel> pixels, int tolerance = 1) {
  ASSERT_EQ(image.rgb.size(), static_cast<size_t>(image.width * image.height * 3));
  for (const Pixel& p : pixels) {
    for (int c = 0; c < 3; ++c) {
      const auto got =
          static_cast<uint8_t>(image.rgb[static_cast<size_t>((p.y * image.width + p.x) * 3 + c)]);
      EXPECT_LE(std::abs(got - p.rgb[static_cast<size_t>(c)]), tolerance)
          << "row " << p.y << ", column " << p.x << ", colour " << c << ": " << int{got};
    }
  }
}

Image Decoded(std::string_view name) {
  Result<Image> image = Decode(Sample(name));
  EXPECT_TRUE(image.has_value()) << name << ": " << image.error().message();
  return image.has_value() ? *std::move(image) : Image();
}

TEST(Decode, PngOfEveryKindBecomesRgb) {
  for (const std::string_view name : {"rgb_png", "alpha_png"}) {
    const Image image = Decoded(name);
    EXPECT_EQ(image.width, 40);
    EXPECT_EQ(image.height, 30);
    ExpectPixels(image, {{0, 0, {0, 0, 0}}, {10, 20, {120, 80, 40}}, {29, 39, {234, 232, 226}}}, 0);
  }
  ExpectPixels(Decoded("palette_png"),
               {{0, 0, {24, 20, 2}}, {10, 20, {141, 76, 44}}, {29, 39, {174, 216, 156}}}, 0);
  const Image grey = Decoded("grey_png");
  EXPECT_EQ(grey.rgb[300], grey.rgb[301]);
}

TEST(Decode, JpegOfEveryKindBecomesRgb) {
  ExpectPixels(Decoded("rgb_jpeg"), {{0, 0, {0, 1, 0}},
                                     {10, 20, {121, 79, 39}},
                                     {29, 39, {238, 229, 220}},
                                     {15, 7, {43, 119, 19}}});
  ExpectPixels(Decoded("progressive_jpeg"), {{0, 0, {4, 0, 0}},
                                             {10, 20, {120, 78, 38}},
                                             {29, 39, {234, 232, 220}},
                                             {15, 7, {39, 120, 18}}});
  EXPECT_EQ(Decoded("grey_jpeg").rgb.size(), 3600u);
}

TEST(Decode, WhatIsNoPictureOrIsCutOffIsRefused) {
  EXPECT_FALSE(Decode("").has_value());
  EXPECT_EQ(Decode("GIF89a").error().message(), "neither PNG nor JPEG");
  EXPECT_NE(Decode(Sample("cmyk_jpeg")).error().message().find("CMYK"), std::string::npos);
  for (const std::string_view name : {"rgb_png", "rgb_jpeg", "progressive_jpeg"}) {
    const std::string whole = Sample(name);
    for (const size_t size : {whole.size() / 4, whole.size() / 2, whole.size() - 30})
      EXPECT_FALSE(Decode(std::string_view(whole).substr(0, size)).has_value()) << name << size;
  }
}

TEST(ReadHeader, SaysHowLargeAPictureIs) {
  const auto png = ReadHeader(Sample("rgb_png")), jpeg = ReadHeader(Sample("grey_jpeg"));
  ASSERT_TRUE(png.has_value() && jpeg.has_value());
  EXPECT_FALSE(png->jpeg);
  EXPECT_TRUE(jpeg->jpeg);
  EXPECT_EQ(png->width, 40);
  EXPECT_EQ(jpeg->height, 30);
}

TEST(ResizeTo, IsPillowsBilinear) {
  const Image image = Decoded("rgb_png");
  ExpectPixels(ResizeTo(image, 8, 8, Resize::kStretch), {{0, 0, {15, 14, 1}},
                                                         {3, 5, {162, 101, 68}},
                                                         {6, 1, {42, 191, 33}},
                                                         {7, 7, {219, 218, 199}}});
  ExpectPixels(ResizeTo(image, 60, 50, Resize::kStretch), {{0, 0, {0, 0, 0}},
                                                           {10, 20, {79, 46, 15}},
                                                           {25, 59, {234, 118, 115}},
                                                           {49, 30, {119, 232, 115}}});
}

TEST(ResizeTo, CropFillsAndFitShowsTheWhole) {
  const Image image = Decoded("rgb_png");
  ExpectPixels(ResizeTo(image, 8, 8, Resize::kCrop), {{0, 0, {38, 14, 2}},
                                                      {3, 5, {151, 101, 63}},
                                                      {6, 1, {61, 191, 48}},
                                                      {7, 7, {196, 218, 178}}});
  ExpectPixels(ResizeTo(image, 8, 8, Resize::kFit), {{0, 0, {0, 0, 0}},
                                                     {1, 4, {132, 20, 10}},
                                                     {3, 5, {162, 96, 64}},
                                                     {6, 1, {42, 212, 37}},
                                                     {7, 7, {0, 0, 0}}});
}

TEST(ResizeTo, AnyShapeBecomesAnyOther) {
  const Image line{.width = 1, .height = 3, .rgb = std::string(9, 'x')};
  for (const Resize how : {Resize::kStretch, Resize::kFit, Resize::kCrop}) {
    for (const int width : {1, 2, 50}) {
      for (const int height : {1, 7}) {
        const Image out = ResizeTo(line, width, height, how);
        EXPECT_EQ(out.rgb.size(), static_cast<size_t>(width * height * 3));
      }
    }
  }
}

}  // namespace
}  // namespace sextant::image
