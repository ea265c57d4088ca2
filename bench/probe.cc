// Preloaded into `sextant perf` to see from outside what it does (scripts/bench.sh):
//
//   BENCH_ALLOCATIONS=FILE   at exit: {"load": n, "all": n}, calls of malloc, calloc, realloc,
//                            aligned allocation and operator new, by load threads and by all
//   BENCH_SENDS=FILE         at exit: when each send of a load thread began, nanoseconds of the
//                            steady clock, 8 bytes each
//
// A load thread is known by its name ("load-0").
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <new>

namespace {

constexpr uint64_t kMaxSends = 1 << 22;

std::atomic<uint64_t> g_load_allocations, g_all_allocations, g_sends;
uint64_t* g_stamps = nullptr;

using Malloc = void* (*)(size_t);
using Calloc = void* (*)(size_t, size_t);
using Realloc = void* (*)(void*, size_t);
using Aligned = void* (*)(size_t, size_t);
using PosixAligned = int (*)(void**, size_t, size_t);
using Free = void (*)(void*);
using SystemCall = long (*)(long, ...);
using SendMessage = ssize_t (*)(int, const msghdr*, int);

template <typename F>
F Next(const char* name) {
  return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}

// dlsym itself allocates before the real functions are known: from here, never given back.
char g_early[64 * 1024];
size_t g_early_used = 0;
bool IsEarly(const void* p) { return p >= g_early && p < g_early + sizeof g_early; }
void* Early(size_t size) {
  void* p = g_early + g_early_used;
  g_early_used += (size + 15) / 16 * 16;
  if (g_early_used > sizeof g_early) abort();
  return p;
}

Malloc g_malloc;
Calloc g_calloc;
Realloc g_realloc;
Aligned g_aligned;
PosixAligned g_posix_aligned;
Free g_free;
bool g_looking_up = false;

void LookUp() {
  if (g_malloc != nullptr || g_looking_up) return;
  g_looking_up = true;
  g_calloc = Next<Calloc>("calloc");
  g_realloc = Next<Realloc>("realloc");
  g_aligned = Next<Aligned>("aligned_alloc");
  g_posix_aligned = Next<PosixAligned>("posix_memalign");
  g_free = Next<Free>("free");
  g_malloc = Next<Malloc>("malloc");
  g_looking_up = false;
}

bool OnLoadThread() {
  char name[16];
  prctl(PR_GET_NAME, name);
  return std::strncmp(name, "load-", 5) == 0;
}

void Count() {
  g_all_allocations.fetch_add(1, std::memory_order_relaxed);
  if (OnLoadThread()) g_load_allocations.fetch_add(1, std::memory_order_relaxed);
}

void Stamp() {
  // The name of a thread is set early in its life and never changes.
  thread_local const bool load = OnLoadThread();
  if (g_stamps == nullptr || !load) return;
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  const uint64_t i = g_sends.fetch_add(1, std::memory_order_relaxed);
  if (i < kMaxSends)
    g_stamps[i] =
        static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// Nothing here may allocate.
__attribute__((constructor)) void Begin() {
  LookUp();
  if (getenv("BENCH_SENDS") == nullptr) return;
  void* memory = mmap(nullptr, kMaxSends * sizeof(uint64_t), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory != MAP_FAILED) g_stamps = static_cast<uint64_t*>(memory);
}

void WriteTo(const char* path, const void* bytes, size_t size) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0 || write(fd, bytes, size) != static_cast<ssize_t>(size)) perror("probe");
  close(fd);
}

__attribute__((destructor)) void End() {
  if (const char* path = getenv("BENCH_ALLOCATIONS")) {
    char text[96];
    const int n = snprintf(text, sizeof text, "{\"load\": %llu, \"all\": %llu}\n",
                           static_cast<unsigned long long>(g_load_allocations.load()),
                           static_cast<unsigned long long>(g_all_allocations.load()));
    WriteTo(path, text, static_cast<size_t>(n));
  }
  if (const char* path = getenv("BENCH_SENDS"); path != nullptr && g_stamps != nullptr) {
    const uint64_t n = g_sends.load() < kMaxSends ? g_sends.load() : kMaxSends;
    WriteTo(path, g_stamps, n * sizeof(uint64_t));
  }
}

}  // namespace

// operator new of libstdc++ calls malloc or aligned_alloc, and so is counted there.
extern "C" {

void* malloc(size_t size) {
  LookUp();
  if (g_malloc == nullptr) return Early(size);
  Count();
  return g_malloc(size);
}
void* calloc(size_t count, size_t size) {
  LookUp();
  if (g_malloc == nullptr) return Early(count * size);
  Count();
  return g_calloc(count, size);
}
void* realloc(void* p, size_t size) {
  LookUp();
  if (IsEarly(p) || g_malloc == nullptr) {
    void* moved = malloc(size);
    const size_t limit = static_cast<size_t>(g_early + sizeof g_early - static_cast<char*>(p));
    if (p != nullptr) std::memcpy(moved, p, size < limit ? size : limit);
    return moved;
  }
  Count();
  return g_realloc(p, size);
}
void* aligned_alloc(size_t alignment, size_t size) {
  LookUp();
  Count();
  return g_aligned(alignment, size);
}
int posix_memalign(void** out, size_t alignment, size_t size) {
  LookUp();
  Count();
  return g_posix_aligned(out, alignment, size);
}
void free(void* p) {
  if (p == nullptr || IsEarly(p)) return;
  LookUp();
  g_free(p);
}
// The engine's own way to send (src/net/socket.h).
long syscall(long number, ...) {
  static const SystemCall next = Next<SystemCall>("syscall");
  va_list list;
  va_start(list, number);
  long a[6];
  for (long& argument : a) argument = va_arg(list, long);
  va_end(list);
  if (number == SYS_sendto) Stamp();
  return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  static const SendMessage next = Next<SendMessage>("sendmsg");
  Stamp();
  return next(fd, message, flags);
}

}  // extern "C"
