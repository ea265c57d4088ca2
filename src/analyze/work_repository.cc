#include "analyze/work_repository.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "base/files.h"
#include "base/strings.h"

namespace sextant::analyze {
namespace {

constexpr std::string_view kMark = ".made-by-sextant-analyze";
constexpr std::string_view kConfig = "config.pbtxt", kByteCode = "__pycache__";

// A link to a directory that it lies in.
bool LeadsUpwards(const std::string& path) {
  std::error_code unknown;
  if (!std::filesystem::is_symlink(path, unknown)) return false;
  const std::string target = JoinPath(std::filesystem::canonical(path, unknown).string(), "");
  const std::string place =
      JoinPath(std::filesystem::canonical(DirectoryOf(path), unknown).string(), "");
  return place.starts_with(target);
}

// Directories of our own, links for files: nothing that is put beside them reaches the source.
// `quiet`: nor does Python put its byte code there.
Result<void> LinkTree(const std::string& from, const std::string& to, bool quiet) {
  SEXTANT_TRY(MakeDirectories(to));
  SEXTANT_ASSIGN(const std::vector<std::string> entries, ListDirectory(from));
  for (const std::string& entry : entries) {
    const std::string source = JoinPath(from, entry), link = JoinPath(to, entry);
    if (entry == kByteCode) continue;
    if (IsDirectory(source) && !LeadsUpwards(source)) {
      SEXTANT_TRY(LinkTree(source, link, quiet));
    } else if (symlink(source.c_str(), link.c_str()) != 0) {
      return IoError("link " + link, errno);
    }
  }
  // Where a file has the directory's name Python goes on without.
  if (quiet) SEXTANT_TRY(WriteFileAtomic(JoinPath(to, kByteCode), ""));
  return {};
}

}  // namespace

Result<void> WorkRepository::CheckOurs(const std::string& model) const {
  const std::string there = JoinPath(directory_, model);
  if (!IsDirectory(there) || FileExists(JoinPath(there, kMark))) return {};
  return Error(ErrorCode::kAlreadyExists,
               Format("'{}' is not of sextant analyze: give a --work-repository of its own, which "
                      "the server polls",
                      there));
}

Result<void> WorkRepository::Put(const std::string& model, const std::string& config_pbtxt) {
  return Make(model, &config_pbtxt);
}

Result<void> WorkRepository::MirrorAll() {
  SEXTANT_ASSIGN(const std::vector<std::string> models, ListDirectory(source_));
  for (const std::string& model : models) {
    if (IsDirectory(JoinPath(source_, model))) SEXTANT_TRY(Make(model, nullptr));
  }
  return {};
}

Result<void> WorkRepository::Make(const std::string& model, const std::string* config_pbtxt) {
  const std::string from =
      std::filesystem::absolute(JoinPath(source_, model)).lexically_normal().string();
  if (!IsDirectory(from)) return NotFound(Format("'{}': there is no such model", from));
  SEXTANT_TRY(MakeDirectories(directory_));
  SEXTANT_TRY(Remove(model));
  // Beside the directory and not in it: the server takes everything in there for a model.
  const std::string fresh = Format("{}.new-{}", directory_, model);
  SEXTANT_TRY(RemoveAll(fresh));
  // A server that polls takes whatever appears in a version's directory for a change of the model.
  SEXTANT_TRY(LinkTree(from, fresh, /*quiet=*/config_pbtxt != nullptr));
  if (config_pbtxt != nullptr) {
    SEXTANT_TRY(RemoveAll(JoinPath(fresh, kConfig)));
    SEXTANT_TRY(WriteFileAtomic(JoinPath(fresh, kConfig), *config_pbtxt));
  }
  SEXTANT_TRY(WriteFileAtomic(JoinPath(fresh, kMark), ""));
  const std::string there = JoinPath(directory_, model);
  if (rename(fresh.c_str(), there.c_str()) != 0) return IoError("rename to " + there, errno);
  return {};
}

Result<void> WorkRepository::Remove(const std::string& model) {
  SEXTANT_TRY(CheckOurs(model));
  return RemoveAll(JoinPath(directory_, model));
}

}  // namespace sextant::analyze
