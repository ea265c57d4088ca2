#include "cli/perf_streams.h"

#include <algorithm>

#include "base/random.h"
#include "base/strings.h"
#include "cli/perf_options.h"

namespace sextant::options {

template <>
struct EnumNames<cli::SequenceIdChoice> {
  static constexpr std::pair<std::string_view, cli::SequenceIdChoice> kNames[] = {
      {"auto", cli::SequenceIdChoice::kAuto},
      {"int", cli::SequenceIdChoice::kInteger},
      {"string", cli::SequenceIdChoice::kString}};
};

}  // namespace sextant::options

namespace sextant::cli {
namespace {

// Parameters that the program sets itself, and what does.
constexpr std::pair<std::string_view, std::string_view> kOurParameters[] = {
    {"sequence_id", "sequences are driven by --num-of-sequences and its neighbours"},
    {"sequence_start", "sequences are driven by --num-of-sequences and its neighbours"},
    {"sequence_end", "sequences are driven by --num-of-sequences and its neighbours"},
    {"priority", "use --priority"},
    {"timeout", "use --server-timeout"},
    {"triton_enable_empty_final_response", "it is sent to every decoupled model"},
    {"binary_data_output", "it says how outputs come back, which the program reads"},
};

Result<void> ParseParameter(std::string_view text, kserve::Parameters& out) {
  const auto fault = [&](std::string_view what) {
    return InvalidArgument(Format("--request-parameter '{}': {}", Printable(text, 60), what));
  };
  const size_t first = text.find(':'), last = text.rfind(':');
  if (first == std::string_view::npos || first == last || first == 0)
    return fault("write NAME:VALUE:TYPE, with bool, int, double or string for TYPE");
  const std::string name(text.substr(0, first)), type = ToLower(text.substr(last + 1));
  const std::string_view value = text.substr(first + 1, last - first - 1);
  for (const auto& [ours, why] : kOurParameters) {
    if (name == ours) return fault(why);
  }
  if (kserve::FindParameter(out, name) != nullptr) return fault("this name is given twice");
  if (type == "string") {
    out.emplace_back(name, std::string(value));
  } else if (type == "bool") {
    if (value != "true" && value != "false") return fault("a bool is true or false");
    out.emplace_back(name, value == "true");
  } else if (type == "int") {
    const auto number = ParseInt(value);
    if (!number) return fault("an int is a whole number of at most 64 bits with a sign");
    out.emplace_back(name, *number);
  } else if (type == "double") {
    const auto number = ParseDouble(value);
    if (!number) return fault("a double is a number");
    out.emplace_back(name, *number);
  } else {
    return fault("the type must be bool, int, double or string");
  }
  return {};
}

Result<void> ParseIdRange(std::string_view text, size_t least_ids, StreamPlan& plan) {
  const auto fault = [&](std::string_view what) {
    return InvalidArgument(Format("--sequence-id-range '{}': {}", Printable(text, 60), what));
  };
  const size_t colon = text.find(':');
  const auto start = ParseUint(text.substr(0, colon));
  if (!start || *start > INT64_MAX) return fault("write START or START:END with whole numbers");
  plan.first_id = std::max<uint64_t>(1, *start);
  plan.ids = std::min<uint64_t>(UINT32_MAX, INT64_MAX - plan.first_id);
  if (colon != std::string_view::npos && colon + 1 < text.size()) {
    const auto end = ParseUint(text.substr(colon + 1));
    if (!end || *end > INT64_MAX) return fault("write START or START:END with whole numbers");
    if (*end <= plan.first_id)
      return fault("END is the first id that is not used: it must be above START, and 0 is no id");
    plan.ids = *end - plan.first_id;
  }
  if (plan.ids < least_ids) {
    return fault(
        Format("holds {} ids, but {} sequences are to be open at once", plan.ids, least_ids));
  }
  return {};
}

// What the model's control input for the id can hold, where it has one.
inference::DataType CorrelationIdType(const kserve::ModelConfig& config) {
  for (const auto& input : config.sequence_batching().control_input()) {
    for (const auto& control : input.control()) {
      if (control.kind() == inference::ModelSequenceBatching::Control::CONTROL_SEQUENCE_CORRID)
        return control.data_type();
    }
  }
  return inference::TYPE_UINT64;
}

std::shared_ptr<const load::SequencePlan> PlanSequences(const PerfStreamOptions& options,
                                                        const StreamPlan& plan, uint64_t seed,
                                                        inference::DataType id_type) {
  auto out = std::make_shared<load::SequencePlan>();
  // perf_analyzer takes its default for 0, with a warning.
  if (options.sequence_length > 0) out->length = options.sequence_length;
  out->variation = options.sequence_length_variation;
  out->lanes = options.sequences;
  out->serial = options.serial_sequences;
  out->first_id = plan.first_id;
  out->ids = plan.ids;
  out->seed = seed;
  if (plan.ids == 0 && (id_type == inference::TYPE_UINT32 || id_type == inference::TYPE_INT32)) {
    // Half of 32 bits for where the run begins, the rest for its sequences.
    out->ids = uint64_t{1} << 24;
    out->first_id = 1 + Random(seed).Fork(0x1d).Below(INT32_MAX - out->ids);
  }
  return out;
}

}  // namespace

void AddStreamRows(options::Table<PerfOptions>& t) {
  using O = PerfOptions;
  t.Group("Streaming and sequences");
  t.Add(
      &O::streaming,
      {.name = "streaming",
       .help = "gRPC: requests go over bidirectional streams. Decoupled models need it and get it "
               "unasked."});
  t.Add(&O::streams, {.name = "streams",
                      .value = "N",
                      .help = "Streams on each connection, at most; one is opened when all others "
                              "have a request in flight.",
                      .limits = {1, 10'000}});
  t.Add(&O::sequences, {.name = "num-of-sequences",
                        .value = "N",
                        .help = "Open loop: so many sequences at once. In a closed loop it is the "
                                "concurrency.",
                        .limits = {1, 1e6}});
  t.Add(&O::sequence_length, {.name = "sequence-length",
                              .value = "N",
                              .help = "Requests of a sequence; 0: 20.",
                              .limits = {0, 1e9}});
  t.Add(&O::sequence_length_variation,
        {.name = "sequence-length-variation",
         .value = "PERCENT",
         .help = "Lengths are drawn evenly from so much to either side.",
         .limits = {0, 100}});
  t.Add(&O::sequence_id_range,
        {.name = "sequence-id-range",
         .value = "START[:END]",
         .help = "Sequence ids, END excluded.",
         .default_text = "63-bit ids made from the seed, which no two runs share"});
  t.Add(&O::sequence_id_type,
        {.name = "sequence-id-type",
         .value = "TYPE",
         .help = "Ids as numbers or as text; auto asks the model's configuration."});
  t.Add(
      &O::serial_sequences,
      {.name = "serial-sequences",
       .help = "Open loop: a sequence has one request in flight at a time; arrivals that find none "
               "free wait, and their latency with them."});
  t.Group("Request parameters");
  t.Add(&O::request_parameters,
        {.name = "request-parameter",
         .value = "NAME:VALUE:TYPE",
         .help = "A parameter of every request; TYPE is bool, int, double or string."});
  t.Add(&O::priority, {.name = "priority",
                       .value = "N",
                       .help = "The requests' priority for the server's queue; 1 is the highest.",
                       .limits = {1, 9e18},
                       .default_text = "the model's"});
  t.Add(&O::server_timeout,
        {.name = "server-timeout",
         .value = "TIME",
         .help = "How long the server may keep a request in its queue (Triton's `timeout`); what "
                 "becomes of it then is the model's queue policy.",
         .limits = {1e-6},
         .default_text = "the model's"});
}

void MakeStreamPlan(const PerfStreamOptions& options, size_t least_ids, StreamPlan& plan,
                    std::vector<std::string>& mistakes) {
  const auto check = [&](const Result<void>& result) {
    if (!result.has_value()) mistakes.push_back(result.error().message());
  };
  for (const std::string& text : options.request_parameters)
    check(ParseParameter(text, plan.parameters));
  if (options.priority)
    plan.parameters.emplace_back("priority", static_cast<int64_t>(*options.priority));
  if (options.server_timeout)
    plan.parameters.emplace_back("timeout", int64_t{*options.server_timeout / 1us});
  if (!options.sequence_id_range.empty())
    check(ParseIdRange(options.sequence_id_range, least_ids, plan));
}

Result<StreamSubject> ResolveStreams(const PerfStreamOptions& options, const StreamPlan& plan,
                                     uint64_t seed, kserve::Protocol protocol,
                                     const std::string& model,
                                     const std::optional<kserve::ModelConfig>& config) {
  StreamSubject out{.streaming = options.streaming, .parameters = plan.parameters};
  const bool grpc = protocol == kserve::Protocol::kGrpc;
  if (out.streaming && !grpc) {
    return InvalidArgument(
        "--streaming needs gRPC: HTTP has no bidirectional streams (add -i grpc, and the server's "
        "gRPC port in -u)");
  }
  if (config && config->model_transaction_policy().decoupled()) {
    out.decoupled = true;
    if (!grpc) {
      return InvalidArgument(
          Format("model '{}' is decoupled: it answers a request with any number of responses, "
                 "which needs a stream (add -i grpc, and the server's gRPC port in -u)",
                 model));
    }
    if (!out.streaming) {
      out.streaming = true;
      out.notes.emplace_back("the model is decoupled, so requests go over streams (--streaming)");
    }
    out.parameters.emplace_back("triton_enable_empty_final_response", true);
  }
  out.patch.request_id = out.streaming;
  if (!config || !config->has_sequence_batching()) return out;

  const inference::DataType id_type = CorrelationIdType(*config);
  const bool text =
      options.sequence_id_type == SequenceIdChoice::kString ||
      (options.sequence_id_type == SequenceIdChoice::kAuto && id_type == inference::TYPE_STRING);
  out.patch.sequence = text ? load::SequenceIdType::kString : load::SequenceIdType::kInteger;
  out.sequences = PlanSequences(options, plan, seed, id_type);
  if (options.sequence_id_range.starts_with("0"))
    out.notes.emplace_back("0 is no sequence id: --sequence-id-range begins at 1");
  return out;
}

void UseDataStreams(const load::DataSet& data, StreamSubject& subject) {
  if (subject.sequences == nullptr) return;
  auto plan = std::make_shared<load::SequencePlan>(*subject.sequences);
  plan->streams = data.streams();
  if (plan->streams.empty()) plan->streams = {{0, data.rows()}};
  subject.sequences = std::move(plan);
}

}  // namespace sextant::cli
