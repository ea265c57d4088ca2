// Input data in files: a directory with a file per tensor, NumPy's .npy and .npz, raw bytes, lines
// of text.
//
// What lies in a file as the model wants it stays there: the column refers to the mapped file, and
// memory is only what the kernel keeps of it. Threads: none.
#pragma once

#include <memory>
#include <string>

#include "load/data.h"

namespace sextant::load {

// What --input-data names: a directory, an .npz archive, or else JSON. Errors list every fault with
// its file, row, tensor and reason.
Result<DataSet> ReadInputData(const std::string& path, const ModelSignature& model,
                              const ShapeByName& shapes);

Result<DataSet> ReadDataDirectory(const std::string& path, const ModelSignature& model,
                                  const ShapeByName& shapes);
// `archive` stays mapped as long as the data set needs it. `source` is its name.
Result<DataSet> ReadNpz(std::shared_ptr<const MappedFile> archive, const std::string& source,
                        const ModelSignature& model, const ShapeByName& shapes);

// One tensor's rows.
struct TensorRows {
  DataSet::Column column;
  size_t rows = 0;
};
// The rows in one file, by its name: .npy; .txt, and for BYTES also a name without one of these
// endings, lines, an element each; otherwise the tensor's bytes, row after row. `rows`, where it is
// not 0, is how many there are known to be, from which an open dimension follows; without it a
// tensor of open shape is one row. Errors begin with the reason; the file is the caller's to name.
Result<TensorRows> ReadTensorFile(const std::string& path, const kserve::TensorMetadata& tensor,
                                  const ShapeByName& shapes, size_t rows = 0);

// The rows in the bytes of an .npy file: `bytes` itself, or a part of a mapped file.
Result<TensorRows> ReadNpy(std::string bytes, const kserve::TensorMetadata& tensor,
                           const ShapeByName& shapes);
Result<TensorRows> ReadNpy(std::shared_ptr<const MappedFile> file, std::string_view within,
                           const kserve::TensorMetadata& tensor, const ShapeByName& shapes);

// Whether the file has one of the endings that say what is in it: .npy, .txt, .bin or .raw; its
// name without it.
std::string_view TensorNameOf(std::string_view file_name);

// Finds out how many rows the tensors of a source have, and whether all have the same number.
class RowCount {
 public:
  void See(std::string_view what, const TensorRows& tensor, FaultList& faults);
  size_t rows() const { return rows_; }

 private:
  size_t rows_ = 0;
  std::string first_;
};

}  // namespace sextant::load
