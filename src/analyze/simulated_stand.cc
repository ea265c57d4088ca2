#include "analyze/simulated_stand.h"

#include <thread>

#include "base/strings.h"

namespace sextant::analyze {
namespace {

// One in so many.
constexpr uint64_t kFails = 40, kKills = 150;

run::Level LevelOf(const Load& load, double throughput, double latency_s, double window_s) {
  run::Level level;
  level.load = load.point;
  level.window_s = window_s;
  level.scheduled = level.succeeded = 20;
  level.throughput.value = throughput;
  for (int i = 0; i < 20; ++i)
    level.latency.histogram.Record(static_cast<int64_t>(latency_s * (1e9 + i * 1e7)));
  return level;
}

}  // namespace

SimulatedStand::SimulatedStand(const SimulatedStandOptions& options)
    : options_(options), surface_(options.surface), space_(surface_.space()) {
  for (Configuration& configuration : space_.configurations) {
    for (size_t axis = 0; axis < configuration.coordinates.size(); ++axis) {
      const Axis& of = space_.axes[axis];
      configuration.settings.push_back({of.name, of.values[configuration.coordinates[axis]]});
    }
  }
}

std::vector<std::string> SimulatedStand::names() const {
  std::vector<std::string> out;
  for (size_t i = 0; i < space_.configurations.size(); ++i)
    out.push_back(ConfigurationName("simulated", i));
  return out;
}

Random SimulatedStand::RandomOf(uint64_t a, uint64_t b, uint64_t c) const {
  return Random(((options_.seed * 1000003 + a) * 1000003 + b) * 1000003 + c);
}

void SimulatedStand::Spend() const {
  if (options_.point_time > Nanos(0)) std::this_thread::sleep_for(options_.point_time);
}

Result<LoadReport> SimulatedStand::LoadConfiguration(size_t configuration) {
  Spend();
  loaded_.push_back(configuration);
  if (!surface_.Loads(configuration)) return Internal("out of memory\nin the simulation");
  Random random = RandomOf(configuration, 0, 0);
  return LoadReport{
      .cost_s = 2 + random.Uniform(),
      .notes = {},
      .baselines = {
          {.kind = "loaded", .figures = {{"gpu_memory_used", {1e9, {}, {}}}}, .devices = {}}}};
}

Measured SimulatedStand::Measure(const Trial& trial) {
  Spend();
  ++measured_;
  Random random = RandomOf(trial.configuration, 1 + trial.load, 1 + static_cast<uint64_t>(take_));
  Measured out;
  out.cost_s = Seconds(trial.window) + 0.3 + random.Uniform();
  if (options_.faults && random.Below(kKills) == 0) {
    out.status = Outcome::Status::kRefused;
    out.error = "the server died under this load";
    return out;
  }
  if (options_.faults && random.Below(kFails) == 0) {
    out.status = Outcome::Status::kFailed;
    out.error = "no request succeeded";
    return out;
  }
  const double x = surface_.Throughput(trial.configuration, trial.load) *
                   (1 + 0.02 * random.Normal() / std::sqrt(Seconds(trial.window)));
  const double p99 = surface_.P99(trial.configuration, trial.load) * (1 + 0.05 * random.Normal());
  out.figures = {{"throughput", {x, x * 0.98, x * 1.02}}, {"latency_p99", {p99, {}, {}}}};
  out.devices = {{.device = "GPU-0",
                  .name = "simulated",
                  .source = "nvml",
                  .scope = "device",
                  .figures = {{"gpu_power", {100 + random.Uniform(), {}, {}}}}}};
  if (random.Below(4) == 0) out.flags.emplace_back("drifting");
  out.level = LevelOf(space_.loads[trial.load], x, p99, Seconds(trial.window));
  return out;
}

}  // namespace sextant::analyze
