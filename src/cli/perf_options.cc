#include "cli/perf_options.h"

#include <cmath>

#include "text/json.h"

namespace sextant::options {

template <>
struct EnumNames<load::Arrivals> {
  static constexpr std::pair<std::string_view, load::Arrivals> kNames[] = {
      {"constant", load::Arrivals::kConstant}, {"poisson", load::Arrivals::kPoisson}};
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
struct ValueType<load::CountList> {
  static Result<load::CountList> Parse(std::string_view text, const Limits&) {
    SEXTANT_ASSIGN(auto values, load::ParseLevels(text, 1));
    for (const double value : values) {
      if (value != std::floor(value) || value > 1e6)
        return InvalidArgument(Format("'{}' is not a whole number of at most 1000000", value));
    }
    return load::CountList{std::move(values), std::string(text)};
  }
  static std::string Format_(const load::CountList& value) { return value.text; }
  static std::string Describe(const Limits&) {
    return "a list or range of whole numbers: 1,2,4 or 1:8:1 or 1..64*2";
  }
  static text::Json Schema(const Limits&) { return StringSchema(); }
};

template <>
struct ValueType<load::RateList> {
  static Result<load::RateList> Parse(std::string_view text, const Limits&) {
    SEXTANT_ASSIGN(auto values, load::ParseLevels(text, 1e-6));
    return load::RateList{std::move(values), std::string(text)};
  }
  static std::string Format_(const load::RateList& value) { return value.text; }
  static std::string Describe(const Limits&) {
    return "a list or range of rates: 100,200 or 100:500:100 or 100..1600*2";
  }
  static text::Json Schema(const Limits&) { return StringSchema(); }
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
                        "--max-wrong-outputs was exceeded; 130 or 143 ended by SIGINT or SIGTERM "
                        "after writing what there was.");
    t.Usage("sextant perf -m MODEL [options]");
    t.Group("Model and server");
    t.Add(&O::model, {.name = "model-name", .letter = 'm', .value = "NAME", .help = "The model."});
    t.Add(&O::model_version, {.name = "model-version",
                              .letter = 'x',
                              .value = "VERSION",
                              .help = "Its version.",
                              .default_text = "the server's choice"});
    AddUrlRows(t);
    t.Add(&O::control_timeout, {.name = "control-timeout",
                                .value = "TIME",
                                .help = "Limit of a metadata or statistics call.",
                                .limits = {0.001}});
    t.Group("Load");
    t.Add(&O::batch,
          {.name = "batch-size",
           .letter = 'b',
           .value = "LIST",
           .help = "Inferences in a request: a number, a list (1,2,4,8) or a range (1..64*2)."});
    t.Add(&O::concurrency, {.name = "concurrency-range",
                            .value = "LIST",
                            .help = "Closed loop: so many requests always in flight. "
                                    "START:END:STEP, a list, or START..END*FACTOR.",
                            .default_text = "1"});
    t.Add(&O::rate, {.name = "request-rate-range",
                     .value = "LIST",
                     .help = "Open loop: so many requests due per second, whatever becomes of "
                             "earlier ones. Forms as above."});
    t.Add(&O::distribution, {.name = "request-distribution",
                             .value = "LAW",
                             .help = "Open loop: when requests are due."});
    t.Add(&O::max_in_flight, {.name = "max-in-flight",
                              .value = "N",
                              .help = "Open loop: sends no more than so many at once; arrivals "
                                      "beyond are counted, not sent.",
                              .default_text = "no limit"});
    t.Group("Input data");
    t.Add(&O::input_data,
          {.name = "input-data",
           .value = "SOURCE",
           .help =
               "zero, random, or a JSON file in perf_analyzer's format, validation_data included.",
           .default_text = "random"});
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
    t.Add(&O::seed, {.name = "seed",
                     .aliases = {"random-seed"},
                     .value = "N",
                     .help = "Of random data and arrivals; a run is repeated by its seed.",
                     .default_text = "from the clock, reported"});
    t.Group("Measurement");
    t.Add(&O::requests, {.name = "requests",
                         .aliases = {"request-count"},
                         .value = "N",
                         .help = "Measures exactly so many requests per level, instead of a time.",
                         .limits = {1}});
    t.Add(&O::duration, {.name = "duration",
                         .value = "TIME",
                         .help = "Length of the window. auto: 2 to 10 s, until the throughput is "
                                 "known to 2 % and p99 is supported."});
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
           .help = "Exit code 3 when a level's share of failed requests is higher (0.01 is 1 %).",
           .limits = {0, 1}});
    t.Add(&O::max_wrong_outputs,
          {.name = "max-wrong-outputs",
           .value = "SHARE",
           .help = "Likewise for inferences whose outputs differ from validation_data.",
           .limits = {0, 1}});
    t.Add(&O::percentiles, {.name = "percentiles",
                            .value = "LIST",
                            .help = "Which percentiles to report, such as 50,99,99.9."});
    AddTransportRows(t);
    t.Group("Client");
    t.Add(&O::workers, {.name = "workers",
                        .value = "N",
                        .help = "Load threads.",
                        .limits = {0, 1024},
                        .default_text = "one per two cores"});
    t.Add(&O::connections, {.name = "connections",
                            .value = "N",
                            .help = "Connections to the server.",
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
