#include "load/level_math.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/strings.h"
#include "base/units.h"

namespace sextant::load {

void BlockSeries::Add(const Block& block) {
  if (!blocks_.empty() && block.index / joined_ == blocks_.back().index / joined_) {
    blocks_.back().Merge(block);
    blocks_.back().index = block.index;
    return;
  }
  if (blocks_.size() == kMost) {
    joined_ *= 2;
    length_ *= 2;
    std::vector<Block> joined;
    joined.reserve(kMost);
    for (Block& b : blocks_) {
      if (!joined.empty() && joined.back().index / joined_ == b.index / joined_) {
        joined.back().Merge(b);
        joined.back().index = b.index;
      } else {
        joined.push_back(std::move(b));
      }
    }
    blocks_ = std::move(joined);
    return Add(block);
  }
  blocks_.push_back(block);
}

namespace {

run::LatencyRecord Summarize(const stats::Histogram& histogram,
                             const stats::IntervalEstimate& mean_of_blocks,
                             const std::vector<double>& percentiles,
                             const std::vector<double>& design_effects) {
  run::LatencyRecord out{.histogram = histogram, .mean = mean_of_blocks, .percentiles = {}};
  // The blocks' mean is over what ended in the window; the value itself is that of the window's
  // requests.
  out.mean.value = histogram.mean();
  for (size_t i = 0; i < percentiles.size(); ++i) {
    out.percentiles.push_back(
        stats::EstimateQuantile(histogram, percentiles[i], design_effects[i]));
  }
  return out;
}

std::vector<run::SecondRecord> MakeSeries(std::span<const Block> blocks, double block_s,
                                          double window_s) {
  std::vector<run::SecondRecord> out;
  const size_t per_second = std::max<size_t>(1, static_cast<size_t>(std::llround(1.0 / block_s)));
  for (size_t i = 0; i < blocks.size(); i += per_second) {
    Block second = blocks[i];
    const size_t end = std::min(blocks.size(), i + per_second);
    for (size_t j = i + 1; j < end; ++j) {
      second.Merge(blocks[j]);
      second.index = blocks[j].index;
    }
    const double start = static_cast<double>(i) * block_s;
    out.push_back({.start_s = start,
                   .length_s = std::min(static_cast<double>(end - i) * block_s, window_s - start),
                   .answered = second.answered,
                   .failed = second.failed,
                   .p50_ns = second.latency.Quantile(0.5),
                   .p99_ns = second.latency.Quantile(0.99),
                   .max_ns = static_cast<double>(second.latency.max()),
                   .in_flight = second.in_flight});
  }
  return out;
}

// The longest time without a success, as a sentence, when it was no accident. Two accidents are
// ruled out: successes that come one by one at the level's rate leave no gap of twenty of them
// (they would with a probability of e^-20), and requests that are answered in step, all at once,
// leave none of ten of their latencies. A reader of percentiles would not know of it: in a closed
// loop a stall of any length delays no more requests than were in flight.
std::optional<std::string> DescribeSilence(std::span<const double> answered,
                                           std::span<const double> lengths, double latency_p10_s) {
  double total = 0, window_s = 0, longest_s = 0, longest_start_s = 0, silent_s = 0;
  for (size_t i = 0; i < answered.size(); ++i) {
    total += answered[i];
    window_s += lengths[i];
    silent_s = answered[i] > 0 ? 0 : silent_s + lengths[i];
    if (silent_s > longest_s) {
      longest_s = silent_s;
      longest_start_s = window_s - silent_s;
    }
  }
  if (longest_s * total < 20 * window_s || longest_s < 10 * latency_p10_s) return std::nullopt;
  return Format("no request succeeded for {:.1f} s, from second {:.1f} of the window on", longest_s,
                longest_start_s);
}

void ComputeResponses(const ResponseTally& tally, std::span<const Block> blocks,
                      std::span<const double> lengths, double window_s, run::Level& level) {
  std::vector<double> counts;
  for (size_t i = 0; i < lengths.size(); ++i)
    counts.push_back(static_cast<double>(blocks[i].responses));
  run::ResponseRecord& out = level.responses.emplace();
  out.arrived = tally.arrived;
  out.rate = stats::BatchMeans(counts, lengths);
  if (window_s > 0) out.rate.value = static_cast<double>(tally.arrived) / window_s;
  out.requests_without = tally.none;
  out.first = tally.first;
  out.between = tally.between;
  out.per_request = tally.per_request;
}

void FillEndpoints(const LevelInput& input, double window_s, run::Level& level) {
  for (size_t i = 0; i < input.endpoints.size(); ++i) {
    run::EndpointRecord& endpoint = level.endpoints.emplace_back();
    endpoint.name = input.endpoints[i];
    if (i >= input.record->endpoints.size()) continue;  // it was sent nothing
    const EndpointTally& tally = input.record->endpoints[i];
    endpoint.succeeded = tally.succeeded;
    endpoint.failed = tally.failed;
    if (window_s > 0) endpoint.request_rate = static_cast<double>(tally.completed) / window_s;
    endpoint.latency = tally.latency;
    if (tally.latency.count() == 0) continue;
    endpoint.p50_ns = tally.latency.Quantile(0.5);
    endpoint.p99_ns = tally.latency.Quantile(0.99);
  }
}

}  // namespace

void ComputeLevel(const LevelInput& input, const MeasureOptions& options, run::Level& level) {
  const WindowRecord& record = *input.record;
  const double window_s = Seconds(input.window), block_s = Seconds(input.block_length);
  const auto batch = static_cast<double>(input.batch_size);
  // Blocks that began after the window's end are not its.
  const auto covering = static_cast<size_t>(block_s > 0 ? std::ceil(window_s / block_s - 1e-9) : 0);
  const std::span<const Block> blocks =
      std::span(*input.blocks).first(std::min(covering, input.blocks->size()));

  level.window_s = window_s;
  level.scheduled = record.scheduled;
  level.succeeded = record.succeeded;
  level.completed = record.completed;
  level.overflow = record.overflow;
  level.retries = record.retries;
  FillEndpoints(input, window_s, level);
  level.checked_outputs = record.checked;
  level.wrong_outputs = record.wrong;
  level.failed = level.unfinished = 0;
  double latency_sum_ns = record.latency.sum();
  for (const auto& [outcome, tally] : record.failures) {
    (outcome.kind == OutcomeKind::kUnfinished ? level.unfinished : level.failed) += tally.count;
    level.outcomes.push_back({OutcomeName(outcome), tally.count, tally.latency, tally.example});
    latency_sum_ns += tally.latency.sum();
  }
  if (record.wrong_requests.count > 0) {
    level.outcomes.push_back(
        {"wrong output", record.wrong_requests.count, record.wrong_requests.latency, ""});
  }

  // Per-block series. The last block may be cut short by the window's end.
  std::vector<double> answered, lengths, latency_sums, rates, means;
  for (size_t i = 0; i < blocks.size(); ++i) {
    const double length = std::min(block_s, window_s - static_cast<double>(i) * block_s);
    if (length <= 0) break;
    const auto n = static_cast<double>(blocks[i].answered);
    answered.push_back(n);
    lengths.push_back(length);
    latency_sums.push_back(blocks[i].latency.sum());
    rates.push_back(n / length);
    if (n > 0) means.push_back(blocks[i].latency.sum() / n);
  }
  level.request_rate = stats::BatchMeans(answered, lengths);
  if (window_s > 0) level.request_rate.value = static_cast<double>(record.completed) / window_s;
  level.throughput = level.request_rate;
  level.throughput.value *= batch;
  level.throughput.half_width *= batch;
  level.send_rate = window_s > 0 ? static_cast<double>(record.sent) / window_s : 0;

  if (record.responses) ComputeResponses(*record.responses, blocks, lengths, window_s, level);
  if (record.sequences) {
    const SequenceTally& tally = *record.sequences;
    level.sequences = {.completed = tally.completed,
                       .abandoned = tally.abandoned,
                       .rate = window_s > 0 ? static_cast<double>(tally.completed) / window_s : 0,
                       .latency = tally.latency,
                       .requests = tally.requests};
  }

  std::vector<const stats::Histogram*> parts;
  for (const Block& block : blocks) parts.push_back(&block.latency);
  std::vector<double> design_effects;
  for (const double p : options.percentiles) {
    design_effects.push_back(record.latency.count() == 0
                                 ? 1
                                 : stats::QuantileDesignEffect(record.latency.Quantile(p), parts));
  }
  const stats::IntervalEstimate mean = stats::BatchMeans(latency_sums, answered);
  level.latency = Summarize(record.latency, mean, options.percentiles, design_effects);
  level.service = Summarize(record.service, mean, options.percentiles, design_effects);
  level.slip = record.slip;

  level.in_flight_max = record.in_flight_max;
  if (window_s > 0) level.in_flight_mean = record.in_flight_ns / 1e9 / window_s;
  if (latency_sum_ns > 0 && window_s > 0)
    level.little_ratio = level.in_flight_mean / (latency_sum_ns / 1e9 / window_s);

  level.series = MakeSeries(blocks, block_s, window_s);
  level.state = stats::JudgeLevel(options.state, level.succeeded, level.request_rate, rates, means);
  if (auto silence = DescribeSilence(answered, lengths, record.latency.Quantile(0.1) / 1e9))
    level.notes.push_back(*std::move(silence));

  // What the generator cost.
  double cpu_s = 0;
  std::optional<double> run_queue_s;
  uint64_t handled = 0;
  for (const Block& block : blocks) {
    cpu_s += Seconds(block.cpu);
    if (block.run_queue) run_queue_s = run_queue_s.value_or(0) + Seconds(*block.run_queue);
    handled += block.answered + block.failed;
  }
  const double thread_s =
      static_cast<double>(blocks.size()) * block_s * std::max(1, level.client.workers);
  if (thread_s > 0) {
    level.client.cpu_share = cpu_s / thread_s;
    if (run_queue_s) level.client.run_queue_share = std::min(1.0, *run_queue_s / thread_s);
  }
  if (handled > 0) level.client.cpu_us_per_request = cpu_s * 1e6 / static_cast<double>(handled);
  level.client.loop_lag_p99_us = record.lag.Quantile(0.99) / 1e3;
}

std::vector<std::string> FindClientLimits(const run::Level& level, bool spin) {
  std::vector<std::string> out;
  const double service_p50 = level.service.histogram.Quantile(0.5);
  const double slip_p99 = level.slip.Quantile(0.99);
  // Lateness matters beside what a request took; where none succeeded, beside what it failed after.
  double took_p50 = service_p50;
  if (level.succeeded == 0) {
    for (const run::OutcomeRecord& outcome : level.outcomes)
      took_p50 = std::max(took_p50, outcome.latency.Quantile(0.5));
  }
  if (!spin && level.client.cpu_share_max > 0.9) {
    out.push_back(
        Format("the busiest worker used {:.0f} % of its core", level.client.cpu_share_max * 100));
  }
  if (slip_p99 > 1e6 && slip_p99 > 0.05 * took_p50) {
    out.push_back(Format("1 % of the requests went out more than {} late",
                         HumanDuration(Nanos(static_cast<int64_t>(slip_p99)))));
  }
  if (service_p50 > 0 && level.client.loop_lag_p99_us * 1e3 > 0.25 * service_p50) {
    out.push_back(Format(
        "answers waited up to {:.0f} us (p99) for a worker, of a service time of {:.0f} us (p50)",
        level.client.loop_lag_p99_us, service_p50 / 1e3));
  }
  if (level.client.run_queue_share.value_or(0) > 0.1) {
    out.push_back(Format("{} waited for a core {:.0f} % of the time",
                         level.client.workers > 1
                             ? Format("each of the {} workers", level.client.workers)
                             : std::string("the worker"),
                         *level.client.run_queue_share * 100));
  }
  return out;
}

std::vector<run::ServerRecord> StatisticsDelta(const std::vector<kserve::ModelStatistics>& before,
                                               const std::vector<kserve::ModelStatistics>& after) {
  std::vector<run::ServerRecord> out;
  for (const kserve::ModelStatistics& now : after) {
    const auto then = std::find_if(before.begin(), before.end(), [&](const auto& s) {
      return s.name == now.name && s.version == now.version;
    });
    const kserve::ModelStatistics zero;
    const kserve::ModelStatistics& base = then == before.end() ? zero : *then;
    // A counter that went back means a server or model that started anew: the window says nothing
    // then.
    if (now.inference_count < base.inference_count || now.success.count < base.success.count)
      continue;
    if (now.inference_count == base.inference_count && now.fail.count == base.fail.count) continue;
    const uint64_t requests = now.success.count - base.success.count;
    const auto mean_us = [&](const kserve::StatDuration& a, const kserve::StatDuration& b) {
      const kserve::StatDuration d = a - b;
      return requests == 0 ? 0.0 : static_cast<double>(d.ns) / 1e3 / static_cast<double>(requests);
    };
    out.push_back({.model = now.name,
                   .version = now.version,
                   .inference_count = now.inference_count - base.inference_count,
                   .execution_count = now.execution_count - base.execution_count,
                   .success_count = requests,
                   .fail_count = now.fail.count - base.fail.count,
                   .request_us = mean_us(now.success, base.success),
                   .queue_us = mean_us(now.queue, base.queue),
                   .compute_input_us = mean_us(now.compute_input, base.compute_input),
                   .compute_infer_us = mean_us(now.compute_infer, base.compute_infer),
                   .compute_output_us = mean_us(now.compute_output, base.compute_output)});
  }
  return out;
}

}  // namespace sextant::load
