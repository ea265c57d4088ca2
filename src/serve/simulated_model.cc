#include "serve/simulated_model.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/strings.h"
#include "base/units.h"

namespace sextant::serve {
namespace {

// Beyond this a time is a mistake, and sums of some of them still have nanoseconds.
constexpr Nanos kLongest = std::chrono::hours(24 * 365 * 10);

Result<double> ParseNumber(std::string_view text, double low, double high) {
  const std::optional<double> value = ParseDouble(TrimSpace(text));
  if (!value || *value < low || *value > high) {
    return InvalidArgument(
        Format("'{}' must be a number from {} to {}", Printable(text, 40), low, high));
  }
  return *value;
}

Result<std::vector<std::pair<FaultKind, double>>> ParseFaults(std::string_view text) {
  std::vector<std::pair<FaultKind, double>> out;
  double total = 0;
  for (const std::string_view entry : Split(text, ',')) {
    const size_t colon = entry.find(':');
    // A bare number is the rate of internal errors.
    const std::string_view name =
        colon == std::string_view::npos ? "internal" : TrimSpace(entry.substr(0, colon));
    const auto kind = std::find(kFaultNames.begin() + 1, kFaultNames.end(), name);
    if (kind == kFaultNames.end()) {
      return InvalidArgument(
          Format("unknown kind of error '{}'; there are internal, unavailable, invalid_argument, "
                 "deadline_exceeded, "
                 "reset and hang",
                 Printable(name, 40)));
    }
    SEXTANT_ASSIGN(
        const double rate,
        ParseNumber(colon == std::string_view::npos ? entry : entry.substr(colon + 1), 0, 1));
    total += rate;
    out.emplace_back(static_cast<FaultKind>(kind - kFaultNames.begin()), rate);
  }
  if (total > 1 + 1e-9) return InvalidArgument("the error rates add up to more than 1");
  return out;
}

Result<std::vector<Stall>> ParseStalls(std::string_view text) {
  std::vector<Stall> out;
  for (const std::string_view entry : Split(text, ',')) {
    const size_t plus = entry.find('+');
    if (plus == std::string_view::npos) {
      return InvalidArgument(
          Format("'{}' is not a stall; write START+LENGTH, as in 5s+25s", Printable(entry, 40)));
    }
    SEXTANT_ASSIGN(const Nanos at, ParseDuration(entry.substr(0, plus)));
    SEXTANT_ASSIGN(const Nanos length, ParseDuration(entry.substr(plus + 1)));
    if (std::max(at, length) > kLongest) {
      return InvalidArgument(
          Format("'{}': longer than {}", Printable(entry, 40), FormatDuration(kLongest)));
    }
    if (!out.empty() && at < out.back().at + out.back().length)
      return InvalidArgument("stalls must be in order and apart");
    out.push_back({at, length});
  }
  return out;
}

Result<void> ParseOutput(std::string_view text, SimulatedModel& model) {
  if (text == "zero") {
    model.output = SimulatedModel::Output::kZero;
  } else if (text == "echo") {
    model.output = SimulatedModel::Output::kEcho;
  } else if (text == "sequence_sum") {
    model.output = SimulatedModel::Output::kSequenceSum;
  } else if (text.starts_with("constant(") && text.ends_with(')')) {
    const auto value = ParseDouble(TrimSpace(text.substr(9, text.size() - 10)));
    if (!value)
      return InvalidArgument(Format("'{}': constant takes a number", Printable(text, 40)));
    model.output = SimulatedModel::Output::kConstant;
    model.constant = *value;
  } else {
    return InvalidArgument(
        Format("'{}' is not an output; there are zero, echo, sequence_sum and constant(NUMBER)",
               Printable(text, 40)));
  }
  return {};
}

// Output i is made of input i, which must be of its type.
Result<void> CheckPairs(const inference::ModelConfig& config, std::string_view output) {
  for (int i = 0; i < config.output_size(); ++i) {
    if (i >= config.input_size() || config.input(i).data_type() != config.output(i).data_type()) {
      return InvalidArgument(Format("output \"{}\" needs an input of the same type for output '{}'",
                                    output, config.output(i).name()));
    }
  }
  return {};
}

// Sums need one place for each element, and numbers that add up exactly as a client would do it.
Result<void> CheckSums(const inference::ModelConfig& config) {
  if (!config.has_sequence_batching())
    return InvalidArgument("output \"sequence_sum\" needs sequence_batching");
  SEXTANT_TRY(CheckPairs(config, "sequence_sum"));
  for (int i = 0; i < config.output_size(); ++i) {
    switch (config.input(i).data_type()) {
      case inference::TYPE_BOOL:
      case inference::TYPE_STRING:
      case inference::TYPE_FP16:
      case inference::TYPE_BF16:
        return InvalidArgument(
            Format("output \"sequence_sum\": input '{}' must be of integers, FP32 or FP64",
                   config.input(i).name()));
      default:
        break;
    }
    const auto& dims = config.input(i).dims();
    if (std::find(dims.begin(), dims.end(), -1) != dims.end() || config.input(i).optional()) {
      return InvalidArgument(
          Format("output \"sequence_sum\": input '{}' must be of fixed dims and not optional",
                 config.input(i).name()));
    }
  }
  return {};
}

struct ParameterRow {
  std::string_view name;
  std::function<Result<void>(std::string_view, SimulatedModel&)> take;
};

template <typename T, typename Parse>
auto Into(T SimulatedModel::* member, Parse parse) {
  return [member, parse](std::string_view text, SimulatedModel& model) -> Result<void> {
    SEXTANT_ASSIGN(model.*member, parse(text));
    return {};
  };
}

template <typename T, typename Parse>
auto IntoGpu(T GpuLoad::* member, Parse parse) {
  return [member, parse](std::string_view text, SimulatedModel& model) -> Result<void> {
    if (!model.gpu) model.gpu.emplace();
    SEXTANT_ASSIGN((*model.gpu).*member, parse(text));
    return {};
  };
}

const std::vector<ParameterRow>& Parameters() {
  const auto duration = [](std::string_view t) -> Result<Nanos> {
    SEXTANT_ASSIGN(const Nanos d, ParseDuration(t));
    if (d > kLongest) return InvalidArgument("longer than " + FormatDuration(kLongest));
    return d;
  };
  const auto bytes = [](std::string_view t) { return ParseBytes(t); };
  const auto factor = [](std::string_view t) { return ParseNumber(t, 0, 1e6); };
  const auto share = [](std::string_view t) { return ParseNumber(t, 0, 1); };
  const auto count = [](std::string_view t) -> Result<int> {
    SEXTANT_ASSIGN(const double n, ParseNumber(t, 0, 1e6));
    if (n != std::floor(n))
      return InvalidArgument(Format("'{}' must be a whole number", Printable(t, 40)));
    return static_cast<int>(n);
  };
  const auto seed = [](std::string_view t) -> Result<uint64_t> {
    const auto n = ParseUint(TrimSpace(t));
    if (!n) return InvalidArgument("must be a non-negative integer");
    return *n;
  };
  static const std::vector<ParameterRow> rows{
      {"service_time", Into(&SimulatedModel::service, ServiceLaw::Parse)},
      {"per_item", Into(&SimulatedModel::per_item, duration)},
      {"load_time", Into(&SimulatedModel::load_time, duration)},
      {"contention", Into(&SimulatedModel::contention, factor)},
      {"memory_base", Into(&SimulatedModel::memory_base, bytes)},
      {"memory_per_instance", Into(&SimulatedModel::memory_per_instance, bytes)},
      {"memory_per_item", Into(&SimulatedModel::memory_per_item, bytes)},
      {"memory_limit", Into(&SimulatedModel::memory_limit, bytes)},
      {"cliff", Into(&SimulatedModel::cliff, factor)},
      {"error_rate", Into(&SimulatedModel::faults, ParseFaults)},
      {"stalls", Into(&SimulatedModel::stalls, ParseStalls)},
      {"responses", Into(&SimulatedModel::responses, count)},
      {"response_gap", Into(&SimulatedModel::response_gap, duration)},
      {"output", ParseOutput},
      {"seed", Into(&SimulatedModel::seed, seed)},
      {"gpu_device", IntoGpu(&GpuLoad::device, count)},
      {"gpu_utilization", IntoGpu(&GpuLoad::utilization, share)},
      {"gpu_memory", IntoGpu(&GpuLoad::memory_bytes, bytes)},
      {"gpu_memory_per_execution", IntoGpu(&GpuLoad::busy_memory_bytes, bytes)},
      {"gpu_memory_total", IntoGpu(&GpuLoad::total_memory_bytes, bytes)},
      {"gpu_busy_watts", IntoGpu(&GpuLoad::busy_watts, factor)},
      {"gpu_idle_watts", IntoGpu(&GpuLoad::idle_watts, factor)},
  };
  return rows;
}

}  // namespace

Result<SimulatedModel> SimulatedModel::Parse(const inference::ModelConfig& config) {
  SimulatedModel model;
  model.service.first = 1ms;
  std::vector<std::string_view> names;
  for (const ParameterRow& row : Parameters()) names.push_back(row.name);
  for (const auto& [key, value] : config.parameters()) {
    const auto row = std::find_if(Parameters().begin(), Parameters().end(),
                                  [&](const auto& r) { return r.name == key; });
    if (row == Parameters().end()) {
      const auto nearest = NearestName(key, names);
      return InvalidArgument(Format("parameter '{}' is unknown to backend \"simulated\"{}",
                                    Printable(key, 60),
                                    nearest ? Format("; did you mean '{}'?", *nearest) : ""));
    }
    SEXTANT_TRY(row->take(value.string_value(), model), Format("parameter '{}'", key));
  }
  if (model.output == Output::kEcho) SEXTANT_TRY(CheckPairs(config, "echo"));
  if (model.output == Output::kSequenceSum) SEXTANT_TRY(CheckSums(config));
  if (model.responses != 1 && !config.model_transaction_policy().decoupled()) {
    return InvalidArgument(
        "parameter 'responses' needs model_transaction_policy { decoupled: true }");
  }
  return model;
}

Nanos SimulatedModel::ExecutionTime(Nanos drawn, int64_t items, int busy_instances, int instances,
                                    int64_t items_executing) const {
  double time = static_cast<double>(drawn.count()) +
                static_cast<double>(per_item.count()) * static_cast<double>(items);
  time *= 1 + contention * (busy_instances - 1);
  const uint64_t memory = memory_base + memory_per_instance * static_cast<uint64_t>(instances) +
                          memory_per_item * static_cast<uint64_t>(items_executing);
  if (memory_limit > 0 && memory > memory_limit) time *= cliff;
  return std::min(Nanos(static_cast<int64_t>(std::min(time, 1e18))), kLongest);
}

FaultKind SimulatedModel::DrawFault(Random& random) const {
  if (faults.empty()) return FaultKind::kNone;
  double u = random.Uniform();
  for (const auto& [kind, rate] : faults) {
    if (u < rate) return kind;
    u -= rate;
  }
  return FaultKind::kNone;
}

Nanos SimulatedModel::EndOfWork(Nanos start, Nanos work) const {
  Nanos at = start;
  for (const Stall& stall : stalls) {
    const Nanos stall_end = stall.at + stall.length;
    if (stall_end <= at) continue;
    if (at + work <= stall.at) break;
    work -= std::max(stall.at - at, Nanos(0));
    at = stall_end;
  }
  return at + work;
}

}  // namespace sextant::serve
