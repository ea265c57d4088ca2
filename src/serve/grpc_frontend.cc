#include "serve/grpc_frontend.h"

#include <algorithm>

#include "base/strings.h"
#include "inference.pb.h"
#include "kserve/infer_grpc.h"
#include "kserve/model_config.h"

namespace sextant::serve {
namespace {

constexpr std::string_view kServicePath = "/inference.GRPCInferenceService/";

void Fail(const net::GrpcCall& call, const Error& error) {
  call.Finish(GrpcStatusOf(error.code()), error.message());
}

void Unsupported(const net::GrpcCall& call, std::string_view what) {
  call.Finish(net::GrpcStatus::kUnimplemented,
              Format("{} is not supported by sextant serve", what));
}

template <typename Message>
void Reply(const net::GrpcCall& call, const Message& message) {
  call.Reply(message.SerializeAsString());
}

// Parses a request and calls `answer` with it; refuses what is not one.
template <typename Request, typename Answer>
void With(std::string_view message, const net::GrpcCall& call, Answer&& answer) {
  Request request;
  if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
    return call.Finish(net::GrpcStatus::kInternal, "the message is not valid protocol buffers");
  }
  answer(request);
}

class UnarySink final : public OutcomeSink {
 public:
  explicit UnarySink(const net::GrpcCall& call) : call_(call) {}
  void OnOutcome(const kserve::InferRequest&, Outcome&& outcome) override {
    if (outcome.reset_connection) return call_.Break();
    if (!outcome.response.has_value()) return Fail(call_, outcome.response.error());
    call_.Reply(kserve::EncodeGrpcResponse(*outcome.response));
  }

 private:
  const net::GrpcCall call_;
};

class StreamSink final : public OutcomeSink {
 public:
  StreamSink(const net::GrpcCall& call, std::shared_ptr<GrpcFrontend::Stream> stream)
      : call_(call), stream_(std::move(stream)) {}

  void OnOutcome(const kserve::InferRequest& request, Outcome&& outcome) override {
    if (outcome.reset_connection) {
      call_.Break();
    } else if (!outcome.response.has_value()) {
      // The id lets the client match the error with its request.
      kserve::InferResponse empty{.model_name = request.model_name, .id = request.id};
      call_.Write(kserve::EncodeGrpcStreamError(outcome.response.error().message(),
                                                kserve::EncodeGrpcResponse(empty)));
    } else if (!outcome.empty || WantsFinalResponse(request)) {
      outcome.response->parameters.emplace_back("triton_final_response", outcome.final);
      call_.Write(kserve::EncodeGrpcStreamResponse(kserve::EncodeGrpcResponse(*outcome.response)));
    }
    if (!outcome.final) return;
    const std::scoped_lock lock(stream_->mutex);
    --stream_->open;
    if (stream_->open == 0 && stream_->client_done) call_.Finish(net::GrpcStatus::kOk);
  }

 private:
  static bool WantsFinalResponse(const kserve::InferRequest& request) {
    const kserve::Parameter* value =
        kserve::FindParameter(request.parameters, "triton_enable_empty_final_response");
    const bool* wanted = value == nullptr ? nullptr : std::get_if<bool>(value);
    return wanted != nullptr && *wanted;
  }

  const net::GrpcCall call_;
  const std::shared_ptr<GrpcFrontend::Stream> stream_;
};

}  // namespace

net::GrpcStatus GrpcStatusOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return net::GrpcStatus::kInvalidArgument;
    case ErrorCode::kNotFound:
      return net::GrpcStatus::kNotFound;
    case ErrorCode::kAlreadyExists:
      return net::GrpcStatus::kAlreadyExists;
    case ErrorCode::kUnavailable:
      return net::GrpcStatus::kUnavailable;
    case ErrorCode::kDeadlineExceeded:
      return net::GrpcStatus::kDeadlineExceeded;
    case ErrorCode::kCancelled:
      return net::GrpcStatus::kCancelled;
    case ErrorCode::kUnsupported:
      return net::GrpcStatus::kUnimplemented;
    case ErrorCode::kResourceExhausted:
      return net::GrpcStatus::kResourceExhausted;
    case ErrorCode::kCorrupt:
    case ErrorCode::kIo:
    case ErrorCode::kInternal:
      return net::GrpcStatus::kInternal;
  }
  return net::GrpcStatus::kUnknown;
}

// The service, a row per method.
struct GrpcFrontend::MethodRow {
  std::string_view name;
  net::GrpcMethodKind kind;
  void (*answer)(GrpcFrontend& self, std::string_view message, const net::GrpcCall& call);
};

const GrpcFrontend::MethodRow* GrpcFrontend::Methods(size_t& count) {
  using Self = GrpcFrontend;
  using View = std::string_view;
  using Call = net::GrpcCall;
  constexpr auto kUnary = net::GrpcMethodKind::kUnary;
  static const MethodRow rows[] = {
      {"ModelInfer", kUnary,
       [](Self& self, View message, const Call& call) { self.Infer(message, call); }},
      {"ModelStreamInfer", net::GrpcMethodKind::kStream, nullptr},
      {"ServerLive", kUnary,
       [](Self&, View, const Call& call) {
         inference::ServerLiveResponse response;
         response.set_live(true);
         Reply(call, response);
       }},
      {"ServerReady", kUnary,
       [](Self& self, View, const Call& call) {
         inference::ServerReadyResponse response;
         response.set_ready(self.core_.Ready());
         Reply(call, response);
       }},
      {"ModelReady", kUnary,
       [](Self& self, View message, const Call& call) {
         With<inference::ModelReadyRequest>(message, call, [&](const auto& request) {
           const auto model = self.core_.repository().Find(request.name(), request.version());
           if (!model.has_value() && model.error().code() == ErrorCode::kInvalidArgument)
             return Fail(call, model.error());  // not a version at all
           inference::ModelReadyResponse response;
           response.set_ready(model.has_value());
           Reply(call, response);
         });
       }},
      {"ServerMetadata", kUnary,
       [](Self& self, View, const Call& call) {
         inference::ServerMetadataResponse response;
         kserve::ToProto(self.core_.Metadata(), response);
         Reply(call, response);
       }},
      {"ModelMetadata", kUnary,
       [](Self& self, View message, const Call& call) {
         With<inference::ModelMetadataRequest>(message, call, [&](const auto& request) {
           const auto metadata = self.core_.ModelMetadata(request.name(), request.version());
           if (!metadata.has_value()) return Fail(call, metadata.error());
           inference::ModelMetadataResponse response;
           kserve::ToProto(*metadata, response);
           Reply(call, response);
         });
       }},
      {"ModelConfig", kUnary,
       [](Self& self, View message, const Call& call) {
         With<inference::ModelConfigRequest>(message, call, [&](const auto& request) {
           const auto model = self.core_.repository().Find(request.name(), request.version());
           if (!model.has_value()) return Fail(call, model.error());
           inference::ModelConfigResponse response;
           *response.mutable_config() = (*model)->config();
           Reply(call, response);
         });
       }},
      {"ModelStatistics", kUnary,
       [](Self& self, View message, const Call& call) {
         With<inference::ModelStatisticsRequest>(message, call, [&](const auto& request) {
           const auto statistics = self.core_.Statistics(request.name(), request.version());
           if (!statistics.has_value()) return Fail(call, statistics.error());
           inference::ModelStatisticsResponse response;
           kserve::ToProto(*statistics, response);
           Reply(call, response);
         });
       }},
      {"RepositoryIndex", kUnary,
       [](Self& self, View message, const Call& call) {
         With<inference::RepositoryIndexRequest>(message, call, [&](const auto& request) {
           inference::RepositoryIndexResponse response;
           for (const kserve::IndexEntry& entry : self.core_.repository().Index(request.ready())) {
             auto* model = response.add_models();
             model->set_name(entry.name);
             model->set_version(entry.version);
             model->set_state(entry.state);
             model->set_reason(entry.reason);
           }
           Reply(call, response);
         });
       }},
      {"RepositoryModelLoad", kUnary,
       [](Self& self, View message, const Call& call) { self.Load(message, call, true); }},
      {"RepositoryModelUnload", kUnary,
       [](Self& self, View message, const Call& call) { self.Load(message, call, false); }},
      {"SystemSharedMemoryStatus", kUnary,
       [](Self& self, View message, const Call& call) {
         With<inference::SystemSharedMemoryStatusRequest>(message, call, [&](const auto& request) {
           const auto regions = self.core_.shared_memory().Status(request.name());
           if (!regions.has_value()) return Fail(call, regions.error());
           inference::SystemSharedMemoryStatusResponse response;
           for (const kserve::SharedRegion& region : *regions) {
             auto& entry = (*response.mutable_regions())[region.name];
             entry.set_name(region.name);
             entry.set_key(region.key);
             entry.set_offset(region.offset);
             entry.set_byte_size(region.byte_size);
           }
           Reply(call, response);
         });
       }},
      {"SystemSharedMemoryRegister", kUnary,
       [](Self& self, View message, const Call& call) {
         With<inference::SystemSharedMemoryRegisterRequest>(
             message, call, [&](const auto& request) {
               const auto registered = self.core_.shared_memory().Register(
                   {request.name(), request.key(), request.offset(), request.byte_size()});
               if (!registered.has_value()) return Fail(call, registered.error());
               Reply(call, inference::SystemSharedMemoryRegisterResponse());
             });
       }},
      {"SystemSharedMemoryUnregister", kUnary,
       [](Self& self, View message, const Call& call) {
         With<inference::SystemSharedMemoryUnregisterRequest>(
             message, call, [&](const auto& request) {
               self.core_.shared_memory().Unregister(request.name());
               Reply(call, inference::SystemSharedMemoryUnregisterResponse());
             });
       }},
      // Without a GPU's driver there is no CUDA memory, so there is nothing registered.
      {"CudaSharedMemoryStatus", kUnary,
       [](Self& self, View message, const Call& call) {
         With<inference::CudaSharedMemoryStatusRequest>(message, call, [&](const auto& request) {
           const bool there = self.core_.cuda_memory().available();
           const auto regions = self.core_.cuda_memory().Status(there ? request.name() : "");
           if (!regions.has_value()) return Fail(call, regions.error());
           inference::CudaSharedMemoryStatusResponse response;
           for (const kserve::CudaRegion& region : *regions) {
             auto& entry = (*response.mutable_regions())[region.name];
             entry.set_name(region.name);
             entry.set_device_id(static_cast<uint64_t>(region.device));
             entry.set_byte_size(region.byte_size);
           }
           Reply(call, response);
         });
       }},
      {"CudaSharedMemoryRegister", kUnary,
       [](Self& self, View message, const Call& call) { self.RegisterCuda(message, call); }},
      {"CudaSharedMemoryUnregister", kUnary,
       [](Self& self, View message, const Call& call) { self.UnregisterCuda(message, call); }},
      {"TraceSetting", kUnary, [](Self&, View, const Call& call) { Unsupported(call, "tracing"); }},
      {"LogSettings", kUnary,
       [](Self&, View, const Call& call) { Unsupported(call, "changing the log"); }},
  };
  count = std::size(rows);
  return rows;
}

net::GrpcMethodKind GrpcFrontend::FindMethod(std::string_view path, uint32_t& method) {
  if (!path.starts_with(kServicePath)) return net::GrpcMethodKind::kUnknown;
  path.remove_prefix(kServicePath.size());
  size_t count = 0;
  const MethodRow* rows = Methods(count);
  for (size_t i = 0; i < count; ++i) {
    if (rows[i].name != path) continue;
    method = static_cast<uint32_t>(i);
    return rows[i].kind;
  }
  return net::GrpcMethodKind::kUnknown;
}

void GrpcFrontend::OnUnary(uint32_t method, std::string_view message, const net::GrpcCall& call) {
  size_t count = 0;
  Methods(count)[method].answer(*this, message, call);
}

void GrpcFrontend::Infer(std::string_view message, const net::GrpcCall& call) {
  auto request = std::make_unique<kserve::InferRequest>();
  request->body = message;
  if (Result<void> decoded = kserve::DecodeGrpcRequest(*request); !decoded.has_value()) {
    if (decoded.error().code() == ErrorCode::kInternal) return Fail(call, decoded.error());
    // As over HTTP, an unknown model is the more basic mistake.
    const auto model = core_.repository().Find(request->model_name, request->model_version);
    return Fail(call, model.has_value() ? decoded.error() : model.error());
  }
  core_.Infer(std::move(request), std::make_unique<UnarySink>(call), /*many=*/false);
}

void GrpcFrontend::OnStreamMessage(uint32_t, std::string_view message, const net::GrpcCall& call) {
  std::shared_ptr<Stream> stream;
  {
    const std::scoped_lock lock(mutex_);
    std::shared_ptr<Stream>& entry = streams_[{call.connection(), call.stream()}];
    if (entry == nullptr) entry = std::make_shared<Stream>();
    stream = entry;
  }
  {
    const std::scoped_lock lock(stream->mutex);
    ++stream->open;
  }
  auto request = std::make_unique<kserve::InferRequest>();
  request->body = message;
  auto sink = std::make_unique<StreamSink>(call, std::move(stream));
  if (Result<void> decoded = kserve::DecodeGrpcRequest(*request); !decoded.has_value()) {
    return sink->OnOutcome(*request, {.response = std::move(decoded).error()});
  }
  core_.Infer(std::move(request), std::move(sink), /*many=*/true);
}

void GrpcFrontend::OnStreamDone(uint32_t, const net::GrpcCall& call) {
  std::shared_ptr<Stream> stream;
  {
    const std::scoped_lock lock(mutex_);
    const auto it = streams_.find({call.connection(), call.stream()});
    if (it != streams_.end()) {
      stream = std::move(it->second);
      streams_.erase(it);
    }
  }
  if (stream == nullptr) return call.Finish(net::GrpcStatus::kOk);
  const std::scoped_lock lock(stream->mutex);
  stream->client_done = true;
  if (stream->open == 0) call.Finish(net::GrpcStatus::kOk);
}

void GrpcFrontend::OnStreamLost(uint32_t, const net::GrpcCall& call) {
  const std::scoped_lock lock(mutex_);
  streams_.erase({call.connection(), call.stream()});
}

void GrpcFrontend::RegisterCuda(std::string_view message, const net::GrpcCall& call) {
  if (!core_.cuda_memory().available()) return Unsupported(call, "CUDA shared memory");
  With<inference::CudaSharedMemoryRegisterRequest>(message, call, [&](const auto& request) {
    const kserve::CudaRegion region{.name = request.name(),
                                    .handle = request.raw_handle(),
                                    .device = request.device_id(),
                                    .byte_size = request.byte_size()};
    const bool added = slow_.Add([this, region, call] {
      const Result<void> registered = core_.cuda_memory().Register(region);
      if (!registered.has_value()) return Fail(call, registered.error());
      Reply(call, inference::CudaSharedMemoryRegisterResponse());
    });
    if (!added) call.Finish(net::GrpcStatus::kUnavailable, "the server is shutting down");
  });
}

void GrpcFrontend::UnregisterCuda(std::string_view message, const net::GrpcCall& call) {
  With<inference::CudaSharedMemoryUnregisterRequest>(message, call, [&](const auto& request) {
    const bool added = slow_.Add([this, name = request.name(), call] {
      core_.cuda_memory().Unregister(name);
      Reply(call, inference::CudaSharedMemoryUnregisterResponse());
    });
    if (!added) call.Finish(net::GrpcStatus::kUnavailable, "the server is shutting down");
  });
}

void GrpcFrontend::Load(std::string_view message, const net::GrpcCall& call, bool load) {
  if (!allow_control_) {
    return call.Finish(net::GrpcStatus::kUnavailable,
                       "explicit model load / unload is not allowed if polling is enabled or "
                       "model-control-mode is none");
  }
  // Both requests have the same fields.
  With<inference::RepositoryModelLoadRequest>(message, call, [&](const auto& request) {
    std::optional<std::string> config;
    bool dependents = false;
    for (const auto& [key, value] : request.parameters()) {
      if (load && key == "config") {
        config = value.string_param();
      } else if (!load && key == "unload_dependents") {
        dependents = value.bool_param();
      } else {
        return call.Finish(
            net::GrpcStatus::kInvalidArgument,
            Format("parameter '{}' is not supported by sextant serve", Printable(key, 60)));
      }
    }
    const bool added =
        slow_.Add([this, name = request.model_name(), load, config, dependents, call] {
          const Result<void> result = load ? core_.repository().Load(name, config)
                                           : core_.repository().Unload(name, 30s, dependents);
          if (!result.has_value()) {
            return call.Finish(net::GrpcStatus::kInternal,
                               Format("failed to load '{}', {}", name, result.error().message()));
          }
          // The two empty responses look the same on the wire.
          Reply(call, inference::RepositoryModelLoadResponse());
        });
    if (!added) call.Finish(net::GrpcStatus::kUnavailable, "the server is shutting down");
  });
}

}  // namespace sextant::serve
