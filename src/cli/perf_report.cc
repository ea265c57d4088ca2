#include "cli/perf_report.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>

#include "base/files.h"
#include "cli/command.h"
#include "cli/perf_record.h"
#include "run/print.h"
#include "run/print_failures.h"

namespace sextant::cli {
namespace {

// perf_analyzer's exit codes.
constexpr int kUnstable = 2, kNoValidRequests = 3, kGenericError = 99;

void Print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

run::PerfAnalyzerForm FormOf(const PerfOptions& options, const Plan& plan) {
  run::PerfAnalyzerForm form{.grpc = plan.target.protocol == kserve::Protocol::kGrpc,
                             .verbose = options.verbose,
                             .verbose_csv = options.verbose_csv,
                             .asynchronous = options.async,
                             .requests = options.requests,
                             .warmup_requests = options.warmup.requests.value_or(0),
                             .latency_limit_ms = options.latency_threshold,
                             .points = plan.points};
  if (options.percentile.value_or(-1) > 0) form.percentile = static_cast<int>(*options.percentile);
  if (!plan.points.empty()) form.batch_size = plan.points.front().batch_size;
  const load::TrialRule& trials = plan.measure.window.trials;
  form.trials = trials.most;
  if (trials.requests > 0) form.window_requests = trials.requests;
  form.window_ms = options.measurement_interval_ms.value_or(form.window_ms);
  return form;
}

// Streams and sequences are asynchronous there unasked.
run::PerfAnalyzerForm FormOf(const PerfOptions& options, const Plan& plan, const Subject& subject) {
  run::PerfAnalyzerForm form = FormOf(options, plan);
  form.asynchronous |=
      subject.streams.streaming || (subject.streams.sequences != nullptr && !options.sync);
  return form;
}

// What is not text is the table and nothing else.
class OwnReporter final : public Reporter {
 public:
  OwnReporter(const PerfOptions& options, const Plan& plan, const Subject& subject,
              const load::DataSet& data)
      : options_(options),
        plan_(plan),
        subject_(subject),
        data_(data),
        form_(FormOf(options, plan, subject)),
        talks_(!options.quiet && options.format == OutputFormat::kText) {}

  void Banner() override {
    if (talks_) PrintBanner(options_, plan_, subject_, data_);
  }
  void StartLevel(const run::LoadPoint&) override { trials_ = 0; }
  void Trial(const load::TrialFigures& figures) override {
    if (!talks_ || !options_.verbose) return;
    Print(run::PerfAnalyzerPass(form_, ++trials_, figures.infer_per_s, figures.latency_ns,
                                figures.standard_deviation_ns));
  }
  void EndLevel(const run::Level& level) override {
    if (talks_) Print(run::FormatLevel(level) + "\n");
  }
  void End(std::span<const run::Level> levels) override {
    Print(run::FormatTable(levels, Form()));
    if (talks_) return;
    // The levels' reports, which were not asked for, would have said it.
    const std::string failures = run::FormatFailures(levels);
    const bool text = options_.format == OutputFormat::kText;
    if (!failures.empty()) std::fputs(("\n" + failures).c_str(), text ? stdout : stderr);
  }
  void Conclude(const load::Conclusion& conclusion) override {
    // Programs that read the table must not find it there.
    const bool text = options_.format == OutputFormat::kText;
    std::fputs(("\n" + conclusion.text).c_str(), text ? stdout : stderr);
  }
  int ExitCode(int own, std::span<const run::Level>) const override { return own; }

 private:
  run::TableForm Form() const {
    switch (options_.format) {
      case OutputFormat::kCsv:
        return run::TableForm::kCsv;
      case OutputFormat::kJson:
        return run::TableForm::kJson;
      case OutputFormat::kMarkdown:
        return run::TableForm::kMarkdown;
      case OutputFormat::kText:
        break;
    }
    // https://no-color.org: any value but the empty one turns colours off.
    const char* no_color = std::getenv("NO_COLOR");
    const bool plain = (no_color != nullptr && *no_color != '\0') || isatty(STDOUT_FILENO) == 0;
    return plain ? run::TableForm::kText : run::TableForm::kColor;
  }

  const PerfOptions& options_;
  const Plan& plan_;
  const Subject& subject_;
  const load::DataSet& data_;
  const run::PerfAnalyzerForm form_;
  const bool talks_;
  size_t trials_ = 0;
};

class PerfAnalyzerReporter final : public Reporter {
 public:
  PerfAnalyzerReporter(const PerfOptions& options, const Plan& plan, const Subject& subject)
      : subject_(subject), form_(FormOf(options, plan, subject)) {}

  void Banner() override {
    for (const std::string& absent : subject_.absent)
      std::fputs(Format("Note: {}\n", absent).c_str(), stderr);
    Print(run::PerfAnalyzerBanner(form_));
  }
  void StartLevel(const run::LoadPoint& point) override {
    trials_ = 0;
    // With -v its warm-up has a heading too.
    if (form_.verbose && form_.requests && form_.warmup_requests > 0)
      Print(run::PerfAnalyzerHeading(point));
    Print(run::PerfAnalyzerHeading(point));
  }
  void Trial(const load::TrialFigures& figures) override {
    if (!form_.verbose) return;
    Print(run::PerfAnalyzerPass(form_, ++trials_, figures.infer_per_s, figures.latency_ns,
                                figures.standard_deviation_ns));
  }
  void EndLevel(const run::Level& level) override {
    // A number of requests is one window there.
    if (form_.verbose && form_.requests && trials_ == 0) {
      const stats::Histogram& latency = level.latency.histogram;
      Print(run::PerfAnalyzerPass(
          form_, 1, level.throughput.value,
          form_.percentile ? latency.Quantile(*form_.percentile / 100.0) : latency.mean(),
          latency.standard_deviation()));
    }
    Print(run::PerfAnalyzerLevel(form_, level));
    std::fputs(run::PerfAnalyzerWarnings(form_, level).c_str(), stderr);
  }
  void End(std::span<const run::Level> levels) override {
    Print(run::PerfAnalyzerSummary(form_, levels));
    if (std::any_of(levels.begin(), levels.end(), run::PerfAnalyzerUnstable))
      std::fputs("Failed to obtain stable measurement.\n\n", stderr);
  }
  void Conclude(const load::Conclusion& conclusion) override {
    std::fputs((conclusion.text + "\n").c_str(), stderr);
  }
  int ExitCode(int own, std::span<const run::Level> levels) const override {
    return PerfAnalyzerExitCode(own, levels);
  }

 private:
  const Subject& subject_;
  const run::PerfAnalyzerForm form_;
  size_t trials_ = 0;
};

}  // namespace

std::unique_ptr<Reporter> MakeReporter(const PerfOptions& options, const Plan& plan,
                                       const Subject& subject, const load::DataSet& data) {
  if (options.compat == Compat::kPerfAnalyzer)
    return std::make_unique<PerfAnalyzerReporter>(options, plan, subject);
  return std::make_unique<OwnReporter>(options, plan, subject, data);
}

namespace {

// perf_analyzer's name for a model's file: out.csv has resnet_v2.out.csv beside it.
std::string BesideCsv(const std::string& file, std::string_view model, std::string_view version) {
  const size_t slash = file.rfind('/');
  const size_t name = slash == std::string::npos ? 0 : slash + 1;
  return Format("{}{}{}.{}", file.substr(0, name), model,
                version.empty() ? std::string() : Format("_v{}", version), file.substr(name));
}

}  // namespace

Result<void> WriteModelCsvs(const std::string& file, const run::PerfAnalyzerForm& form,
                            std::span<const run::Level> levels) {
  std::map<std::pair<std::string, std::string>, std::vector<run::Level>> parts;
  for (const run::Level& level : levels) {
    for (const run::Level& model : level.models) {
      if (model.part) parts[{model.part->name, model.part->version}].push_back(model);
    }
  }
  for (const auto& [model, of_levels] : parts) {
    SEXTANT_TRY(WriteFileAtomic(BesideCsv(file, model.first, model.second),
                                run::PerfAnalyzerCsv(form, of_levels)));
  }
  return {};
}

Result<void> WriteCsvFiles(const PerfOptions& options, const Plan& plan,
                           std::span<const run::Level> levels) {
  if (options.csv_file.empty()) return {};
  SEXTANT_TRY(
      WriteFileAtomic(options.csv_file, run::PerfAnalyzerCsv(FormOf(options, plan), levels)));
  std::set<std::pair<std::string, std::string>> composing;
  for (const run::Level& level : levels) {
    for (const run::ServerRecord& s : level.composing) composing.insert({s.model, s.version});
  }
  SEXTANT_TRY(WriteModelCsvs(options.csv_file, FormOf(options, plan), levels));
  for (const auto& [model, version] : composing) {
    SEXTANT_TRY(WriteFileAtomic(BesideCsv(options.csv_file, model, version),
                                run::PerfAnalyzerComposingCsv(levels, model, version)));
  }
  return {};
}

int PerfAnalyzerExitCode(int own, std::span<const run::Level> levels) {
  const auto any = [&](auto&& is) { return std::any_of(levels.begin(), levels.end(), is); };
  if (own == kExitOk) return any(run::PerfAnalyzerUnstable) ? kUnstable : kExitOk;
  if (own == kExitUsage || own == kExitVerdict) return kGenericError;
  if (own != kExitFailure) return own;  // ended by a signal
  const bool measured = !levels.empty() && !any([](const auto& l) { return l.succeeded > 0; });
  return measured ? kNoValidRequests : kGenericError;
}

}  // namespace sextant::cli
