#include "gpu/sim/scenario.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "gpu/nvml_api.h"

namespace sextant::gpu::sim {
namespace {

using Words = std::vector<std::string_view>;

constexpr std::array<std::string_view, 13> kSignalNames = {
    "utilization", "memory_utilization", "sm_active", "sm_occupancy", "tensor_active",
    "dram_active", "memory_used",        "bar1_used", "power",        "temperature",
    "sm_clock",    "memory_clock",       "throttle"};

std::optional<int> ParseCode(std::string_view name) {
  for (int code = 0; code < 1000; ++code) {
    if (nvml::CodeName(code) == name) return code;
  }
  return {};
}

class Parser {
 public:
  Result<Scenario> Parse(std::string_view text) {
    int number = 0;
    for (std::string_view line : Split(text, '\n')) {
      ++number;
      line = line.substr(0, line.find('#'));
      Words words;
      for (const std::string_view word : Split(line, ' ')) {
        if (!word.empty()) words.push_back(word);
      }
      if (!words.empty()) SEXTANT_TRY(Statement(words), Format("line {}", number));
    }
    return std::move(scenario_);
  }

 private:
  Result<void> Statement(const Words& words) {
    const std::string_view what = words[0];
    if (what == "gpu") return Gpu(words);
    if (words.size() < 2) return InvalidArgument(Format("{}: of what?", what));
    if (what == "driver" || what == "nvml") {
      (what == "nvml" ? scenario_.nvml : scenario_.driver) = words[1];
      return {};
    }
    if (what == "error" || what == "hang" || what == "latency") return Failing(words);
    if (scenario_.gpus.empty()) return InvalidArgument(Format("{} before the first gpu", what));
    if (what == "mig") return Mig(words);
    if (what == "process") return Process(words);
    if (what == "vanish") return Number(words, 1, current_->vanish);
    if (what == "refresh") return Refresh(words);
    if (std::ranges::find(kSignalNames, what) == kSignalNames.end())
      return InvalidArgument(Format("there is no {}", what));
    SEXTANT_ASSIGN(current_->signals[std::string(what)].waveform,
                   Waveform::Parse(std::span(words).subspan(1)), what);
    return {};
  }

  // The word at `i` where there is one.
  static Result<void> Number(const Words& words, size_t i, double& number) {
    if (i >= words.size()) return {};
    const auto parsed = ParseAmount(words[i]);
    if (!parsed) return InvalidArgument(Format("'{}' is not a number", words[i]));
    number = *parsed;
    return {};
  }

  Result<void> Gpu(const Words& words) {
    auto gpu = std::make_unique<SimDevice>();
    gpu->index = static_cast<int>(scenario_.gpus.size());
    gpu->uuid = Format("GPU-sim-{}", gpu->index);
    current_ = gpu.get();
    scenario_.gpus.push_back(std::move(gpu));
    return Attributes(words, 1);
  }

  Result<void> Mig(const Words& words) {
    SimDevice& gpu = *scenario_.gpus.back();
    const auto slot = ParseUint(words[1]);
    if (!slot || *slot >= gpu.slots.size())
      return InvalidArgument(
          Format("'{}' is none of the GPU's {} slots", words[1], gpu.slots.size()));
    auto instance = std::make_unique<SimDevice>();
    instance->uuid = Format("MIG-sim-{}-{}", gpu.index, *slot);
    instance->gpu_instance = static_cast<uint32_t>(*slot);
    instance->index = gpu.index;
    instance->parent = &gpu;
    current_ = instance.get();
    gpu.slots[*slot] = std::move(instance);
    return Attributes(words, 2);
  }

  Result<void> Attributes(const Words& words, size_t first) {
    for (size_t i = first; i < words.size(); ++i) {
      const size_t equals = words[i].find('=');
      const std::string_view name = words[i].substr(0, equals);
      const std::string_view text =
          equals == std::string_view::npos ? "" : words[i].substr(equals + 1);
      const auto number = ParseAmount(text);
      if (name == "uuid") {
        current_->uuid = text;
      } else if (name == "name") {
        current_->name = text;
        std::ranges::replace(current_->name, '_', ' ');
      } else if (name == "gpm") {
        current_->gpm = text == "yes";
      } else if (!number) {
        return InvalidArgument(Format("'{}' is not understood", words[i]));
      } else if (name == "memory") {
        current_->memory = *number;
      } else if (name == "power_limit") {
        current_->power_limit = *number;
      } else if (name == "slots") {
        current_->slots.resize(static_cast<size_t>(*number));
      } else if (name == "gi") {
        current_->gpu_instance = static_cast<uint32_t>(*number);
      } else if (name == "ci") {
        current_->compute_instance = static_cast<uint32_t>(*number);
      } else {
        return InvalidArgument(Format("'{}' is not understood", words[i]));
      }
    }
    return {};
  }

  Result<void> Process(const Words& words) {
    SimProcess process;
    const auto pid = ParseUint(words[1]);
    if (!pid || words.size() < 3) return InvalidArgument("process PID MEMORY [FROM [UNTIL]]");
    process.pid = static_cast<uint32_t>(*pid);
    if (words[2] != "na") SEXTANT_TRY(Number(words, 2, process.memory.emplace()));
    SEXTANT_TRY(Number(words, 3, process.from));
    SEXTANT_TRY(Number(words, 4, process.until));
    current_->processes.push_back(process);
    return {};
  }

  Result<void> Refresh(const Words& words) {
    Shown& shown = current_->signals[std::string(words[1])];
    SEXTANT_TRY(Number(words, 2, shown.refresh_s));
    return Number(words, 3, shown.average_s);
  }

  Result<void> Failing(const Words& words) {
    Faults& faults = current_ != nullptr ? current_->faults : scenario_.faults;
    const std::string call(words[1]);
    if (words[0] == "latency") {
      faults.latencies.emplace_back(call, 0);
      return Number(words, 2, faults.latencies.back().second);
    }
    Fault fault{.call = call};
    const bool error = words[0] == "error";
    if (error) {
      const auto code = words.size() > 2 ? ParseCode(words[2]) : std::nullopt;
      if (!code) return InvalidArgument("error CALL CODE: no such code");
      fault.code = *code;
    }
    const size_t from = error ? 3 : 2;
    SEXTANT_TRY(Number(words, from, fault.from));
    SEXTANT_TRY(Number(words, from + 1, fault.until));
    (error ? faults.errors : faults.hangs).push_back(fault);
    return {};
  }

  Scenario scenario_;
  SimDevice* current_ = nullptr;
};

}  // namespace

Result<Scenario> ParseScenario(std::string_view text) { return Parser().Parse(text); }

}  // namespace sextant::gpu::sim
