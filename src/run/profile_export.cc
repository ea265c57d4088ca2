#include "run/profile_export.h"

#include <cmath>

#include "base/strings.h"

namespace sextant::run {
namespace {

// Reads members of one object; `where` is said in errors.
class Members {
 public:
  Members(const text::Json& object, std::string where)
      : object_(object), where_(std::move(where)) {}

  Error Fault(std::string_view what) const { return Corrupt(Format("{}: {}", where_, what)); }

  Result<const text::Json*> Get(std::string_view name) const {
    if (!object_.IsObject()) return Fault(Format("is {}, not an object", object_.TypeName()));
    const text::Json* found = object_.Find(name);
    if (found == nullptr) return Fault(Format("has no '{}'", name));
    return found;
  }
  Result<std::string> Text(std::string_view name) const {
    SEXTANT_ASSIGN(const text::Json* found, Get(name));
    const auto text = found->AsString();
    if (!text) return Fault(Format("'{}' is {}, not a string", name, found->TypeName()));
    return std::string(*text);
  }
  Result<const text::Json::Array*> List(std::string_view name) const {
    SEXTANT_ASSIGN(const text::Json* found, Get(name));
    if (!found->IsArray()) return Fault(Format("'{}' is {}, not a list", name, found->TypeName()));
    return &found->array();
  }
  Result<uint64_t> Stamp(std::string_view name, const text::Json& value) const {
    const auto stamp = value.AsUint();
    if (!stamp || value.IfDouble() != nullptr)
      return Fault(Format("'{}': nanoseconds are whole numbers from 0", name));
    return *stamp;
  }
  Result<std::vector<uint64_t>> Stamps(std::string_view name) const {
    SEXTANT_ASSIGN(const text::Json::Array* list, List(name));
    std::vector<uint64_t> out;
    out.reserve(list->size());
    for (const text::Json& value : *list) {
      SEXTANT_ASSIGN(const uint64_t stamp, Stamp(name, value));
      out.push_back(stamp);
    }
    return out;
  }

 private:
  const text::Json& object_;
  const std::string where_;
};

Result<ProfileExport::Request> ParseRequest(const text::Json& json, const std::string& where) {
  const Members members(json, where);
  ProfileExport::Request out;
  SEXTANT_ASSIGN(const text::Json* timestamp, members.Get("timestamp"));
  SEXTANT_ASSIGN(out.timestamp, members.Stamp("timestamp", *timestamp));
  if (const text::Json* id = json.Find("sequence_id")) {
    const bool is_id = id->IsString() || (id->AsUint() && id->IfDouble() == nullptr);
    if (!is_id) return members.Fault("'sequence_id' is neither a whole number nor a string");
    out.sequence_id = *id;
  }
  // Files of the first versions have stamps only.
  if (const text::Json* inputs = json.Find("request_inputs")) {
    if (!inputs->IsObject()) return members.Fault("'request_inputs' is not an object");
    out.inputs = *inputs;
  }
  SEXTANT_ASSIGN(out.responses, members.Stamps("response_timestamps"));
  if (json.Find("response_outputs") == nullptr) return out;
  SEXTANT_ASSIGN(const text::Json::Array* outputs, members.List("response_outputs"));
  if (outputs->size() != out.responses.size()) {
    return members.Fault(Format("{} response_outputs and {} response_timestamps", outputs->size(),
                                out.responses.size()));
  }
  for (const text::Json& output : *outputs) {
    if (!output.IsObject()) return members.Fault("one of 'response_outputs' is not an object");
    out.outputs.push_back(output);
  }
  return out;
}

Result<ProfileExport::Experiment> ParseExperiment(const text::Json& json,
                                                  const std::string& where) {
  const Members members(json, where);
  ProfileExport::Experiment out;
  SEXTANT_ASSIGN(const text::Json* load, members.Get("experiment"));
  const Members load_members(*load, where + ": experiment");
  SEXTANT_ASSIGN(out.mode, load_members.Text("mode"));
  SEXTANT_ASSIGN(const text::Json* value, load_members.Get("value"));
  if (!value->AsDouble()) return load_members.Fault("'value' is not a number");
  out.value = *value;
  SEXTANT_ASSIGN(const text::Json::Array* requests, members.List("requests"));
  out.requests.reserve(requests->size());
  for (size_t i = 0; i < requests->size(); ++i) {
    SEXTANT_ASSIGN(ProfileExport::Request request,
                   ParseRequest((*requests)[i], Format("{}: request {}", where, i)));
    out.requests.push_back(std::move(request));
  }
  SEXTANT_ASSIGN(out.window_boundaries, members.Stamps("window_boundaries"));
  return out;
}

void AppendStamps(std::span<const uint64_t> stamps, std::string& out) {
  out += '[';
  for (size_t i = 0; i < stamps.size(); ++i) {
    if (i > 0) out += ',';
    AppendFormat(out, "{}", stamps[i]);
  }
  out += ']';
}

}  // namespace

Result<ProfileExport> ParseProfileExport(std::string_view text) {
  SEXTANT_ASSIGN(const text::Json json, text::ParseJson(text));
  const Members members(json, "profile export");
  ProfileExport out;
  SEXTANT_ASSIGN(const text::Json::Array* experiments, members.List("experiments"));
  for (size_t i = 0; i < experiments->size(); ++i) {
    SEXTANT_ASSIGN(ProfileExport::Experiment experiment,
                   ParseExperiment((*experiments)[i], Format("experiment {}", i)));
    out.experiments.push_back(std::move(experiment));
  }
  SEXTANT_ASSIGN(out.version, members.Text("version"));
  SEXTANT_ASSIGN(out.service_kind, members.Text("service_kind"));
  if (json.Find("endpoint") != nullptr) {
    SEXTANT_ASSIGN(out.endpoint, members.Text("endpoint"));
  }
  return out;
}

void BeginProfileExport(std::string& out) { out += R"({"experiments":[)"; }

void BeginExperiment(std::string_view mode, const text::Json& value, std::string& out) {
  out += R"({"experiment":{"mode":)";
  text::AppendJsonString(out, mode);
  out += R"(,"value":)";
  if (const double* number = value.IfDouble()) {
    AppendJsonDouble(*number, out);
  } else {
    out += text::FormatJson(value);
  }
  out += R"(},"requests":[)";
}

void AppendExportedRequest(const ExportedRequest& request, bool first, std::string& out) {
  AppendFormat(out, "{}{{\"timestamp\":{}", first ? "" : ",", request.timestamp);
  if (!request.sequence_id.empty()) {
    out += R"(,"sequence_id":)";
    out += request.sequence_id;
  }
  out += R"(,"request_inputs":)";
  out += request.inputs;
  out += R"(,"response_timestamps":)";
  AppendStamps(request.responses, out);
  out += R"(,"response_outputs":[)";
  out += request.outputs;
  out += "]}";
}

void EndExperiment(std::span<const uint64_t> window_boundaries, std::string& out) {
  out += R"(],"window_boundaries":)";
  AppendStamps(window_boundaries, out);
  out += '}';
}

void EndProfileExport(std::string_view version, std::string_view service_kind,
                      std::string_view endpoint, std::string& out) {
  out += R"(],"version":)";
  text::AppendJsonString(out, version);
  out += R"(,"service_kind":)";
  text::AppendJsonString(out, service_kind);
  out += R"(,"endpoint":)";
  text::AppendJsonString(out, endpoint);
  out += '}';
}

std::string FormatProfileExport(const ProfileExport& file) {
  std::string out;
  BeginProfileExport(out);
  for (const ProfileExport::Experiment& experiment : file.experiments) {
    if (&experiment != &file.experiments.front()) out += ',';
    BeginExperiment(experiment.mode, experiment.value, out);
    for (const ProfileExport::Request& request : experiment.requests) {
      std::string outputs;
      for (const text::Json& output : request.outputs) {
        if (!outputs.empty()) outputs += ',';
        outputs += text::FormatJson(output);
      }
      // A file without outputs gets an empty one for each response.
      for (size_t i = request.outputs.size(); i < request.responses.size(); ++i)
        outputs += i == 0 ? "{}" : ",{}";
      AppendExportedRequest(
          {.timestamp = request.timestamp,
           .sequence_id = request.sequence_id ? text::FormatJson(*request.sequence_id) : "",
           .inputs = text::FormatJson(request.inputs),
           .responses = request.responses,
           .outputs = outputs},
          &request == &experiment.requests.front(), out);
    }
    EndExperiment(experiment.window_boundaries, out);
  }
  EndProfileExport(file.version, file.service_kind, file.endpoint, out);
  return out;
}

void AppendJsonDouble(double value, std::string& out) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  const size_t begin = out.size();
  AppendFormat(out, "{}", value);
  if (out.find_first_of(".e", begin) == std::string::npos) out += ".0";
}

}  // namespace sextant::run
