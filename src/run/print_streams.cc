// What the report and the table say of decoupled models and of sequences.
#include "run/print_streams.h"

#include "base/strings.h"
#include "base/units.h"

namespace sextant::run {
namespace {

// "p50 1200, p90 1300, p99 1400 usec"
std::string MicrosOf(const stats::Histogram& h) {
  return Format("p50 {:.0f}, p90 {:.0f}, p99 {:.0f} usec", h.Quantile(0.5) / 1e3,
                h.Quantile(0.9) / 1e3, h.Quantile(0.99) / 1e3);
}

std::string CountsOf(const stats::Histogram& h) {
  if (h.min() == h.max()) return Format("{}", h.min());
  return Format("avg {:.2f}, {} to {}", h.mean(), h.min(), h.max());
}

std::string Milliseconds(const stats::Histogram& h, double p) {
  return h.count() == 0 ? "-" : Format("{:.3f}", h.Quantile(p) / 1e6);
}

}  // namespace

void AppendResponses(const Level& level, std::string& out) {
  if (!level.responses) return;
  const ResponseRecord& r = *level.responses;
  AppendFormat(out, "    Response throughput: {:.3f} responses/sec", r.rate.value);
  if (r.rate.known) {
    AppendFormat(out, "  [{:.3f}, {:.3f}]", std::max(0.0, r.rate.lower()), r.rate.upper());
  }
  out += '\n';
  if (r.per_request.count() > 0)
    AppendFormat(out, "    Responses per request: {}\n", CountsOf(r.per_request));
  if (r.first.count() > 0) AppendFormat(out, "    Time to first response: {}\n", MicrosOf(r.first));
  if (r.between.count() > 0)
    AppendFormat(out, "    Time between responses: {}\n", MicrosOf(r.between));
  if (r.requests_without > 0) {
    AppendFormat(out,
                 "    Without a response: {} requests ended well but were answered with nothing, "
                 "and have no first response\n",
                 r.requests_without);
  }
}

void AppendSequences(const Level& level, std::string& out) {
  if (!level.sequences) return;
  const SequenceRecord& s = *level.sequences;
  AppendFormat(out, "    Sequence count: {} ({:.2f} seq/sec)\n", s.completed, s.rate);
  if (s.abandoned > 0) {
    AppendFormat(out, "    Sequences abandoned: {} (a request of theirs failed)\n", s.abandoned);
  }
  if (s.completed > 0) {
    AppendFormat(out, "    Sequence latency: {}; requests per sequence: {}\n", MicrosOf(s.latency),
                 CountsOf(s.requests));
  }
}

std::vector<Column> StreamColumns(std::span<const Level> levels) {
  std::vector<Column> out;
  const auto any = [&](auto&& has) { return std::any_of(levels.begin(), levels.end(), has); };
  if (any([](const Level& l) { return l.responses.has_value(); })) {
    const auto cell = [](auto&& value) {
      return [value](const Level& l) { return l.responses ? value(*l.responses) : "-"; };
    };
    out.push_back({"Responses", "1/s",
                   cell([](const ResponseRecord& r) { return HumanNumber(r.rate.value); })});
    out.push_back({"per", "request", cell([](const ResponseRecord& r) {
                     return r.per_request.count() == 0 ? std::string("-")
                                                       : Format("{:.2f}", r.per_request.mean());
                   })});
    out.push_back({"First p50", "ms",
                   cell([](const ResponseRecord& r) { return Milliseconds(r.first, 0.5); })});
    out.push_back({"First p99", "ms",
                   cell([](const ResponseRecord& r) { return Milliseconds(r.first, 0.99); })});
    out.push_back({"Between p50", "ms",
                   cell([](const ResponseRecord& r) { return Milliseconds(r.between, 0.5); })});
  }
  if (any([](const Level& l) { return l.sequences.has_value(); })) {
    out.push_back({"Sequences", "1/s", [](const Level& l) {
                     return l.sequences ? HumanNumber(l.sequences->rate) : std::string("-");
                   }});
    out.push_back({"Sequence p50", "ms", [](const Level& l) {
                     return l.sequences ? Milliseconds(l.sequences->latency, 0.5)
                                        : std::string("-");
                   }});
  }
  return out;
}

}  // namespace sextant::run
