#include "analyze/container_engine.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/files.h"
#include "base/random.h"
#include "base/strings.h"

namespace sextant::analyze {
namespace {

namespace fs = std::filesystem;

// A container that ends at once: what an engine takes for that on a busy machine.
constexpr Nanos kShortRun = 120s;
// Files that a probe reads beside its own are no larger.
constexpr uintmax_t kLargestRead = uintmax_t{1} << 20;
// By the engines' convention: from the first one on nothing ran; the second one says that there is
// no such program in the image.
constexpr int kNothingRan = 125, kNoProgram = 127;

// The smallest file below: one that a container can be asked for. What is a link to a file counts;
// links to directories are not followed.
std::string SmallFileIn(const std::string& directory) {
  std::pair<uintmax_t, std::string> best{kLargestRead + 1, ""};
  std::error_code failed;
  constexpr int kMost = 2000;  // entries looked at
  int seen = 0;
  for (fs::recursive_directory_iterator entry(directory, failed), end;
       !failed && entry != end && ++seen < kMost; entry.increment(failed)) {
    std::error_code unknown;
    if (!entry->is_regular_file(unknown)) continue;
    const uintmax_t size = entry->file_size(unknown);
    if (!unknown && size > 0) best = std::min(best, {size, entry->path().string()});
  }
  return best.second;
}

// A file that is gone with this.
class ProbeFile {
 public:
  explicit ProbeFile(const std::string& directory)
      : path_(JoinPath(directory, ".sextant-probe-" + RandomWord(32))), content_(RandomWord(32)) {}
  ~ProbeFile() { [[maybe_unused]] const auto gone = RemoveAll(path_); }
  ProbeFile(const ProbeFile&) = delete;
  ProbeFile& operator=(const ProbeFile&) = delete;

  Result<void> Write() const {
    SEXTANT_TRY(WriteFileAtomic(path_, content_));
    // Whoever the container's user is: a server reads the models beside it, too.
    chmod(path_.c_str(), 0644);
    return {};
  }
  const std::string& path() const { return path_; }
  const std::string& content() const { return content_; }

 private:
  const std::string path_, content_;
};

std::string Words(const ProcessResult& result) {
  const std::string_view said = TrimSpace(result.err.empty() ? result.out : result.err);
  return said.empty() ? Format("exit code {}", result.exit_code) : Printable(said, 600);
}

}  // namespace

ContainerEngine::ContainerEngine(const std::string& command) {
  for (const std::string_view word : Split(command, ' ')) {
    if (!word.empty()) command_.emplace_back(word);
  }
  if (command_.empty()) command_.push_back(Default());
}

std::string ContainerEngine::Default() {
  return FindProgram("podman").empty() && !FindProgram("docker").empty() ? "docker" : "podman";
}

Result<void> ContainerEngine::CheckInstalled() const {
  const std::string& program = command_.front();
  if (!FindProgram(program).empty()) return {};
  std::string others;
  for (const char* known : {"podman", "docker"}) {
    if (program != known && !FindProgram(known).empty())
      AppendFormat(others, "{}--container-engine {}", others.empty() ? "" : " or ", known);
  }
  return InvalidArgument(Format(
      "there is no container engine '{}': {}", program,
      !others.empty() ? "this machine has another, give " + others
                      : "install podman or docker, or give --container-engine its path; without "
                        "one, --server-program FILE runs a tritonserver of this machine and "
                        "--launch embedded does without it"));
}

std::vector<std::string> ContainerEngine::With(std::vector<std::string> words) const {
  std::vector<std::string> out = command_;
  std::move(words.begin(), words.end(), std::back_inserter(out));
  return out;
}

Result<void> ContainerEngine::EnsureImage(const std::string& image,
                                          const std::function<void(const std::string&)>& note,
                                          const std::function<bool()>& stop) const {
  SEXTANT_ASSIGN(
      const ProcessResult found,
      RunProcess({.argv = With({"image", "inspect", "--format", "{{.Id}}", image})}, kShortRun));
  if (found.exit_code == 0) return {};
  if (note)
    note(Format("{} has no image '{}' yet and fetches it; that may take minutes", command_.front(),
                image));
  SEXTANT_ASSIGN(Process pull, Process::Start({.argv = With({"pull", "--quiet", image})}));
  while (true) {
    if (const auto code = pull.Wait(100ms)) {
      if (*code == 0) return {};
      return Unavailable(
          Format("the image '{}' (--image) is not on this machine and cannot be fetched: {}", image,
                 Words({.exit_code = *code, .out = pull.out(), .err = pull.err()})));
    }
    if (stop && stop()) return Error(ErrorCode::kCancelled, "stopped while fetching the image");
  }
}

Result<void> ContainerEngine::ProbeDirectory(const std::string& directory, const std::string& image,
                                             const std::vector<std::string>& run_arguments) const {
  const std::string own = SmallFileIn(directory);
  const ProbeFile probe(directory);
  SEXTANT_TRY(probe.Write());
  std::string expected = probe.content();
  std::vector<std::string> words{"run", "--rm"};
  words.insert(words.end(), run_arguments.begin(), run_arguments.end());
  words.insert(words.end(), {"--entrypoint", "cat", image, probe.path()});
  if (!own.empty()) {
    SEXTANT_ASSIGN(const std::string text, ReadFile(own));
    expected += text;
    words.push_back(own);
  }
  SEXTANT_ASSIGN(const ProcessResult result, RunProcess({.argv = With(words)}, kShortRun));
  if (result.exit_code == 0 && result.out == expected) return {};

  const std::string said = Words(result);
  if (result.exit_code == kNoProgram) {
    return Unavailable(
        Format("whether a container of '{}' sees the models cannot be checked, because there is no "
               "`cat` in it ({}): use an image that has one, as Triton's have, or mount one with "
               "--container-argument=--volume=...",
               image, said));
  }
  if (result.exit_code >= kNothingRan) {
    return Unavailable(
        Format("{} cannot run a container of '{}': {}; try it by hand, and give what it needs with "
               "--container-engine '{} ...' and --container-argument=... (where the engine runs on "
               "another "
               "machine, '{}' must be there under the same path)",
               command_.front(), image, said, command_.front(), directory));
  }
  const bool sees_ours = result.out.starts_with(probe.content());
  if (!sees_ours) {
    return Unavailable(Format(
        "a container of '{}' does not read a file that was written into '{}' for it: {}; the "
        "directory (--export-path) must have the same path where the container engine runs (inside "
        "a container, mount it at the same place), and the container's user must be allowed to "
        "read it (SELinux: --container-argument=--security-opt=label=disable)",
        image, directory, result.exit_code == 0 ? "it finds something else there" : said));
  }
  std::error_code unknown;
  return Unavailable(Format(
      "a container of '{}' does not read '{}', which leads to '{}': {}; mount where that lies, "
      "with "
      "--container-argument=--volume=DIR:DIR:ro, and let the container's user read it (SELinux: "
      "--container-argument=--security-opt=label=disable)",
      image, own, fs::weakly_canonical(own, unknown).string(),
      result.exit_code == 0 ? "it finds something else there" : said));
}

void ContainerEngine::Remove(const std::string& container) const {
  [[maybe_unused]] const auto removed =
      RunProcess({.argv = With({"rm", "--force", container})}, 30s);
}

Result<Process> ContainerEngine::GuardAgainstOurEnd(const std::string& container) const {
  return StartAtOurEnd(With({"rm", "--force", container}));
}

std::optional<uint32_t> ContainerEngine::FirstProcess(const std::string& container,
                                                      const std::string& word) const {
  const Result<ProcessResult> result =
      RunProcess({.argv = With({"inspect", "--format", "{{.State.Pid}}", container})}, 10s);
  if (!result.has_value() || result->exit_code != 0) return std::nullopt;
  const auto pid = ParseUint(TrimSpace(result->out));
  if (!pid || *pid <= 1 || *pid > INT32_MAX) return std::nullopt;
  // A process of that number that is not the container's: it is another machine's number.
  const Result<std::string> command = ReadFile(Format("/proc/{}/cmdline", *pid));
  if (!command.has_value() || command->find(word) == std::string::npos) return std::nullopt;
  return static_cast<uint32_t>(*pid);
}

}  // namespace sextant::analyze
