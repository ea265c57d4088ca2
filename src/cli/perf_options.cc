#include "cli/perf_options.h"

#include <algorithm>
#include <cmath>

#include "text/json.h"

namespace sextant::options {

template <>
struct EnumNames<load::RateProfile::Shape> {
  static constexpr std::pair<std::string_view, load::RateProfile::Shape> kNames[] = {
      {"linear", load::RateProfile::Shape::kLinear}, {"step", load::RateProfile::Shape::kStep}};
};
template <>
struct EnumNames<load::DataOrder> {
  static constexpr std::pair<std::string_view, load::DataOrder> kNames[] = {
      {"sequential", load::DataOrder::kSequential},
      {"random", load::DataOrder::kRandom},
      {"trace", load::DataOrder::kTrace}};
};
template <>
struct EnumNames<cli::OutputFormat> {
  static constexpr std::pair<std::string_view, cli::OutputFormat> kNames[] = {
      {"text", cli::OutputFormat::kText},
      {"csv", cli::OutputFormat::kCsv},
      {"json", cli::OutputFormat::kJson},
      {"markdown", cli::OutputFormat::kMarkdown}};
};
template <>
struct EnumNames<cli::SharedMemoryKind> {
  static constexpr std::pair<std::string_view, cli::SharedMemoryKind> kNames[] = {
      {"none", cli::SharedMemoryKind::kNone},
      {"system", cli::SharedMemoryKind::kSystem},
      {"cuda", cli::SharedMemoryKind::kCuda}};
};
template <>
struct EnumNames<cli::Progress> {
  static constexpr std::pair<std::string_view, cli::Progress> kNames[] = {
      {"auto", cli::Progress::kAuto},
      {"none", cli::Progress::kNone},
      {"line", cli::Progress::kLine},
      {"json", cli::Progress::kJson}};
};

namespace {

text::Json StringSchema() {
  text::Json schema;
  schema.Set("type", "string");
  return schema;
}

}  // namespace

template <>
struct ValueType<load::ArrivalLaw> {
  static Result<load::ArrivalLaw> Parse(std::string_view text, const Limits&) {
    return load::ParseArrivalLaw(text);
  }
  static std::string Format_(const load::ArrivalLaw& value) { return ArrivalLawName(value); }
  static std::string Describe(const Limits&) { return "constant|poisson|gamma:CV|burst:N"; }
  static text::Json Schema(const Limits&) { return StringSchema(); }
};

template <>
struct ValueType<load::CountList> {
  static Result<load::CountList> Parse(std::string_view text, const Limits&) {
    SEXTANT_ASSIGN(auto range, load::ParseLevelRange(text, 1));
    // What is wrong with it as a list is said when it is used as one (cli/perf_sweep.h).
    auto values = load::ParseLevels(text, 1);
    load::CountList out{values.has_value() ? *values : std::vector<double>(), std::string(text),
                        range};
    std::vector<double> whole = out.values;
    if (range) whole.insert(whole.end(), {range->start, range->end});
    for (const double value : whole) {
      if (value != std::floor(value) || value > 1e6)
        return InvalidArgument(Format("'{}' is not a whole number of at most 1000000", value));
    }
    return out;
  }
  static std::string Format_(const load::CountList& value) { return value.text; }
  static std::string Describe(const Limits&) {
    return "a whole number, START:END:STEP, START..END+STEP or START..END*FACTOR, or a list such "
           "as 1,2,4";
  }
  static text::Json Schema(const Limits&) { return StringSchema(); }
};

template <>
struct ValueType<load::RateList> {
  static Result<load::RateList> Parse(std::string_view text, const Limits&) {
    SEXTANT_ASSIGN(auto range, load::ParseLevelRange(text, 1e-6));
    auto values = load::ParseLevels(text, 1e-6);
    return load::RateList{values.has_value() ? *values : std::vector<double>(), std::string(text),
                          range};
  }
  static std::string Format_(const load::RateList& value) { return value.text; }
  static std::string Describe(const Limits&) {
    return "a rate, START:END:STEP, START..END+STEP or START..END*FACTOR, or a list such as "
           "100,200";
  }
  static text::Json Schema(const Limits&) { return StringSchema(); }
};

template <>
struct ValueType<cli::Share> {
  static Result<cli::Share> Parse(std::string_view text, const Limits& limits) {
    std::string_view number = TrimSpace(text);
    const bool percent = number.ends_with('%');
    if (percent) number.remove_suffix(1);
    const auto value = ParseDouble(TrimSpace(number));
    const double share = value ? (percent ? *value / 100 : *value) : -1;
    if (!(share >= std::max(0.0, limits.low) && share <= std::min(1.0, limits.high)))
      return InvalidArgument("must be " + Describe(limits));
    return cli::Share{share};
  }
  static std::string Format_(const cli::Share& value) {
    return Format("{:.6g}%", value.value * 100);
  }
  static std::string Describe(const Limits& limits) {
    return Format("a share from {} to {}, or a percentage, such as 0.05 or 5%",
                  std::max(0.0, limits.low), std::min(1.0, limits.high));
  }
  static text::Json Schema(const Limits&) {
    text::Json schema;
    text::Json::Array types;
    types.emplace_back("number");
    types.emplace_back("string");
    schema.Set("type", std::move(types));
    return schema;
  }
};

template <>
struct ValueType<cli::WarmupChoice> {
  static Result<cli::WarmupChoice> Parse(std::string_view text, const Limits&) {
    cli::WarmupChoice out{.text = std::string(text)};
    if (text == "auto") return out;
    out.requests = ParseUint(text);
    if (out.requests) return out;
    const Result<Nanos> time = ParseDuration(text);
    if (!time.has_value()) return InvalidArgument("must be " + Describe({}));
    out.time = *time;
    return out;
  }
  static std::string Format_(const cli::WarmupChoice& value) { return value.text; }
  static std::string Describe(const Limits&) {
    return "auto, a number of requests, or a duration such as 2s";
  }
  static text::Json Schema(const Limits&) { return StringSchema(); }
};

template <>
struct ValueType<cli::DurationChoice> {
  static Result<cli::DurationChoice> Parse(std::string_view text, const Limits&) {
    cli::DurationChoice out{.text = std::string(text)};
    if (text == "auto") return out;
    const Result<Nanos> time = ParseDuration(text);
    if (!time.has_value() || *time < 10ms) return InvalidArgument("must be " + Describe({}));
    out.time = *time;
    return out;
  }
  static std::string Format_(const cli::DurationChoice& value) { return value.text; }
  static std::string Describe(const Limits&) {
    return "auto, or a duration of at least 10ms, such as 5s";
  }
  static text::Json Schema(const Limits&) { return StringSchema(); }
};

}  // namespace sextant::options

namespace sextant::cli {

const options::Table<PerfOptions>& PerfTable() {
  using O = PerfOptions;
  static const options::Table<O> table = [] {
    options::Table<O> t("perf", "Puts a load on a model, reports throughput and latency",
                        "Puts a load on a model of a running server (Triton, or any that speaks "
                        "KServe v2) and reports throughput and latency, "
                        "level by level, each figure with its 95 % interval. Latency counts from "
                        "the moment a request was due; a failed request "
                        "is counted and does not end the run.\n"
                        "Exit codes: 0 measured; 1 could not measure; 2 wrong options or data; 3 "
                        "measured, but --max-error-rate or "
                        "--max-wrong-outputs was exceeded, or no load satisfies --slo; 130 or 143 "
                        "ended by SIGINT or SIGTERM "
                        "after writing what there was.");
    t.Usage("sextant perf -m MODEL [options]");
    t.Example("sextant perf -m digits -b 1,8 --concurrency-range 1..16*2 --output run.json");
    t.Group("Model and server");
    t.Add(&O::model, {.name = "model-name", .letter = 'm', .value = "NAME", .help = "The model."});
    t.Add(&O::model_version, {.name = "model-version",
                              .letter = 'x',
                              .value = "VERSION",
                              .help = "Its version.",
                              .default_text = "the server's choice"});
    t.Add(&O::mix, {.name = "mix",
                    .value = "NAME:WEIGHT,...",
                    .help = "Several models under one load, instead of --model-name: each request "
                            "is of one of them, drawn with these shares, such as "
                            "resnet:0.7,bert@2:0.3 (version 2). Or each has its own requests in "
                            "flight: resnet:concurrency=4,bert:concurrency=2."});
    AddUrlRows(t);
    t.Add(&O::control_timeout, {.name = "control-timeout",
                                .value = "TIME",
                                .help = "Limit of a metadata or statistics call.",
                                .limits = {0.001}});
    t.Add(&O::wait_ready, {.name = "wait-ready",
                           .value = "TIME",
                           .help = "Waits up to so long for a server that is just starting, until "
                                   "it says that it is ready.",
                           .default_text = "not at all"});
    t.Group("Load");
    t.Add(&O::batch, {.name = "batch-size",
                      .letter = 'b',
                      .value = "LIST",
                      .help = "Inferences in a request: a number, START:END:STEP, START..END+STEP, "
                              "START..END*FACTOR (1..64*2), or a list (1,2,4,8)."});
    t.Add(&O::concurrency,
          {.name = "concurrency-range",
           .value = "LIST",
           .help = "Closed loop: so many requests always in flight: a number, START:END:STEP, "
                   "START..END+STEP, START..END*FACTOR, or a list (1,2,4).",
           .default_text = "1"});
    t.Add(&O::rate, {.name = "request-rate-range",
                     .value = "LIST",
                     .help = "Open loop: so many requests due per second, whatever becomes of "
                             "earlier ones. Forms as above."});
    t.Add(&O::distribution,
          {.name = "request-distribution",
           .value = "LAW",
           .help = "Open loop: when requests are due. constant: evenly; poisson: "
                   "independently of each other; gamma:CV: at distances with that "
                   "coefficient of variation (below 1 more even than poisson, "
                   "above 1 burstier); burst:N: N at once."});
    t.Add(&O::rate_profile,
          {.name = "rate-profile",
           .value = "TIME:RATE,...",
           .help = "Open loop whose rate changes: points such as 0s:100,30s:500,60s:100, the last "
                   "of which ends the level, or a ramp 100..500/30s."});
    t.Add(&O::rate_profile_shape,
          {.name = "rate-profile-shape",
           .value = "SHAPE",
           .help = "Between two points the rate is a straight line, or stays until the next."});
    t.Add(&O::trace_file,
          {.name = "trace",
           .value = "FILE",
           .help = "Open loop that replays recorded arrivals: CSV or JSON lines with timestamp_s, "
                   "timestamp_ms, timestamp_us or timestamp_ns, and perhaps row of the input data.",
           .is_file = true});
    t.Add(&O::trace_unit, {.name = "trace-unit",
                           .value = "s|ms|us|ns",
                           .help = "Unit of the trace's timestamps where the file does not say it.",
                           .default_text = "what the file says"});
    t.Add(&O::trace_speed, {.name = "trace-speed",
                            .value = "FACTOR",
                            .help = "Replays the trace so much faster.",
                            .limits = {1e-6, 1e6}});
    t.Add(&O::intervals_file,
          {.name = "request-intervals",
           .value = "FILE",
           .help = "Open loop: microseconds to the next request, one per line, over and over.",
           .is_file = true});
    t.Add(&O::fixed_schedule,
          {.name = "fixed-schedule",
           .help = "Open loop: each row of the input file once, at its \"timestamp\": "
                   "[milliseconds]."});
    t.Add(&O::max_in_flight, {.name = "max-in-flight",
                              .value = "N",
                              .help = "Open loop: sends no more than so many at once; arrivals "
                                      "beyond are counted, not sent.",
                              .default_text = "no limit"});
    t.Group("Searches");
    t.Add(
        &O::find_max,
        {.name = "find-max",
         .help = "Finds the highest load that satisfies --slo: a request rate from the start of "
                 "--request-rate-range, or a concurrency from that of --concurrency-range; the "
                 "range's end, if there is one, is not exceeded. Exit code 3 when no load does."});
    t.Add(&O::slo, {.name = "slo",
                    .value = "TERMS",
                    .help = "The objective, such as 'p99<50ms,errors<0.1%'. Terms: p50 to p99.99, "
                            "avg and max with a time, errors with a share, throughput>=N."});
    t.Add(&O::find_max_precision,
          {.name = "find-max-precision",
           .value = "SHARE",
           .help = "How close the load that satisfies and the one that does not must be.",
           .limits = {0.001, 0.5}});
    t.Add(&O::find_max_longest,
          {.name = "find-max-longest",
           .value = "TIME",
           .help = "A level that is undecided is measured again, up to a window of so long; then "
                   "it counts as failing."});
    t.Add(&O::latency_threshold,
          {.name = "latency-threshold",
           .letter = 'l',
           .value = "MS",
           .help = "Ends the sweep after the first level whose mean latency, or --percentile's, "
                   "reaches so many milliseconds; a range may then have the end 0, which is none.",
           .default_text = "none"});
    t.Add(&O::binary_search,
          {.name = "binary-search",
           .help = "Instead of walking the range, halves it down to its step at the edge of "
                   "--latency-threshold."});
    AddStreamRows(t);
    t.Group("Input data");
    t.Add(
        &O::input_data,
        {.name = "input-data",
         .value = "SOURCE",
         .help = "zero, random, a JSON file in perf_analyzer's format, a directory with a file per "
                 "tensor (raw, .npy, text), or an .npz; validation data included. Several are "
                 "appended.",
         .default_text = "random"});
    t.Add(&O::data,
          {.name = "data",
           .value = "NAME=HOW",
           .help = "How the values of an input are made: int(LOW,HIGH), float(LOW,HIGH), const(V), "
                   "normal(MEAN,DEVIATION), zero, choice(A,B,...), string(LENGTH), file(PATH), or "
                   "image(PATH[,resize=...][,layout=...][,scale=...][,channels=...])."});
    t.Add(&O::dims,
          {.name = "dim",
           .value = "NAME=LOW..HIGH",
           .help = "Draws an open dimension for each row: INPUT[1]=8..512, or any other name (the "
                   "first is the first open dimension of every input, drawn once for all)."});
    t.Add(&O::rows, {.name = "rows",
                     .value = "N",
                     .help = "How many different rows to make.",
                     .limits = {0, 1e8},
                     .default_text = "as many as files have, or up to 64 in 16 MiB"});
    t.Add(
        &O::data_order,
        {.name = "data-order",
         .value = "ORDER",
         .help = "Which row a request begins with: the next, any, or the one that the trace names.",
         .default_text = "sequential; trace where a trace names rows"});
    t.Add(&O::shapes,
          {.name = "shape",
           .value = "NAME:D1,D2",
           .help = "Shape of an input whose dimensions the model leaves open, without the batch."});
    t.Add(&O::random_ranges,
          {.name = "random-range",
           .value = "[NAME=]LOW:HIGH",
           .help = "Random values of an input, or of all: LOW included, HIGH not.",
           .default_text = "floats 0:1, integers 0:128"});
    t.Add(&O::string_length, {.name = "string-length",
                              .value = "N",
                              .help = "Length of random strings.",
                              .limits = {0, 1e9}});
    t.Add(&O::string_data,
          {.name = "string-data", .value = "TEXT", .help = "This text instead of random strings."});
    t.Add(&O::atol, {.name = "atol",
                     .value = "X",
                     .help = "Outputs are right when |got - expected| <= atol + rtol * |expected|.",
                     .limits = {0, 1e300},
                     .default_text = "every bit counts"});
    t.Add(&O::rtol, {.name = "rtol",
                     .value = "X",
                     .help = "The share of the expected value in that.",
                     .limits = {0, 1e300}});
    t.Add(&O::seed, {.name = "seed",
                     .aliases = {"random-seed"},
                     .value = "N",
                     .help = "Of random data and arrivals; a run is repeated by its seed.",
                     .default_text = "from the clock, reported"});
    t.Add(&O::shared_memory,
          {.name = "shared-memory",
           .value = "KIND",
           .help = "Where inputs and outputs lie: in the requests and answers, or in memory that "
                   "the server on this machine shares, its own (system) or a GPU's (cuda)."});
    t.Add(&O::shared_memory_device,
          {.name = "shared-memory-device",
           .value = "N",
           .help = "With --shared-memory cuda: the GPU, in the order of the driver.",
           .limits = {0, 1023}});
    t.Add(&O::output_shared_memory_size,
          {.name = "output-shared-memory-size",
           .value = "BYTES",
           .help = "Room for an output whose size the model leaves open, per inference.",
           .limits = {1, 1e12}});
    t.Add(&O::shared_memory_required,
          {.name = "shared-memory-required",
           .help = "A server that cannot share memory is an error, instead of said and done "
                   "without."});
    t.Group("Measurement");
    t.Add(&O::requests, {.name = "requests",
                         .aliases = {"request-count"},
                         .value = "N",
                         .help = "Measures exactly so many requests per level, instead of a time.",
                         .limits = {1}});
    t.Add(&O::duration, {.name = "duration",
                         .value = "TIME",
                         .help = "Length of the window. auto: 2 to 10 s, until the throughput is "
                                 "known to --precision and p99 is supported."});
    t.Add(
        &O::precision,
        {.name = "precision",
         .value = "SHARE",
         .help = "How narrow the throughput's 95 % interval is to be, to either side, before an "
                 "automatic window ends: 2% unless said otherwise. For less than that it may take "
                 "more than 10 s: 40 s for 1%, 160 s for 0.5%.",
         .limits = {0.001, 0.5}});
    t.Add(&O::warmup,
          {.name = "warmup",
           .aliases = {"warmup-request-count"},
           .value = "auto|N|TIME",
           .help = "What is left out before the window: auto (until rate and latency have settled, "
                   "by the MSER rule), a number of requests, or a time."});
    t.Add(&O::timeout,
          {.name = "timeout",
           .value = "TIME",
           .help = "A request without an answer after so long has failed; 0s: never."});
    t.Add(&O::max_error_rate,
          {.name = "max-error-rate",
           .value = "SHARE",
           .help = "Exit code 3 when a level's share of failed requests is higher: 0.01 or 1%."});
    t.Add(&O::max_wrong_outputs,
          {.name = "max-wrong-outputs",
           .value = "SHARE",
           .help = "Likewise for inferences whose outputs differ from validation_data."});
    t.Add(&O::percentiles, {.name = "percentiles",
                            .value = "LIST",
                            .help = "Which percentiles to report, such as 50,99,99.9."});
    AddTransportRows(t);
    t.Group("Metrics");
    t.Add(&O::collect_metrics,
          {.name = "collect-metrics",
           .help = "Reads metrics endpoints (Prometheus text or OpenMetrics) while measuring: "
                   "utilization, power, memory and energy per GPU, CPU and memory."});
    t.Add(&O::metrics_urls, {.name = "metrics-url",
                             .value = "URL",
                             .help = "An endpoint; may be given several times.",
                             .default_text = "http://HOST:8002/metrics of the server"});
    t.Add(&O::metrics_interval_ms, {.name = "metrics-interval",
                                    .value = "MS",
                                    .help = "How often they are read, in milliseconds; and at the "
                                            "window's two edges.",
                                    .limits = {10, 3.6e6}});
    t.Add(&O::metrics, {.name = "metric",
                        .value = "NAME",
                        .help = "A further metric to record, with all its labels."});
    t.Group("Server traces");
    t.Add(&O::trace_levels,
          {.name = "trace-level",
           .value = "LEVEL",
           .help = "Triton's trace of the model during the run: OFF, TIMESTAMPS or TENSORS; the "
                   "last two together, given twice. What was set before is put back."});
    t.Add(&O::trace_rate, {.name = "trace-rate",
                           .value = "N",
                           .help = "One request in so many is traced.",
                           .limits = {1, 4294967295.0},
                           .default_text = "as it is set"});
    t.Add(&O::trace_count, {.name = "trace-count",
                            .value = "N",
                            .help = "Traces so many and no more; -1: no limit.",
                            .limits = {-1, 2147483647.0},
                            .default_text = "as it is set"});
    t.Add(&O::log_frequency, {.name = "log-frequency",
                              .value = "N",
                              .help = "A new trace file after so many; 0: one at the end.",
                              .limits = {0, 4294967295.0},
                              .default_text = "as it is set"});
    AddCompatRows(t);
    t.Group("Client");
    t.Add(&O::workers, {.name = "workers",
                        .value = "N",
                        .help = "Load threads.",
                        .limits = {0, 1024},
                        .default_text = "one per two cores"});
    t.Add(&O::connections, {.name = "connections",
                            .value = "N",
                            .help = "Connections to the server: at least one per load thread.",
                            .limits = {0, 1e6},
                            .default_text = "HTTP one per request in flight, gRPC one per six"});
    t.Add(
        &O::spin,
        {.name = "spin",
         .help =
             "Load threads never sleep: arrivals are punctual to microseconds, for a core each."});
    t.Add(&O::self_test, {.name = "self-test",
                          .help = "Measures this machine's own ceiling per protocol, against a "
                                  "null server in this process, and stops."});
    t.Group("Many machines");
    t.Add(&O::start_at, {.name = "start-at",
                         .value = "TIME",
                         .help = "Waits until then, connected, and begins: ISO 8601 with its zone, "
                                 "or Unix seconds.",
                         .default_text = "at once"});
    t.Add(&O::shard,
          {.name = "shard",
           .value = "INDEX/COUNT",
           .help = "Makes only this part of the load: of the arrivals of the one seeded schedule "
                   "every COUNT-th from INDEX (0 to COUNT - 1) on, of a concurrency its share.",
           .default_text = "the whole"});
    t.Add(&O::merge,
          {.name = "merge",
           .value = "FILE...",
           .help = "Measures nothing, but merges run files of shards into one: counts and "
                   "histograms exactly. With --output and --latency-report-file.",
           .is_file = true,
           .takes_more = true});
    t.Group("Output");
    t.Add(&O::csv_file, {.name = "latency-report-file",
                         .letter = 'f',
                         .value = "FILE",
                         .help = "Writes perf_analyzer's CSV.",
                         .is_file = true});
    t.Add(&O::output_file,
          {.name = "output",
           .letter = 'o',
           .value = "FILE",
           .help = "Writes the run file: everything measured, a line of JSON per level.",
           .is_file = true});
    t.Add(&O::format, {.name = "format",
                       .value = "FORM",
                       .help = "Of what is printed: text is the report of each level and a table "
                               "at the end (in colour on a terminal, unless NO_COLOR is set); the "
                               "others are the table alone."});
    t.Add(&O::quiet, {.name = "quiet", .letter = 'q', .help = "Prints only the closing table."});
    t.Add(&O::progress,
          {.name = "progress",
           .value = "HOW",
           .help = "On stderr: a live line on a terminal (auto), JSON lines, or nothing."});
    return t;
  }();
  return table;
}

}  // namespace sextant::cli
