#include "run/run_file.h"

#include "base/strings.h"

namespace sextant::run {
namespace {

using text::Json;

// Both directions of each record are one function over a visitor, so that a member cannot be
// written and not read. A visitor has Field(name, value) for each type of member.
class Writer {
 public:
  static constexpr bool kReading = false;
  void Field(std::string_view name, const std::string& v) { out.Set(name, v); }
  void Field(std::string_view name, double v) { out.Set(name, v); }
  void Field(std::string_view name, uint64_t v) { out.Set(name, v); }
  void Field(std::string_view name, int64_t v) { out.Set(name, v); }
  void Field(std::string_view name, int v) { out.Set(name, v); }
  void Field(std::string_view name, bool v) { out.Set(name, v); }
  void Field(std::string_view name, const std::optional<double>& v) {
    if (v) out.Set(name, *v);
  }
  void Field(std::string_view name, const std::vector<std::string>& v) {
    Json::Array list;
    for (const std::string& text : v) list.emplace_back(text);
    out.Set(name, std::move(list));
  }
  // Absent when zero: what most levels do not have.
  void CountIfAny(std::string_view name, uint64_t v) {
    if (v > 0) Field(name, v);
  }
  template <typename T>
  void Object(std::string_view name, const T& v, auto&& visit) {
    Writer inner;
    visit(inner, const_cast<T&>(v));
    out.Set(name, std::move(inner.out));
  }
  template <typename T>
  void Optional(std::string_view name, const std::optional<T>& v, auto&& visit) {
    if (v) Object(name, *v, visit);
  }
  template <typename T>
  void List(std::string_view name, const std::vector<T>& v, auto&& visit, const T& = T()) {
    Json::Array list;
    for (const T& element : v) {
      Writer inner;
      visit(inner, const_cast<T&>(element));
      list.push_back(std::move(inner.out));
    }
    out.Set(name, std::move(list));
  }
  // Absent when empty: what most runs do not have.
  template <typename T>
  void ListIfAny(std::string_view name, const std::vector<T>& v, auto&& visit) {
    if (!v.empty()) List(name, v, visit);
  }
  Json out{Json::Object()};
};

class Reader {
 public:
  static constexpr bool kReading = true;
  explicit Reader(const Json& json) : in(json) {}

  void Field(std::string_view name, std::string& v) {
    Take(name, [&](const Json& j) { return Assign(v, j.AsString()); });
  }
  void Field(std::string_view name, double& v) {
    // Non-finite numbers are written as null.
    Take(name, [&](const Json& j) { return j.IsNull() || Assign(v, j.AsDouble()); });
  }
  void Field(std::string_view name, uint64_t& v) {
    Take(name, [&](const Json& j) { return Assign(v, j.AsUint()); });
  }
  void Field(std::string_view name, int64_t& v) {
    Take(name, [&](const Json& j) { return Assign(v, j.AsInt()); });
  }
  void Field(std::string_view name, int& v) {
    Take(name, [&](const Json& j) {
      const auto value = j.AsInt();
      if (!value || !std::in_range<int>(*value)) return false;
      v = static_cast<int>(*value);
      return true;
    });
  }
  void Field(std::string_view name, bool& v) {
    Take(name, [&](const Json& j) { return Assign(v, j.AsBool()); });
  }
  void Field(std::string_view name, std::optional<double>& v) {
    if (const Json* member = in.Find(name)) v = member->AsDouble();
  }
  void Field(std::string_view name, std::vector<std::string>& v) {
    Take(name, [&](const Json& j) {
      if (!j.IsArray()) return false;
      for (const Json& element : j.array()) {
        if (!element.AsString()) return false;
        v.emplace_back(*element.AsString());
      }
      return true;
    });
  }
  void CountIfAny(std::string_view name, uint64_t& v) {
    if (in.Find(name) != nullptr) Field(name, v);
  }
  template <typename T>
  void Object(std::string_view name, T& v, auto&& visit) {
    Take(name, [&](const Json& j) {
      if (!j.IsObject()) return false;
      Reader inner(j);
      visit(inner, v);
      Adopt(name, inner);
      return true;
    });
  }
  template <typename T>
  void Optional(std::string_view name, std::optional<T>& v, auto&& visit) {
    if (in.Find(name) != nullptr) Object(name, v.emplace(), visit);
  }
  template <typename T>
  void List(std::string_view name, std::vector<T>& v, auto&& visit, const T& empty = T()) {
    Take(name, [&](const Json& j) {
      if (!j.IsArray()) return false;
      for (const Json& element : j.array()) {
        if (!element.IsObject()) return false;
        Reader inner(element);
        v.push_back(empty);
        visit(inner, v.back());
        Adopt(name, inner);
      }
      return true;
    });
  }
  template <typename T>
  void ListIfAny(std::string_view name, std::vector<T>& v, auto&& visit) {
    if (in.Find(name) != nullptr) List(name, v, visit);
  }
  void Fault(std::string_view text) {
    if (fault.empty()) fault = text;
  }

  const Json& in;
  std::string fault;

 private:
  template <typename F>
  void Take(std::string_view name, F&& take) {
    const Json* member = in.Find(name);
    if (member == nullptr) return Fault(Format("'{}' is missing", name));
    if (!take(*member)) Fault(Format("'{}' has the wrong type", name));
  }
  template <typename T, typename V>
  static bool Assign(T& to, const std::optional<V>& value) {
    if (!value) return false;
    to = T(*value);
    return true;
  }
  void Adopt(std::string_view name, const Reader& inner) {
    if (!inner.fault.empty()) Fault(Format("{}: {}", name, inner.fault));
  }
};

template <typename V>
void Visit(V& v, stats::Histogram& h) {
  auto exact = h.exact();
  int precision = h.precision_bits();
  v.Field("precision_bits", precision);
  v.Field("min", exact.min);
  v.Field("max", exact.max);
  v.Field("sum_high", exact.sum_high);
  v.Field("sum_low", exact.sum_low);
  v.Field("squares_high", exact.squares_high);
  v.Field("squares_low", exact.squares_low);
  if constexpr (V::kReading) {
    std::vector<std::pair<uint32_t, uint64_t>> buckets;
    const Json* list = v.in.Find("buckets");
    if (list == nullptr || !list->IsArray() || list->array().size() % 2 != 0)
      return v.Fault("'buckets' must be a list of pairs");
    for (size_t i = 0; i < list->array().size(); i += 2) {
      const auto index = list->array()[i].AsUint(), count = list->array()[i + 1].AsUint();
      if (!index || !count || *index > UINT32_MAX)
        return v.Fault("'buckets' must hold whole numbers");
      buckets.emplace_back(static_cast<uint32_t>(*index), *count);
    }
    Result<stats::Histogram> read = stats::Histogram::FromParts(precision, buckets, exact);
    if (!read.has_value()) return v.Fault(read.error().message());
    h = *std::move(read);
  } else {
    Json::Array list;
    for (const auto& [index, count] : h.NonEmptyBuckets())
      list.emplace_back(uint64_t{index}), list.emplace_back(count);
    v.out.Set("buckets", std::move(list));
  }
}

template <typename V>
void Visit(V& v, stats::IntervalEstimate& e) {
  v.Field("value", e.value);
  v.Field("known", e.known);
  v.Field("half_width", e.half_width);
  v.Field("batches", e.batches);
  v.Field("correlation", e.correlation);
}

template <typename V>
void Visit(V& v, stats::QuantileEstimate& q) {
  v.Field("p", q.p);
  v.Field("value", q.value);
  v.Field("lower", q.lower);
  v.Field("upper", q.upper);
  v.Field("design_effect", q.design_effect);
  v.Field("needs", q.needs);
}

constexpr auto kVisit = [](auto& v, auto& record) { Visit(v, record); };

template <typename V>
void Visit(V& v, LatencyRecord& l) {
  v.Object("mean", l.mean, kVisit);
  v.List("percentiles", l.percentiles, kVisit);
  v.Object("histogram", l.histogram, kVisit);
}

template <typename V>
void Visit(V& v, OutcomeRecord& o) {
  v.Field("name", o.name);
  v.Field("count", o.count);
  v.Field("example", o.example);
  v.Object("latency_ns", o.latency, kVisit);
}

template <typename V>
void Visit(V& v, SecondRecord& s) {
  v.Field("start_s", s.start_s);
  v.Field("length_s", s.length_s);
  v.Field("answered", s.answered);
  v.Field("failed", s.failed);
  v.Field("p50_ns", s.p50_ns);
  v.Field("p99_ns", s.p99_ns);
  v.Field("max_ns", s.max_ns);
  v.Field("in_flight", s.in_flight);
}

template <typename V>
void Visit(V& v, ServerRecord& s) {
  v.Field("model", s.model);
  v.Field("version", s.version);
  v.Field("inference_count", s.inference_count);
  v.Field("execution_count", s.execution_count);
  v.Field("success_count", s.success_count);
  v.Field("fail_count", s.fail_count);
  v.Field("request_us", s.request_us);
  v.Field("queue_us", s.queue_us);
  v.Field("compute_input_us", s.compute_input_us);
  v.Field("compute_infer_us", s.compute_infer_us);
  v.Field("compute_output_us", s.compute_output_us);
}

template <typename V>
void Visit(V& v, ResponseRecord& r) {
  v.Field("arrived", r.arrived);
  v.Object("rate_per_s", r.rate, kVisit);
  v.Field("requests_without", r.requests_without);
  v.Object("first_ns", r.first, kVisit);
  v.Object("between_ns", r.between, kVisit);
  v.Object("per_request", r.per_request, kVisit);
}

template <typename V>
void Visit(V& v, SequenceRecord& s) {
  v.Field("completed", s.completed);
  v.Field("abandoned", s.abandoned);
  v.Field("rate_per_s", s.rate);
  v.Object("latency_ns", s.latency, kVisit);
  v.Object("requests", s.requests, kVisit);
}

template <typename V>
void Visit(V& v, MetricSourceRecord& s) {
  v.Field("source", s.source);
  v.Field("scrapes", s.scrapes);
  v.Field("failed", s.failed);
  v.Field("missed", s.missed);
  v.Field("longest_s", s.longest_s);
  v.Field("fault", s.fault);
  v.Field("bad_lines", s.bad_lines);
}

template <typename V>
void Visit(V& v, MetricRecord& m) {
  v.Field("source", m.source);
  v.Field("quantity", m.quantity);
  v.Field("family", m.family);
  v.Field("device", m.device);
  v.Field("labels", m.labels);
  v.Field("unit", m.unit);
  v.Field("samples", m.samples);
  v.Field("min", m.min);
  v.Field("mean", m.mean);
  v.Field("max", m.max);
  v.Field("increase", m.increase);
  v.Field("span_s", m.span_s);
}

template <typename V>
void Visit(V& v, EndpointRecord& e) {
  v.Field("name", e.name);
  v.Field("succeeded", e.succeeded);
  v.Field("failed", e.failed);
  v.Field("request_rate_per_s", e.request_rate);
  v.Field("p50_ns", e.p50_ns);
  v.Field("p99_ns", e.p99_ns);
  v.Object("latency_ns", e.latency, kVisit);
}

template <typename V>
void Visit(V& v, ClientRecord& c) {
  v.Field("workers", c.workers);
  v.Field("cpu_share", c.cpu_share);
  v.Field("cpu_share_max", c.cpu_share_max);
  v.Field("cpu_us_per_request", c.cpu_us_per_request);
  v.Field("run_queue_share", c.run_queue_share);
  v.Field("loop_lag_p99_us", c.loop_lag_p99_us);
  v.Field("bytes_sent", c.bytes_sent);
  v.Field("bytes_received", c.bytes_received);
  v.Field("connects", c.connects);
  v.Field("disconnects", c.disconnects);
  v.Field("connections", c.connections);
  v.Field("limited", c.limited);
  v.Field("limits", c.limits);
}

// An enumeration as its name.
template <typename V, typename E, size_t N>
void VisitEnum(V& v, std::string_view name, E& value,
               const std::pair<std::string_view, E> (&names)[N]) {
  std::string text;
  for (const auto& [known, e] : names) {
    if (e == value) text = known;
  }
  v.Field(name, text);
  if constexpr (V::kReading) {
    for (const auto& [known, e] : names) {
      if (known == text) {
        value = e;
        return;
      }
    }
    v.Fault(Format("'{}' is unknown: '{}'", name, Printable(text, 40)));
  }
}

constexpr std::pair<std::string_view, LoadMode> kModes[] = {
    {"concurrency", LoadMode::kConcurrency}, {"request_rate", LoadMode::kRequestRate}};
constexpr std::pair<std::string_view, stats::LevelState> kStates[] = {
    {"stable", stats::LevelState::kStable},
    {"drifting", stats::LevelState::kDrifting},
    {"noisy", stats::LevelState::kNoisy},
    {"short", stats::LevelState::kShort}};

template <typename V>
void Visit(V& v, LoadPoint& p) {
  VisitEnum(v, "mode", p.mode, kModes);
  v.Field("value", p.value);
  v.Field("batch_size", p.batch_size);
  v.Field("arrivals", p.arrivals);
}

// What a level has, and each model's part of it.
template <typename V>
void VisitRequests(V& v, Level& level) {
  v.Field("scheduled", level.scheduled);
  v.Field("succeeded", level.succeeded);
  v.Field("failed", level.failed);
  v.Field("unfinished", level.unfinished);
  v.Field("overflow", level.overflow);
  v.Field("retries", level.retries);
  v.Field("checked_outputs", level.checked_outputs);
  v.Field("wrong_outputs", level.wrong_outputs);
  v.Field("completed", level.completed);
  v.Object("throughput_per_s", level.throughput, kVisit);
  v.Object("request_rate_per_s", level.request_rate, kVisit);
  v.Field("send_rate_per_s", level.send_rate);
  v.Object("latency_ns", level.latency, kVisit);
  v.Object("service_ns", level.service, kVisit);
  v.Object("slip_ns", level.slip, kVisit);
  v.List("outcomes", level.outcomes, kVisit);
  v.Field("in_flight_mean", level.in_flight_mean);
  v.Field("in_flight_max", level.in_flight_max);
  v.Field("little_ratio", level.little_ratio);
}

template <typename V>
void Visit(V& v, ModelPart& p) {
  v.Field("name", p.name);
  v.Field("version", p.version);
  v.Field("share", p.share);
  v.Field("concurrency", p.concurrency);
  v.Field("seen_share", p.seen);
}

// One of several models.
constexpr auto kVisitPart = [](auto& v, Level& part) {
  if (!part.part) part.part.emplace();
  v.Object("model", *part.part, kVisit);
  v.Object("load", part.load, kVisit);
  VisitEnum(v, "state", part.state, kStates);
  v.Field("window_s", part.window_s);
  VisitRequests(v, part);
  v.List("server", part.server, kVisit);
  v.List("endpoints", part.endpoints, kVisit);
  v.List("series", part.series, kVisit);
};

template <typename V>
void Visit(V& v, Level& level) {
  v.Object("load", level.load, kVisit);
  auto started = static_cast<int64_t>(level.started.time_since_epoch().count());
  v.Field("started_unix_ns", started);
  if constexpr (V::kReading) level.started = WallTime(Nanos(started));
  VisitEnum(v, "state", level.state, kStates);
  v.Field("window_s", level.window_s);
  v.Field("window_rule", level.window_rule);
  v.Field("warmup_rule", level.warmup_rule);
  v.Field("warmup_s", level.warmup_s);
  v.Field("warmup_requests", level.warmup_requests);
  VisitRequests(v, level);
  v.Optional("responses", level.responses, kVisit);
  v.Optional("sequences", level.sequences, kVisit);
  v.Object("client", level.client, kVisit);
  v.List("server", level.server, kVisit);
  v.List("composing", level.composing, kVisit);
  v.ListIfAny("metric_sources", level.metric_sources, kVisit);
  v.ListIfAny("metrics", level.metrics, kVisit);
  v.CountIfAny("backlog", level.backlog);
  v.List("endpoints", level.endpoints, kVisit);
  v.List("series", level.series, kVisit);
  v.Field("notes", level.notes);
  v.ListIfAny("models", level.models, kVisitPart);
  if constexpr (V::kReading) {
    for (Level& part : level.models) {
      part.started = level.started;
      part.window_rule = level.window_rule;
    }
  }
}

}  // namespace

std::string DescribeLoad(const LoadPoint& load) {
  return load.mode == LoadMode::kConcurrency ? Format("Concurrency: {}", load.value)
                                             : Format("Request Rate: {}", load.value);
}

text::Json LevelToJson(const Level& level) {
  Writer writer;
  Visit(writer, const_cast<Level&>(level));
  return std::move(writer.out);
}

Result<Level> LevelFromJson(const text::Json& json) {
  Reader reader(json);
  Level level;
  Visit(reader, level);
  if (!reader.fault.empty()) return Corrupt(reader.fault);
  return level;
}

Result<RunWriter> RunWriter::Create(const std::string& path, const text::Json& header) {
  SEXTANT_ASSIGN(AppendFile file, AppendFile::Create(path));
  Json line{Json::Object()};
  line.Set("type", "header");
  line.Set("format", "sextant-run");
  line.Set("version", kRunFileVersion);
  for (const auto& [key, value] : header.object()) line.Set(key, value);
  SEXTANT_TRY(file.Append(text::FormatJson(line) + "\n"));
  return RunWriter(std::move(file));
}

Result<void> RunWriter::Append(const Level& level) {
  Json line{Json::Object()};
  line.Set("type", "level");
  Json body = LevelToJson(level);
  for (auto& [key, value] : body.object()) line.object().emplace_back(key, std::move(value));
  return file_.Append(text::FormatJson(line) + "\n");
}

Result<void> RunWriter::AppendSearch(const text::Json& search) {
  Json line{Json::Object()};
  line.Set("type", "search");
  for (const auto& [key, value] : search.object()) line.Set(key, value);
  return file_.Append(text::FormatJson(line) + "\n");
}

Result<void> RunWriter::Finish(std::string_view reason, int exit_code) {
  Json line{Json::Object()};
  line.Set("type", "footer");
  line.Set("ended", FormatWallTime(WallNow()));
  line.Set("reason", reason);
  line.Set("exit_code", exit_code);
  return file_.Append(text::FormatJson(line) + "\n");
}

namespace {
Error NotARunFile() {
  return Corrupt("not a run file: that is what sextant perf writes with --output FILE (-o)");
}
}  // namespace

Result<Run> ParseRun(std::string_view text) {
  Run run;
  size_t number = 0;
  while (!text.empty()) {
    ++number;
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    const bool last = end == std::string_view::npos;
    text.remove_prefix(last ? text.size() : end + 1);
    if (TrimSpace(line).empty()) continue;
    const auto fault = [&](std::string_view what) {
      return Corrupt(Format("line {}: {}", number, what));
    };
    Result<Json> json = text::ParseJson(line);
    if (!json.has_value()) {
      if (last && number > 1) {  // being written when the run was cut off
        run.dropped_tail = true;
        return run;
      }
      if (number == 1) return NotARunFile();
      return fault(json.error().message());
    }
    const Json* type_json = json->Find("type");
    const std::string_view type = type_json == nullptr ? "" : type_json->AsString().value_or("");
    if (number == 1) {
      const Json* format = json->Find("format");
      if (type != "header" || format == nullptr || format->AsString() != "sextant-run")
        return NotARunFile();
      const Json* version = json->Find("version");
      const auto v = version == nullptr ? std::nullopt : version->AsInt();
      if (!v || *v < 1 || *v > kRunFileVersion) {
        return Unsupported(
            Format("line 1: format version {} is not known to this program (it reads up to {})",
                   v.value_or(0), kRunFileVersion));
      }
      run.header = *std::move(json);
    } else if (type == "level") {
      Result<Level> level = LevelFromJson(*json);
      if (!level.has_value()) return fault(level.error().message());
      run.levels.push_back(*std::move(level));
    } else if (type == "search") {
      run.searches.push_back(*std::move(json));
    } else if (type == "footer") {
      const Json* reason = json->Find("reason");
      run.end_reason = std::string(reason == nullptr ? "" : reason->AsString().value_or(""));
    }  // lines of other types belong to later versions of the same format
  }
  if (number == 0) return Corrupt("an empty file, not a run file of --output");
  return run;
}

}  // namespace sextant::run
