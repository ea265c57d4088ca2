#include "gpu/sampler.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <thread>

#include "base/files.h"
#include "base/process.h"
#include "base/strings.h"
#include "gpu/nvml_api.h"

namespace sextant::gpu {
namespace {

constexpr double kGiB = 0x1p30;

// A sampler of the simulated driver with a scenario of its own.
class Simulation {
 public:
  explicit Simulation(const std::string& scenario)
      : directory_(*MakeTempDirectory("gpu-sampler")), calls_(JoinPath(directory_, "calls")) {
    const std::string path = JoinPath(directory_, "scenario");
    EXPECT_TRUE(WriteFileAtomic(path, scenario).has_value());
    setenv("SEXTANT_NVML_SIM", path.c_str(), 1);
    setenv("SEXTANT_NVML_SIM_CALLS", calls_.c_str(), 1);
    options.library = SEXTANT_NVML_SIM_LIBRARY;
    options.interval = 10ms;
    options.slow_interval = 20ms;
    options.budget = 1;  // on a busy machine every call may take long
  }
  ~Simulation() {
    End();
    unsetenv("SEXTANT_NVML_SIM");
    unsetenv("SEXTANT_NVML_SIM_CALLS");
    EXPECT_TRUE(RemoveAll(directory_).has_value());
  }
  void End() { sampler_.reset(); }

  Sampler& Start() {
    auto started = Sampler::Start(options);
    SEXTANT_CHECK(started.has_value(), started ? "" : started.error().message());
    sampler_ = *std::move(started);
    return *sampler_;
  }
  std::vector<DeviceWindow> Measure(Nanos window) {
    sampler_->Mark();
    const Instant marked = SteadyNow();
    std::this_thread::sleep_for(window);
    auto taken = sampler_->Take();
    seconds = Seconds(SteadyNow() - marked);
    return taken;
  }
  // Marks, and takes until `enough` or too much time has passed.
  template <typename F>
  std::vector<DeviceWindow> MeasureUntil(F&& enough) {
    sampler_->Mark();
    const Instant until = SteadyNow() + 10s;
    for (;;) {
      auto windows = sampler_->Take();
      if (enough(windows) || SteadyNow() > until) return windows;
      std::this_thread::sleep_for(2ms);
    }
  }
  struct Called {
    uint64_t calls = 0;
    double shortest = 0;
  };
  // Ends the sampler; what the simulated driver counted, of a device or "-".
  std::map<std::string, Called> Calls(const std::string& uuid) {
    End();
    std::map<std::string, Called> out;
    const auto text = ReadFile(calls_);
    EXPECT_TRUE(text.has_value());
    if (!text) return out;
    for (const std::string_view line : Split(*text, '\n')) {
      const auto cells = Split(line, ' ');
      if (cells.size() == 4 && cells[1] == uuid)
        out[std::string(cells[0])] = {*ParseUint(cells[2]),
                                      std::atof(std::string(cells[3]).c_str())};
    }
    return out;
  }

  SamplerOptions options;
  double seconds = 0;  // how long the last window was

 private:
  const std::string directory_, calls_;
  std::unique_ptr<Sampler> sampler_;
};

double Mean(const DeviceWindow& window, const std::string& signal) {
  const auto found = window.signals.find(signal);
  return found == window.signals.end() ? std::nan("") : *found->second.mean;
}
uint64_t Samples(const DeviceWindow& window, const std::string& signal) {
  const auto found = window.signals.find(signal);
  return found == window.signals.end() ? 0 : found->second.samples;
}
auto AtLeast(uint64_t samples, const std::string& signal) {
  return [=](const std::vector<DeviceWindow>& windows) {
    return Samples(windows[0], signal) >= samples;
  };
}

constexpr char kSteady[] =
    "driver 550.90\nnvml 12.555.43\n"
    "gpu uuid=GPU-a name=NVIDIA_H200 memory=141GiB gpm=yes\n"
    "utilization constant 0.5\nmemory_utilization constant 0.25\nmemory_used constant 20GiB\n"
    "bar1_used constant 1GiB\npower constant 400\ntemperature constant 61\n"
    "sm_clock constant 1980e6\nmemory_clock constant 2619e6\nthrottle constant 4\n"
    "sm_active constant 0.75\nsm_occupancy constant 0.3\ntensor_active constant 0.2\n"
    "dram_active constant 0.6\n";

TEST(Sampler, EverySignalOfAWindowIsWhatTheScenarioSays) {
  Simulation simulation(kSteady);
  EXPECT_EQ(simulation.Start().Describe(), "NVML 12.555.43, driver 550.90, 1 GPU");
  const auto windows = simulation.MeasureUntil(AtLeast(1, "sm_active"));
  ASSERT_EQ(windows.size(), 1u);
  const DeviceWindow& gpu = windows[0];
  EXPECT_EQ(gpu.uuid, "GPU-a");
  EXPECT_EQ(gpu.name, "NVIDIA H200");
  EXPECT_EQ(gpu.scope, Scope::kDevice);
  EXPECT_EQ(gpu.stale, "");
  const std::map<std::string, double> truth = {
      {"utilization", 0.5},         {"memory_utilization", 0.25}, {"memory_used", 20 * kGiB},
      {"memory_total", 141 * kGiB}, {"bar1_used", kGiB},          {"power", 400},
      {"temperature", 61},          {"sm_clock", 1980e6},         {"memory_clock", 2619e6},
      {"sm_active", 0.75},          {"sm_occupancy", 0.3},        {"tensor_active", 0.2},
      {"dram_active", 0.6}};
  for (const auto& [name, value] : truth) {
    EXPECT_NEAR(Mean(gpu, name), value, 1e-9 * value) << name;
    ASSERT_TRUE(gpu.signals.contains(name)) << name;
    const Signal& signal = gpu.signals.at(name);
    EXPECT_NEAR(*signal.min, value, 1e-9 * value) << name;
    EXPECT_NEAR(*signal.max, value, 1e-9 * value) << name;
    EXPECT_NEAR(*signal.p95, value, 1e-9 * value) << name;
  }
  EXPECT_EQ(gpu.signals.size(), truth.size()) << "nobody is watched, so no process has memory";
}

TEST(Sampler, EnergyAndThrottlingAreThoseOfTheWindow) {
  Simulation simulation(kSteady);
  simulation.Start();
  simulation.Measure(100ms);
  const DeviceWindow gpu = simulation.Measure(400ms)[0];
  ASSERT_TRUE(gpu.energy_j.has_value());
  EXPECT_NEAR(*gpu.energy_j, 400 * simulation.seconds, 0.03 * 400 * simulation.seconds);
  ASSERT_TRUE(gpu.throttled_s.contains("sw_power_cap"));
  EXPECT_NEAR(gpu.throttled_s.at("sw_power_cap"), simulation.seconds, 0.05);
  EXPECT_EQ(gpu.throttled_s.at("hw_slowdown"), 0);
}

TEST(Sampler, MeansAreOverTimeAndExtremesAreSeen) {
  Simulation simulation(
      "gpu\nutilization square 0 0.8 0.2 0.25\nmemory_used ramp 0 10GiB 30\n"
      "power sine 300 200 0.25\n");
  simulation.Start();
  const DeviceWindow gpu = simulation.Measure(1s)[0];  // whole periods of both
  EXPECT_NEAR(Mean(gpu, "utilization"), 0.2, 0.06);
  EXPECT_EQ(gpu.signals.at("utilization").max, 0.8);
  EXPECT_EQ(gpu.signals.at("utilization").min, 0.0);
  EXPECT_EQ(gpu.signals.at("utilization").p95, 0.8);
  ASSERT_TRUE(gpu.energy_j.has_value());
  EXPECT_NEAR(*gpu.energy_j, 300 * simulation.seconds, 25);
  EXPECT_NEAR(Mean(gpu, "power"), 300, 40);
  const Signal& ramp = gpu.signals.at("memory_used");
  EXPECT_NEAR(*ramp.max - *ramp.min, simulation.seconds / 30 * 10 * kGiB, 0.05 * kGiB);
  EXPECT_NEAR(*ramp.mean, (*ramp.max + *ramp.min) / 2, 0.02 * kGiB);
}

TEST(Sampler, AReplayedSeriesWithNoiseIsFoundAgain) {
  const std::string path = *MakeTempDirectory("replay");
  ASSERT_TRUE(WriteFileAtomic(path + "/t.csv", "0,0.1\n0.05,0.9\n0.1,0\n").has_value());
  Simulation simulation("gpu\nutilization replay " + path +
                        "/t.csv\nmemory_used constant 1\ntemperature noise 50 2\n");
  simulation.Start();
  const DeviceWindow gpu = simulation.Measure(500ms)[0];
  EXPECT_NEAR(Mean(gpu, "utilization"), 0.5, 0.1);
  EXPECT_EQ(gpu.signals.at("utilization").max, 0.9);
  EXPECT_NEAR(Mean(gpu, "temperature"), 50, 4);
  ASSERT_TRUE(RemoveAll(path).has_value());
}

TEST(Sampler, AWindowForgetsWhatWasBeforeIt) {
  Simulation simulation("gpu\nutilization square 0.1 0.9 1000 0.0001\nmemory_used constant 1\n");
  simulation.Start();
  simulation.MeasureUntil([](const auto& windows) {
    return Samples(windows[0], "utilization") > 0 && windows[0].signals.at("utilization").min < 0.5;
  });
  const auto windows = simulation.MeasureUntil(AtLeast(3, "utilization"));
  EXPECT_EQ(windows[0].signals.at("utilization").max, 0.1);
}

TEST(Sampler, TheWatchedProcessesMemoryIncludesTheirChildrenAndOthersAreForeign) {
  auto server = Process::Start({.argv = {"sh", "-c", "sleep 60 & echo $!; wait"}});
  ASSERT_TRUE(server.has_value());
  ASSERT_TRUE(server->WaitForOutput("\n", 10s));
  const uint64_t child = *ParseUint(TrimSpace(server->out()));
  Simulation simulation(
      Format("gpu\nmemory_used constant 10GiB\nprocess {} 1GiB\nprocess {} 2GiB\nprocess {} 4GiB\n",
             server->pid(), child, getppid()));
  simulation.options.processes = {static_cast<uint32_t>(server->pid())};
  Sampler& sampler = simulation.Start();
  auto windows = simulation.MeasureUntil(AtLeast(2, "memory_process"));
  EXPECT_EQ(Mean(windows[0], "memory_process"), 3 * kGiB);
  EXPECT_EQ(windows[0].foreign_processes, std::vector<uint32_t>{static_cast<uint32_t>(getppid())});

  sampler.Watch({static_cast<uint32_t>(child)});
  windows = simulation.MeasureUntil([](const auto& w) {
    return w[0].signals.contains("memory_process") &&
           w[0].signals.at("memory_process").min == 2 * kGiB;
  });
  EXPECT_EQ(windows[0].foreign_processes.size(), 2u) << "the child's parent is not its child";

  sampler.Watch({});
  simulation.Measure(50ms);
  windows = simulation.Measure(50ms);
  EXPECT_FALSE(windows[0].signals.contains("memory_process"));
  EXPECT_TRUE(windows[0].foreign_processes.empty());
  kill(static_cast<pid_t>(child), SIGKILL);
}

TEST(Sampler, MoreProcessesThanThereIsRoomForAreAllRead) {
  std::string scenario = "gpu\nmemory_used constant 1\n";
  for (int i = 0; i < 300; ++i) AppendFormat(scenario, "process {} 1\n", getpid());
  AppendFormat(scenario, "process {} 1GiB\n", getpid());
  Simulation simulation(scenario);
  simulation.options.processes = {static_cast<uint32_t>(getpid())};
  simulation.Start();
  const auto windows = simulation.MeasureUntil(AtLeast(1, "memory_process"));
  EXPECT_EQ(Mean(windows[0], "memory_process"), kGiB);
}

TEST(Sampler, MigInstancesAreSampledBesideTheirGpu) {
  Simulation simulation(Format(
      "gpu uuid=GPU-a memory=80GiB slots=7 gpm=yes\nmemory_used constant 12GiB\n"
      "power constant 200\nutilization constant 0.5\nerror nvmlDeviceGetUtilizationRates "
      "NOT_SUPPORTED\n"
      "mig 1 uuid=MIG-one gi=9 memory=20GiB\nmemory_used constant 3GiB\nsm_active constant 0.25\n"
      "process {} 2GiB\n"
      "mig 4 uuid=MIG-two gi=5 memory=20GiB\nmemory_used constant 4GiB\nsm_active constant 0.5\n",
      getpid()));
  simulation.options.processes = {static_cast<uint32_t>(getpid())};
  EXPECT_EQ(simulation.Start().Describe(), "NVML 12.550.00, driver 550.00, 1 GPU, 2 MIG instances");
  const auto windows = simulation.MeasureUntil([](const auto& w) {
    return Samples(w[1], "sm_active") > 0 && Samples(w[2], "sm_active") > 0 &&
           Samples(w[1], "memory_process") > 0;
  });
  ASSERT_EQ(windows.size(), 3u);
  EXPECT_EQ(Mean(windows[0], "memory_used"), 12 * kGiB);
  EXPECT_EQ(Mean(windows[0], "memory_process"), 2 * kGiB);
  EXPECT_EQ(windows[1].uuid, "MIG-one");
  EXPECT_EQ(windows[1].parent, "GPU-a");
  EXPECT_EQ(windows[1].scope, Scope::kMigInstance);
  EXPECT_EQ(Mean(windows[1], "memory_used"), 3 * kGiB);
  EXPECT_EQ(Mean(windows[1], "memory_total"), 20 * kGiB);
  EXPECT_EQ(Mean(windows[1], "memory_process"), 2 * kGiB);
  EXPECT_EQ(Mean(windows[1], "sm_active"), 0.25);
  EXPECT_EQ(windows[2].uuid, "MIG-two");
  EXPECT_EQ(Mean(windows[2], "sm_active"), 0.5);
  EXPECT_FALSE(windows[1].signals.contains("utilization"));
  EXPECT_FALSE(windows[1].signals.contains("power")) << "of the whole GPU only";
  EXPECT_EQ(simulation.Calls("MIG-one")["nvmlDeviceGetUtilizationRates"].calls, 1u);
}

TEST(Sampler, DevicesAreChosenByNumberOrByHowTheirUuidBegins) {
  Simulation simulation(
      "gpu uuid=GPU-aaaa\nmemory_used constant 1\ngpu uuid=GPU-bbbb\nmemory_used constant 1\n"
      "gpu uuid=GPU-cccc slots=2\nmemory_used constant 1\nmig 0 uuid=MIG-x\n");
  const auto uuids = [&](std::vector<std::string> devices) {
    simulation.options.devices = std::move(devices);
    std::vector<std::string> out;
    for (const auto& window : simulation.Start().Take()) out.push_back(window.uuid);
    return out;
  };
  using Uuids = std::vector<std::string>;
  EXPECT_EQ(uuids({"1"}), Uuids{"GPU-bbbb"});
  EXPECT_EQ(uuids({"GPU-a", "2"}), (Uuids{"GPU-aaaa", "GPU-cccc", "MIG-x"}));
  EXPECT_EQ(uuids({"MIG-x"}), Uuids{"MIG-x"});
  simulation.options.devices = {"7"};
  const auto none = Sampler::Start(simulation.options);
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(none.error().message(), "no GPU is 7; there are: GPU-aaaa, GPU-bbbb, GPU-cccc, MIG-x");
}

TEST(Sampler, ADriverThatHangsWhileItStartsIsUnavailableInTime) {
  Simulation simulation("hang nvmlInit_v2\ngpu\n");
  simulation.options.start_limit = 100ms;
  const Instant began = SteadyNow();
  const auto sampler = Sampler::Start(simulation.options);
  EXPECT_LT(SteadyNow() - began, 2s);
  ASSERT_FALSE(sampler.has_value());
  EXPECT_EQ(sampler.error().code(), ErrorCode::kUnavailable);
  EXPECT_EQ(sampler.error().message(),
            "the GPUs' driver has not started within 100 ms (nvmlInit_v2 does not return)");
}

TEST(Sampler, ADriverThatDoesNotStartOrIsAbsentOrSomethingElseIsAnError) {
  Simulation simulation("error nvmlInit_v2 DRIVER_NOT_LOADED\ngpu\n");
  auto sampler = Sampler::Start(simulation.options);
  ASSERT_FALSE(sampler.has_value());
  EXPECT_EQ(sampler.error().code(), ErrorCode::kUnavailable);
  EXPECT_NE(sampler.error().message().find("DRIVER_NOT_LOADED"), std::string::npos);
  simulation.options.library = "libnvidia-ml-that-is-not-there.so";
  EXPECT_EQ(Sampler::Start(simulation.options).error().code(), ErrorCode::kNotFound);
  simulation.options.library = "libm.so.6";
  EXPECT_EQ(Sampler::Start(simulation.options).error().code(), ErrorCode::kUnavailable);
}

TEST(Sampler, NoGpuAtAllIsAnError) {
  Simulation simulation("driver 1\n");
  const auto sampler = Sampler::Start(simulation.options);
  ASSERT_FALSE(sampler.has_value());
  EXPECT_EQ(sampler.error().code(), ErrorCode::kUnavailable);
}

TEST(Sampler, ADeviceThatHangsIsStaleAndHoldsUpNobody) {
  Simulation simulation(
      "gpu uuid=GPU-a\nmemory_used constant 1GiB\npower constant 100\n"
      "hang nvmlDeviceGetPowerUsage 0.15\n"
      "gpu uuid=GPU-b\nmemory_used constant 2GiB\npower constant 100\n");
  simulation.options.call_limit = 50ms;
  Sampler& sampler = simulation.Start();
  simulation.MeasureUntil([](const auto& w) { return !w[0].stale.empty(); });

  const Instant began = SteadyNow();
  sampler.Mark();
  EXPECT_LT(SteadyNow() - began, 1s);
  const auto windows =
      simulation.MeasureUntil([](const auto& w) { return Samples(w[1], "memory_used") >= 5; });
  EXPECT_NE(windows[0].stale.find("nvmlDeviceGetPowerUsage has not returned for"),
            std::string::npos)
      << windows[0].stale;
  EXPECT_TRUE(windows[0].signals.empty()) << "nothing was heard of it in this window";
  EXPECT_EQ(windows[0].energy_j, std::nullopt);
  EXPECT_EQ(windows[1].stale, "");
  EXPECT_EQ(Mean(windows[1], "memory_used"), 2 * kGiB);
  EXPECT_GT(sampler.Costs().at("nvmlDeviceGetPowerUsage").longest_s, 0.05);

  const Instant ending = SteadyNow();
  simulation.End();
  EXPECT_LT(SteadyNow() - ending, 2s) << "the destructor does not wait for the call";
}

TEST(Sampler, ACallThatReturnsLateIsToldAndSamplingGoesOn) {
  Simulation simulation(
      "gpu\nmemory_used constant 1\npower constant 1\n"
      "latency nvmlDeviceGetPowerUsage 0.08\n");
  simulation.options.call_limit = 40ms;
  simulation.Start();
  const auto windows =
      simulation.MeasureUntil([](const auto& w) { return Samples(w[0], "power") >= 2; });
  EXPECT_NE(windows[0].stale.find("nvmlDeviceGetPowerUsage"), std::string::npos);
  EXPECT_GE(Samples(windows[0], "memory_used"), 1u);
}

TEST(Sampler, ALostDeviceIsMissingWithItsReasonAndIsHardlyAsked) {
  Simulation simulation(
      "gpu uuid=GPU-a\nmemory_used constant 1GiB\npower constant 100\n"
      "error * GPU_IS_LOST 0.1\n");
  simulation.Start();
  simulation.MeasureUntil([](const auto& w) { return !w[0].stale.empty(); });
  const DeviceWindow gpu = simulation.Measure(300ms)[0];
  EXPECT_NE(gpu.stale.find("the GPU is lost ("), std::string::npos) << gpu.stale;
  EXPECT_NE(gpu.stale.find("GPU_IS_LOST"), std::string::npos) << gpu.stale;
  EXPECT_TRUE(gpu.signals.empty());
  EXPECT_EQ(gpu.energy_j, std::nullopt);
  uint64_t calls = 0;
  for (const auto& [name, called] : simulation.Calls("GPU-a")) calls += called.calls;
  EXPECT_LT(calls, 150u) << "about a tenth of a second of sampling, and then one a second";
}

TEST(Sampler, ADeviceThatFallsOffTheBusIsLostAndOneThatIsBackIsSampledAgain) {
  Simulation simulation(
      "gpu uuid=GPU-a\nmemory_used constant 1\nvanish 0.05\n"
      "gpu uuid=GPU-b\nmemory_used constant 2\nerror * GPU_IS_LOST 0.05 0.3\n");
  simulation.Start();
  auto windows = simulation.MeasureUntil(
      [](const auto& w) { return !w[0].stale.empty() && !w[1].stale.empty(); });
  EXPECT_NE(windows[0].stale.find("INVALID_ARGUMENT"), std::string::npos) << windows[0].stale;
  simulation.MeasureUntil([](const auto& w) { return Samples(w[1], "memory_used") >= 3; });
  windows =
      simulation.MeasureUntil([](const auto& w) { return Samples(w[1], "memory_used") >= 3; });
  EXPECT_EQ(windows[1].stale, "");
  EXPECT_NE(windows[0].stale, "");
  EXPECT_TRUE(windows[0].signals.empty());
}

TEST(Sampler, WhatCannotBeIsMissingAndNeverZero) {
  Simulation simulation(Format(
      "gpu uuid=GPU-a memory=80GiB gpm=yes\nutilization constant 2.5\nmemory_used constant na\n"
      "power constant na\ntemperature constant 4e9\nsm_clock constant na\nsm_active constant na\n"
      "sm_occupancy constant 1.05\nbar1_used constant 1e15\nprocess {} na\nprocess {} 1GiB\n",
      getpid(), getppid()));
  simulation.options.processes = {static_cast<uint32_t>(getpid())};
  simulation.Start();
  const DeviceWindow gpu = simulation.MeasureUntil([](const auto& w) {
    return Samples(w[0], "sm_occupancy") >= 1 && !w[0].foreign_processes.empty();
  })[0];
  for (const char* name : {"utilization", "memory_used", "power", "temperature", "sm_clock",
                           "sm_active", "bar1_used", "memory_process"})
    EXPECT_FALSE(gpu.signals.contains(name)) << name;
  EXPECT_EQ(Mean(gpu, "sm_occupancy"), 1) << "a little too much is all";
  EXPECT_EQ(Mean(gpu, "memory_total"), 80 * kGiB);
  EXPECT_EQ(gpu.stale, "");
}

TEST(Sampler, AnEnergyThatNoDeviceTakesAndProcessesWithMoreThanThereIsAreMissing) {
  Simulation simulation(
      Format("gpu uuid=GPU-a memory=80GiB\nmemory_used constant 1GiB\npower constant 2e6\n"
             "process {} 81GiB\n"
             "gpu uuid=GPU-b memory=80GiB\nmemory_used constant 1GiB\npower constant 700\n"
             "process {} 80GiB\n",
             getpid(), getpid()));
  simulation.options.processes = {static_cast<uint32_t>(getpid())};
  simulation.Start();
  simulation.Measure(100ms);
  const auto windows = simulation.Measure(400ms);
  EXPECT_EQ(windows[0].energy_j, std::nullopt);
  EXPECT_FALSE(windows[0].signals.contains("power"));
  EXPECT_FALSE(windows[0].signals.contains("memory_process"));
  EXPECT_EQ(Mean(windows[0], "memory_used"), kGiB) << "the rest is believed";
  ASSERT_TRUE(windows[1].energy_j.has_value());
  EXPECT_NEAR(*windows[1].energy_j, 700 * simulation.seconds, 70);
  EXPECT_EQ(Mean(windows[1], "memory_process"), 80 * kGiB);
}

TEST(Sampler, WhatIsNotSupportedIsMissingAndAskedOnce) {
  Simulation simulation(
      "gpu uuid=GPU-a\nutilization constant 0.5\nmemory_used constant 1GiB\n"
      "error nvmlDeviceGetUtilizationRates NO_PERMISSION\n"
      "error nvmlDeviceGetMemoryInfo_v2 FUNCTION_NOT_FOUND\n");
  simulation.Start();
  const auto windows = simulation.MeasureUntil(AtLeast(20, "memory_used"));
  EXPECT_EQ(Mean(windows[0], "memory_used"), kGiB) << "by the older function";
  EXPECT_EQ(windows[0].signals.size(), 2u) << "and memory_total";
  EXPECT_EQ(windows[0].energy_j, std::nullopt);
  EXPECT_TRUE(windows[0].throttled_s.empty());
  auto calls = simulation.Calls("GPU-a");
  for (const char* name : {"nvmlDeviceGetUtilizationRates", "nvmlDeviceGetMemoryInfo_v2",
                           "nvmlDeviceGetPowerUsage", "nvmlDeviceGetTotalEnergyConsumption",
                           "nvmlDeviceGetTemperature", "nvmlDeviceGetCurrentClocksEventReasons"})
    EXPECT_EQ(calls[name].calls, 1u) << name;
  EXPECT_EQ(calls["nvmlDeviceGetClockInfo"].calls, 2u) << "one for each clock";
}

TEST(Sampler, NoMoreCallsAreMadeThanWereAskedFor) {
  Simulation simulation(std::string(kSteady) + Format("process {} 1GiB\n", getpid()));
  simulation.options.interval = 20ms;
  simulation.options.slow_interval = 200ms;
  simulation.options.processes = {static_cast<uint32_t>(getpid())};
  const Instant began = SteadyNow();
  Sampler& sampler = simulation.Start();
  simulation.Measure(700ms);
  const auto costs = sampler.Costs();
  auto calls = simulation.Calls("GPU-a");
  const double seconds = Seconds(SteadyNow() - began);
  const auto most = [&](double period) {
    return static_cast<uint64_t>(std::ceil(seconds / period)) + 1;
  };
  for (const char* name : {"nvmlDeviceGetUtilizationRates", "nvmlDeviceGetMemoryInfo_v2",
                           "nvmlDeviceGetTotalEnergyConsumption"}) {
    EXPECT_LE(calls[name].calls, most(0.02)) << name;
    EXPECT_GE(calls[name].calls, 7u) << name;
  }
  EXPECT_LE(calls["nvmlDeviceGetPowerUsage"].calls, most(0.1));
  EXPECT_LE(calls["nvmlDeviceGetComputeRunningProcesses_v3"].calls, most(0.2));
  EXPECT_GE(calls["nvmlDeviceGetComputeRunningProcesses_v3"].calls, 2u);
  EXPECT_GE(calls["nvmlGpmSampleGet"].calls, 2u);
  EXPECT_GE(calls["nvmlGpmSampleGet"].shortest, 0.1) << "nearer ones are not valid";
  for (const char* name : {"nvmlDeviceGetFanSpeed", "nvmlDeviceGetPcieThroughput",
                           "nvmlDeviceGetGraphicsRunningProcesses_v3"})
    EXPECT_FALSE(calls.contains(name)) << name;
  const CallCost& cost = costs.at("nvmlDeviceGetUtilizationRates");
  EXPECT_LE(cost.calls, calls["nvmlDeviceGetUtilizationRates"].calls);
  EXPECT_GE(cost.calls, 7u);
  EXPECT_EQ(cost.failed, 0u);
  EXPECT_GT(cost.total_s, 0);
  EXPECT_GE(cost.total_s, cost.longest_s);
  EXPECT_TRUE(costs.contains("nvmlInit_v2"));
}

TEST(Sampler, SlowCallsAreMadeLessOftenAndThatIsSaid) {
  Simulation simulation(
      "gpu uuid=GPU-a\nmemory_used constant 1GiB\npower constant 1\n"
      "latency nvmlDeviceGetComputeRunningProcesses_v3 0.004\n"
      "latency nvmlDeviceGetMemoryInfo_v2 0.002\n");
  simulation.options.budget = 0.05;  // of 0.2 + 0.2
  Sampler& sampler = simulation.Start();
  EXPECT_TRUE(sampler.Degraded().empty());
  simulation.MeasureUntil([&](const auto&) {
    const auto degraded = sampler.Degraded();
    return !degraded.empty() && degraded[0].starts_with("GPU 0: process lists every ") &&
           degraded[0].find("utilization and memory") != std::string::npos;
  });
  const std::vector<std::string> degraded = sampler.Degraded();
  ASSERT_EQ(degraded.size(), 1u);
  EXPECT_TRUE(degraded[0].starts_with("GPU 0: process lists every ")) << degraded[0];
  EXPECT_NE(degraded[0].find("utilization and memory every "), std::string::npos) << degraded[0];
  EXPECT_NE(degraded[0].find("and all GPUs' may take 5 %"), std::string::npos) << degraded[0];
  const double before = sampler.Costs().at("nvmlDeviceGetMemoryInfo_v2").total_s;
  simulation.Measure(500ms);
  const double after = sampler.Costs().at("nvmlDeviceGetMemoryInfo_v2").total_s;
  EXPECT_LT((after - before) / simulation.seconds, 0.1);
}

TEST(Sampler, ManyDevicesAreSampledSideBySide) {
  std::string scenario;
  for (int i = 0; i < 8; ++i) AppendFormat(scenario, "gpu\nmemory_used constant {}GiB\n", i + 1);
  Simulation simulation(scenario);
  simulation.Start();
  const auto windows = simulation.MeasureUntil([](const auto& w) {
    return std::ranges::all_of(w, [](const auto& one) { return Samples(one, "memory_used") >= 3; });
  });
  ASSERT_EQ(windows.size(), 8u);
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(windows[i].index, i);
    EXPECT_EQ(Mean(windows[i], "memory_used"), (i + 1) * kGiB);
  }
}

}  // namespace
}  // namespace sextant::gpu
