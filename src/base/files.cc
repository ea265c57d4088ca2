#include "base/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "base/strings.h"

namespace sextant {
namespace {

void SyncDirectoryOf(const std::string& path) {
  const Fd dir(open(DirectoryOf(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (dir.valid()) fsync(dir.get());  // best effort: some file systems refuse it on directories
}

}  // namespace

Result<void> WriteAll(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      return IoError("write " + path, errno);
    }
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

void Fd::Reset(int fd) {
  if (fd_ >= 0) close(fd_);
  fd_ = fd;
}

Result<std::string> ReadFile(const std::string& path) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return IoError("open " + path, errno);
  std::string out;
  struct stat info{};
  if (fstat(fd.get(), &info) == 0 && S_ISREG(info.st_mode))
    out.reserve(static_cast<size_t>(info.st_size));
  char buffer[1 << 16];
  for (;;) {
    const ssize_t n = read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return IoError("read " + path, errno);
    if (n == 0) return out;
    out.append(buffer, static_cast<size_t>(n));
  }
}

Result<void> WriteFileAtomic(const std::string& path, std::string_view bytes) {
  const std::string beside = Format("{}.{}.tmp", path, getpid());
  {
    const Fd fd(open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!fd.valid()) return IoError("create " + beside, errno);
    Result<void> written = WriteAll(fd.get(), bytes, beside);
    if (written.has_value() && fsync(fd.get()) != 0) written = IoError("fsync " + beside, errno);
    if (!written.has_value()) {
      unlink(beside.c_str());
      return written;
    }
  }
  if (rename(beside.c_str(), path.c_str()) != 0) {
    const int error_number = errno;
    unlink(beside.c_str());
    return IoError(Format("rename {} to {}", beside, path), error_number);
  }
  SyncDirectoryOf(path);
  return {};
}

std::string DirectoryOf(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

Result<Fd> OpenNameless(const std::string& directory) {
  Fd file(open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file.valid()) return file;
  // Not every file system has them.
  std::string path = JoinPath(directory, ".sextant.XXXXXX");
  file.Reset(mkostemp(path.data(), O_CLOEXEC));
  if (!file.valid()) return IoError("create a temporary file in " + directory, errno);
  unlink(path.c_str());
  return file;
}

bool FileExists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

bool IsDirectory(const std::string& path) {
  struct stat info{};
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

bool SameFile(const std::string& a, const std::string& b) {
  if (a.empty() || b.empty()) return false;
  struct stat info_a{}, info_b{};
  const bool has_a = stat(a.c_str(), &info_a) == 0, has_b = stat(b.c_str(), &info_b) == 0;
  if (has_a != has_b || (has_a && !S_ISREG(info_a.st_mode))) return false;
  if (has_a) return info_a.st_dev == info_b.st_dev && info_a.st_ino == info_b.st_ino;
  std::error_code error_a, error_b;
  const auto path_a =
      std::filesystem::weakly_canonical(std::filesystem::absolute(a, error_a), error_a);
  const auto path_b =
      std::filesystem::weakly_canonical(std::filesystem::absolute(b, error_b), error_b);
  return !error_a && !error_b && path_a == path_b;
}

Result<std::vector<std::string>> ListDirectory(const std::string& path) {
  std::error_code error;
  std::filesystem::directory_iterator it(path, error);
  std::vector<std::string> names;
  for (; !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  if (error) return IoError("list " + path, error.value());
  std::sort(names.begin(), names.end());
  return names;
}

Result<void> MakeDirectories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return IoError("make directory " + path, error.value());
  return {};
}

Result<void> RemoveAll(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) return IoError("remove " + path, error.value());
  return {};
}

Result<std::string> MakeTempDirectory(std::string_view prefix) {
  const char* base = std::getenv("TMPDIR");
  std::string path =
      JoinPath(base != nullptr && *base != 0 ? base : "/tmp", Format("{}.XXXXXX", prefix));
  if (mkdtemp(path.data()) == nullptr) return IoError("make directory " + path, errno);
  return path;
}

std::string JoinPath(std::string_view directory, std::string_view name) {
  if (directory.empty()) return std::string(name);
  return Format("{}{}{}", directory, directory.ends_with('/') ? "" : "/", name);
}

Result<AppendFile> AppendFile::Create(const std::string& path) {
  Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644));
  if (!fd.valid()) return IoError("create " + path, errno);
  SyncDirectoryOf(path);
  return AppendFile(std::move(fd), path);
}

Result<AppendFile> AppendFile::Continue(const std::string& path) {
  Fd fd(open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!fd.valid()) return IoError("open " + path, errno);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return Unavailable(path + " is in use by another process");
    return IoError("lock " + path, errno);
  }
  off_t end = lseek(fd.get(), 0, SEEK_END);
  char buffer[4096];
  for (off_t keep = end; keep > 0;) {
    const off_t begin = std::max<off_t>(0, keep - static_cast<off_t>(sizeof buffer));
    const ssize_t n = pread(fd.get(), buffer, static_cast<size_t>(keep - begin), begin);
    if (n <= 0) return IoError("read " + path, errno);
    const size_t newline = std::string_view(buffer, static_cast<size_t>(n)).rfind('\n');
    keep = newline == std::string_view::npos ? begin : begin + static_cast<off_t>(newline) + 1;
    if (newline == std::string_view::npos && begin > 0) continue;
    if (keep < end && ftruncate(fd.get(), keep) != 0) return IoError("truncate " + path, errno);
    break;
  }
  SyncDirectoryOf(path);
  return AppendFile(std::move(fd), path);
}

Result<void> AppendFile::Append(std::string_view record) {
  SEXTANT_TRY(WriteAll(fd_.get(), record, path_));
  // Pipes and terminals cannot be synced and need not be.
  if (fdatasync(fd_.get()) != 0 && errno != EINVAL && errno != EROFS)
    return IoError("fsync " + path_, errno);
  return {};
}

Result<MappedFile> MappedFile::Open(const std::string& path) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return IoError("open " + path, errno);
  struct stat info{};
  if (fstat(fd.get(), &info) != 0) return IoError("stat " + path, errno);
  const auto size = static_cast<size_t>(info.st_size);
  if (size == 0) return MappedFile(nullptr, 0);
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (data == MAP_FAILED) return IoError("map " + path, errno);
  return MappedFile(static_cast<char*>(data), size);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(data_, size_);
}

}  // namespace sextant
