#include "cli/analyze_names.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/files.h"
#include "base/strings.h"
#include "cli/perf_server.h"

namespace sextant::cli {
namespace {

struct Names {
  std::string where;
  std::vector<std::string> there, missing;
};

std::vector<std::string> Without(const std::vector<std::string>& wanted,
                                 const std::vector<std::string>& there) {
  std::vector<std::string> out;
  for (const std::string& name : wanted) {
    if (std::find(there.begin(), there.end(), name) == there.end()) out.push_back(name);
  }
  return out;
}

Result<Names> NamesInRepository(const std::string& repository,
                                const std::vector<std::string>& wanted) {
  Names out{.where = repository, .there = {}, .missing = {}};
  SEXTANT_ASSIGN(out.there, ListDirectory(repository));
  std::erase_if(out.there,
                [&](const std::string& name) { return !IsDirectory(JoinPath(repository, name)); });
  out.missing = Without(wanted, out.there);
  return out;
}

// A server need not say what it has, and one that is not there is told of when it is measured.
Result<Names> NamesInServer(const AnalyzeOptions& options, const std::vector<std::string>& wanted) {
  PerfOptions perf = options;
  if (perf.mix.empty()) perf.model = wanted.front();
  perf.collect_metrics = true;
  Plan plan;
  if (!MakePlan(perf, plan).empty()) return Names();
  SEXTANT_ASSIGN(const auto credentials,
                 Credentials::Create(perf, plan.target, [](const Error&) {}));
  SEXTANT_TRY(WaitReady(perf, plan.target, *credentials));
  const Result<Connection> connection = Reach(plan.target, perf.control_timeout);
  if (!connection.has_value()) return Names();
  const auto control = MakeControl(plan.target, *connection, *credentials, perf.control_timeout);
  if (!control.has_value()) return Names();
  const auto index = (*control)->FetchRepositoryIndex();
  if (!index.has_value() || index->empty()) return Names();
  Names out{.where = "the server " + plan.target.names(), .there = {}, .missing = {}};
  for (const kserve::IndexedModel& model : *index) out.there.push_back(model.name);
  out.missing = Without(wanted, out.there);
  // One that serves more than it lists, as what stands before several servers may.
  std::erase_if(out.missing, [&](const std::string& name) {
    const Result<bool> ready = (*control)->ModelReady(name, perf.model_version);
    return ready.has_value() && *ready;
  });
  return out;
}

}  // namespace

Result<void> CheckModelNames(const AnalyzeOptions& options, const AnalyzePlan& plan) {
  std::vector<std::string> wanted;
  for (const ModelPlan& model : plan.models) {
    for (std::string& name : Without(model.models, wanted)) wanted.push_back(std::move(name));
  }
  SEXTANT_ASSIGN(const Names names, options.repository.empty()
                                        ? NamesInServer(options, wanted)
                                        : NamesInRepository(options.repository, wanted));
  if (names.missing.empty()) return {};
  const std::vector<std::string_view> there(names.there.begin(), names.there.end());
  std::vector<std::string> faults;
  for (const std::string& name : names.missing) {
    const auto nearest = NearestName(name, there);
    faults.push_back(Format("model '{}': there is none in {}{}", Printable(name, 60), names.where,
                            nearest ? Format("; did you mean '{}'?", *nearest) : ""));
  }
  return InvalidArgument(Join(faults, "\n"));
}

}  // namespace sextant::cli
