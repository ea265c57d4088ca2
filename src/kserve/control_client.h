// The calls around inference that a client needs: is the server there, what is the model, what has
// it done so far. The same questions over HTTP or gRPC. Blocking, with a deadline on each call.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "kserve/cuda_shared_memory.h"
#include "kserve/metadata.h"
#include "kserve/model_config.h"
#include "kserve/shared_memory.h"
#include "net/hpack.h"
#include "net/socket.h"

namespace sextant::kserve {

enum class Protocol : uint8_t { kHttp, kGrpc };
std::string_view ProtocolName(Protocol protocol);

// Trace settings by their names in Triton's extension. A change to nothing takes back what was set:
// a model then follows the server's settings again.
using TraceValues = std::map<std::string, std::vector<std::string>>;
using TraceChanges = std::map<std::string, std::optional<std::vector<std::string>>>;

// A version of a model in a repository. State and reason may be empty: it was never asked for.
struct IndexedModel {
  std::string name, version, state, reason;
};

// Errors of all calls: kUnavailable (no connection), kDeadlineExceeded, kNotFound (no such model),
// kUnsupported (the server has no such call), kInvalidArgument or kInternal (the server's own
// refusal, in its words), kCorrupt (an answer that cannot be read).
class ControlClient {
 public:
  virtual ~ControlClient() = default;
  virtual Result<bool> ServerReady() = 0;
  virtual Result<ServerMetadata> FetchServerMetadata() = 0;
  // An empty version lets the server choose.
  virtual Result<bool> ModelReady(const std::string& model, const std::string& version) = 0;
  virtual Result<ModelMetadata> FetchModelMetadata(const std::string& model,
                                                   const std::string& version) = 0;
  virtual Result<ModelConfig> FetchModelConfig(const std::string& model,
                                               const std::string& version) = 0;
  // Of the model, one entry per version; with an empty name, of all models.
  virtual Result<std::vector<ModelStatistics>> FetchStatistics(const std::string& model,
                                                               const std::string& version) = 0;
  // Explicit model control. `config_json` replaces the model's configuration as its repository has
  // it. A model takes as long as it takes: with a time limit of their own. `dependents`: the models
  // of its steps that were loaded for it go as well.
  virtual Result<void> LoadModel(const std::string& model,
                                 const std::optional<std::string>& config_json, Nanos timeout) = 0;
  virtual Result<void> UnloadModel(const std::string& model, bool dependents, Nanos timeout) = 0;
  // What is in the server's repositories, ready or not.
  virtual Result<std::vector<IndexedModel>> FetchRepositoryIndex() = 0;
  // Tells the server of a shared memory object, or to forget the region of that name.
  virtual Result<void> RegisterSystemMemory(const SharedRegion& region) = 0;
  virtual Result<void> UnregisterSystemMemory(const std::string& name) = 0;
  virtual Result<void> RegisterCudaMemory(const CudaRegion& region) = 0;
  virtual Result<void> UnregisterCudaMemory(const std::string& name) = 0;
  // Of the model, or with an empty name the server's own.
  virtual Result<TraceValues> FetchTraceSettings(const std::string& model) = 0;
  virtual Result<void> SetTraceSettings(const std::string& model, const TraceChanges& changes) = 0;
};

struct ControlExtras {
  net::TlsPeer* tls = nullptr;  // null: plain text; must outlive the client
  // Header fields of every call, asked for each time: a token may have changed.
  std::function<std::vector<net::HeaderField>()> headers;
};

// `authority` is the name the server is addressed by ("localhost:8000"), `path_prefix` what stands
// before /v2 in its paths (HTTP).
Result<std::unique_ptr<ControlClient>> MakeControlClient(
    Protocol protocol, const net::Address& address, const std::string& authority,
    const std::string& path_prefix, Nanos timeout, const ControlExtras& extras = {});

// "/v2/models/NAME[/versions/VERSION]", each name percent-encoded.
std::string ModelPath(const std::string& model, const std::string& version);

}  // namespace sextant::kserve
