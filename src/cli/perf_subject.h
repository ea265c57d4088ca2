// What `sextant perf` learns of the server and the model, and what it sends them.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/perf_composing.h"
#include "cli/perf_plan.h"
#include "load/requests.h"

namespace sextant::cli {

// What is known of the server and the model.
struct Subject {
  kserve::ServerMetadata server;
  kserve::ModelMetadata metadata;
  std::optional<kserve::ModelConfig> config;
  load::ModelSignature signature;
  std::vector<ModelRef> composing;  // models behind it
  bool statistics = false;
  bool binary_tensors = true;
  std::vector<std::string> absent;  // said once
  std::vector<std::string> banner;  // of several models: a line for each
  StreamSubject streams;
};

// Asks the server what it is and what the model is. What a plain KServe server lacks is noted.
Result<Subject> AskServer(const PerfOptions& options, const Plan& plan,
                          kserve::ControlClient& client);

// Requests for every batch size of the plan, checked before the first one is sent. `model` is the
// number among several.
Result<std::map<int64_t, std::unique_ptr<load::RequestSet>>> EncodeRequests(
    const PerfOptions& options, const Plan& plan, const Subject& subject, const load::DataSet& data,
    const Connection& connection, const Credentials& credentials, const load::SharedTensors* shared,
    uint16_t model = 0);

// How its requests are sent. `keep_bodies`: answers are needed as they came.
load::WorkerOptions MakeWorkerOptions(const PerfOptions& options, kserve::Protocol protocol,
                                      const Subject& subject, const Connection& connection,
                                      const Credentials& credentials, bool keep_bodies);

}  // namespace sextant::cli
