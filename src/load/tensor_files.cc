// One tensor's rows in a file: .npy, raw bytes, lines of text.
#include <algorithm>
#include <array>

#include "base/strings.h"
#include "load/columns.h"
#include "load/data_files.h"
#include "text/npy.h"

namespace sextant::load {
namespace {

using kserve::DataType;
using kserve::Shape;
using kserve::TensorMetadata;

constexpr std::array<std::string_view, 4> kEndings{".npy", ".txt", ".bin", ".raw"};

std::string_view EndingOf(std::string_view name) {
  for (const std::string_view ending : kEndings) {
    if (name.size() > ending.size() && name.ends_with(ending)) return ending;
  }
  return {};
}

bool IsOpen(const TensorMetadata& tensor, const ShapeByName& shapes) {
  return !shapes.contains(tensor.name) &&
         std::any_of(tensor.shape.begin(), tensor.shape.end(), [](int64_t d) { return d < 0; });
}

// The shape of a row and how many there are, in `elements` elements.
struct Layout {
  Shape shape;
  size_t rows = 0;
  uint64_t row_elements = 0;
};
Result<Layout> LayOut(const TensorMetadata& tensor, const ShapeByName& shapes, uint64_t elements,
                      size_t rows) {
  Layout out;
  const bool open = IsOpen(tensor, shapes);
  if (elements == 0) return InvalidArgument("is empty");
  const size_t open_rows = rows > 0 && elements % rows == 0 ? rows : 1;
  SEXTANT_ASSIGN(out.shape, InferShape(tensor, shapes, open ? elements / open_rows : elements));
  out.row_elements = kserve::ElementCount(out.shape).value_or(0);
  if (out.row_elements == 0 || elements % out.row_elements != 0) {
    return InvalidArgument(
        Format("has {} elements, which is not a whole number of rows of shape {} "
               "({} elements)",
               elements, kserve::FormatShape(out.shape), out.row_elements));
  }
  out.rows = elements / out.row_elements;
  return out;
}

// A column of BYTES from elements with their lengths before them.
Result<TensorRows> FromElements(const TensorMetadata& tensor, const ShapeByName& shapes,
                                DataSet::Column column, size_t rows) {
  const std::optional<uint64_t> elements = CountBytesElements(column.bytes());
  if (!elements)
    return InvalidArgument("is not BYTES: each element must be a 4-byte length and its bytes");
  SEXTANT_ASSIGN(Layout layout, LayOut(tensor, shapes, *elements, rows));
  column.tensor = tensor;
  column.tensor.shape = layout.shape;
  column.offsets = {0};
  const std::string_view bytes = column.bytes();
  uint64_t at = 0;
  for (uint64_t i = 1; i <= *elements; ++i) {
    uint32_t length;
    std::copy_n(bytes.data() + at, sizeof length, reinterpret_cast<char*>(&length));
    at += sizeof length + length;
    if (i % layout.row_elements == 0) column.offsets.push_back(at);
  }
  Compact(column);
  return TensorRows{std::move(column), layout.rows};
}

Result<TensorRows> FromLines(std::string_view text, const TensorMetadata& tensor,
                             const ShapeByName& shapes, size_t rows) {
  DataSet::Column column;
  if (text.ends_with('\n')) text.remove_suffix(1);
  for (std::string_view line : Split(text, '\n')) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    kserve::AppendBytesElement(line, column.owned);
  }
  return FromElements(tensor, shapes, std::move(column), rows);
}

Result<TensorRows> FromRaw(std::shared_ptr<const MappedFile> file, const TensorMetadata& tensor,
                           const ShapeByName& shapes, size_t rows) {
  DataSet::Column column{.file = file, .in_file = file->bytes()};
  if (tensor.type == DataType::kBytes) return FromElements(tensor, shapes, std::move(column), rows);
  const size_t size = kserve::ElementSize(tensor.type);
  const uint64_t bytes = column.in_file.size();
  if (bytes % size != 0) {
    return InvalidArgument(Format("has {} bytes, which is not a whole number of {} elements", bytes,
                                  kserve::DataTypeName(tensor.type)));
  }
  SEXTANT_ASSIGN(Layout layout, LayOut(tensor, shapes, bytes / size, rows));
  column.tensor = tensor;
  column.tensor.shape = layout.shape;
  column.row_bytes = layout.row_elements * size;
  return TensorRows{std::move(column), layout.rows};
}

// "float32": NumPy's name of the dtype that a tensor wants.
std::string NumpyName(DataType type) {
  switch (type) {
    case DataType::kBool:
      return "bool";
    case DataType::kFp16:
      return "float16";
    case DataType::kFp32:
    case DataType::kBf16:
      return "float32";
    case DataType::kFp64:
      return "float64";
    case DataType::kBytes:
      return "bytes (S) or str (U)";
    default:
      return ToLower(kserve::DataTypeName(type));
  }
}

bool DtypeFits(const text::NpyArray& array, DataType type) {
  const std::string_view name = kserve::DataTypeName(type);
  switch (array.kind) {
    case 'b':
      return type == DataType::kBool;
    case 'i':
      return name.starts_with("INT") && kserve::ElementSize(type) == array.item_size;
    case 'u':
      return name.starts_with("UINT") && kserve::ElementSize(type) == array.item_size;
    case 'f':
      return (name.starts_with("FP") && kserve::ElementSize(type) == array.item_size) ||
             (type == DataType::kBf16 && array.item_size == 4);
    default:
      return type == DataType::kBytes;
  }
}

// The array's bytes as the model takes them; only for those that cannot stay where they are.
Result<std::string> Convert(const text::NpyArray& array, DataType type) {
  if (type != DataType::kBytes && type != DataType::kBf16) return text::NormalizeNpy(array);
  text::NpyArray plain = array;
  std::string normal;
  if (array.fortran_order || array.big_endian) {
    normal = text::NormalizeNpy(array);
    plain.data = normal;
    plain.big_endian = false;
  }
  std::string out;
  if (type == DataType::kBf16) {
    for (uint64_t i = 0; i < plain.elements(); ++i)
      SEXTANT_TRY(kserve::AppendElement(
          type, kserve::ElementAsDouble(DataType::kFp32, plain.data, i), out));
    return out;
  }
  const uint64_t count = plain.elements();
  for (uint64_t i = 0; i < count; ++i) {
    SEXTANT_ASSIGN(const std::string element, text::NpyString(plain, i));
    kserve::AppendBytesElement(element, out);
  }
  return out;
}

// Rows along the first axis, or one row where the array has exactly a row's rank.
Result<Layout> LayOutArray(const text::NpyArray& array, const TensorMetadata& tensor,
                           const ShapeByName& shapes) {
  Layout out{.shape = array.shape, .rows = 1};
  if (array.shape.size() == tensor.shape.size() + 1) {
    out.rows = static_cast<size_t>(array.shape[0]);
    out.shape.erase(out.shape.begin());
  }
  Shape wanted = tensor.shape;
  if (shapes.contains(tensor.name)) {
    SEXTANT_ASSIGN(wanted, RowShapeFor(tensor, shapes));
  }
  if (!ShapeFits(out.shape, wanted)) {
    Shape rows = wanted;
    rows.insert(rows.begin(), -1);
    return InvalidArgument(Format("has shape {}, wanted is {}, the rows being the first axis",
                                  kserve::FormatShape(array.shape), kserve::FormatShape(rows)));
  }
  out.row_elements = kserve::ElementCount(out.shape).value_or(0);
  if (out.rows == 0 || out.row_elements == 0) return InvalidArgument("has no elements");
  return out;
}

Result<TensorRows> FromArray(const text::NpyArray& array, std::shared_ptr<const MappedFile> file,
                             const TensorMetadata& tensor, const ShapeByName& shapes) {
  if (!DtypeFits(array, tensor.type)) {
    return InvalidArgument(Format(
        "has dtype '{}', the model wants {}: save it as {} "
        "(array.astype)",
        Printable(array.dtype, 20), kserve::DataTypeName(tensor.type), NumpyName(tensor.type)));
  }
  SEXTANT_ASSIGN(Layout layout, LayOutArray(array, tensor, shapes));
  DataSet::Column column{.tensor = tensor};
  column.tensor.shape = layout.shape;
  const bool bytes = tensor.type == DataType::kBytes;
  const bool as_it_lies = !bytes && tensor.type != DataType::kBf16 && !array.fortran_order &&
                          (!array.big_endian || array.item_size == 1);
  if (as_it_lies && file != nullptr) {
    column.file = std::move(file);
    column.in_file = array.data;
  } else {
    SEXTANT_ASSIGN(column.owned, Convert(array, tensor.type));
  }
  if (bytes) {
    const ShapeByName fixed{{tensor.name, layout.shape}};
    return FromElements(tensor, fixed, std::move(column), layout.rows);
  }
  column.row_bytes = layout.row_elements * kserve::ElementSize(tensor.type);
  return TensorRows{std::move(column), layout.rows};
}

}  // namespace

Result<TensorRows> ReadNpy(std::string bytes, const TensorMetadata& tensor,
                           const ShapeByName& shapes) {
  SEXTANT_ASSIGN(const text::NpyArray array, text::ParseNpy(bytes));
  return FromArray(array, nullptr, tensor, shapes);
}

Result<TensorRows> ReadNpy(std::shared_ptr<const MappedFile> file, std::string_view within,
                           const TensorMetadata& tensor, const ShapeByName& shapes) {
  SEXTANT_ASSIGN(const text::NpyArray array, text::ParseNpy(within));
  return FromArray(array, std::move(file), tensor, shapes);
}

std::string_view TensorNameOf(std::string_view file_name) {
  return file_name.substr(0, file_name.size() - EndingOf(file_name).size());
}

Result<TensorRows> ReadTensorFile(const std::string& path, const TensorMetadata& tensor,
                                  const ShapeByName& shapes, size_t rows) {
  SEXTANT_ASSIGN(MappedFile mapped, MappedFile::Open(path));
  auto file = std::make_shared<const MappedFile>(std::move(mapped));
  const std::string_view ending = EndingOf(path);
  if (ending == ".npy") return ReadNpy(file, file->bytes(), tensor, shapes);
  if (tensor.type == DataType::kBytes && (ending == ".txt" || ending.empty()))
    return FromLines(file->bytes(), tensor, shapes, rows);
  if (ending == ".txt") {
    return InvalidArgument(
        Format("is text, which is for BYTES only; the model wants {}: write raw "
               "bytes or .npy",
               kserve::DataTypeName(tensor.type)));
  }
  return FromRaw(std::move(file), tensor, shapes, rows);
}

}  // namespace sextant::load
