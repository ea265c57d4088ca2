#include "cli/perf_record.h"

#include <algorithm>
#include <cstdio>

#include "base/host.h"
#include "base/units.h"
#include "base/version.h"
#include "cli/perf_arrivals.h"

namespace sextant::cli {
namespace {

text::Json HostJson() {
  const HostFacts facts = ReadHostFacts();
  text::Json out{text::Json::Object()};
  out.Set("name", facts.name);
  out.Set("kernel", facts.kernel);
  out.Set("cpu_model", facts.cpu_model);
  out.Set("cores_online", facts.cores_online);
  out.Set("cores_usable", facts.cores_usable);
  if (facts.cpu_quota) out.Set("cpu_quota", *facts.cpu_quota);
  if (facts.memory_bytes) out.Set("memory_bytes", *facts.memory_bytes);
  out.Set("clock_source", facts.clock_source);
  out.Set("governor", facts.governor);
  out.Set("open_files", facts.open_files_soft);
  return out;
}

}  // namespace

text::Json ModelJson(const PerfOptions& options, const Subject& subject) {
  text::Json model{text::Json::Object()};
  model.Set("name", options.model);
  model.Set("version", options.model_version);
  if (Result<text::Json> metadata = text::ParseJson(kserve::ToJson(subject.metadata));
      metadata.has_value())
    model.Set("metadata", *std::move(metadata));
  if (subject.config) {
    if (Result<text::Json> config = text::ParseJson(kserve::ModelConfigToJson(*subject.config));
        config.has_value())
      model.Set("config", *std::move(config));
  }
  return model;
}

std::vector<std::string> OpenDimensionNotes(const PerfOptions& options, const Plan& plan,
                                            const Subject& subject) {
  std::vector<std::string> out;
  for (const kserve::TensorMetadata& input : subject.signature.inputs) {
    const bool open =
        std::any_of(input.shape.begin(), input.shape.end(), [](int64_t d) { return d < 0; });
    if (open && !plan.shapes.contains(input.name) && options.input_data.empty() &&
        plan.dims.empty() && !plan.value_rules.contains(input.name)) {
      out.push_back(
          Format("input '{}' has shape {}: open dimensions are taken as 1 (--shape {}:...)",
                 input.name, kserve::FormatShape(input.shape), input.name));
    }
  }
  return out;
}

text::Json MakeHeader(const PerfOptions& options, const Plan& plan, const Connection& connection,
                      const Subject& subject, const load::DataSet& data) {
  text::Json header{text::Json::Object()};
  header.Set("tool", Format("sextant {}", Version()));
  header.Set("command", "perf");
  header.Set("started", FormatWallTime(WallNow()));
  text::Json settings{text::Json::Object()};
  for (const options::Row& row : PerfTable().rows())
    settings.Set(row.spec.name, ShownOption(row, &options));
  header.Set("options", std::move(settings));
  header.Set("seed", plan.seed);
  header.Set("workers", static_cast<uint64_t>(plan.workers));
  header.Set("host", HostJson());
  text::Json server{text::Json::Object()};
  server.Set("address", connection.endpoints.front().address.text());
  server.Set("authority", plan.target.authority());
  server.Set("tls", plan.target.secure);
  server.Set("protocol", kserve::ProtocolName(plan.target.protocol));
  server.Set("name", subject.server.name);
  server.Set("version", subject.server.version);
  text::Json::Array extensions;
  for (const std::string& extension : subject.server.extensions) extensions.emplace_back(extension);
  server.Set("extensions", std::move(extensions));
  header.Set("server", std::move(server));
  // Of several models, each has its own (MixJson).
  if (plan.mix.empty()) {
    header.Set("model", ModelJson(options, subject));
    header.Set("data", data.description());
  }
  text::Json::Array levels;
  for (const run::LoadPoint& point : plan.points)
    levels.emplace_back(Format("{}, batch {}", run::DescribeLoad(point), point.batch_size));
  header.Set("planned", std::move(levels));
  return header;
}

void PrintBanner(const PerfOptions& options, const Plan& plan, const Subject& subject,
                 const load::DataSet& data) {
  const std::string server =
      Format("{} {} at {} ({})", subject.server.name, subject.server.version, plan.target.names(),
             kserve::ProtocolName(plan.target.protocol));
  const std::string models =
      subject.banner.empty()
          ? Format("  Model: {}{} on {}\n  Input data: {}\n", options.model,
                   options.model_version.empty() ? "" : " version " + options.model_version, server,
                   data.description())
          : Format("  Server: {}\n{}", server, Join(subject.banner, ""));
  std::fputs(Format("*** Measurement Settings ***\n"
                    "{}"
                    "  Load: {} level{}, {}\n"
                    "  Client: {} worker{}, seed {}, request timeout {}\n",
                    models, plan.points.size(), plan.points.size() == 1 ? "" : "s",
                    IsOpenLoop(options) ? "open loop, arrivals: " + plan.arrivals.Describe()
                                        : "closed loop",
                    plan.workers, plan.workers == 1 ? "" : "s", plan.seed,
                    options.timeout > Nanos(0) ? FormatDuration(options.timeout) : "none")
                 .c_str(),
             stdout);
  if (plan.start_at) {
    std::fputs(Format("  Start: {}, in {}\n", FormatWallTime(*plan.start_at),
                      HumanDuration(std::max(Nanos(0), *plan.start_at - WallNow())))
                   .c_str(),
               stdout);
  }
  if (plan.shard.step > 1) {
    std::fputs(
        Format("  Shard: {} of {}: loads below are its share\n", plan.shard.first, plan.shard.step)
            .c_str(),
        stdout);
  }
  for (const std::string& absent : subject.absent)
    std::fputs(Format("  Note: {}\n", absent).c_str(), stdout);
  for (const std::string& note : OpenDimensionNotes(options, plan, subject))
    std::fputs(Format("  Note: {}\n", note).c_str(), stdout);
  std::fputs("\n", stdout);
}

}  // namespace sextant::cli
