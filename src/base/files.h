// Files and descriptors: owning handles, whole-file reads, writes that survive a kill.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sextant {

// Owns a descriptor and closes it.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.Release()) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) Reset(other.Release());
    return *this;
  }
  ~Fd() { Reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int Release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void Reset(int fd = -1);

 private:
  int fd_ = -1;
};

// Errors name the path.
Result<std::string> ReadFile(const std::string& path);
// To where the descriptor stands; errors name `path`.
Result<void> WriteAll(int fd, std::string_view bytes, const std::string& path);
// All or nothing: writes beside it, fsyncs, renames over it, fsyncs the directory.
Result<void> WriteFileAtomic(const std::string& path, std::string_view bytes);
bool FileExists(const std::string& path);
bool IsDirectory(const std::string& path);
// Whether both paths lead to one file, through links too. It need not exist; devices, such as
// /dev/null, are not counted as files.
bool SameFile(const std::string& a, const std::string& b);
// Names (not paths) of the entries, sorted, without "." and "..".
Result<std::vector<std::string>> ListDirectory(const std::string& path);
Result<void> MakeDirectories(const std::string& path);
// Removes `path` and everything below it; not an error when it does not exist.
Result<void> RemoveAll(const std::string& path);
// A new empty directory under the system's temporary directory, its name starting with `prefix`.
Result<std::string> MakeTempDirectory(std::string_view prefix);
std::string JoinPath(std::string_view directory, std::string_view name);

// Appends records to a file; after Append() returns the record is on disk (fsync), so a kill loses
// at most the record being written. Not thread-safe.
class AppendFile {
 public:
  // Truncates an existing file: a new run is a new file.
  static Result<AppendFile> Create(const std::string& path);
  // Goes on with an existing file, or creates it. Nobody else may have it open so: kUnavailable.
  // What follows the last line break, of a record that a kill cut off, is removed.
  static Result<AppendFile> Continue(const std::string& path);
  Result<void> Append(std::string_view record);
  const std::string& path() const { return path_; }

 private:
  AppendFile(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  Fd fd_;
  std::string path_;
};

// The directory that a path's file lies in, and an open file there that no name refers to: it is
// gone when it is closed.
std::string DirectoryOf(const std::string& path);
Result<Fd> OpenNameless(const std::string& directory);

// A whole file mapped read-only; the mapping lives as long as the object.
class MappedFile {
 public:
  static Result<MappedFile> Open(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();
  std::string_view bytes() const { return {data_, size_}; }

 private:
  MappedFile(char* data, size_t size) : data_(data), size_(size) {}
  char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace sextant
