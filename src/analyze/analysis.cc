#include "analyze/analysis.h"

#include <map>
#include <optional>
#include <utility>

#include "base/strings.h"

namespace sextant::analyze {
namespace {

class Driver {
 public:
  Driver(const Space& space, const AnalysisPlan& plan, Stand& stand, Journal& journal,
         Watcher& watcher)
      : space_(space), plan_(plan), stand_(stand), journal_(journal), watcher_(watcher) {}

  // Nothing when it was interrupted: what was being measured does not count.
  Result<std::optional<PointRecord>> Point(const Trial& trial) {
    const std::vector<Setting>& settings = space_.configurations[trial.configuration].settings;
    const Load& load = space_.loads[trial.load];
    const std::string key = PointKey(journal_.identity(), plan_.model, settings, load);
    const int take = ++takes_[key];
    if (const PointRecord* kept = journal_.Find(key, static_cast<size_t>(take))) {
      from_journal_ = true;
      return std::optional(*kept);
    }
    from_journal_ = false;
    PointRecord point{.model = plan_.model,
                      .configuration = plan_.names[trial.configuration],
                      .settings = settings,
                      .load = load,
                      .take = take,
                      .window = trial.window,
                      .reason = trial.reason,
                      .started = WallNow()};
    SEXTANT_TRY(BringUp(trial.configuration, point));
    if (point.measured.status == Outcome::Status::kMeasured) {
      watcher_.Begins(point);
      point.started = WallNow();
      point.measured = stand_.Measure(trial);
      // A server that died of it has nothing loaded.
      if (point.measured.status == Outcome::Status::kRefused) loaded_.reset();
    }
    if (plan_.stop()) return std::optional<PointRecord>();
    SEXTANT_TRY(journal_.Append(point));
    return std::optional(std::move(point));
  }

  bool from_journal() const { return from_journal_; }
  uint64_t loads() const { return loads_; }

 private:
  // Loads the configuration unless it is; its refusal becomes the point's.
  Result<void> BringUp(size_t configuration, PointRecord& point) {
    if (loaded_ == configuration) return {};
    watcher_.Loading(point.configuration);
    loaded_.reset();
    ++loads_;
    Result<LoadReport> report = stand_.LoadConfiguration(configuration);
    if (report.has_value()) {
      loaded_ = configuration;
      point.load_cost_s = report->cost_s;
      for (const std::string& note : report->notes) watcher_.Note(note);
      for (const Baseline& baseline : report->baselines) SEXTANT_TRY(journal_.Append(baseline));
      return {};
    }
    if (report.error().code() == ErrorCode::kUnavailable) return std::move(report).error();
    point.measured.status = Outcome::Status::kRefused;
    point.measured.error = report.error().message();
    return {};
  }

  const Space& space_;
  const AnalysisPlan& plan_;
  Stand& stand_;
  Journal& journal_;
  Watcher& watcher_;
  std::optional<size_t> loaded_;
  std::map<std::string, int> takes_;  // by key
  bool from_journal_ = false;
  uint64_t loads_ = 0;
};

}  // namespace

Result<AnalysisResult> RunAnalysis(const Space& space, const AnalysisPlan& plan, Search& search,
                                   Stand& stand, Journal& journal, Watcher& watcher) {
  AnalysisResult result;
  Driver driver(space, plan, stand, journal, watcher);
  while (!plan.stop()) {
    const std::optional<Trial> trial = search.Next();
    if (!trial) break;
    SEXTANT_ASSIGN(std::optional<PointRecord> point, driver.Point(*trial));
    if (!point) break;
    ++(driver.from_journal() ? result.reused : result.measured);
    search.Report({.trial = *trial,
                   .status = point->measured.status,
                   .figures = point->measured.figures,
                   .cost_s = point->measured.cost_s,
                   .load_cost_s = point->load_cost_s});
    watcher.Ended(*point, driver.from_journal(), search);
    result.points.push_back(*std::move(point));
  }
  result.interrupted = plan.stop();
  result.loads = driver.loads();
  result.conclusion = search.Conclude();
  return result;
}

}  // namespace sextant::analyze
