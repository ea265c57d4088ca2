// A client that only moves bytes: closed loop on epoll, no schedule, no records, no errors. What
// the engine costs beyond it is what measuring costs (scripts/bench.sh instructions).
//
//   bare_client http|grpc PORT CONNECTIONS STREAMS REQUESTS REQUEST-FILE
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/files.h"
#include "loopback.h"
#include "net/grpc_client.h"

namespace {

using sextant::bench::Die;
using sextant::net::FrameType;
using sextant::net::kFrameHeaderBytes;

// Counts down; shared by all connections.
struct Work {
  uint64_t to_send = 0, to_answer = 0;
};

class Connection {
 public:
  explicit Connection(int fd) : fd_(fd) {}
  virtual ~Connection() = default;
  virtual void Begin(Work& work) = 0;
  virtual void OnReadable(Work& work) = 0;
  int fd() const { return fd_; }

 protected:
  static constexpr size_t kRoom = 256 * 1024;
  void Write(std::string_view bytes) const {
    if (send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size()))
      Die("a write that was not taken whole");
  }
  size_t Read(char* to, size_t room) const {
    const ssize_t n = recv(fd_, to, room, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) Die("the server closed the connection");
    return n < 0 ? 0 : static_cast<size_t>(n);
  }

 private:
  const int fd_;
};

char g_scratch[256 * 1024];

class HttpConnection final : public Connection {
 public:
  HttpConnection(int fd, const std::string& request) : Connection(fd), request_(request) {}

  void Begin(Work& work) override {
    if (work.to_send == 0) return;
    --work.to_send;
    Write(request_);
  }
  void OnReadable(Work& work) override {
    const std::string_view bytes(g_scratch, Read(g_scratch, kRoom));
    if (bytes.empty()) return;
    if (missing_ == 0) missing_ = AnswerSize(bytes);
    missing_ -= bytes.size();
    if (missing_ > 0) return;
    --work.to_answer;
    Begin(work);
  }

 private:
  size_t AnswerSize(std::string_view bytes) {
    if (!bytes.starts_with("HTTP/1.1 200")) Die("an answer other than 200");
    const char* at = bytes.data();
    const char* const end = at + bytes.size();
    while ((at = static_cast<const char*>(std::memchr(at, '\r', static_cast<size_t>(end - at)))) !=
           nullptr) {
      if (end - at >= 4 && at[1] == '\n' && at[2] == '\r') break;
      ++at;
    }
    if (at == nullptr) Die("a head in two pieces");
    if (body_ == 0) {
      const size_t length = bytes.find("\r\nContent-Length: ");
      if (length == std::string_view::npos) Die("no Content-Length");
      body_ = std::strtoul(bytes.data() + length + 18, nullptr, 10);
    }
    return static_cast<size_t>(at + 4 - bytes.data()) + body_;
  }

  const std::string& request_;
  size_t body_ = 0;  // the same in all answers
  size_t missing_ = 0;
};

class GrpcConnection final : public Connection {
 public:
  // `request`: HEADERS and DATA frames, whose stream numbers are patched.
  GrpcConnection(int fd, const std::string& request, size_t second_frame, int streams)
      : Connection(fd),
        request_(request),
        second_frame_(second_frame),
        streams_(streams),
        in_(new char[kRoom]) {}

  void Begin(Work& work) override {
    out_.reserve(kRoom);
    out_ = sextant::net::kHttp2Preface;
    // No dynamic table, no push, the widest windows.
    Frame(FrameType::kSettings, 0,
          std::string_view("\0\1\0\0\0\0\0\2\0\0\0\0\0\4\x7f\xff\xff\xff", 18));
    Frame(FrameType::kWindowUpdate, 0, std::string_view("\x7f\xff\0\0", 4));
    for (int i = 0; i < streams_; ++i) Start(work);
    Flush();
  }
  void OnReadable(Work& work) override {
    filled_ += Read(in_.get() + filled_, kRoom - filled_);
    size_t at = 0;
    while (filled_ - at >= kFrameHeaderBytes) {
      const auto frame = sextant::net::ParseFrameHeader(in_.get() + at);
      if (filled_ - at < kFrameHeaderBytes + frame.length) break;
      const std::string_view payload(in_.get() + at + kFrameHeaderBytes, frame.length);
      at += kFrameHeaderBytes + frame.length;
      if (frame.type == FrameType::kHeaders && (frame.flags & 1) != 0) {
        CheckTrailers(payload);
        --work.to_answer;
        Start(work);
      } else if (frame.type == FrameType::kSettings && (frame.flags & 1) == 0) {
        Frame(FrameType::kSettings, 1, {});
      } else if (frame.type == FrameType::kRstStream || frame.type == FrameType::kGoaway) {
        Die("the server refuses");
      }
    }
    if (at < filled_) std::memmove(in_.get(), in_.get() + at, filled_ - at);
    filled_ -= at;
    Flush();
  }

 private:
  void Frame(FrameType type, uint8_t flags, std::string_view payload) {
    char header[kFrameHeaderBytes];
    sextant::net::WriteFrameHeader(header, payload.size(), type, flags, 0);
    out_.append(header, sizeof header).append(payload);
  }
  // All like the first one, and that one says OK.
  void CheckTrailers(std::string_view block) {
    if (block == trailers_) return;
    if (!trailers_.empty() || block.find("grpc-status") == std::string_view::npos ||
        !block.ends_with('0'))
      Die("a call that failed");
    trailers_ = block;
  }
  void Start(Work& work) {
    if (work.to_send == 0) return;
    --work.to_send;
    const size_t at = out_.size();
    out_ += request_;
    sextant::net::WriteBigEndian32(&out_[at + 5], next_stream_);
    sextant::net::WriteBigEndian32(&out_[at + second_frame_ + 5], next_stream_);
    next_stream_ += 2;
  }
  void Flush() {
    if (!out_.empty()) Write(out_);
    out_.clear();
  }

  const std::string& request_;
  const size_t second_frame_;
  const int streams_;
  uint32_t next_stream_ = 1;
  std::unique_ptr<char[]> in_;
  size_t filled_ = 0;
  std::string out_, trailers_;
};

std::string GrpcFrames(std::string_view message, size_t& second_frame) {
  const std::string block = sextant::net::EncodeGrpcHeaders(
      {.authority = "127.0.0.1", .path = "/inference.GRPCInferenceService/ModelInfer"});
  std::string out(2 * kFrameHeaderBytes + block.size() + message.size(), '\0');
  sextant::net::WriteFrameHeader(out.data(), block.size(), FrameType::kHeaders, 4, 0);
  std::memcpy(out.data() + kFrameHeaderBytes, block.data(), block.size());
  second_frame = kFrameHeaderBytes + block.size();
  char* data = out.data() + second_frame;
  sextant::net::WriteFrameHeader(data, message.size(), FrameType::kData, 1, 0);
  std::memcpy(data + kFrameHeaderBytes, message.data(), message.size());
  return out;
}

// Callgrind collects inside of this one.
__attribute__((noinline)) void RunLoop(int epoll, Work& work) {
  epoll_event events[256];
  while (work.to_answer > 0) {
    const int n = epoll_wait(epoll, events, 256, -1);
    for (int i = 0; i < n; ++i) {
      if ((events[i].events & EPOLLIN) != 0)
        static_cast<Connection*>(events[i].data.ptr)->OnReadable(work);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) {
    std::fputs("usage: bare_client http|grpc PORT CONNECTIONS STREAMS REQUESTS REQUEST-FILE\n",
               stderr);
    return 2;
  }
  const bool grpc = std::string_view(argv[1]) == "grpc";
  const sextant::Result<std::string> file = sextant::ReadFile(argv[6]);
  if (!file.has_value()) Die("cannot read the request");
  size_t second_frame = 0;
  const std::string request = grpc ? GrpcFrames(*file, second_frame) : *file;
  const uint64_t count = std::strtoull(argv[5], nullptr, 10);
  Work work{count, count};
  const int epoll = epoll_create1(0);
  std::vector<std::unique_ptr<Connection>> connections;
  for (int i = 0; i < std::atoi(argv[3]); ++i) {
    const int fd = sextant::bench::Connect(std::atoi(argv[2]));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    if (grpc) {
      connections.push_back(
          std::make_unique<GrpcConnection>(fd, request, second_frame, std::atoi(argv[4])));
    } else {
      connections.push_back(std::make_unique<HttpConnection>(fd, request));
    }
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.ptr = connections.back().get();
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  }
  for (const auto& connection : connections) connection->Begin(work);
  // In a thread, as every engine with a controller has it: the C library's system calls cost more
  // instructions in a program with threads.
  std::thread([&] { RunLoop(epoll, work); }).join();
  return 0;
}
