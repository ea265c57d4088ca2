#include "text/npy.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/strings.h"

namespace sextant::text {
namespace {

constexpr std::string_view kMagic("\x93NUMPY", 6);
constexpr size_t kMostDimensions = 64;
constexpr size_t kMostHeaderBytes = 1 << 20;

// Reads the Python literal of the header: a dictionary of a string, a boolean and a tuple.
class HeaderReader {
 public:
  explicit HeaderReader(std::string_view text) : text_(text) {}

  Result<void> Read(NpyArray& out) {
    bool has_dtype = false, has_order = false, has_shape = false;
    if (!Take('{')) return Fault("a dictionary");
    while (!Take('}')) {
      const std::optional<std::string_view> key = String();
      if (!key || !Take(':')) return Fault("a key");
      if (*key == "descr") {
        const std::optional<std::string_view> dtype = String();
        if (!dtype) {
          return Unsupported(
              "a structured dtype: save one array per tensor (numpy.savez(file, NAME=array))");
        }
        out.dtype = *dtype;
        has_dtype = true;
      } else if (*key == "fortran_order") {
        out.fortran_order = Word("True");
        has_order = out.fortran_order || Word("False");
      } else if (*key == "shape") {
        has_shape = Shape(out.shape);
      } else {
        return Fault("descr, fortran_order or shape");
      }
      Take(',');
    }
    if (!has_dtype || !has_order || !has_shape) return Fault("descr, fortran_order and shape");
    return {};
  }

 private:
  Error Fault(std::string_view wanted) const {
    return Corrupt(Format("not an .npy header: {} expected at '{}'", wanted,
                          Printable(text_.substr(0, 40), 40)));
  }
  void SkipSpace() {
    while (!text_.empty() && (text_[0] == ' ' || text_[0] == '\n' || text_[0] == '\t'))
      text_.remove_prefix(1);
  }
  bool Take(char c) {
    SkipSpace();
    if (text_.empty() || text_[0] != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool Word(std::string_view word) {
    SkipSpace();
    if (!text_.starts_with(word)) return false;
    text_.remove_prefix(word.size());
    return true;
  }
  std::optional<std::string_view> String() {
    SkipSpace();
    if (text_.empty() || (text_[0] != '\'' && text_[0] != '"')) return std::nullopt;
    const size_t end = text_.find(text_[0], 1);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view out = text_.substr(1, end - 1);
    text_.remove_prefix(end + 1);
    return out;
  }
  bool Shape(std::vector<int64_t>& out) {
    out.clear();
    if (!Take('(')) return false;
    while (!Take(')')) {
      SkipSpace();
      const size_t end = std::min(text_.find_first_not_of("0123456789"), text_.size());
      const auto dim = ParseInt(text_.substr(0, end));
      if (!dim || out.size() == kMostDimensions) return false;
      out.push_back(*dim);
      text_.remove_prefix(end);
      Take('L');  // Python 2's long integers
      if (!Take(',') && !(!text_.empty() && text_[0] == ')')) return false;
    }
    return true;
  }

  std::string_view text_;
};

Result<void> ParseDtype(NpyArray& out) {
  const std::string_view dtype = out.dtype;
  const auto fault = [&] {
    return Unsupported(
        Format("dtype '{}': there are booleans, integers, floats of 2, 4 and 8 "
               "bytes, and strings (S and U)",
               Printable(dtype, 40)));
  };
  if (dtype.size() < 3 || std::string_view("<>|=").find(dtype[0]) == std::string_view::npos)
    return fault();
  const auto size = ParseUint(dtype.substr(2));
  if (!size || *size == 0 || *size > INT32_MAX / 4) return fault();
  out.big_endian = dtype[0] == '>';
  out.kind = dtype[1];
  out.item_size = *size;
  const bool power = *size == 1 || *size == 2 || *size == 4 || *size == 8;
  switch (out.kind) {
    case 'b':
      return *size == 1 ? Result<void>() : fault();
    case 'i':
    case 'u':
      return power ? Result<void>() : fault();
    case 'f':
      return power && *size > 1 ? Result<void>() : fault();
    case 'S':
      return {};
    case 'U':
      out.item_size = *size * 4;
      return {};
    default:
      return fault();
  }
}

void AppendUtf8(uint32_t c, std::string& out) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | (c >> shift & 0x3f)); };
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | c >> 6);
    tail(0);
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | c >> 12);
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xf0 | c >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

// Elements that a Fortran array has at successive places of C order.
std::string Transposed(const NpyArray& array) {
  const size_t size = array.item_size, rank = array.shape.size();
  std::vector<uint64_t> strides(rank), index(rank);
  uint64_t stride = size;
  for (size_t i = 0; i < rank; ++i) {
    strides[i] = stride;
    stride *= static_cast<uint64_t>(array.shape[i]);
  }
  std::string out;
  out.reserve(array.data.size());
  const uint64_t elements = array.elements();
  uint64_t at = 0;
  for (uint64_t k = 0; k < elements; ++k) {
    out.append(array.data.substr(at, size));
    for (size_t i = rank; i-- > 0;) {
      at += strides[i];
      if (++index[i] < static_cast<uint64_t>(array.shape[i])) break;
      at -= strides[i] * index[i];
      index[i] = 0;
    }
  }
  return out;
}

}  // namespace

Result<NpyArray> ParseNpy(std::string_view bytes) {
  if (!bytes.starts_with(kMagic) || bytes.size() < 10)
    return Corrupt("not an .npy file: it does not begin with NumPy's mark");
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  const int major = byte(6);
  if (major < 1 || major > 3)
    return Unsupported(Format("version {} of the .npy format: there are 1 to 3", major));
  const size_t prefix = major == 1 ? 10 : 12;
  if (bytes.size() < prefix) return Corrupt("an .npy file that is cut off in its header");
  size_t length = byte(8) | size_t{byte(9)} << 8;
  if (major > 1) length |= size_t{byte(10)} << 16 | size_t{byte(11)} << 24;
  if (length > kMostHeaderBytes || bytes.size() - prefix < length)
    return Corrupt("an .npy file that is cut off in its header");
  NpyArray out;
  SEXTANT_TRY(HeaderReader(bytes.substr(prefix, length)).Read(out));
  SEXTANT_TRY(ParseDtype(out));
  uint64_t size = out.item_size;
  for (const int64_t dim : out.shape) {
    if (__builtin_mul_overflow(size, static_cast<uint64_t>(dim), &size))
      return Corrupt("an .npy header whose shape is beyond all memory");
  }
  out.data = bytes.substr(prefix + length);
  if (out.data.size() < size) {
    return Corrupt(
        Format("an .npy file that is cut off: {} of {} bytes of data", out.data.size(), size));
  }
  out.data = out.data.substr(0, size);
  return out;
}

std::string NormalizeNpy(const NpyArray& array) {
  std::string out =
      array.fortran_order && array.shape.size() > 1 ? Transposed(array) : std::string(array.data);
  const size_t word = array.kind == 'U' ? 4 : array.kind == 'S' ? 1 : array.item_size;
  if (array.big_endian && word > 1) {
    for (size_t at = 0; at + word <= out.size(); at += word)
      std::reverse(out.begin() + static_cast<ptrdiff_t>(at),
                   out.begin() + static_cast<ptrdiff_t>(at + word));
  }
  return out;
}

Result<std::string> NpyString(const NpyArray& array, uint64_t i) {
  std::string_view item = array.data.substr(i * array.item_size, array.item_size);
  if (array.kind == 'S') {
    while (item.ends_with('\0')) item.remove_suffix(1);
    return std::string(item);
  }
  std::string out;
  for (; item.size() >= 4; item.remove_prefix(4)) {
    uint32_t c;
    std::memcpy(&c, item.data(), 4);
    if (array.big_endian) c = __builtin_bswap32(c);
    if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
      return Corrupt(Format("element {}: a character that is no Unicode", i));
    AppendUtf8(c, out);
  }
  while (out.ends_with('\0')) out.pop_back();
  return out;
}

}  // namespace sextant::text
