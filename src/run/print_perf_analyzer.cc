#include "run/print_perf_analyzer.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/strings.h"
#include "run/metrics_text.h"
#include "text/csv.h"

namespace sextant::run {
namespace {

// It prints floating-point numbers with six digits, and whole microseconds by cutting.
std::string Number(double value) { return Format("{:g}", value); }
int64_t Micros(double ns) { return static_cast<int64_t>(ns / 1e3); }

bool IsClosed(const LoadPoint& load) { return load.mode == LoadMode::kConcurrency; }

// In percent, ascending: its own, the one that must agree, and what else the levels have.
std::vector<double> Percentiles(const PerfAnalyzerForm& form, std::span<const Level> levels) {
  std::vector<double> out{50, 90, 95, 99};
  const auto add = [&](double p) {
    if (std::none_of(out.begin(), out.end(), [&](double q) { return std::abs(q - p) < 1e-7; }))
      out.push_back(p);
  };
  if (form.percentile) add(*form.percentile);
  for (const Level& level : levels) {
    for (const stats::QuantileEstimate& q : level.latency.percentiles) add(q.p * 100);
  }
  std::sort(out.begin(), out.end());
  return out;
}

double LatencyOf(const PerfAnalyzerForm& form, const Level& level) {
  const stats::Histogram& latency = level.latency.histogram;
  return form.percentile ? latency.Quantile(*form.percentile / 100.0) : latency.mean();
}

// Requests that went out more than its tolerance of a millisecond after they were due.
double DelayedShare(const Level& level) {
  const uint64_t count = level.slip.count();
  return count == 0
             ? 0
             : static_cast<double>(level.slip.CountAbove(1'000'000)) / static_cast<double>(count);
}

void AppendClient(const PerfAnalyzerForm& form, const Level& level, std::string& out) {
  AppendFormat(out, "  Client: \n    Request count: {}\n", level.succeeded);
  if (!IsClosed(level.load) && DelayedShare(level) > 0.01) {
    AppendFormat(out,
                 "    Avg send request rate: {:.2f} infer/sec\n"
                 "    [WARNING] Perf Analyzer was not able to keep up with the desired request "
                 "rate. {:.2f}% of the requests were delayed. \n",
                 level.send_rate, DelayedShare(level) * 100);
  }
  if (level.sequences) {
    AppendFormat(out, "    Sequence count: {} ({} seq/sec)\n", level.sequences->completed,
                 Number(level.sequences->rate));
  }
  AppendFormat(out, "    Throughput: {} infer/sec\n", Number(level.throughput.value));
  if (level.responses)
    AppendFormat(out, "    Response Throughput: {} infer/sec\n",
                 Number(level.responses->rate.value));
  if (form.verbose)
    AppendFormat(out, "    Avg client overhead: {:.2f}%\n", level.client.cpu_share * 100);
  const stats::Histogram& latency = level.latency.histogram;
  if (!form.percentile) {
    AppendFormat(out, "    Avg latency: {} usec (standard deviation {} usec)\n",
                 Micros(latency.mean()), Micros(latency.standard_deviation()));
  }
  for (const double p : Percentiles(form, {&level, 1}))
    AppendFormat(out, "    p{:g} latency: {} usec\n", p, Micros(latency.Quantile(p / 100)));
  // One system call sends a request and one receives its answer: all of it is waiting.
  const int64_t service = Micros(level.service.histogram.mean());
  if (form.grpc && form.verbose) {
    AppendFormat(out,
                 "    Avg gRPC time: {0} usec (marshal 0 usec + response wait {0} usec + unmarshal "
                 "0 usec)\n",
                 service);
  } else if (form.grpc) {
    AppendFormat(out,
                 "    Avg gRPC time: {0} usec ((un)marshal request/response 0 usec + response wait "
                 "{0} usec)\n",
                 service);
  } else if (form.verbose) {
    AppendFormat(out,
                 "    Avg HTTP time: {0} usec (send 0 usec + response wait {0} usec + receive 0 "
                 "usec)\n",
                 service);
  } else {
    AppendFormat(out, "    Avg HTTP time: {0} usec (send/recv 0 usec + response wait {0} usec)\n",
                 service);
  }
}

double Compute(const ServerRecord& s) {
  return s.compute_input_us + s.compute_infer_us + s.compute_output_us;
}

void AppendServerRecord(const ServerRecord& s, std::string_view indent, bool ensemble,
                        std::string& out) {
  AppendFormat(out,
               "{0}Inference count: {1}\n{0}Execution count: {2}\n{0}Successful request count: "
               "{3}\n{0}Avg request latency: {4} usec (overhead {5} usec + queue {6} usec + ",
               indent, s.inference_count, s.execution_count, s.success_count,
               static_cast<int64_t>(s.request_us),
               static_cast<int64_t>(std::max(0.0, s.request_us - s.queue_us - Compute(s))),
               static_cast<int64_t>(s.queue_us));
  if (ensemble) {
    AppendFormat(out, "compute {} usec)\n", static_cast<int64_t>(Compute(s)));
  } else {
    AppendFormat(out, "compute input {} usec + compute infer {} usec + compute output {} usec)\n",
                 static_cast<int64_t>(s.compute_input_us), static_cast<int64_t>(s.compute_infer_us),
                 static_cast<int64_t>(s.compute_output_us));
  }
  out += '\n';
}

// Of several versions that answered, the figures of all together.
ServerRecord Together(std::span<const ServerRecord> records) {
  ServerRecord out;
  double weight = 0;
  for (const ServerRecord& s : records) {
    const auto requests = static_cast<double>(s.success_count);
    weight += requests;
    out.inference_count += s.inference_count;
    out.execution_count += s.execution_count;
    out.success_count += s.success_count;
    for (double ServerRecord::* const member :
         {&ServerRecord::request_us, &ServerRecord::queue_us, &ServerRecord::compute_input_us,
          &ServerRecord::compute_infer_us, &ServerRecord::compute_output_us})
      out.*member += s.*member * requests;
  }
  if (weight > 0) {
    for (double ServerRecord::* const member :
         {&ServerRecord::request_us, &ServerRecord::queue_us, &ServerRecord::compute_input_us,
          &ServerRecord::compute_infer_us, &ServerRecord::compute_output_us})
      out.*member /= weight;
  }
  return out;
}

}  // namespace

bool PerfAnalyzerUnstable(const Level& level) { return level.window_rule == "max-trials"; }

std::string PerfAnalyzerBanner(const PerfAnalyzerForm& form) {
  std::string out = Format("*** Measurement Settings ***\n  Batch size: {}\n", form.batch_size);
  out += "  Service Kind: TRITON\n";
  if (form.requests) {
    if (form.warmup_requests > 0)
      AppendFormat(out, "  Sending {} warmup requests\n", form.warmup_requests);
    AppendFormat(out, "  Sending {} benchmark requests\n", *form.requests);
  } else {
    AppendFormat(out, "  Using \"{}\" mode for stabilization\n",
                 form.window_requests ? "count_windows" : "time_windows");
    // The space that is missing behind a percentile is missing there too.
    AppendFormat(out, "  Stabilizing using {}{}throughput\n",
                 form.percentile ? Format("p{}", *form.percentile) : "average ",
                 form.asynchronous ? "" : "latency and ");
    if (form.window_requests) {
      AppendFormat(out, "  Minimum number of samples in each window: {}\n", *form.window_requests);
    } else {
      AppendFormat(out, "  Measurement window: {} msec\n", form.window_ms);
    }
  }
  const bool closed = form.points.empty() || IsClosed(form.points.front());
  const bool sweep = std::any_of(form.points.begin(), form.points.end(), [&](const LoadPoint& p) {
    return p.value != form.points.front().value;
  });
  if (sweep) {
    AppendFormat(out, "  Latency limit: {} msec\n", form.latency_limit_ms);
    const double end = form.points.back().value;
    out += closed ? Format("  Concurrency limit: {} concurrent requests\n", Number(end))
                  : Format("  Request Rate limit: {} requests per seconds\n", Number(end));
  }
  if (!closed) {
    AppendFormat(out, "  Using {} distribution on request generation\n",
                 form.points.front().arrivals == "poisson" ? "poisson" : "uniform");
  }
  AppendFormat(out, "  Using {} calls for inference\n\n",
               form.asynchronous ? "asynchronous" : "synchronous");
  return out;
}

std::string PerfAnalyzerHeading(const LoadPoint& load) {
  return IsClosed(load)
             ? Format("Request concurrency: {}\n", Number(load.value))
             : Format("Request Rate: {} inference requests per seconds\n", Number(load.value));
}

std::string PerfAnalyzerPass(const PerfAnalyzerForm& form, size_t number, double infer_per_s,
                             double latency_ns, double standard_deviation_ns) {
  const std::string front =
      Format("  Pass [{}] throughput: {} infer/sec. ", number, Number(infer_per_s));
  if (form.percentile)
    return front + Format("p{} latency: {} usec\n", *form.percentile, Micros(latency_ns));
  return front + Format("Avg latency: {} usec (std {} usec). \n", Micros(latency_ns),
                        Micros(standard_deviation_ns));
}

std::string PerfAnalyzerLevel(const PerfAnalyzerForm& form, const Level& level) {
  std::string out;
  AppendClient(form, level, out);
  if (level.server.empty()) return out + "\n";
  out += "  Server: \n";
  AppendServerRecord(Together(level.server), "    ", !level.composing.empty(), out);
  if (level.composing.empty()) return out;
  out += "  Composing models: \n";
  for (const ServerRecord& s : level.composing) {
    AppendFormat(out, "  {}, version: {}\n", s.model, s.version);
    AppendServerRecord(s, "      ", false, out);
  }
  return out;
}

std::string PerfAnalyzerWarnings(const PerfAnalyzerForm& form, const Level& level) {
  std::string out;
  const std::string where = IsClosed(level.load)
                                ? Format("concurrency {}", Number(level.load.value))
                                : Format("request rate {}", Number(level.load.value));
  if (PerfAnalyzerUnstable(level)) {
    AppendFormat(out,
                 "Failed to obtain stable measurement within {} measurement windows for {}. Please "
                 "try to increase the --measurement-{}.\n",
                 form.trials, where, form.window_requests ? "request-count" : "interval");
  }
  if (const uint64_t lost = level.failed + level.unfinished; lost > 0) {
    AppendFormat(out, "[WARNING] {}: {} of {} requests failed ({:.3g}%)\n", where, lost,
                 level.scheduled, level.error_rate() * 100);
  }
  for (const OutcomeRecord& outcome : level.outcomes) {
    AppendFormat(out, "[WARNING] {}: {}: {}{}\n", where, outcome.name, outcome.count,
                 outcome.example.empty() ? "" : Format(": {}", outcome.example));
  }
  if (level.overflow > 0) {
    AppendFormat(out,
                 "[WARNING] {}: {} arrivals ({:.3g}%) were not sent: --max-in-flight reached\n",
                 where, level.overflow, level.not_sent_share() * 100);
  }
  if (level.client.limited) {
    out +=
        "[WARNING] Perf Analyzer is not able to keep up with the desired load. The results may not "
        "be accurate.\n";
    for (const std::string& limit : level.client.limits)
      AppendFormat(out, "[WARNING] {}: {}\n", where, limit);
  }
  for (const std::string& note : level.notes) AppendFormat(out, "Note: {}: {}\n", where, note);
  return out;
}

std::string PerfAnalyzerSummary(const PerfAnalyzerForm& form, std::span<const Level> levels) {
  std::string out =
      Format("Inferences/Second vs. Client {} Batch Latency\n",
             form.percentile ? Format("p{}", *form.percentile) : std::string("Average"));
  for (const Level& level : levels) {
    AppendFormat(out, "{}: {}, throughput: {} infer/sec, latency {} usec\n",
                 IsClosed(level.load) ? "Concurrency" : "Request Rate", Number(level.load.value),
                 Number(level.throughput.value), Micros(LatencyOf(form, level)));
  }
  return out;
}

namespace {

struct Column {
  std::string title;
  std::function<std::string(const Level&)> cell;
};

std::vector<Column> CsvColumns(const PerfAnalyzerForm& form, std::span<const Level> levels) {
  const bool closed = levels.empty() || IsClosed(levels.front().load);
  const bool server =
      std::any_of(levels.begin(), levels.end(), [](const Level& l) { return !l.server.empty(); });
  std::vector<Column> out;
  const auto add = [&](std::string title, std::function<std::string(const Level&)> cell) {
    out.push_back({std::move(title), std::move(cell)});
  };
  const auto zero = [](const Level&) { return std::string("0"); };
  add(closed ? "Concurrency" : "Request Rate", [](const Level& l) { return Number(l.load.value); });
  add("Inferences/Second", [](const Level& l) { return Number(l.throughput.value); });
  if (std::any_of(levels.begin(), levels.end(),
                  [](const Level& l) { return l.responses.has_value(); })) {
    add("Response Throughput",
        [](const Level& l) { return l.responses ? Number(l.responses->rate.value) : "0"; });
  }
  add("Client Send", zero);
  if (server) {
    add("Network+Server Send/Recv", [](const Level& l) {
      const ServerRecord s = Together(l.server);
      const double rest = l.latency.histogram.mean() / 1e3 - s.queue_us - Compute(s);
      return Format("{}", static_cast<int64_t>(std::max(0.0, rest)));
    });
    const auto part = [&](const char* title, double ServerRecord::* member) {
      add(title, [member](const Level& l) {
        return Format("{}", static_cast<int64_t>(Together(l.server).*member));
      });
    };
    part("Server Queue", &ServerRecord::queue_us);
    part("Server Compute Input", &ServerRecord::compute_input_us);
    part("Server Compute Infer", &ServerRecord::compute_infer_us);
    part("Server Compute Output", &ServerRecord::compute_output_us);
  }
  add("Client Recv", zero);
  for (const double p : Percentiles(form, levels)) {
    add(Format("p{:g} latency", p), [p](const Level& l) {
      return Format("{}", Micros(l.latency.histogram.Quantile(p / 100)));
    });
  }
  if (form.verbose_csv) {
    if (!form.percentile) {
      add("Avg latency",
          [](const Level& l) { return Format("{}", Micros(l.latency.histogram.mean())); });
    }
    add("request/response", zero);
    add("response wait",
        [](const Level& l) { return Format("{}", Micros(l.service.histogram.mean())); });
    if (std::any_of(levels.begin(), levels.end(), HasGpuFigures)) {
      for (size_t i = 0; i < kGpuCsvColumns.size(); ++i)
        add(kGpuCsvColumns[i], [i](const Level& l) { return GpuCsvCells(l)[i]; });
    }
  }
  return out;
}

std::vector<const Level*> ByThroughput(std::span<const Level> levels) {
  std::vector<const Level*> out;
  for (const Level& level : levels) out.push_back(&level);
  std::stable_sort(out.begin(), out.end(), [](const Level* a, const Level* b) {
    return a->throughput.value < b->throughput.value;
  });
  return out;
}

}  // namespace

std::string PerfAnalyzerCsv(const PerfAnalyzerForm& form, std::span<const Level> levels) {
  std::vector<Column> columns = CsvColumns(form, levels);
  const bool batches = std::any_of(levels.begin(), levels.end(), [&](const Level& l) {
    return l.load.batch_size != levels.front().load.batch_size;
  });
  // Its sweeps have one batch size.
  if (batches)
    columns.push_back(
        {"Batch Size", [](const Level& l) { return Format("{}", l.load.batch_size); }});
  std::string out;
  std::vector<std::string> row;
  for (const Column& column : columns) row.push_back(column.title);
  text::AppendCsvRow(out, row);
  for (const Level* level : ByThroughput(levels)) {
    row.clear();
    for (const Column& column : columns) row.push_back(column.cell(*level));
    text::AppendCsvRow(out, row);
  }
  return out;
}

std::string PerfAnalyzerComposingCsv(std::span<const Level> levels, std::string_view model,
                                     std::string_view version) {
  std::string out;
  for (const Level* level : ByThroughput(levels)) {
    const auto record = std::find_if(
        level->composing.begin(), level->composing.end(),
        [&](const ServerRecord& s) { return s.model == model && s.version == version; });
    if (record == level->composing.end()) continue;
    if (out.empty()) {
      text::AppendCsvRow(out, std::vector<std::string>{
                                  IsClosed(level->load) ? "Concurrency" : "Request Rate",
                                  "Inferences/Second", "Client Send", "Network+Server Send/Recv",
                                  "Server Queue", "Server Compute Input", "Server Compute Infer",
                                  "Server Compute Output", "Client Recv"});
    }
    // It is called so many times for each request of the measured model.
    const auto requests = static_cast<double>(Together(level->server).success_count);
    const double ratio = requests > 0 ? static_cast<double>(record->success_count) / requests : 0;
    const auto whole = [](double us) { return Format("{}", static_cast<int64_t>(us)); };
    text::AppendCsvRow(
        out, std::vector<std::string>{
                 Number(level->load.value), Number(level->throughput.value * ratio), "0",
                 whole(std::max(0.0, record->request_us - record->queue_us - Compute(*record))),
                 whole(record->queue_us), whole(record->compute_input_us),
                 whole(record->compute_infer_us), whole(record->compute_output_us), "0"});
  }
  return out;
}

}  // namespace sextant::run
