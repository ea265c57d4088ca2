// The directory in which a server of ours lives: its links, its log, and a note of what must be
// taken away when nobody could do that, because we and it were killed together.
//
// One process has it at a time. What the one before left behind is known to be of no use to anybody
// when the directory can be had.
//
// Threads: one at a time.
#pragma once

#include <string>
#include <vector>

#include "base/files.h"
#include "base/result.h"

namespace sextant::analyze {

// A name that nobody else has, on any machine: of a container, of regions of shared memory.
std::string UniqueServerName();

// Removes the regions in `directory` (/dev/shm) whose names begin with a name of
// UniqueServerName().
void RemoveSharedMemory(const std::string& name, const std::string& directory = "/dev/shm");

class ServerDirectory {
 public:
  // Makes it, or empties the one that is there. Errors: kUnavailable (another process has it), kIo.
  static Result<ServerDirectory> Take(const std::string& path);
  ServerDirectory(ServerDirectory&& other) noexcept;
  // All is gone that was noted: forgets it. The directory and its log stay.
  ~ServerDirectory();

  const std::string& path() const { return path_; }
  struct Left {
    std::string name;    // of UniqueServerName()
    std::string engine;  // whose container it is; empty: of none
  };
  // By processes that ended before they could remove it.
  const std::vector<Left>& left_behind() const { return left_behind_; }
  // To be removed by the next one that takes the directory, if this one does not come to it. On the
  // disk when this returns.
  Result<void> Note(const Left& left);

 private:
  ServerDirectory(std::string path, AppendFile notes)
      : path_(std::move(path)), notes_(std::move(notes)) {}

  std::string path_;  // empty: moved from
  AppendFile notes_;
  std::vector<Left> left_behind_;
};

}  // namespace sextant::analyze
