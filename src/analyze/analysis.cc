#include "analyze/analysis.h"

#include <cmath>
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
    PointRecord point{.model = plan_.model,
                      .configuration = plan_.names[trial.configuration],
                      .settings = space_.configurations[trial.configuration].settings,
                      .load = space_.loads[trial.load],
                      .window = trial.window,
                      .reason = trial.reason};
    const std::string key = PointKey(journal_.identity(), point.model, point.settings, point.load);
    point.take = ++takes_[key];
    if (const PointRecord* kept = journal_.Find(key, static_cast<size_t>(point.take))) {
      from_journal_ = true;
      TakeOver(*kept, point);
    } else {
      from_journal_ = false;
      SEXTANT_ASSIGN(const bool done, MeasureIt(trial, point));
      if (!done) return std::optional<PointRecord>();
      SEXTANT_TRY(journal_.Append(point));
      point.measured.level.reset();
    }
    const bool nothing_loaded = point.measured.status == Outcome::Status::kRefused;
    assumed_ = nothing_loaded ? std::nullopt : std::optional(trial.configuration);
    return std::optional(std::move(point));
  }

  bool from_journal() const { return from_journal_; }
  uint64_t loads() const { return loads_; }

 private:
  // What was measured, and how; which number the configuration has, which take this is and why it
  // was asked for are those of the present space and search.
  static void TakeOver(const PointRecord& kept, PointRecord& point) {
    point.window = kept.window;
    point.started = kept.started;
    point.load_cost_s = kept.load_cost_s;
    point.measured = kept.measured;
  }

  // False when it was interrupted.
  Result<bool> MeasureIt(const Trial& trial, PointRecord& point) {
    point.started = WallNow();
    const Result<void> up = BringUp(trial.configuration, point);
    // Who stops us may have stopped the server with us: that is no failure.
    if (plan_.stop()) return false;
    SEXTANT_TRY(up);
    if (point.measured.status != Outcome::Status::kMeasured) return true;
    watcher_.Begins(point);
    point.started = WallNow();
    point.measured = stand_.Measure(trial);
    // A server that died of it has nothing loaded.
    if (point.measured.status == Outcome::Status::kRefused) loaded_.reset();
    DropUnfounded(point.measured);
    return !plan_.stop();
  }

  // What is no number is missing, for the search as in the journal.
  static void DropUnfounded(Measured& measured) {
    const auto drop = [](Figures& figures) {
      std::erase_if(figures, [](const auto& entry) { return !std::isfinite(entry.second.value); });
      for (auto& [name, figure] : figures) {
        if (figure.lower && !std::isfinite(*figure.lower)) figure.lower.reset();
        if (figure.upper && !std::isfinite(*figure.upper)) figure.upper.reset();
      }
    };
    drop(measured.figures);
    for (DeviceFigures& device : measured.devices) drop(device.figures);
  }

  // Loads the configuration unless it is; its refusal becomes the point's.
  Result<void> BringUp(size_t configuration, PointRecord& point) {
    if (loaded_ == configuration) return {};
    watcher_.Loading(point.configuration);
    loaded_.reset();
    ++loads_;
    const Instant begin = plan_.now();
    Result<LoadReport> report = stand_.LoadConfiguration(configuration);
    if (report.has_value()) {
      loaded_ = configuration;
      // Loading again what was loaded before we were interrupted is not the search's business: with
      // its cost a budget would end it elsewhere than without the interruption.
      point.load_cost_s = assumed_ == configuration ? 0 : report->cost_s;
      for (const std::string& note : report->notes) watcher_.Note(note);
      for (Baseline& baseline : report->baselines) {
        baseline.configuration = point.configuration;
        SEXTANT_TRY(journal_.Append(baseline));
      }
      return {};
    }
    if (report.error().code() == ErrorCode::kUnavailable) return std::move(report).error();
    point.load_cost_s = Seconds(plan_.now() - begin);
    point.measured.status = Outcome::Status::kRefused;
    point.measured.error = report.error().message();
    return {};
  }

  const Space& space_;
  const AnalysisPlan& plan_;
  Stand& stand_;
  Journal& journal_;
  Watcher& watcher_;
  std::optional<size_t> loaded_;      // in the server
  std::optional<size_t> assumed_;     // by the search, which knows nothing of interruptions
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
    Result<std::optional<PointRecord>> asked = driver.Point(*trial);
    if (!asked.has_value() && asked.error().code() == ErrorCode::kUnavailable) {
      result.lost = asked.error();
      break;
    }
    SEXTANT_ASSIGN(std::optional<PointRecord> point, std::move(asked));
    if (!point) break;
    ++(driver.from_journal() ? result.reused : result.measured);
    // A point of the journal may have had another window.
    Trial done = *trial;
    done.window = point->window;
    search.Report({.trial = std::move(done),
                   .status = point->measured.status,
                   .figures = point->measured.figures,
                   .cost_s = point->measured.cost_s,
                   .load_cost_s = point->load_cost_s});
    watcher.Ended(*point, driver.from_journal(), search);
    result.points.push_back(*std::move(point));
  }
  result.interrupted = plan.stop() || result.lost;
  result.loads = driver.loads();
  result.conclusion = search.Conclude();
  return result;
}

}  // namespace sextant::analyze
