// What sampling GPUs costs (scripts/bench.sh): samples the GPUs of a driver, the simulated one in
// the benchmark, and prints {"devices", "seconds", "cpu_share", "driver_share", "calls_per_s"} of
// the sampler's threads, the driver's own work included.
//
//   gpu_sampler LIBRARY SECONDS [INTERVAL_MS]
#include <cstdio>
#include <thread>

#include "base/clock.h"
#include "base/host.h"
#include "base/strings.h"
#include "gpu/sampler.h"

namespace {

using namespace sextant;  // NOLINT(google-build-using-namespace)

struct Spent {
  uint64_t calls = 0;
  double inside_s = 0;
};
Spent SpentOf(const gpu::Sampler& sampler) {
  Spent spent;
  for (const auto& [name, cost] : sampler.Costs()) {
    spent.calls += cost.calls;
    spent.inside_s += cost.total_s;
  }
  return spent;
}

}  // namespace

int main(int argc, char** argv) {
  const auto seconds = argc > 2 ? ParseDouble(argv[2]) : std::nullopt;
  const auto interval = argc > 3 ? ParseInt(argv[3]) : std::optional<int64_t>(100);
  if (!seconds || !interval) {
    std::fprintf(stderr, "gpu_sampler LIBRARY SECONDS [INTERVAL_MS]\n");
    return 2;
  }
  gpu::SamplerOptions options{
      .library = argv[1], .interval = std::chrono::milliseconds(*interval), .processes = {1}};
  const auto sampler = gpu::Sampler::Start(options);
  if (!sampler) {
    std::fprintf(stderr, "%s\n", sampler.error().message().c_str());
    return 1;
  }
  std::this_thread::sleep_for(500ms);  // the first calls of everything
  (*sampler)->Mark();
  const Spent before = SpentOf(**sampler);
  const Nanos cpu_before = ProcessCpuTime();
  const Instant began = SteadyNow();
  std::this_thread::sleep_for(FromSeconds(*seconds));
  const double took = Seconds(SteadyNow() - began);
  const double cpu = Seconds(ProcessCpuTime() - cpu_before);
  const Spent after = SpentOf(**sampler);
  const auto windows = (*sampler)->Take();
  for (const std::string& text : (*sampler)->Degraded()) std::fprintf(stderr, "%s\n", text.c_str());
  for (const auto& window : windows) {
    const auto memory = window.signals.find("memory_used");
    const double expected = took * 1e3 / static_cast<double>(*interval);
    if (memory == window.signals.end() ||
        static_cast<double>(memory->second.samples) < 0.9 * expected) {
      std::fprintf(stderr, "%s was not sampled at this rate\n", window.uuid.c_str());
      return 1;
    }
  }
  std::printf("%s\n",
              Format("{{\"devices\": {}, \"seconds\": {:.3f}, \"cpu_share\": {:.6f}, "
                     "\"driver_share\": {:.6f}, \"calls_per_s\": {:.1f}}}",
                     windows.size(), took, cpu / took, (after.inside_s - before.inside_s) / took,
                     static_cast<double>(after.calls - before.calls) / took)
                  .c_str());
  return 0;
}
