#include "metrics/series.h"

#include <algorithm>
#include <cmath>

namespace sextant::metrics {

void SeriesStore::Add(Instant at, const std::vector<Observation>& observations) {
  for (const Observation& o : observations) {
    Series& series = series_[{o.quantity, o.device, o.labels}];
    if (series.points.empty()) series.what = o;
    // Two exporters of one quantity at one endpoint: the first speaks.
    if (series.what.family != o.family || (!series.points.empty() && series.points.back().at >= at))
      continue;
    series.points.push_back({at, o.value});
  }
}

std::vector<Summary> SeriesStore::Summarize(Instant begin, Instant end) const {
  std::vector<Summary> out;
  for (const auto& [key, series] : series_) {
    if (series.points.empty()) continue;
    // The endpoint is asked at the edge, so its answer is the first behind it.
    const auto at_edge = [&](Instant edge) {
      const auto at = std::find_if(series.points.begin(), series.points.end(),
                                   [&](const Point& p) { return p.at >= edge; });
      return at == series.points.end() ? at - 1 : at;
    };
    const auto first = at_edge(begin), last = at_edge(end);
    // A series that ended before the window, or began after it, says nothing of it.
    if (last->at < begin || first->at > end) continue;
    const Observation& what = series.what;
    Summary s{.quantity = what.quantity,
              .family = what.family,
              .device = what.device,
              .labels = what.labels,
              .unit = what.unit,
              .cumulative = what.cumulative,
              .span_s = Seconds(last->at - first->at)};
    if (what.cumulative) {
      s.samples = static_cast<uint64_t>(last - first) + 1;
      if (s.samples > 1) s.increase = 0;
      for (auto p = first; p != last; ++p) {
        const double now = (p + 1)->value, before = p->value;
        *s.increase += now >= before ? now - before : now;
      }
    } else {
      // The first value stands for time before the window.
      double sum = first == last ? first->value : 0, weight = first == last ? 1 : 0;
      for (auto p = first == last ? first : first + 1; p != last + 1; ++p) {
        ++s.samples;
        s.min = std::min(s.min.value_or(p->value), p->value);
        s.max = std::max(s.max.value_or(p->value), p->value);
        if (p == first) continue;
        const double seconds = Seconds(p->at - (p - 1)->at);
        sum += p->value * seconds;
        weight += seconds;
      }
      s.mean = sum / weight;
    }
    out.push_back(std::move(s));
  }
  return out;
}

void SeriesStore::Forget(Instant before) {
  for (auto& [key, series] : series_) {
    while (series.points.size() > 1 && series.points[1].at <= before) series.points.pop_front();
  }
  std::erase_if(series_, [&](const auto& entry) {
    return entry.second.points.empty() ||
           (entry.second.points.size() == 1 && before - entry.second.points[0].at > 600s);
  });
}

}  // namespace sextant::metrics
