// perf_analyzer's --profile-export-file: every request of the measured windows with its stamps, and
// the tensors that it carried and got. One JSON value; times are nanoseconds of the Unix epoch.
//
// It is written in pieces (load/profile_export.h), so that it never has to be in memory; the
// reader here takes whole files, perf_analyzer's as well as ours. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/json.h"

namespace sextant::run {

struct ProfileExport {
  struct Request {
    uint64_t timestamp = 0;                   // latency counts from here
    std::optional<text::Json> sequence_id;    // a number or a string
    text::Json inputs{text::Json::Object()};  // by tensor: a value, or a flat list of them
    std::vector<uint64_t> responses;          // when each came
    std::vector<text::Json> outputs;          // of each response; empty where none were kept
  };
  struct Experiment {
    std::string mode;  // "concurrency" or "request_rate"
    text::Json value;  // a number
    std::vector<Request> requests;
    std::vector<uint64_t> window_boundaries;  // a window is between two of them
  };
  std::vector<Experiment> experiments;
  std::string version, service_kind, endpoint;
};

// Errors: kCorrupt with the place, of what is not JSON or lacks what readers of such files rely on.
Result<ProfileExport> ParseProfileExport(std::string_view text);

// A request as it is written, its tensors already JSON.
struct ExportedRequest {
  uint64_t timestamp = 0;
  std::string_view sequence_id;  // JSON; empty: none
  std::string_view inputs;       // a JSON object
  std::span<const uint64_t> responses;
  std::string_view outputs;  // JSON objects, one for each response, with commas between them
};
// The pieces of a file, in order: begin, experiments with a comma between them, end. Each appends.
void BeginProfileExport(std::string& out);
void BeginExperiment(std::string_view mode, const text::Json& value, std::string& out);
void AppendExportedRequest(const ExportedRequest& request, bool first, std::string& out);
void EndExperiment(std::span<const uint64_t> window_boundaries, std::string& out);
void EndProfileExport(std::string_view version, std::string_view service_kind,
                      std::string_view endpoint, std::string& out);

std::string FormatProfileExport(const ProfileExport& file);

// Appends a number that stays one with a fraction to whoever reads it: 1.0, not 1. NaN and
// infinities, which JSON does not have, become null.
void AppendJsonDouble(double value, std::string& out);

}  // namespace sextant::run
