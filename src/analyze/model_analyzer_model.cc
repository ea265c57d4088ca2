#include "analyze/model_analyzer_model.h"

#include <algorithm>
#include <array>

#include "analyze/model_config_sweep.h"
#include "analyze/parse_space.h"
#include "base/strings.h"

namespace sextant::analyze {
namespace {

using text::Json;

// perf_analyzer's options that Model Analyzer passes on.
constexpr std::string_view kPerfFlags[] = {"async",
                                           "sync",
                                           "measurement-interval",
                                           "request-distribution",
                                           "request-intervals",
                                           "binary-search",
                                           "num-of-sequences",
                                           "latency-threshold",
                                           "max-threads",
                                           "stability-percentage",
                                           "max-trials",
                                           "percentile",
                                           "input-data",
                                           "shared-memory",
                                           "output-shared-memory-size",
                                           "shape",
                                           "sequence-length",
                                           "sequence-length-variation",
                                           "sequence-id-range",
                                           "string-length",
                                           "string-data",
                                           "measurement-mode",
                                           "measurement-request-count",
                                           "streaming",
                                           "grpc-compression-algorithm",
                                           "ssl-grpc-use-ssl",
                                           "ssl-grpc-root-certifications-file",
                                           "ssl-grpc-private-key-file",
                                           "ssl-grpc-certificate-chain-file",
                                           "ssl-https-verify-peer",
                                           "ssl-https-verify-host",
                                           "ssl-https-ca-certificates-file",
                                           "ssl-https-client-certificate-type",
                                           "ssl-https-client-certificate-file",
                                           "ssl-https-private-key-type",
                                           "ssl-https-private-key-file",
                                           "collect-metrics",
                                           "metrics-interval",
                                           "bls-composing-models",
                                           "model-version",
                                           "request-parameter",
                                           "input-tensor-format",
                                           "output-tensor-format",
                                           "warmup-request-count"};

struct OwnFlag {
  std::string_view name, why;
};
// What the analysis decides itself, or does not do.
constexpr OwnFlag kOwnFlags[] = {
    {"concurrency-range", "the analysis sets the load; name it under parameters.concurrency"},
    {"request-rate-range", "the analysis sets the load; name it under parameters.request_rate"},
    {"batch-size", "the analysis sets it; name it under parameters.batch_sizes"},
    {"model-name", "the analysis sets it"},
    {"url", "the endpoint is set by triton_grpc_endpoint or triton_http_endpoint"},
    {"protocol", "the protocol is set by client_protocol"},
    {"metrics-url", "the metrics endpoint is set by triton_metrics_url"},
    {"service-kind", "a server is always measured over its protocol"},
    {"model-signature-name", "only TensorFlow Serving has one"},
    {"triton-server-directory", "no server runs inside the measuring program"},
    {"model-repository", "no server runs inside the measuring program"},
    {"latency-report-file", "the analysis writes files of its own"},
    {"verbose", "the analysis shows its progress by itself"},
    {"extra-verbose", "the analysis shows its progress by itself"},
    {"verbose-csv", "every file has all columns"}};

constexpr std::string_view kSwitches[] = {
    "async", "sync", "binary-search", "ssl-grpc-use-ssl", "streaming", "collect-metrics"};

// Tags of Model Analyzer that stand for nothing that is measured here.
constexpr std::string_view kForeignTags[] = {"perf_client_send_recv", "perf_client_response_wait",
                                             "gpu_total_memory",      "cpu_available_ram",
                                             "cpu_free_ram",          "output_token_throughput"};

bool IsForeignTag(std::string_view tag) {
  return std::find(std::begin(kForeignTags), std::end(kForeignTags), tag) !=
             std::end(kForeignTags) ||
         tag.starts_with("time_to_first_token_") || tag.starts_with("inter_token_latency_");
}

std::optional<std::string_view> NearestTag(std::string_view tag) {
  std::vector<std::string_view> names;
  for (const Field& field : Fields()) {
    if (!field.alias.empty()) names.push_back(field.alias);
    names.push_back(field.name);
  }
  return NearestName(tag, names);
}

// Its units (ms, MB, %) in ours.
double InBaseUnits(double value, std::string_view unit) {
  if (unit == "s") return value / 1e3;
  if (unit == "bytes") return value * 1e6;
  if (unit == "ratio") return value / 100;
  return value;
}

std::string_view TheirUnit(std::string_view unit) {
  if (unit == "s") return "ms";
  if (unit == "bytes") return "MB";
  if (unit == "ratio") return "%";
  return "";
}

Constraint MakeConstraint(const Field& field, bool at_most, double value) {
  return {.field = std::string(field.name),
          .at_most = at_most,
          .limit = InBaseUnits(value, field.unit),
          .text = Format("{}{}{:g}{}", field.name, at_most ? "<=" : ">=", value,
                         TheirUnit(field.unit))};
}

// perf_analyzer's START:END[:STEP] in a list, as ours.
std::string WithDots(std::string_view text) {
  std::string out(text);
  if (const size_t colon = out.find(':'); colon != std::string::npos && out.find("..") > out.size())
    out.replace(colon, 1, "..");
  return out;
}

}  // namespace

std::vector<std::string_view> ModelSectionReader::Keys() {
  return {"cpu_only",
          "parameters",
          "objectives",
          "constraints",
          "weighting",
          "model_config_parameters",
          "perf_analyzer_flags",
          "genai_perf_flags",
          "triton_server_flags",
          "triton_server_environment",
          "triton_docker_args"};
}

Constraint ModelSectionReader::LatencyBudget(double ms) {
  return MakeConstraint(*FindField("latency_p99"), true, ms);
}
Constraint ModelSectionReader::MinThroughput(double per_second) {
  return MakeConstraint(*FindField("throughput"), false, per_second);
}

bool ModelSectionReader::Read(std::string_view name, const Json& value, const std::string& where,
                              ModelSection& out) {
  const std::string key = where + std::string(name);
  if (name == "cpu_only") {
    out.cpu_only = yaml_.Truth(key, value).value_or(false);
  } else if (name == "parameters") {
    ReadParameters(key, value, out);
  } else if (name == "batch_sizes") {
    out.batch = ReadLevels(key, "batch", value);
  } else if (name == "concurrency") {
    out.concurrency = ReadLevels(key, "concurrency", value);
  } else if (name == "request_rate") {
    out.rate = ReadLevels(key, "rate", value);
  } else if (name == "objectives") {
    ReadObjectives(key, value, out);
  } else if (name == "constraints") {
    ReadConstraints(key, value, out);
  } else if (name == "weighting") {
    out.weighting = yaml_.Number(key, value, 0);
  } else if (name == "model_config_parameters") {
    out.configuration = SweepAxes(
        value, [&](const Json& at, const std::string& what) { yaml_.Fault(at, key, what); });
  } else if (name == "perf_analyzer_flags") {
    ReadPerfFlags(key, value, out);
  } else if (name == "genai_perf_flags") {
    notes_.push_back(Format("{}: no effect: token streams are measured without GenAI-Perf", key));
  } else if (name == "triton_server_flags") {
    out.server_flags = yaml_.Map(key, value);
  } else if (name == "triton_server_environment") {
    out.server_environment = yaml_.Map(key, value);
  } else if (name == "triton_docker_args") {
    out.docker_args = yaml_.Map(key, value);
  } else {
    return false;
  }
  return true;
}

void ModelSectionReader::ReadParameters(const std::string& key, const Json& value,
                                        ModelSection& out) {
  if (value.IsNull()) return;
  if (!value.IsObject())
    return yaml_.Fault(value, key, "a map of batch_sizes, concurrency and request_rate is wanted");
  for (const auto& [name, member] : value.object()) {
    if (name == "batch_sizes" || name == "concurrency" || name == "request_rate") {
      Read(name, member, key + ".", out);
    } else {
      yaml_.Fault(member, key,
                  Format("'{}' is not known; there are batch_sizes, concurrency, request_rate",
                         Printable(name, 60)));
    }
  }
}

std::optional<AxisSpec> ModelSectionReader::ReadLevels(const std::string& key,
                                                       std::string_view axis, const Json& value) {
  std::string values;
  if (value.IsObject()) {
    std::array<std::optional<std::string>, 3> parts;
    for (const auto& [name, member] : value.object()) {
      const size_t part = name == "start" ? 0 : name == "stop" ? 1 : name == "step" ? 2 : 3;
      if (part == 3) {
        yaml_.Fault(member, key, Format("'{}' is not of start, stop, step", Printable(name, 60)));
        return std::nullopt;
      }
      parts[part] = yaml_.Text(Format("{}.{}", key, name), member);
      if (!parts[part]) return std::nullopt;
    }
    if (!parts[0] || !parts[1]) {
      yaml_.Fault(value, key, "a range wants start and stop, and may have step");
      return std::nullopt;
    }
    values = Format("{}..{}{}", *parts[0], *parts[1], parts[2] ? ":" + *parts[2] : "");
  } else {
    const auto words = yaml_.Words(key, value);
    // An empty list is how "none" is said.
    if (!words || words->empty()) return std::nullopt;
    for (const std::string& word : *words)
      AppendFormat(values, "{}{}", values.empty() ? "" : ",", WithDots(word));
  }
  Result<AxisSpec> spec = ParseAxis(Format("{}={}", axis, values));
  if (spec.has_value() && !spec->expression) return *std::move(spec);
  if (spec.has_value()) {
    yaml_.Fault(value, key, "numbers are wanted");
  } else {
    for (const std::string_view fault : Split(spec.error().message(), '\n'))
      yaml_.Fault(value, key, fault);
  }
  return std::nullopt;
}

void ModelSectionReader::ReadObjectives(const std::string& key, const Json& value,
                                        ModelSection& out) {
  std::vector<std::pair<std::string, double>> wanted;
  if (value.IsObject()) {
    for (const auto& [tag, weight] : value.object()) {
      const auto number = yaml_.Number(Format("{}.{}", key, tag), weight, 0);
      if (number) wanted.emplace_back(tag, *number);
    }
  } else if (const auto tags = yaml_.Words(key, value)) {
    for (const std::string& tag : *tags) wanted.emplace_back(tag, 1);
  }
  out.objectives.emplace();
  for (const auto& [tag, weight] : wanted) {
    const Field* field = FindField(tag);
    if (field != nullptr && field->better != Better::kNeither) {
      if (weight > 0)
        out.objectives->push_back(
            {.field = std::string(field->name), .weight = weight, .better = field->better});
    } else if (field != nullptr) {
      yaml_.Fault(value, key, Format("neither more nor less of {} is better", tag));
    } else if (IsForeignTag(tag)) {
      yaml_.Fault(value, key,
                  Format("{} is not measured here; leave it out, or take another", tag));
    } else {
      const auto near = NearestTag(tag);
      yaml_.Fault(value, key,
                  Format("'{}' is not a metric{}", Printable(tag, 60),
                         near ? Format("; did you mean '{}'?", *near) : ""));
    }
  }
}

void ModelSectionReader::ReadConstraints(const std::string& key, const Json& value,
                                         ModelSection& out) {
  out.constraints.emplace();
  if (value.IsNull()) return;
  if (!value.IsObject())
    return yaml_.Fault(value, key, "a map is wanted, such as {perf_latency_p99: {max: 100}}");
  for (const auto& member : value.object()) ReadLimits(key, member, *out.constraints);
}

void ModelSectionReader::ReadLimits(const std::string& key, const Json::Member& member,
                                    std::vector<Constraint>& out) {
  const auto& [tag, limits] = member;
  const Field* field = FindField(tag);
  if (field == nullptr) {
    const auto near = NearestTag(tag);
    return yaml_.Fault(
        limits, key,
        IsForeignTag(tag)
            ? Format("{} is not measured here, and what is not known cannot hold", tag)
            : Format("'{}' is not a metric{}", Printable(tag, 60),
                     near ? Format("; did you mean '{}'?", *near) : ""));
  }
  if (!limits.IsObject() || limits.object().empty())
    return yaml_.Fault(limits, Format("{}.{}", key, tag),
                       "a limit is wanted: {max: N} or {min: N}");
  for (const auto& [kind, limit] : limits.object()) {
    if (kind != "max" && kind != "min") {
      yaml_.Fault(limit, Format("{}.{}", key, tag),
                  Format("'{}' is neither min nor max", Printable(kind, 60)));
      continue;
    }
    const auto number = yaml_.Number(Format("{}.{}.{}", key, tag, kind), limit, 0);
    if (number) out.push_back(MakeConstraint(*field, kind == "max", *number));
  }
}

void ModelSectionReader::ReadPerfFlags(const std::string& key, const Json& value,
                                       ModelSection& out) {
  out.perf_flags.emplace();
  if (value.IsNull()) return;
  if (!value.IsObject())
    return yaml_.Fault(value, key, "a map of perf_analyzer's options and their values is wanted");
  for (const auto& [name, member] : value.object())
    AddPerfFlag(Format("{}.{}", key, name), name, member, *out.perf_flags);
}

void ModelSectionReader::AddPerfFlag(const std::string& key, std::string_view name,
                                     const Json& value, std::vector<std::string>& out) {
  const auto* own = std::find_if(std::begin(kOwnFlags), std::end(kOwnFlags),
                                 [&](const OwnFlag& flag) { return flag.name == name; });
  if (own != std::end(kOwnFlags)) {
    notes_.push_back(Format("{}: no effect: {}", key, own->why));
    return;
  }
  // The header has a short option only.
  const bool header = name == "http-header";
  if (!header &&
      std::find(std::begin(kPerfFlags), std::end(kPerfFlags), name) == std::end(kPerfFlags)) {
    const auto near = NearestName(name, kPerfFlags);
    return yaml_.Fault(
        value, key,
        Format("'{}' is not an option of perf_analyzer that may stand here{}", Printable(name, 60),
               near ? Format("; did you mean '{}'?", *near) : ""));
  }
  const std::string option = header ? "--header" : Format("--{}", name);
  if (std::find(std::begin(kSwitches), std::end(kSwitches), name) != std::end(kSwitches)) {
    if (yaml_.Truth(key, value).value_or(false)) out.push_back(option);
    return;
  }
  const std::span<const Json> values =
      value.IsArray() ? std::span<const Json>(value.array()) : std::span<const Json>(&value, 1);
  for (const Json& one : values) {
    if (const auto text = yaml_.Text(key, one)) out.push_back(Format("{}={}", option, *text));
  }
}

}  // namespace sextant::analyze
