// The simplest client there can be: one blocking socket, one request after the other. What it sees
// is the server's and the kernel's share of a latency; what the engine reports beyond is its own.
//
//   blocking_client PORT SECONDS REQUEST-FILE      prints {"requests": n, "p50_us": t, "p99_us": t}
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/files.h"
#include "loopback.h"

namespace {

using sextant::bench::Die;

// Bytes of the whole answer that starts here; 0: its head is not all there.
size_t AnswerSize(std::string_view bytes) {
  const size_t head = bytes.find("\r\n\r\n");
  if (head == std::string_view::npos) return 0;
  const size_t at = bytes.find("\r\nContent-Length: ");
  if (!bytes.starts_with("HTTP/1.1 200") || at == std::string_view::npos)
    Die("not the answer expected");
  return head + 4 + std::strtoul(bytes.data() + at + 18, nullptr, 10);
}

void Exchange(int fd, std::string_view request, char* buffer, size_t room) {
  if (send(fd, request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size()))
    Die("send", errno);
  size_t have = 0;
  for (size_t want = 0; want == 0 || have < want;) {
    const ssize_t n = recv(fd, buffer + have, room - have, 0);
    if (n < 0) Die("recv", errno);
    if (n == 0) Die("the server closed the connection");
    have += static_cast<size_t>(n);
    if (want == 0) want = AnswerSize({buffer, have});
  }
}

}  // namespace

int main(int argc, char** argv) {
  using namespace sextant;
  if (argc != 4) {
    std::fputs("usage: blocking_client PORT SECONDS REQUEST-FILE\n", stderr);
    return 2;
  }
  const Result<std::string> request = ReadFile(argv[3]);
  if (!request.has_value()) Die("cannot read the request");
  const int fd = bench::Connect(std::atoi(argv[1]));
  std::vector<char> buffer(1 << 20);
  std::vector<int64_t> taken;
  taken.reserve(10'000'000);
  const Instant end = SteadyNow() + FromSeconds(std::atof(argv[2]));
  Instant before;
  do {
    before = SteadyNow();
    Exchange(fd, *request, buffer.data(), buffer.size());
    taken.push_back((SteadyNow() - before).count());
  } while (before < end && taken.size() < taken.capacity());
  close(fd);
  std::sort(taken.begin(), taken.end());
  std::printf("{\"requests\": %zu, \"p50_us\": %.3f, \"p99_us\": %.3f}\n", taken.size(),
              static_cast<double>(taken[taken.size() / 2]) / 1e3,
              static_cast<double>(taken[taken.size() * 99 / 100]) / 1e3);
  return 0;
}
