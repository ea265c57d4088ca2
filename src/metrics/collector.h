// Reads metrics endpoints while something else is measured: each on a thread and a kept-alive
// connection of its own, at an interval and at the edges of windows.
//
// Threads: the calls come from one thread, the measurement's controller; none of them but Start and
// Take waits for an endpoint, and those only as long as a scrape may take.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "metrics/series.h"
#include "net/socket.h"
#include "net/tls.h"

namespace sextant::metrics {

struct Endpoint {
  std::string url;  // "http://host:8002/metrics"
  net::HostPort where;
  std::string authority, path;
  bool secure = false;  // https
};
// http[s]://HOST[:PORT][/PATH]; what is left out is port 8002 and /metrics. kInvalidArgument.
Result<Endpoint> ParseEndpoint(std::string_view url);

struct CollectorOptions {
  std::vector<Endpoint> endpoints;
  Nanos interval{1s};
  Nanos timeout{2s};                // of a scrape
  std::vector<std::string> wanted;  // families beyond those that are known
  net::TlsClientOptions tls;        // of the endpoints that are secure
};

// How the scrapes of one endpoint went in a window.
struct SourceReport {
  std::string source;  // the URL
  uint64_t scrapes = 0, failed = 0;
  uint64_t missed = 0;  // times to scrape that passed while the one before still ran
  double longest_s = 0;
  std::string fault;       // of the first that failed
  uint64_t bad_lines = 0;  // of the last answer
  std::string bad_line;    // the first of them
  std::vector<Summary> summaries;
};

class Collector {
 public:
  // Waits for the first answer or failure of each endpoint.
  static Result<std::unique_ptr<Collector>> Start(const CollectorOptions& options);
  ~Collector();

  // A sentence for each endpoint that gives nothing, and each wanted family that none has.
  std::vector<std::string> Complaints() const;
  // The families, so far, of which something was observed that belongs to a device.
  std::vector<std::string> DeviceFamilies() const;
  // A window begins or ends now: the endpoints are asked at once. Does not wait.
  void Edge();
  // What lies between the first and the last edge since the last call; waits for the last scrape.
  std::vector<SourceReport> Take();

 private:
  class Scraper;
  Collector() = default;
  CollectorOptions options_;
  std::unique_ptr<net::TlsContext> tls_;  // null where no endpoint is secure
  std::vector<std::unique_ptr<Scraper>> scrapers_;
  std::vector<Instant> edges_;
};

}  // namespace sextant::metrics
