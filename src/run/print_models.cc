#include "run/print_models.h"

#include <algorithm>

#include "base/strings.h"
#include "base/units.h"

namespace sextant::run {
namespace {

std::string Percent(double share) { return Format("{:.2f}", share * 100); }

std::string Label(const Level& level) { return level.part ? level.part->label() : "all"; }

}  // namespace

TableRows RowsOf(std::span<const Level> levels) {
  TableRows out;
  for (const Level& level : levels) {
    out.push_back(&level);
    for (const Level& model : level.models) out.push_back(&model);
  }
  return out;
}

std::vector<Column> ModelColumns(std::span<const Level> levels) {
  const bool several =
      std::any_of(levels.begin(), levels.end(), [](const Level& l) { return !l.models.empty(); });
  if (!several) return {};
  return {{"Model", "", Label},
          {"Share", "%", [](const Level& l) { return Percent(l.part ? l.part->seen : 1); }}};
}

std::vector<Column> ModelReportColumns(const Level& level) {
  const bool shares = !level.models.empty() && level.models.front().part &&
                      level.models.front().part->share.has_value();
  return {{"Model", "", Label},
          {shares ? "Asked" : "In flight", shares ? "%" : "asked",
           [](const Level& l) {
             if (l.part && l.part->share) return Percent(*l.part->share);
             return l.part && l.part->concurrency ? Format("{}", *l.part->concurrency)
                                                  : std::string("-");
           }},
          {"Share", "%", [](const Level& l) { return Percent(l.part ? l.part->seen : 1); }},
          {"Requests", "", [](const Level& l) { return Format("{}", l.scheduled); }}};
}

void AppendModelRemarks(const Level& level, std::string& out) {
  for (const Level& model : level.models) {
    const uint64_t lost = model.failed + model.unfinished;
    if (!model.outcomes.empty()) {
      AppendFormat(out, "    {}: {} of {} requests failed", Label(model), lost, model.scheduled);
      for (const OutcomeRecord& outcome : model.outcomes)
        AppendFormat(out, "; {}: {}", outcome.name, outcome.count);
      out += '\n';
    }
    if (model.overflow > 0)
      AppendFormat(out, "    {}: not sent, in-flight cap reached: {} arrivals\n", Label(model),
                   model.overflow);
    std::string needs;
    for (const stats::QuantileEstimate& q : model.latency.percentiles) {
      if (q.lower && q.upper) continue;
      AppendFormat(needs, "{}p{:g} >= {}", needs.empty() ? "" : ", ", q.p * 100, q.needs);
    }
    if (!needs.empty())
      AppendFormat(out, "    {}: requests that an interval needs: {}\n", Label(model), needs);
  }
}

}  // namespace sextant::run
