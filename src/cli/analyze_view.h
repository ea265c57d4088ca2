// What `sextant analyze` says while it runs: a line that is kept current on a terminal, JSON lines,
// and metrics for Prometheus.
//
// Threads: the driver's; the metrics are served on a thread of their own.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "analyze/analysis.h"
#include "cli/perf_progress.h"
#include "load/measurement.h"

namespace sextant::cli {

// A line on stderr, in the form of the others.
void PrintNote(Progress how, const std::string& text);

class AnalyzeView final : public analyze::Watcher {
 public:
  AnalyzeView(Progress how, const analyze::Space& space, std::string model);
  ~AnalyzeView() override;

  // "127.0.0.1:9090": serves /metrics there.
  Result<void> Listen(const std::string& address);
  void Live(const load::LiveFigures& figures);

  void Loading(const std::string& configuration) override;
  void Begins(const analyze::PointRecord& point) override;
  void Ended(const analyze::PointRecord& point, bool from_journal,
             const analyze::Search& search) override;
  void Note(const std::string& text) override;
  void Finish();

 private:
  struct Endpoint;
  struct Best {
    std::string configuration, load, text;
    double value = 0;
  };
  void Line(const std::string& text);
  void Publish();
  std::string EtaText() const;

  const Progress how_;
  const analyze::Space& space_;
  const std::string model_;
  std::unique_ptr<Endpoint> endpoint_;
  Instant begin_ = SteadyNow(), last_line_{};
  uint64_t done_ = 0, reused_ = 0, failed_ = 0, loads_ = 0;
  analyze::Search::Remaining remaining_;
  std::string current_;
  Best best_;
  StatusLine line_;
};

}  // namespace sextant::cli
