#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstring>
#include <vector>

#include "base/strings.h"
#include "image/formats.h"

namespace sextant::image {
namespace {

// libpng reports errors by jumping back to setjmp, past C++ destructors. So what it jumps over, the
// static functions below, holds nothing that has one; everything lives here.
struct Reader {
  std::string_view bytes;
  std::string error;
  png_structp png = nullptr;
  png_infop info = nullptr;
  uint32_t width = 0, height = 0;
  std::string pixels;
  std::vector<png_bytep> rows;

  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
};

void OnRead(png_structp png, png_bytep out, size_t count) {
  auto* reader = static_cast<Reader*>(png_get_io_ptr(png));
  if (reader->bytes.size() < count) png_error(png, "cut off");
  std::memcpy(out, reader->bytes.data(), count);
  reader->bytes.remove_prefix(count);
}

[[noreturn]] void OnError(png_structp png, png_const_charp text) {
  static_cast<Reader*>(png_get_error_ptr(png))->error = text;
  png_longjmp(png, 1);
}
void OnWarning(png_structp, png_const_charp) {}

// False: libpng has left the reason in `error`.
bool ReadPngHeader(Reader& reader) {
  if (setjmp(png_jmpbuf(reader.png)) != 0) return false;
  png_read_info(reader.png, reader.info);
  reader.width = png_get_image_width(reader.png, reader.info);
  reader.height = png_get_image_height(reader.png, reader.info);
  // Everything becomes 8-bit RGB.
  png_set_expand(reader.png);
  png_set_strip_16(reader.png);
  png_set_strip_alpha(reader.png);
  png_set_gray_to_rgb(reader.png);
  png_set_interlace_handling(reader.png);
  png_read_update_info(reader.png, reader.info);
  if (png_get_rowbytes(reader.png, reader.info) != size_t{reader.width} * 3)
    png_error(reader.png, "a form that does not become RGB");
  return true;
}

bool ReadPngPixels(Reader& reader) {
  if (setjmp(png_jmpbuf(reader.png)) != 0) return false;
  png_read_image(reader.png, reader.rows.data());
  return true;
}

}  // namespace

Result<Image> DecodePng(std::string_view bytes, bool header_only) {
  Reader reader{.bytes = bytes};
  const auto fault = [&] { return Corrupt(Format("a damaged PNG: {}", reader.error)); };
  reader.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader, OnError, OnWarning);
  if (reader.png == nullptr) return Internal("libpng: out of memory");
  reader.info = png_create_info_struct(reader.png);
  if (reader.info == nullptr) return Internal("libpng: out of memory");
  png_set_read_fn(reader.png, &reader, OnRead);
  png_set_user_limits(reader.png, 1 << 26, 1 << 26);
  if (!ReadPngHeader(reader)) return fault();
  SEXTANT_TRY(CheckSize(reader.width, reader.height));
  Image out{.width = static_cast<int>(reader.width), .height = static_cast<int>(reader.height)};
  if (header_only) return out;
  const size_t row = size_t{reader.width} * 3;
  reader.pixels.resize(row * reader.height);
  for (size_t y = 0; y < reader.height; ++y)
    reader.rows.push_back(reinterpret_cast<png_bytep>(reader.pixels.data() + y * row));
  if (!ReadPngPixels(reader)) return fault();
  out.rgb = std::move(reader.pixels);
  return out;
}

}  // namespace sextant::image
