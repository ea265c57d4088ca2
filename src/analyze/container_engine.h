// What an analysis asks of podman or docker: to have an image, to show whether a container sees
// our directories, and that nothing is left of one.
//
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/process.h"
#include "base/result.h"

namespace sextant::analyze {

class ContainerEngine {
 public:
  // "podman --runtime runc": the program may have options of its own.
  explicit ContainerEngine(const std::string& command);
  // Where nobody says which: podman if this machine has it, else docker if it has that.
  static std::string Default();

  // The error names the remedy.
  Result<void> CheckInstalled() const;

  // The engine's command line with these words behind it.
  std::vector<std::string> With(std::vector<std::string> words) const;

  // The image is on the engine's host when this returns; `note` is told when it has to be fetched,
  // which may take as long as it takes, until `stop`.
  Result<void> EnsureImage(const std::string& image,
                           const std::function<void(const std::string&)>& note,
                           const std::function<bool()>& stop) const;

  // Whether a container that is started with these arguments sees what is in the directory now: a
  // file with random content is written there, and read from inside, and with it one of the
  // directory's own files (through its links). Engines that run elsewhere (in a virtual machine,
  // behind a socket) mount another machine's directories; what may be read inside is another
  // question than what may be read here. Errors name the remedy.
  Result<void> ProbeDirectory(const std::string& directory, const std::string& image,
                              const std::vector<std::string>& run_arguments) const;

  // Not an error when there is none.
  void Remove(const std::string& container) const;
  // A program that removes the container when its input is closed, or when this process ends,
  // however it ends.
  Result<Process> GuardAgainstOurEnd(const std::string& container) const;

  // The container's first process, as this host numbers it, whose command line has `word` in it;
  // nothing where the engine's host is another machine.
  std::optional<uint32_t> FirstProcess(const std::string& container, const std::string& word) const;

 private:
  std::vector<std::string> command_;
};

}  // namespace sextant::analyze
