#include "analyze/server_directory.h"

#include <algorithm>
#include <utility>

#include "base/random.h"
#include "base/strings.h"

namespace sextant::analyze {
namespace {

constexpr std::string_view kPrefix = "sextant-analyze-", kNotes = ".leftovers";
constexpr size_t kDigits = 24;

// What a file says is removed only if it can be a name of ours.
bool IsServerName(std::string_view text) {
  if (!text.starts_with(kPrefix) || text.size() != kPrefix.size() + kDigits) return false;
  return text.find_first_not_of("0123456789abcdef", kPrefix.size()) == std::string_view::npos;
}

}  // namespace

std::string UniqueServerName() { return Format("{}{}", kPrefix, RandomWord(kDigits)); }

void RemoveSharedMemory(const std::string& name, const std::string& directory) {
  if (!IsServerName(name)) return;
  const Result<std::vector<std::string>> regions = ListDirectory(directory);
  if (!regions.has_value()) return;
  for (const std::string& region : *regions) {
    if (region.starts_with(name)) [[maybe_unused]]
      const auto removed = RemoveAll(JoinPath(directory, region));
  }
}

Result<ServerDirectory> ServerDirectory::Take(const std::string& path) {
  SEXTANT_TRY(MakeDirectories(path));
  const std::string notes = JoinPath(path, kNotes);
  Result<AppendFile> file = AppendFile::Continue(notes);
  if (!file.has_value() && file.error().code() == ErrorCode::kUnavailable) {
    return Unavailable(
        Format("'{}' is in use by another analysis that still runs: give this one "
               "another directory (--export-path)",
               path));
  }
  if (!file.has_value()) return std::move(file).error();
  ServerDirectory out(path, *std::move(file));
  SEXTANT_ASSIGN(const std::string text, ReadFile(notes));
  for (const std::string_view line : Split(text, '\n')) {
    const size_t space = std::min(line.find(' '), line.size());
    if (!IsServerName(line.substr(0, space))) continue;
    out.left_behind_.push_back({.name = std::string(line.substr(0, space)),
                                .engine = std::string(TrimSpace(line.substr(space)))});
  }
  SEXTANT_ASSIGN(const std::vector<std::string> entries, ListDirectory(path));
  for (const std::string& entry : entries) {
    if (entry != kNotes) SEXTANT_TRY(RemoveAll(JoinPath(path, entry)));
  }
  return out;
}

ServerDirectory::ServerDirectory(ServerDirectory&& other) noexcept
    : path_(std::exchange(other.path_, {})),
      notes_(std::move(other.notes_)),
      left_behind_(std::move(other.left_behind_)) {}

ServerDirectory::~ServerDirectory() {
  // The lock goes with the file's last name: who comes now makes a file of its own.
  if (!path_.empty()) [[maybe_unused]]
    const auto removed = RemoveAll(JoinPath(path_, kNotes));
}

Result<void> ServerDirectory::Note(const Left& left) {
  return notes_.Append(left.engine.empty() ? left.name + "\n"
                                           : Format("{} {}\n", left.name, left.engine));
}

}  // namespace sextant::analyze
