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
constexpr std::string_view kConfig = "config.pbtxt";

// `deep`: directories of our own, links for files: nothing that is put beside them reaches the
// source. Else directories are links, too.
Result<void> LinkTree(const std::string& from, const std::string& to, bool deep) {
  SEXTANT_TRY(MakeDirectories(to));
  SEXTANT_ASSIGN(const std::vector<std::string> entries, ListDirectory(from));
  for (const std::string& entry : entries) {
    const std::string source = JoinPath(from, entry), link = JoinPath(to, entry);
    if (entry == "__pycache__") continue;
    if (deep && IsDirectory(source)) {
      SEXTANT_TRY(LinkTree(source, link, deep));
    } else if (symlink(source.c_str(), link.c_str()) != 0) {
      return IoError("link " + link, errno);
    }
  }
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
  // A server that polls takes whatever appears in a version's directory for a change of the model,
  // so there the directories stay the user's.
  SEXTANT_TRY(LinkTree(from, fresh, /*deep=*/config_pbtxt == nullptr));
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
