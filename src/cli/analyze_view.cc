#include "cli/analyze_view.h"

#include <cstdio>
#include <mutex>

#include "base/units.h"
#include "net/http_server.h"
#include "text/json.h"
#include "text/prometheus.h"

namespace sextant::cli {
// The text of the last change, served as it is.
struct AnalyzeView::Endpoint final : net::HttpHandler {
  void OnRequest(const net::HttpRequest& request, net::HttpReply reply) override {
    if (request.path != "/metrics") return reply.Send({.status = 404, .body = "see /metrics\n"});
    const std::lock_guard lock(mutex);
    reply.Send(
        {.fields = "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n", .body = text});
  }
  std::mutex mutex;
  std::string text;
  std::unique_ptr<net::IoThreads> threads;
  std::unique_ptr<net::HttpServer> server;
  ~Endpoint() override {
    server.reset();
    threads.reset();
  }
};

AnalyzeView::AnalyzeView(Progress how, const analyze::Space& space, std::string model)
    : how_(ResolveProgress(how)), space_(space), model_(std::move(model)) {}
AnalyzeView::~AnalyzeView() { line_.Clear(); }

Result<void> AnalyzeView::Listen(const std::string& address) {
  SEXTANT_ASSIGN(const net::HostPort where, net::ParseHostPort(address, 0), "--listen-metrics");
  SEXTANT_ASSIGN(const std::vector<net::Address> addresses, net::Resolve(where),
                 "--listen-metrics");
  endpoint_ = std::make_unique<Endpoint>();
  Publish();
  SEXTANT_ASSIGN(endpoint_->threads, net::IoThreads::Start(1, "metrics"));
  SEXTANT_ASSIGN(endpoint_->server,
                 net::HttpServer::Start(*endpoint_->threads, addresses.front(), *endpoint_),
                 "--listen-metrics");
  std::fprintf(stderr, "metrics on http://%s/metrics\n",
               endpoint_->server->address().text().c_str());
  return {};
}

void AnalyzeView::Line(const std::string& text) {
  if (how_ == Progress::kLine) line_.Show(text, 170);
}

std::string AnalyzeView::EtaText() const {
  if (done_ == 0) return "";
  return Format("  ETA {}", HumanDuration(remaining_.time));
}

void AnalyzeView::Loading(const std::string& configuration) {
  ++loads_;
  current_ = configuration;
  Line(Format("[{}] loading {}{}", done_ + 1, configuration, EtaText()));
  if (how_ == Progress::kJson) {
    text::JsonWriter out;
    out.BeginObject().Member("event", "load").Member("configuration", configuration).EndObject();
    std::fprintf(stderr, "%s\n", out.text().c_str());
  }
}

void AnalyzeView::Begins(const analyze::PointRecord& point) {
  current_ = Format("{}, {}", point.configuration, analyze::DescribeLoad(point.load));
  Publish();
}

void AnalyzeView::Live(const load::LiveFigures& f) {
  if (how_ != Progress::kLine) return;
  Line(Format("[{}/~{}] {}: {} {:.1f} s  {} req/s  p99 {}{}{}", done_ + 1,
              done_ + std::max<uint64_t>(1, remaining_.trials), current_, f.phase, f.elapsed_s,
              HumanNumber(f.requests_per_s), HumanDuration(Nanos(static_cast<int64_t>(f.p99_ns))),
              best_.text.empty() ? "" : "  best " + best_.text, EtaText()));
}

void AnalyzeView::Ended(const analyze::PointRecord& point, bool from_journal,
                        const analyze::Search& search) {
  ++done_;
  if (from_journal) ++reused_;
  if (point.measured.status != analyze::Outcome::Status::kMeasured) ++failed_;
  remaining_ = search.Estimate();
  // The leader by what has been told so far, where somebody looks; cheap next to a measurement, not
  // next to a replayed one.
  if (!from_journal && (how_ != Progress::kNone || endpoint_)) {
    const analyze::Conclusion now = search.Conclude();
    if (!now.ranking.empty() && now.ranking.front().load) {
      const analyze::Standing& first = now.ranking.front();
      const analyze::Figure* throughput = analyze::FindFigure(first.figures, "throughput");
      best_.configuration = analyze::DescribeConfiguration(space_, first.configuration);
      best_.load = analyze::DescribeLoad(analyze::LoadOf(space_, first));
      best_.value = throughput == nullptr ? 0 : throughput->value;
      best_.text = Format("{} {}", best_.configuration, analyze::ShowValue(best_.value, "1/s"));
    }
  }
  line_.Clear();
  if (how_ == Progress::kJson) {
    text::JsonWriter out;
    out.BeginObject()
        .Member("event", "point")
        .Member("done", done_)
        .Member("remaining", remaining_.trials)
        .Member("remaining_at_most", remaining_.most_trials)
        .Member("eta_s", Seconds(remaining_.time))
        .Member("eta_at_most_s", Seconds(remaining_.most_time))
        .Member("from_journal", from_journal)
        .Member("configuration", point.configuration)
        .Member("load", analyze::DescribeLoad(point.load))
        .Member("reason", point.reason)
        .Member("status", analyze::StatusName(point.measured.status));
    if (!point.measured.error.empty()) out.Member("error", point.measured.error);
    out.Member("figures", analyze::ToJson(point.measured.figures));
    if (!best_.text.empty()) out.Member("best", best_.text);
    out.EndObject();
    std::fprintf(stderr, "%s\n", out.text().c_str());
  } else if (how_ == Progress::kLine &&
             point.measured.status != analyze::Outcome::Status::kMeasured) {
    std::fprintf(stderr, "%s, %s: %s: %s\n", point.configuration.c_str(),
                 analyze::DescribeLoad(point.load).c_str(),
                 std::string(analyze::StatusName(point.measured.status)).c_str(),
                 point.measured.error.substr(0, point.measured.error.find('\n')).c_str());
  }
  Publish();
}

void AnalyzeView::Note(const std::string& text) {
  line_.Clear();
  PrintNote(how_, text);
}

void PrintNote(Progress how, const std::string& text) {
  if (how == Progress::kJson) {
    text::JsonWriter out;
    out.BeginObject().Member("event", "note").Member("text", text).EndObject();
    std::fprintf(stderr, "%s\n", out.text().c_str());
  } else {
    std::fprintf(stderr, "note: %s\n", text.c_str());
  }
}

void AnalyzeView::Finish() {
  line_.Clear();
  remaining_ = {};
  Publish();
}

void AnalyzeView::Publish() {
  if (!endpoint_) return;
  using text::MetricType;
  text::PrometheusWriter out;
  const std::pair<std::string_view, std::string_view> labels[] = {{"model", model_}};
  const auto one = [&](std::string_view name, std::string_view help, MetricType type,
                       double value) {
    out.Family(name, help, type);
    out.Sample(labels, value);
  };
  one("sextant_analyze_points_total", "Points done, failed and reused ones included.",
      MetricType::kCounter, static_cast<double>(done_));
  one("sextant_analyze_points_failed_total", "Points that could not be measured.",
      MetricType::kCounter, static_cast<double>(failed_));
  one("sextant_analyze_points_reused_total", "Points taken from the journal.", MetricType::kCounter,
      static_cast<double>(reused_));
  one("sextant_analyze_loads_total", "Configurations loaded into the server.", MetricType::kCounter,
      static_cast<double>(loads_));
  one("sextant_analyze_points_remaining", "Points still to come, as far as can be said.",
      MetricType::kGauge, static_cast<double>(remaining_.trials));
  one("sextant_analyze_eta_seconds", "Time still to come, as far as can be said.",
      MetricType::kGauge, Seconds(remaining_.time));
  one("sextant_analyze_elapsed_seconds", "Time since the search began.", MetricType::kGauge,
      Seconds(SteadyNow() - begin_));
  if (!best_.text.empty()) {
    out.Family("sextant_analyze_best_throughput", "Inferences per second of the best so far.",
               MetricType::kGauge);
    const std::pair<std::string_view, std::string_view> best[] = {
        {"model", model_}, {"configuration", best_.configuration}, {"load", best_.load}};
    out.Sample(best, best_.value);
  }
  const std::lock_guard lock(endpoint_->mutex);
  endpoint_->text = out.Take();
}

}  // namespace sextant::cli
