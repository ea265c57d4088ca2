// NumPy's array files (.npy): the header, and where the values lie. Pure: bytes in, values out.
//
// Format: "NEP 1, a simple file format for NumPy arrays", versions 1.0 to 3.0.
// Threads: plain values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sextant::text {

struct NpyArray {
  std::string dtype;     // as written: "<f4", "|S5"
  char kind = 'f';       // b: boolean, i and u: integers, f: floats, S: bytes, U: UTF-32
  size_t item_size = 1;  // bytes of an element
  bool big_endian = false;
  bool fortran_order = false;  // the first index runs fastest
  std::vector<int64_t> shape;
  std::string_view data;  // exactly the elements' bytes, within the source

  uint64_t elements() const { return data.size() / item_size; }
};

// Errors: kCorrupt when it is not an .npy file or is cut off; kUnsupported for structured, object
// and other dtypes.
Result<NpyArray> ParseNpy(std::string_view bytes);

// The elements in C order and little-endian, where they are not already.
std::string NormalizeNpy(const NpyArray& array);

// Element i of a kind S or U array, without the padding of zeros; U as UTF-8. Errors: kCorrupt when
// a character is no Unicode.
Result<std::string> NpyString(const NpyArray& array, uint64_t i);

}  // namespace sextant::text
