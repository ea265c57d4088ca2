#include "run/merge.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/strings.h"

namespace sextant::run {
namespace {

using text::Json;

// Options that say where a machine's output goes and which part it takes: they are to differ.
const std::set<std::string_view> kOwnOptions{
    "shard", "output", "latency-report-file", "progress", "quiet", "start-at", "workers"};

std::string_view Text(const Json* json) {
  return json == nullptr ? std::string_view() : json->AsString().value_or("");
}

const Json* Option(const Run& run, std::string_view name) {
  const Json* options = run.header.Find("options");
  return options == nullptr ? nullptr : options->Find(name);
}

double MergedHalfWidth(const stats::IntervalEstimate& a, const stats::IntervalEstimate& b) {
  return std::sqrt(a.half_width * a.half_width + b.half_width * b.half_width);
}

void AddRate(stats::IntervalEstimate& to, const stats::IntervalEstimate& from) {
  to.half_width = MergedHalfWidth(to, from);
  to.value += from.value;
  to.known = to.known && from.known;
  to.batches = std::min(to.batches, from.batches);
  to.correlation = std::max(to.correlation, from.correlation);
}

// Means of so many values each.
void AddMean(stats::IntervalEstimate& to, double to_count, const stats::IntervalEstimate& from,
             double from_count) {
  const double total = to_count + from_count;
  if (total <= 0) return;
  stats::IntervalEstimate a = to, b = from;
  a.half_width *= to_count / total;
  b.half_width *= from_count / total;
  to.half_width = MergedHalfWidth(a, b);
  to.known = (to.known || to_count == 0) && (from.known || from_count == 0);
  to.batches = std::min(to.batches, from.batches);
  to.correlation = std::max(to.correlation, from.correlation);
}

void AddLatency(LatencyRecord& to, const LatencyRecord& from) {
  AddMean(to.mean, static_cast<double>(to.histogram.count()), from.mean,
          static_cast<double>(from.histogram.count()));
  to.histogram.Merge(from.histogram);
  to.mean.value = to.histogram.mean();
  for (stats::QuantileEstimate& q : to.percentiles) {
    double effect = q.design_effect;
    for (const stats::QuantileEstimate& other : from.percentiles) {
      if (std::abs(other.p - q.p) < 1e-9) effect = std::max(effect, other.design_effect);
    }
    q = stats::EstimateQuantile(to.histogram, q.p, effect);
  }
}

void AddOutcomes(std::vector<OutcomeRecord>& to, const std::vector<OutcomeRecord>& from) {
  for (const OutcomeRecord& outcome : from) {
    const auto same =
        std::find_if(to.begin(), to.end(), [&](const auto& o) { return o.name == outcome.name; });
    if (same == to.end()) {
      to.push_back(outcome);
      continue;
    }
    same->count += outcome.count;
    same->latency.Merge(outcome.latency);
    if (same->example.empty()) same->example = outcome.example;
  }
}

// Second by second of the wall clock; `shift` seconds lie between the two windows' beginnings.
void AddSeries(std::vector<SecondRecord>& to, const std::vector<SecondRecord>& from,
               int64_t shift) {
  for (const SecondRecord& second : from) {
    const auto index =
        static_cast<size_t>(std::max<int64_t>(0, std::llround(second.start_s) + shift));
    while (to.size() <= index)
      to.push_back({.start_s = static_cast<double>(to.size()), .length_s = second.length_s});
    SecondRecord& sum = to[index];
    sum.length_s = std::max(sum.length_s, second.length_s);
    sum.answered += second.answered;
    sum.failed += second.failed;
    sum.p50_ns = std::max(sum.p50_ns, second.p50_ns);
    sum.p99_ns = std::max(sum.p99_ns, second.p99_ns);
    sum.max_ns = std::max(sum.max_ns, second.max_ns);
    sum.in_flight += second.in_flight;
  }
}

void AddClient(ClientRecord& to, const ClientRecord& from, double to_requests,
               double from_requests) {
  const double workers = to.workers + from.workers;
  if (workers > 0) {
    to.cpu_share = (to.cpu_share * to.workers + from.cpu_share * from.workers) / workers;
    if (to.run_queue_share && from.run_queue_share) {
      to.run_queue_share =
          (*to.run_queue_share * to.workers + *from.run_queue_share * from.workers) / workers;
    } else {
      to.run_queue_share.reset();
    }
  }
  if (to_requests + from_requests > 0) {
    to.cpu_us_per_request =
        (to.cpu_us_per_request * to_requests + from.cpu_us_per_request * from_requests) /
        (to_requests + from_requests);
  }
  to.workers += from.workers;
  to.cpu_share_max = std::max(to.cpu_share_max, from.cpu_share_max);
  to.loop_lag_p99_us = std::max(to.loop_lag_p99_us, from.loop_lag_p99_us);
  to.bytes_sent += from.bytes_sent;
  to.bytes_received += from.bytes_received;
  to.connects += from.connects;
  to.disconnects += from.disconnects;
  to.connections += from.connections;
  to.limited |= from.limited;
}

void AddResponses(std::optional<ResponseRecord>& to, const std::optional<ResponseRecord>& from) {
  if (!to || !from) return to.reset();
  to->arrived += from->arrived;
  AddRate(to->rate, from->rate);
  to->requests_without += from->requests_without;
  to->first.Merge(from->first);
  to->between.Merge(from->between);
  to->per_request.Merge(from->per_request);
}

void AddSequences(std::optional<SequenceRecord>& to, const std::optional<SequenceRecord>& from) {
  if (!to || !from) return to.reset();
  to->completed += from->completed;
  to->abandoned += from->abandoned;
  to->rate += from->rate;
  to->latency.Merge(from->latency);
  to->requests.Merge(from->requests);
}

void AddEndpoints(std::vector<EndpointRecord>& to, const std::vector<EndpointRecord>& from) {
  // Without a line per server in both, the sums would be those of one machine.
  if (to.empty() || from.empty()) return to.clear();
  for (const EndpointRecord& endpoint : from) {
    const auto same =
        std::find_if(to.begin(), to.end(), [&](const auto& e) { return e.name == endpoint.name; });
    if (same == to.end()) {
      to.push_back(endpoint);
      continue;
    }
    same->succeeded += endpoint.succeeded;
    same->failed += endpoint.failed;
    same->request_rate += endpoint.request_rate;
    same->latency.Merge(endpoint.latency);
    same->p50_ns = same->latency.Quantile(0.5);
    same->p99_ns = same->latency.Quantile(0.99);
  }
}

// Who reads the same source has seen the same.
void AddMetrics(Level& to, const Level& from) {
  const auto known = [sources = to.metric_sources](const std::string& source) {
    return std::any_of(sources.begin(), sources.end(),
                       [&](const MetricSourceRecord& s) { return s.source == source; });
  };
  for (const MetricSourceRecord& source : from.metric_sources)
    if (!known(source.source)) to.metric_sources.push_back(source);
  for (const MetricRecord& metric : from.metrics)
    if (!known(metric.source)) to.metrics.push_back(metric);
}

// The worse of two states.
stats::LevelState Worse(stats::LevelState a, stats::LevelState b) {
  using State = stats::LevelState;
  for (const State state : {State::kShort, State::kDrifting, State::kNoisy}) {
    if (a == state || b == state) return state;
  }
  return State::kStable;
}

void AddPart(Level& to, const Level& from, uint64_t whole, bool same_server);

void AddLevel(Level& to, const Level& from, bool same_server) {
  const auto to_requests = static_cast<double>(to.succeeded + to.failed),
             from_requests = static_cast<double>(from.succeeded + from.failed);
  AddClient(to.client, from.client, to_requests, from_requests);
  // L / (rate * latency): both the numerators and the denominators are sums.
  if (to.little_ratio && from.little_ratio && *to.little_ratio > 0 && *from.little_ratio > 0) {
    const double below =
        to.in_flight_mean / *to.little_ratio + from.in_flight_mean / *from.little_ratio;
    to.little_ratio =
        below > 0 ? std::optional((to.in_flight_mean + from.in_flight_mean) / below) : std::nullopt;
  } else {
    to.little_ratio.reset();
  }
  const int64_t shift = std::llround(Seconds(from.started - to.started));
  AddSeries(to.series, from.series, shift);
  to.load.value += from.load.value;
  to.window_s = std::max(to.window_s, from.window_s);
  to.warmup_s = std::max(to.warmup_s, from.warmup_s);
  to.warmup_requests += from.warmup_requests;
  to.scheduled += from.scheduled;
  to.succeeded += from.succeeded;
  to.failed += from.failed;
  to.unfinished += from.unfinished;
  to.overflow += from.overflow;
  to.backlog += from.backlog;
  to.checked_outputs += from.checked_outputs;
  to.wrong_outputs += from.wrong_outputs;
  to.completed += from.completed;
  to.retries += from.retries;
  AddOutcomes(to.outcomes, from.outcomes);
  AddRate(to.throughput, from.throughput);
  AddRate(to.request_rate, from.request_rate);
  to.send_rate += from.send_rate;
  AddLatency(to.latency, from.latency);
  AddLatency(to.service, from.service);
  to.slip.Merge(from.slip);
  to.in_flight_mean += from.in_flight_mean;
  to.in_flight_max += from.in_flight_max;
  // A server's counters have counted everyone's requests.
  if (!same_server) {
    to.server.insert(to.server.end(), from.server.begin(), from.server.end());
    to.composing.insert(to.composing.end(), from.composing.begin(), from.composing.end());
  }
  AddResponses(to.responses, from.responses);
  AddSequences(to.sequences, from.sequences);
  AddEndpoints(to.endpoints, from.endpoints);
  AddMetrics(to, from);
  to.state = Worse(to.state, from.state);
  // Of several models, the same in both.
  for (size_t i = 0; i < std::min(to.models.size(), from.models.size()); ++i)
    AddPart(to.models[i], from.models[i], to.scheduled, same_server);
}

void AddPart(Level& to, const Level& from, uint64_t whole, bool same_server) {
  AddLevel(to, from, same_server);
  if (!to.part || !from.part) return;
  if (to.part->concurrency) *to.part->concurrency += from.part->concurrency.value_or(0);
  if (whole > 0) to.part->seen = static_cast<double>(to.scheduled) / static_cast<double>(whole);
}

// "a:0.7,b:0.3", as far as machines that share a load must agree on it.
std::string DescribeMix(const Level& level) {
  std::vector<std::string> out;
  for (const Level& model : level.models) {
    if (!model.part) continue;
    out.push_back(model.part->share ? Format("{}:{:.6g}", model.part->label(), *model.part->share)
                                    : Format("{}:concurrency", model.part->label()));
  }
  return out.empty() ? "no --mix" : Join(out, ",");
}

class Merger {
 public:
  explicit Merger(std::span<const RunPart> parts) : parts_(parts) {}

  Result<MergedRun> Merge() {
    if (parts_.size() < 2) return InvalidArgument("needs two run files or more");
    CheckShards();
    CheckLevels();
    if (!faults_.empty()) return InvalidArgument(std::move(faults_));
    CompareOptions();
    MergedRun out;
    out.run = parts_[0].run;
    for (size_t i = 0; i < out.run.levels.size(); ++i) MergeLevel(i, out.run.levels[i]);
    out.run.searches.clear();
    out.notes = std::move(notes_);
    Json::Array files, said;
    for (const RunPart& part : parts_) files.emplace_back(part.name);
    for (const std::string& note : out.notes) said.emplace_back(note);
    out.run.header.Set("merged", std::move(files));
    out.run.header.Set("merge_notes", std::move(said));
    return out;
  }

 private:
  void Fault(const std::string& text) {
    AppendFormat(faults_, "{}{}", faults_.empty() ? "" : "; ", text);
  }

  void CheckShards() {
    std::map<std::string, std::string> by_shard;
    std::set<uint64_t> seeds;
    std::optional<uint64_t> count;
    std::vector<std::string> whole;
    for (const RunPart& part : parts_) {
      const std::string shard(Text(Option(part.run, "shard")));
      if (part.run.header.Find("merged") != nullptr)
        Fault(Format("'{}' is merged already: name the shards' own files", part.name));
      if (!part.run.end_reason || *part.run.end_reason != "complete")
        notes_.push_back(Format("'{}' is not complete", part.name));
      if (shard.empty()) {
        whole.push_back(Format("'{}'", part.name));
        continue;
      }
      const Json* seed = part.run.header.Find("seed");
      if (seed != nullptr && seed->AsUint()) seeds.insert(*seed->AsUint());
      if (const auto [before, is_new] = by_shard.emplace(shard, part.name); !is_new)
        Fault(Format("'{}' and '{}' are both shard {}", before->second, part.name, shard));
      const size_t slash = shard.find('/');
      if (slash != std::string::npos) count = ParseUint(shard.substr(slash + 1));
    }
    if (!whole.empty()) {
      Fault(
          Format("{} {} of a whole load, not shards of one, so their figures do not add up: give "
                 "each machine its part with --shard INDEX/COUNT and all the same --seed",
                 Join(whole, ", "), whole.size() == 1 ? "is a run" : "are runs"));
    }
    if (seeds.size() > 1)
      Fault("the shards have different seeds: their arrivals are not parts of one schedule");
    if (count && by_shard.size() < *count) {
      notes_.push_back(Format("{} of {} shards are here: the load was larger than this",
                              by_shard.size(), *count));
    }
  }

  void CheckLevels() {
    const std::vector<Level>& first = parts_[0].run.levels;
    for (const RunPart& part : parts_.subspan(1)) {
      const std::vector<Level>& levels = part.run.levels;
      if (levels.size() != first.size()) {
        Fault(Format("'{}' has {} level{}, '{}' has {}", parts_[0].name, first.size(),
                     first.size() == 1 ? "" : "s", part.name, levels.size()));
        continue;
      }
      for (size_t i = 0; i < levels.size(); ++i) {
        const LoadPoint &a = first[i].load, &b = levels[i].load;
        if (a.mode != b.mode || a.batch_size != b.batch_size || a.arrivals != b.arrivals) {
          Fault(
              Format("level {} is not the same load in '{}' ({}, batch {}, {}) and '{}' ({}, "
                     "batch {}, {})",
                     i + 1, parts_[0].name, DescribeLoad(a), a.batch_size, a.arrivals, part.name,
                     DescribeLoad(b), b.batch_size, b.arrivals));
        }
        const std::string mix = DescribeMix(first[i]), other = DescribeMix(levels[i]);
        if (mix != other) {
          Fault(Format("level {} is not of the same models in '{}' ({}) and '{}' ({})", i + 1,
                       parts_[0].name, mix, part.name, other));
        }
      }
    }
    if (!faults_.empty()) return;
    for (size_t i = 0; i < first.size(); ++i) CheckOverlap(i);
  }

  void CheckOverlap(size_t i) {
    WallTime begin = WallTime::min(), end = WallTime::max();
    for (const RunPart& part : parts_) {
      const Level& level = part.run.levels[i];
      begin = std::max(begin, level.started);
      end = std::min(end, level.started + FromSeconds(level.window_s));
      CheckPrecision(part.name, level);
      for (const Level& model : level.models) CheckPrecision(part.name, model);
    }
    if (begin >= end) {
      Fault(
          Format("the windows of level {} do not overlap: the load was never whole (start the "
                 "machines with --start-at)",
                 i + 1));
    } else if (const double common = Seconds(end - begin);
               common < 0.9 * parts_[0].run.levels[i].window_s) {
      notes_.push_back(Format("level {}: the windows have only {:.1f} of {:.1f} s in common", i + 1,
                              common, parts_[0].run.levels[i].window_s));
    }
  }

  // Histograms of different precision cannot be added.
  void CheckPrecision(const std::string& name, const Level& level) {
    std::vector<const stats::Histogram*> all{&level.latency.histogram, &level.service.histogram,
                                             &level.slip};
    for (const OutcomeRecord& outcome : level.outcomes) all.push_back(&outcome.latency);
    for (const EndpointRecord& endpoint : level.endpoints) all.push_back(&endpoint.latency);
    if (level.responses) {
      all.insert(all.end(), {&level.responses->first, &level.responses->between,
                             &level.responses->per_request});
    }
    if (level.sequences) {
      all.insert(all.end(), {&level.sequences->latency, &level.sequences->requests});
    }
    for (const stats::Histogram* histogram : all) {
      if (histogram->precision_bits() == stats::Histogram::kDefaultPrecisionBits) continue;
      return Fault(Format("'{}' has histograms of another precision than this program's", name));
    }
  }

  void CompareOptions() {
    const Json* options = parts_[0].run.header.Find("options");
    if (options == nullptr || !options->IsObject()) return;
    for (const auto& [name, value] : options->object()) {
      if (kOwnOptions.contains(name)) continue;
      std::vector<std::string> values;
      bool differ = false;
      for (const RunPart& part : parts_) {
        const Json* other = Option(part.run, name);
        values.push_back(other == nullptr ? "absent" : text::FormatJson(*other));
        differ |= values.back() != values.front();
      }
      if (differ) notes_.push_back(Format("--{} differs: {}", name, Join(values, ", ")));
    }
  }

  void MergeLevel(size_t i, Level& level) {
    // The earliest window comes first: seconds are counted from it.
    std::vector<const RunPart*> order;
    for (const RunPart& part : parts_) order.push_back(&part);
    std::stable_sort(order.begin(), order.end(), [&](const RunPart* a, const RunPart* b) {
      return a->run.levels[i].started < b->run.levels[i].started;
    });
    const auto authority = [](const RunPart& part) {
      const Json* server = part.run.header.Find("server");
      return Text(server == nullptr ? nullptr : server->Find("authority"));
    };
    level = order[0]->run.levels[i];
    std::set<std::string_view> servers{authority(*order[0])};
    std::vector<std::string> limits, notes;
    for (const RunPart* part : order) {
      const Level& from = part->run.levels[i];
      if (part != order[0]) AddLevel(level, from, !servers.insert(authority(*part)).second);
      for (const std::string& limit : from.client.limits)
        limits.push_back(Format("{}: {}", part->name, limit));
      for (const std::string& note : from.notes)
        notes.push_back(Format("{}: {}", part->name, note));
    }
    level.client.limits = std::move(limits);
    level.notes = std::move(notes);
  }

  const std::span<const RunPart> parts_;
  std::string faults_;
  std::vector<std::string> notes_;
};

}  // namespace

Result<MergedRun> MergeRuns(std::span<const RunPart> parts) { return Merger(parts).Merge(); }

}  // namespace sextant::run
