// The figures beside a load's own: GPUs and host, from whatever source there is.
//
// The source of GPU figures is chosen once per run, in this order: NVML, when the server runs on
// this host; a node agent or dcgm-exporter among the metrics endpoints; the server's own nv_gpu_...
// metrics; none. Every device's figures carry their source and scope.
//
// Threads: the driver's; Begin and End do not wait, so that they can mark a window's edges.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "analyze/host_usage.h"
#include "analyze/stand.h"
#include "gpu/sampler.h"
#include "metrics/collector.h"

namespace sextant::analyze {

enum class GpuSource : uint8_t { kAuto, kNvml, kMetrics, kNone };

struct MeterOptions {
  GpuSource gpus = GpuSource::kAuto;
  bool local = false;                // the server runs on this host
  std::string nvml_library;          // empty: the usual places
  std::vector<std::string> devices;  // UUIDs, or how they begin; with NVML numbers; empty: all
  Nanos interval{100ms};             // of NVML
  Nanos scrape_interval{1s};
  std::vector<std::string> metrics_urls;  // beside the server's own
  net::TlsClientOptions tls;
};

class Meter {
 public:
  // Errors: kNvml was asked for and there is none; an endpoint's URL.
  static Result<std::unique_ptr<Meter>> Start(const MeterOptions& options);
  ~Meter();

  // The server's processes on this host, and where its own metrics are (empty: nowhere). To be said
  // again when it was started anew. Errors: a URL; devices by numbers, and metrics tell of GPUs.
  Result<void> Follow(std::vector<uint32_t> processes, const std::string& server_metrics_url);
  void Begin();
  void End();
  // What lies between; waits for endpoints that still answer. Begin must come before the next.
  Baseline Take(std::vector<std::string>& flags);

  // Devices that are told of ("NVIDIA H200 GPU-..."), by a short look. Not between Begin and Take.
  std::vector<std::string> FindDevices();
  // "NVML 12.555, 2 GPUs", "none: libnvidia-ml.so.1 is absent; no endpoint has GPU metrics"
  std::string Describe() const;
  // What is sampled less, or was wrong with a source.
  std::vector<std::string> Complaints() const;

 private:
  Meter() = default;
  void AddNvml(Baseline& out, std::vector<std::string>& flags) const;
  void AddMetrics(Baseline& out);
  Result<void> CheckNumbers() const;

  MeterOptions options_;
  std::unique_ptr<gpu::Sampler> nvml_;
  std::string nvml_absent_;
  std::unique_ptr<metrics::Collector> collector_;
  std::unique_ptr<HostUsage> host_;
  HostWindow host_window_;
  bool watching_ = false;
  std::vector<gpu::DeviceWindow> window_;
  std::set<std::string> missed_;  // that metrics tell of, where none was asked for
};

// The figures of a measured level: throughput, latencies, errors, the server's own times.
Figures FiguresOf(const run::Level& level);
// Adds what follows from devices and load: energy per inference, the share of time throttled.
void AddDerived(const std::vector<DeviceFigures>& devices, double inferences, double window_s,
                Figures& figures);
struct GpuPrice {
  double per_hour = 0;  // of one; 0: nobody said
  uint64_t gpus = 0;    // that are paid for; 0: those that are seen
};
// Adds the cost of a million inferences, in place of what was there. Without a price, or where it
// is not known how many GPUs it is of, there is none.
void AddCost(const std::vector<DeviceFigures>& devices, const GpuPrice& price, Figures& figures);
// Sums and means over devices, by which configurations are compared.
void AddTotals(const std::vector<DeviceFigures>& devices, Figures& figures);

}  // namespace sextant::analyze
