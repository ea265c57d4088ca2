#include "cli/perf_metrics.h"

#include <algorithm>
#include <cstdio>
#include <set>

#include "cli/command.h"

namespace sextant::cli {

std::vector<std::string> CheckMetricsOptions(const PerfOptions& options) {
  std::vector<std::string> mistakes;
  for (const std::string& url : options.metrics_urls) {
    if (const auto endpoint = metrics::ParseEndpoint(url); !endpoint.has_value())
      mistakes.push_back("--metrics-url: " + endpoint.error().message());
  }
  if (options.collect_metrics) return mistakes;
  if (!options.metrics_urls.empty()) mistakes.emplace_back("--metrics-url needs --collect-metrics");
  if (!options.metrics.empty()) mistakes.emplace_back("--metric needs --collect-metrics");
  if (options.metrics_interval_ms != PerfOptions().metrics_interval_ms)
    mistakes.emplace_back("--metrics-interval needs --collect-metrics");
  return mistakes;
}

bool AnySecureMetrics(const PerfOptions& options) {
  return std::any_of(options.metrics_urls.begin(), options.metrics_urls.end(),
                     [](const std::string& url) { return url.starts_with("https://"); });
}

Result<std::unique_ptr<metrics::Collector>> StartMetrics(const PerfOptions& options,
                                                         const Target& target) {
  if (!options.collect_metrics) return std::unique_ptr<metrics::Collector>();
  metrics::CollectorOptions collect{
      .interval = std::chrono::milliseconds(options.metrics_interval_ms),
      .wanted = options.metrics,
      .tls = TlsOptionsOf(options, /*grpc=*/false)};
  // A slow endpoint may take as long as an interval, but not hold up the end of a level for ever.
  collect.timeout = std::clamp<Nanos>(collect.interval, 500ms, 5s);
  std::vector<std::string> urls = options.metrics_urls;
  if (urls.empty()) {
    // Several servers on one host share its endpoint.
    std::set<std::string> hosts;
    for (const Target::Server& server : target.servers) {
      const std::string& host = server.where.host;
      if (host.empty() || !hosts.insert(host).second) continue;
      const bool v6 = host.find(':') != std::string::npos;
      urls.push_back(Format("http://{}{}{}:8002/metrics", v6 ? "[" : "", host, v6 ? "]" : ""));
    }
    if (urls.empty()) {
      return InvalidArgument(
          "--collect-metrics: a Unix socket does not say where the metrics are; give "
          "--metrics-url");
    }
  }
  for (const std::string& url : urls) {
    SEXTANT_ASSIGN(metrics::Endpoint endpoint, metrics::ParseEndpoint(url), "--metrics-url");
    collect.endpoints.push_back(std::move(endpoint));
  }
  SEXTANT_ASSIGN(auto collector, metrics::Collector::Start(collect));
  for (const std::string& complaint : collector->Complaints())
    PrintWarning("perf", "metrics: " + complaint);
  return collector;
}

void RecordMetrics(metrics::Collector& collector, run::Level& level) {
  for (metrics::SourceReport& report : collector.Take()) {
    level.metric_sources.push_back({.source = report.source,
                                    .scrapes = report.scrapes,
                                    .failed = report.failed,
                                    .missed = report.missed,
                                    .longest_s = report.longest_s,
                                    .fault = report.fault,
                                    .bad_lines = report.bad_lines});
    for (metrics::Summary& s : report.summaries) {
      level.metrics.push_back({.source = report.source,
                               .quantity = std::move(s.quantity),
                               .family = std::move(s.family),
                               .device = std::move(s.device),
                               .labels = std::move(s.labels),
                               .unit = std::move(s.unit),
                               .samples = s.samples,
                               .min = s.min,
                               .mean = s.mean,
                               .max = s.max,
                               .increase = s.increase,
                               .span_s = s.span_s});
    }
  }
}

}  // namespace sextant::cli
