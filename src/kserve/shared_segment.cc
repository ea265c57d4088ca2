#include "kserve/shared_segment.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>

#include "base/random.h"
#include "base/strings.h"
#include "base/units.h"

namespace sextant::kserve {
namespace {

constexpr char kDirectory[] = "/dev/shm";
constexpr std::string_view kPrefix = "sextant_";

}  // namespace

Result<std::unique_ptr<SharedSegment>> SharedSegment::Create(std::string_view what,
                                                             uint64_t bytes) {
  std::unique_ptr<SharedSegment> out(new SharedSegment());
  out->key_ = Format("/{}{}_{}_{}", kPrefix, getpid(), RandomWord(8), what);
  out->fd_ = Fd(shm_open(out->key_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!out->fd_.valid()) {
    const Error error = IoError("create the shared memory object " + out->key_, errno);
    out->key_.clear();
    return error;
  }
  flock(out->fd_.get(), LOCK_EX | LOCK_NB);
  // Taken now: memory that is not there would otherwise end the process when it is touched.
  const int fault = posix_fallocate(out->fd_.get(), 0, static_cast<off_t>(bytes));
  if (fault == ENOSPC) {
    struct statvfs info{};
    const bool known = statvfs(kDirectory, &info) == 0;
    return Unavailable(Format("{} has too little room: {} are needed, {} free", kDirectory,
                              HumanBytes(static_cast<double>(bytes)),
                              known ? "there are " + HumanBytes(static_cast<double>(info.f_bavail) *
                                                                static_cast<double>(info.f_frsize))
                                    : std::string("less are")));
  }
  if (fault != 0) return IoError("size the shared memory object " + out->key_, fault);
  void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, out->fd_.get(), 0);
  if (mapped == MAP_FAILED) return IoError("map the shared memory object " + out->key_, errno);
  out->data_ = static_cast<char*>(mapped);
  out->size_ = bytes;
  return out;
}

SharedSegment::~SharedSegment() {
  if (data_ != nullptr) munmap(data_, size_);
  if (!key_.empty()) shm_unlink(key_.c_str());
}

size_t RemoveOrphanedSegments() {
  size_t removed = 0;
  const Result<std::vector<std::string>> names = ListDirectory(kDirectory);
  if (!names.has_value()) return 0;
  for (const std::string& name : *names) {
    if (!name.starts_with(kPrefix)) continue;
    const auto words = Split(name, '_');
    const auto pid = words.size() == 4 ? ParseInt(words[1]) : std::nullopt;
    if (!pid || *pid <= 0 || *pid > INT32_MAX) continue;
    if (kill(static_cast<pid_t>(*pid), 0) == 0 || errno != ESRCH) continue;
    const std::string key = "/" + name;
    const Fd fd(shm_open(key.c_str(), O_RDWR | O_CLOEXEC, 0));
    if (!fd.valid() || flock(fd.get(), LOCK_EX | LOCK_NB) != 0) continue;
    if (shm_unlink(key.c_str()) == 0) ++removed;
  }
  return removed;
}

}  // namespace sextant::kserve
