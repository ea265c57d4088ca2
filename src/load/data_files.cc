#include "load/data_files.h"

#include <algorithm>

#include "base/strings.h"
#include "net/compress.h"
#include "text/npy.h"
#include "text/zip.h"

namespace sextant::load {
namespace {

using kserve::TensorMetadata;

// Folders within a directory of data: tensor names may have slashes.
constexpr int kDeepest = 8;

std::string Quoted(const std::vector<TensorMetadata>& tensors) {
  std::vector<std::string> names;
  for (const TensorMetadata& tensor : tensors) names.push_back("'" + tensor.name + "'");
  return names.empty() ? "none" : Join(names, ", ");
}

std::string KnownTensors(const ModelSignature& model) {
  return Format("inputs {}, outputs {}", Quoted(model.inputs), Quoted(model.outputs));
}

// Paths of all files below, from the directory on; those that begin with a dot are left out.
Result<void> ListFiles(const std::string& root, const std::string& below, int depth,
                       std::vector<std::string>& out) {
  SEXTANT_ASSIGN(const std::vector<std::string> names,
                 ListDirectory(below.empty() ? root : JoinPath(root, below)));
  for (const std::string& name : names) {
    if (name.starts_with('.')) continue;
    const std::string path = below.empty() ? name : JoinPath(below, name);
    if (IsDirectory(JoinPath(root, path)) && depth < kDeepest) {
      SEXTANT_TRY(ListFiles(root, path, depth + 1, out));
    } else {
      out.push_back(path);
    }
  }
  return {};
}

// What a source has for the tensors of a model: `parts` are names of files or of an archive's
// entries, whose tensor is their name without its ending.
class TensorSource {
 public:
  TensorSource(const ModelSignature& model, const ShapeByName& shapes, std::string name)
      : model_(model), shapes_(shapes), name_(std::move(name)) {}
  virtual ~TensorSource() = default;

  Result<DataSet> Read(const std::vector<std::string>& parts) {
    Assign(parts);
    DataSet::Parts set;
    // Tensors of fixed shape first: they say how many rows there are.
    for (const bool open : {false, true}) {
      ReadAll("input", model_.inputs, input_parts_, open, shapes_);
    }
    for (const bool open : {false, true}) {
      ReadAll("output", model_.outputs, output_parts_, open, no_shapes_);
    }
    if (!faults_.empty()) return faults_.ToError();
    for (const TensorMetadata& tensor : model_.inputs) Take(tensor, "input", set.inputs);
    for (const TensorMetadata& tensor : model_.outputs) Take(tensor, "output", set.expected);
    set.rows = rows_.rows();
    set.description = Format("{}, {} rows", name_, set.rows);
    return DataSet::Make(std::move(set));
  }

 protected:
  virtual Result<TensorRows> ReadPart(const std::string& part, const TensorMetadata& tensor,
                                      const ShapeByName& shapes, size_t rows) = 0;

 private:
  using PartOf = std::map<std::string, std::string, std::less<>>;

  void Assign(const std::vector<std::string>& parts) {
    for (const std::string& part : parts) {
      const std::string_view tensor = TensorNameOf(part);
      const auto has = [&](const std::vector<TensorMetadata>& tensors, std::string_view name) {
        return std::any_of(tensors.begin(), tensors.end(),
                           [&](const TensorMetadata& t) { return t.name == name; });
      };
      // A tensor's own name may end like a file's.
      const std::string_view name =
          has(model_.inputs, part) || has(model_.outputs, part) ? std::string_view(part) : tensor;
      const bool input = has(model_.inputs, name);
      if (!input && !has(model_.outputs, name)) {
        const std::string ending = ToLower(part.substr(std::min(part.rfind('.'), part.size())));
        if (ending == ".png" || ending == ".jpg" || ending == ".jpeg") {
          if (images_++ == 0) {
            faults_.Add(Format(
                "'{}' is an image, and images belong to no tensor by their names: read them with "
                "--data '{}=image({})' in place of --input-data",
                Printable(part, 100), model_.inputs.empty() ? "INPUT" : model_.inputs[0].name,
                name_));
          }
          continue;
        }
        faults_.Add(Format("'{}': no tensor of the model has this name; it has {}",
                           Printable(part, 100), KnownTensors(model_)));
        continue;
      }
      PartOf& of = input ? input_parts_ : output_parts_;
      const auto [at, inserted] = of.emplace(name, part);
      if (!inserted)
        faults_.Add(Format("'{}' and '{}' are both for tensor '{}'", at->second, part, name));
    }
    for (size_t i = 0; i < model_.inputs.size(); ++i) {
      const std::string& name = model_.inputs[i].name;
      const bool optional = i < model_.optional_inputs.size() && model_.optional_inputs[i];
      if (!optional && images_ == 0 && !input_parts_.contains(name)) {
        faults_.Add(Format("input '{}': missing: a file {}, {}.npy, {}.bin or {}.txt", name, name,
                           name, name, name));
      }
    }
  }

  void ReadAll(std::string_view what, const std::vector<TensorMetadata>& tensors,
               const PartOf& parts, bool open, const ShapeByName& shapes) {
    for (const TensorMetadata& tensor : tensors) {
      const auto part = parts.find(tensor.name);
      const bool is_open =
          std::any_of(tensor.shape.begin(), tensor.shape.end(), [](int64_t d) { return d < 0; }) &&
          !shapes.contains(tensor.name);
      if (part == parts.end() || is_open != open) continue;
      Result<TensorRows> read = ReadPart(part->second, tensor, shapes, rows_.rows());
      const std::string subject = Format("{} '{}' ({})", what, tensor.name, part->second);
      if (!read.has_value()) {
        faults_.Add(Format("{}: {}", subject, read.error().message()));
        continue;
      }
      rows_.See(subject, *read, faults_);
      columns_.emplace_back(std::string(what), std::move(read->column));
    }
  }

  // Columns go out in the model's order.
  void Take(const TensorMetadata& tensor, std::string_view what,
            std::vector<DataSet::Column>& out) {
    for (auto& [kind, column] : columns_) {
      if (kind == what && column.tensor.name == tensor.name) out.push_back(std::move(column));
    }
  }

  const ModelSignature& model_;
  const ShapeByName& shapes_;
  const ShapeByName no_shapes_;
  const std::string name_;
  size_t images_ = 0;  // files that were seen and left
  PartOf input_parts_, output_parts_;
  std::vector<std::pair<std::string, DataSet::Column>> columns_;
  RowCount rows_;
  FaultList faults_;
};

class DirectorySource final : public TensorSource {
 public:
  DirectorySource(const ModelSignature& model, const ShapeByName& shapes, std::string path)
      : TensorSource(model, shapes, path), path_(std::move(path)) {}

 private:
  Result<TensorRows> ReadPart(const std::string& part, const TensorMetadata& tensor,
                              const ShapeByName& shapes, size_t rows) override {
    return ReadTensorFile(JoinPath(path_, part), tensor, shapes, rows);
  }
  const std::string path_;
};

class NpzSource final : public TensorSource {
 public:
  NpzSource(const ModelSignature& model, const ShapeByName& shapes, const std::string& name,
            std::shared_ptr<const MappedFile> file, const std::vector<text::ZipEntry>& entries)
      : TensorSource(model, shapes, name), file_(std::move(file)), entries_(entries) {}

 private:
  Result<TensorRows> ReadPart(const std::string& part, const TensorMetadata& tensor,
                              const ShapeByName& shapes, size_t) override {
    const auto entry = std::find_if(entries_.begin(), entries_.end(),
                                    [&](const text::ZipEntry& e) { return e.name == part; });
    if (!entry->deflated) return ReadNpy(file_, entry->data, tensor, shapes);
    SEXTANT_ASSIGN(std::string bytes, net::Inflate(entry->data, entry->size, entry->crc));
    return ReadNpy(std::move(bytes), tensor, shapes);
  }
  const std::shared_ptr<const MappedFile> file_;
  const std::vector<text::ZipEntry>& entries_;
};

// A lone array is for the only input there is to give.
Result<DataSet> ReadLoneNpy(std::shared_ptr<const MappedFile> file, const std::string& path,
                            const ModelSignature& model, const ShapeByName& shapes) {
  const TensorMetadata* wanted = nullptr;
  size_t required = 0;
  for (size_t i = 0; i < model.inputs.size(); ++i) {
    if (i < model.optional_inputs.size() && model.optional_inputs[i]) continue;
    wanted = &model.inputs[i];
    ++required;
  }
  if (required != 1) {
    return InvalidArgument(
        Format("'{}' is one array, the model has {}: give an .npz, or a "
               "directory with a file for each",
               path, KnownTensors(model)));
  }
  const std::string_view bytes = file->bytes();
  SEXTANT_ASSIGN(TensorRows read, ReadNpy(std::move(file), bytes, *wanted, shapes),
                 Format("'{}' for input '{}'", path, wanted->name));
  DataSet::Parts parts{.rows = read.rows, .description = Format("{}, {} rows", path, read.rows)};
  parts.inputs.push_back(std::move(read.column));
  return DataSet::Make(std::move(parts));
}

}  // namespace

void RowCount::See(std::string_view what, const TensorRows& tensor, FaultList& faults) {
  if (rows_ == 0) {
    rows_ = tensor.rows;
    first_ = what;
  } else if (tensor.rows != rows_) {
    faults.Add(Format("{}: has {} rows, {} has {}", what, tensor.rows, first_, rows_));
  }
}

Result<DataSet> ReadDataDirectory(const std::string& path, const ModelSignature& model,
                                  const ShapeByName& shapes) {
  std::vector<std::string> files;
  SEXTANT_TRY(ListFiles(path, "", 0, files));
  Result<DataSet> data = DirectorySource(model, shapes, path).Read(files);
  if (!data.has_value()) return std::move(data).error().In(path);
  return data;
}

Result<DataSet> ReadNpz(std::shared_ptr<const MappedFile> archive, const std::string& source,
                        const ModelSignature& model, const ShapeByName& shapes) {
  SEXTANT_ASSIGN(const std::vector<text::ZipEntry> entries, text::ParseZip(archive->bytes()),
                 source);
  std::vector<std::string> names;
  for (const text::ZipEntry& entry : entries) names.push_back(entry.name);
  Result<DataSet> data = NpzSource(model, shapes, source, std::move(archive), entries).Read(names);
  if (!data.has_value()) return std::move(data).error().In(source);
  return data;
}

Result<DataSet> ReadInputData(const std::string& path, const ModelSignature& model,
                              const ShapeByName& shapes) {
  if (IsDirectory(path)) return ReadDataDirectory(path, model, shapes);
  SEXTANT_ASSIGN(MappedFile mapped, MappedFile::Open(path));
  auto file = std::make_shared<const MappedFile>(std::move(mapped));
  if (file->bytes().starts_with("PK")) return ReadNpz(std::move(file), path, model, shapes);
  if (file->bytes().starts_with("\x93NUMPY"))
    return ReadLoneNpy(std::move(file), path, model, shapes);
  return ParseJsonData(file->bytes(), path, model, {.shapes = shapes});
}

}  // namespace sextant::load
