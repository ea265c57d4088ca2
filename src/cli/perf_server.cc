#include "cli/perf_server.h"

#include <algorithm>
#include <cstdio>
#include <thread>

#include "base/units.h"
#include "cli/command.h"
#include "net/blocking.h"

namespace sextant::cli {
namespace {

constexpr Nanos kPollEvery = 100ms, kSayEvery = 5s, kProbeLimit = 2s;
constexpr size_t kMostNames = 10;

// Whether the server is ready; an error says what stands in the way.
Result<bool> AskReady(const Target& target, const Credentials& credentials, Nanos timeout) {
  SEXTANT_ASSIGN(const Connection connection, Reach(target, timeout));
  SEXTANT_ASSIGN(const auto client, MakeControl(target, connection, credentials, timeout));
  return client->ServerReady();
}

// The names, the nearest one first: "'digits', 'simulated'".
std::string ListModels(const std::string& asked, std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  const std::vector<std::string_view> candidates(names.begin(), names.end());
  std::string out;
  if (const auto nearest = NearestName(asked, candidates))
    out = Format("did you mean '{}'? ", *nearest);
  std::vector<std::string> shown;
  for (const std::string& name : names) {
    if (shown.size() < kMostNames) shown.push_back(Format("'{}'", Printable(name, 60)));
  }
  AppendFormat(out, "The server has {}", Join(shown, ", "));
  if (names.size() > shown.size()) AppendFormat(out, " and {} more", names.size() - shown.size());
  return out;
}

// What the repository index says of a model that did not answer; empty when it says nothing.
std::string ExplainModel(const std::string& model, kserve::ControlClient& client) {
  const Result<std::vector<kserve::IndexedModel>> index = client.FetchRepositoryIndex();
  if (!index.has_value() || index->empty()) return {};
  std::vector<std::string> names;
  for (const kserve::IndexedModel& entry : *index) {
    names.push_back(entry.name);
    if (entry.name == model && !entry.state.empty() && entry.state != "READY") {
      return Format("the server's repository has it, but it is {}{}", entry.state,
                    entry.reason.empty() ? "" : ": " + Printable(entry.reason));
    }
  }
  if (std::find(names.begin(), names.end(), model) != names.end()) return {};
  return ListModels(model, std::move(names));
}

bool AnswersGrpc(const load::Endpoint& endpoint) {
  Result<net::BlockingGrpcClient> client =
      net::BlockingGrpcClient::Create(endpoint.address, endpoint.authority);
  return client.has_value() &&
         client->Call("/inference.GRPCInferenceService/ServerLive", "", kProbeLimit).has_value();
}

// The status of a GET; 0 when what answers is not HTTP.
int HttpStatus(const load::Endpoint& endpoint, std::string_view path) {
  Result<net::BlockingHttpClient> client =
      net::BlockingHttpClient::Create(endpoint.address, endpoint.authority);
  if (!client.has_value()) return 0;
  const Result<net::HttpReplyText> reply = client->Call("GET", path, {}, kProbeLimit);
  return reply.has_value() ? reply->status : 0;
}

// What listens on the port in place of what was asked for; empty when that is not clear.
std::string ExplainPort(const Target& target, const load::Endpoint& endpoint) {
  // Under TLS the protocol is agreed on in the handshake, whose failure says it.
  if (target.secure) return {};
  const bool grpc = target.protocol == kserve::Protocol::kGrpc;
  const int http = HttpStatus(endpoint, target.path_prefix + "/v2");
  if (http == 0) {
    return !grpc && AnswersGrpc(endpoint) ? "this is a gRPC port: add -i grpc, or give the HTTP "
                                            "port (8000 unless the server was told otherwise)"
                                          : "";
  }
  if (http == 404 && HttpStatus(endpoint, "/metrics") == 200) {
    return Format("this is a port of metrics: give the {}",
                  grpc ? "gRPC port (8001 unless the server was told otherwise)"
                       : "HTTP port (8000 unless the server was told otherwise), or -i grpc and "
                         "the gRPC port (8001)");
  }
  if (grpc)
    return "this is an HTTP port: leave out -i grpc, or give the gRPC port (8001 unless the server "
           "was told otherwise)";
  if (http == 404)
    return "this port speaks HTTP, but not the Open Inference Protocol: is there a path in front "
           "of /v2 (-u http://HOST:PORT/PREFIX)?";
  return {};
}

}  // namespace

Result<void> WaitReady(const PerfOptions& options, const Target& target,
                       const Credentials& credentials) {
  if (options.wait_ready <= Nanos(0)) return {};
  const Instant begin = SteadyNow(), deadline = begin + options.wait_ready;
  Instant said = begin - kSayEvery + 2s;  // the first line after two seconds
  for (;;) {
    const Nanos left = std::max<Nanos>(deadline - SteadyNow(), 10ms);
    const Result<bool> ready =
        AskReady(target, credentials, std::min(left, options.control_timeout));
    if (ready.has_value() && *ready) return {};
    // What is no server of this kind will not become one.
    if (!ready.has_value() && ready.error().code() != ErrorCode::kUnavailable &&
        ready.error().code() != ErrorCode::kDeadlineExceeded)
      return {};
    const std::string why =
        ready.has_value() ? "it says that it is not ready" : ready.error().message();
    const Instant now = SteadyNow();
    if (now >= deadline) {
      if (!ready.has_value() && ready.error().message().starts_with("no server")) {
        return Unavailable(
            Format("{} after --wait-ready {}", why, HumanDuration(options.wait_ready)));
      }
      // It listens: what the next question shows says more.
      if (!ready.has_value()) return {};
      return Unavailable(Format("the server at {} is not ready after --wait-ready {}: {}",
                                target.authority(), HumanDuration(options.wait_ready), why));
    }
    if (now - said >= kSayEvery && options.progress != Progress::kNone) {
      said = now;
      std::fputs(Format("{}: waiting for the server at {}: {}\n", ProgramName("perf"),
                        target.authority(), why)
                     .c_str(),
                 stderr);
    }
    std::this_thread::sleep_for(std::min(kPollEvery, deadline - now));
  }
}

Result<Subject> ExplainFailure(Result<Subject> asked, const PerfOptions& options,
                               const Target& target, const load::Endpoint& endpoint,
                               kserve::ControlClient& client) {
  if (asked.has_value()) return asked;
  const Error& error = asked.error();
  // A server that was silent is not asked again in the way that it was.
  const bool silent = error.code() == ErrorCode::kDeadlineExceeded;
  std::string hint = silent ? "" : ExplainModel(options.model, client);
  // What answers as it should is what it was taken for.
  if (hint.empty() && (silent || !client.FetchServerMetadata().has_value()))
    hint = ExplainPort(target, endpoint);
  if (hint.empty()) return asked;
  return Error(error.code(), Format("{}; {}", error.message(), hint));
}

}  // namespace sextant::cli
