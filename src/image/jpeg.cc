// clang-format off: jpeglib.h needs these before it
#include <cstddef>
#include <cstdio>
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include <csetjmp>

#include "base/strings.h"
#include "image/formats.h"

namespace sextant::image {
namespace {

// libjpeg reports errors by calling back, from where only a jump leads out, past C++ destructors.
// So what is jumped over, the static functions below, holds nothing that has one; everything lives
// here.
struct Reader {
  jpeg_error_mgr errors;  // first: libjpeg hands back a pointer to it
  jmp_buf on_error;
  char error[JMSG_LENGTH_MAX] = "";
  jpeg_decompress_struct jpeg;
  std::string pixels;

  ~Reader() { jpeg_destroy_decompress(&jpeg); }
};

[[noreturn]] void OnError(j_common_ptr jpeg) {
  auto* reader = reinterpret_cast<Reader*>(jpeg->err);
  jpeg->err->format_message(jpeg, reader->error);
  longjmp(reader->on_error, 1);
}
// Where data is missing libjpeg would go on with grey; its other warnings do not matter.
void OnMessage(j_common_ptr jpeg, int level) {
  const int code = jpeg->err->msg_code;
  if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER)) OnError(jpeg);
}
void OnOutput(j_common_ptr) {}

bool ReadJpegHeader(Reader& reader, std::string_view bytes) {
  if (setjmp(reader.on_error) != 0) return false;
  jpeg_create_decompress(&reader.jpeg);
  jpeg_mem_src(&reader.jpeg, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(&reader.jpeg, TRUE);
  return true;
}

bool ReadJpegPixels(Reader& reader) {
  if (setjmp(reader.on_error) != 0) return false;
  reader.jpeg.out_color_space = JCS_RGB;
  reader.jpeg.dct_method = JDCT_ISLOW;
  jpeg_start_decompress(&reader.jpeg);
  const size_t row = size_t{reader.jpeg.output_width} * 3;
  while (reader.jpeg.output_scanline < reader.jpeg.output_height) {
    auto* at = reinterpret_cast<JSAMPROW>(reader.pixels.data() + reader.jpeg.output_scanline * row);
    jpeg_read_scanlines(&reader.jpeg, &at, 1);
  }
  jpeg_finish_decompress(&reader.jpeg);
  return true;
}

}  // namespace

Result<Image> DecodeJpeg(std::string_view bytes, bool header_only) {
  Reader reader{};
  const auto fault = [&] { return Corrupt(Format("a damaged JPEG: {}", reader.error)); };
  reader.jpeg.err = jpeg_std_error(&reader.errors);
  reader.errors.error_exit = OnError;
  reader.errors.emit_message = OnMessage;
  reader.errors.output_message = OnOutput;
  if (!ReadJpegHeader(reader, bytes)) return fault();
  SEXTANT_TRY(CheckSize(reader.jpeg.image_width, reader.jpeg.image_height));
  if (reader.jpeg.num_components != 1 && reader.jpeg.num_components != 3)
    return Unsupported("a JPEG in CMYK: convert it to RGB");
  Image out{.width = static_cast<int>(reader.jpeg.image_width),
            .height = static_cast<int>(reader.jpeg.image_height)};
  if (header_only) return out;
  reader.pixels.resize(size_t{3} * reader.jpeg.image_width * reader.jpeg.image_height);
  if (!ReadJpegPixels(reader)) return fault();
  out.rgb = std::move(reader.pixels);
  return out;
}

}  // namespace sextant::image
