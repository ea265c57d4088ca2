#include "cli/perf_progress.h"

#include <unistd.h>

#include <cstdio>

#include "base/units.h"
#include "run/state_text.h"
#include "text/json.h"

namespace sextant::cli {

Progress ResolveProgress(Progress how) {
  if (how != Progress::kAuto) return how;
  return isatty(STDERR_FILENO) != 0 ? Progress::kLine : Progress::kNone;
}

void StatusLine::Show(std::string_view text, size_t most) {
  std::fprintf(stderr, "\r\033[K%s", std::string(text.substr(0, most)).c_str());
  std::fflush(stderr);
  shown_ = true;
}

void StatusLine::Clear() {
  if (!shown_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  shown_ = false;
}

ProgressPrinter::ProgressPrinter(Progress how, size_t levels)
    : how_(ResolveProgress(how)), levels_(levels) {}

void ProgressPrinter::StartLevel(const run::LoadPoint& point) {
  point_ = point;
  level_begin_ = SteadyNow();
}

// From what the finished levels took; during the first, from its own expectation.
double ProgressPrinter::Eta(const load::LiveFigures& figures) const {
  if (levels_ == 0) return -1;
  const double in_level = Seconds(SteadyNow() - level_begin_);
  double per_level;
  if (done_ > 0) {
    per_level = Seconds(level_begin_ - begin_) / static_cast<double>(done_);
  } else if (figures.expected_s > 0) {
    per_level = in_level - figures.elapsed_s + figures.expected_s;
  } else {
    return -1;
  }
  return std::max(0.0, per_level * static_cast<double>(levels_ - done_) - in_level);
}

void ProgressPrinter::Show(const load::LiveFigures& f) {
  const double eta = Eta(f);
  if (how_ == Progress::kLine) {
    std::string line = Format(
        "[{}{}] {}, batch {}: {} {:.1f}{} s  {} req/s  p99 {}", done_ + 1,
        levels_ > 0 ? Format("/{}", levels_) : "", run::DescribeLoad(point_), point_.batch_size,
        f.phase, f.elapsed_s, f.expected_s > 0 ? Format("/{:.0f}", f.expected_s) : "",
        HumanNumber(f.requests_per_s), HumanDuration(Nanos(static_cast<int64_t>(f.p99_ns))));
    if (f.failed_per_s > 0) line += Format("  {} failed/s", HumanNumber(f.failed_per_s));
    if (f.not_sent_per_s > 0) line += Format("  {} not sent/s", HumanNumber(f.not_sent_per_s));
    if (eta >= 0)
      line +=
          Format("  ETA {}", HumanDuration(std::chrono::seconds(static_cast<int64_t>(eta + 0.5))));
    line_.Show(line, 150);
  } else if (how_ == Progress::kJson) {
    text::JsonWriter out;
    out.BeginObject().Member("event", "progress").Member("level", static_cast<uint64_t>(done_ + 1));
    if (levels_ > 0) out.Member("levels", static_cast<uint64_t>(levels_));
    out.Member("load", run::DescribeLoad(point_))
        .Member("batch_size", point_.batch_size)
        .Member("phase", f.phase);
    out.Member("elapsed_s", f.elapsed_s)
        .Member("requests_per_s", f.requests_per_s)
        .Member("failed_per_s", f.failed_per_s);
    if (f.not_sent_per_s > 0) out.Member("not_sent_per_s", f.not_sent_per_s);
    out.Member("p99_ns", f.p99_ns).Member("in_flight", f.in_flight).Member("answered", f.answered);
    if (eta >= 0) out.Member("eta_s", eta);
    out.EndObject();
    std::fprintf(stderr, "%s\n", out.text().c_str());
  }
}

void ProgressPrinter::EndLevel(const run::Level& level) {
  ++done_;
  line_.Clear();
  if (how_ != Progress::kJson) return;
  text::JsonWriter out;
  out.BeginObject().Member("event", "level").Member("level", static_cast<uint64_t>(done_));
  if (levels_ > 0) out.Member("levels", static_cast<uint64_t>(levels_));
  out.Member("load", run::DescribeLoad(level.load))
      .Member("batch_size", level.load.batch_size)
      .Member("throughput_per_s", level.throughput.value);
  out.Member("succeeded", level.succeeded)
      .Member("failed", level.failed + level.unfinished)
      .Member("not_sent", level.overflow)
      .Member("state", run::StateText(level))
      .EndObject();
  std::fprintf(stderr, "%s\n", out.text().c_str());
}

}  // namespace sextant::cli
