// The server that an analysis measures: one that is there already, or a child of ours that lives as
// long as the analysis, is started again when it dies, and never outlives us.
//
// The user's model repository is only read: configurations are given with the load call.
//
// Threads: the driver's.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace sextant::analyze {

enum class Launch : uint8_t {
  kRemote,     // it is there
  kEmbedded,   // sextant serve
  kLocal,      // a tritonserver program
  kContainer,  // podman or docker run
};

struct LaunchOptions {
  Launch kind = Launch::kRemote;
  std::string repository;  // directory, absolute
  std::string source;      // what its links lead to (a container sees it too); may be empty
  std::string program;     // this program's own path, tritonserver's, or podman's
  std::string image;       // of the container
  std::string name;        // of UniqueServerName(): of the container, of regions of shared memory
  std::vector<std::string> arguments;    // further ones of the server
  std::vector<std::string> environment;  // NAME=VALUE, of a child
  std::vector<std::string> container_arguments;
  std::string work_directory;  // for its log, unless that has a place; it exists
  std::string log = {};
  Nanos start_limit{60s};
  // Until it is killed: at the end, and before it is started anew. It has nothing to save.
  Nanos stop_limit{3s}, restart_limit{1s};
  // Told of what takes long; whether somebody wants it to end.
  std::function<void(const std::string&)> note;
  std::function<bool()> stop;
};

// Where it listens: "127.0.0.1:8000".
struct ServerPlaces {
  std::string http, grpc, metrics;
};

class ModelServer {
 public:
  virtual ~ModelServer() = default;
  virtual const ServerPlaces& places() const = 0;
  virtual bool Alive() = 0;
  // Anew, on new ports perhaps.
  virtual Result<void> Restart() = 0;
  // Its processes on this machine, as far as they are ours to know.
  virtual std::vector<uint32_t> Processes() const = 0;
  // What it wrote until now is of something else than what comes.
  virtual void MarkLog() = 0;
  // The end of what it wrote since the mark, or since it started; some lines, none if there are
  // none.
  virtual std::string LogTail() const = 0;
  virtual std::string Describe() const = 0;
};

// Starts a child of the given kind and waits until it says that it is ready. Errors have the tail
// of its log. Not for kRemote.
Result<std::unique_ptr<ModelServer>> StartServer(const LaunchOptions& options);

// Lines that say why, of the end of a log: half of them the last ones, the others errors before
// these if there are any. Empty lines are left out, the others are indented. Nothing before the
// byte `begin` counts.
std::string TailOf(const std::string& path, size_t lines, size_t begin = 0);

}  // namespace sextant::analyze
