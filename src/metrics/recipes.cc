#include "metrics/recipes.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "base/strings.h"

namespace sextant::metrics {
namespace {

constexpr double kMiB = 1024.0 * 1024.0;

std::vector<Recipe> MakeRecipes() {
  const std::vector<std::string_view> triton{"gpu_uuid"}, dcgm{"UUID", "uuid", "gpu"};
  std::vector<Recipe> out;
  const auto gpu = [&](const std::vector<std::string_view>& device, std::string_view quantity,
                       std::string_view unit, std::string_view name, double weight = 1) {
    out.push_back({.quantity = quantity,
                   .unit = unit,
                   .cumulative = unit == "J",
                   .device = device,
                   .parts = {{name, weight}},
                   .without_modes = {}});
  };
  // A node agent of Sextant. Of two that speak at one endpoint the first is heard.
  const std::vector<std::string_view> agent{"uuid"};
  gpu(agent, "gpu_utilization", "ratio", "sextant_gpu_utilization_ratio");
  gpu(agent, "gpu_memory_used", "bytes", "sextant_gpu_memory_used_bytes");
  gpu(agent, "gpu_memory_total", "bytes", "sextant_gpu_memory_total_bytes");
  gpu(agent, "gpu_power", "W", "sextant_gpu_power_watts");
  gpu(agent, "gpu_energy", "J", "sextant_gpu_energy_joules_total");
  gpu(agent, "gpu_sm_active", "ratio", "sextant_gpu_sm_active_ratio");
  gpu(agent, "gpu_sm_occupancy", "ratio", "sextant_gpu_sm_occupancy_ratio");
  gpu(agent, "gpu_tensor_active", "ratio", "sextant_gpu_tensor_active_ratio");
  gpu(agent, "gpu_dram_active", "ratio", "sextant_gpu_dram_active_ratio");

  gpu(triton, "gpu_utilization", "ratio", "nv_gpu_utilization");
  gpu(triton, "gpu_memory_used", "bytes", "nv_gpu_memory_used_bytes");
  gpu(triton, "gpu_memory_total", "bytes", "nv_gpu_memory_total_bytes");
  gpu(triton, "gpu_power", "W", "nv_gpu_power_usage");
  gpu(triton, "gpu_power_limit", "W", "nv_gpu_power_limit");
  gpu(triton, "gpu_energy", "J", "nv_energy_consumption");

  gpu(dcgm, "gpu_utilization", "ratio", "DCGM_FI_DEV_GPU_UTIL", 0.01);
  gpu(dcgm, "gpu_memory_used", "bytes", "DCGM_FI_DEV_FB_USED", kMiB);
  gpu(dcgm, "gpu_power", "W", "DCGM_FI_DEV_POWER_USAGE");
  gpu(dcgm, "gpu_power_limit", "W", "DCGM_FI_DEV_POWER_MGMT_LIMIT");
  gpu(dcgm, "gpu_energy", "J", "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", 1e-3);
  gpu(dcgm, "gpu_memory_busy", "ratio", "DCGM_FI_DEV_MEM_COPY_UTIL", 0.01);
  gpu(dcgm, "gpu_temperature", "C", "DCGM_FI_DEV_GPU_TEMP");
  gpu(dcgm, "gpu_clock", "MHz", "DCGM_FI_DEV_SM_CLOCK");
  gpu(dcgm, "gpu_memory_clock", "MHz", "DCGM_FI_DEV_MEM_CLOCK");
  gpu(dcgm, "gpu_engine_active", "ratio", "DCGM_FI_PROF_GR_ENGINE_ACTIVE");
  gpu(dcgm, "gpu_sm_active", "ratio", "DCGM_FI_PROF_SM_ACTIVE");
  gpu(dcgm, "gpu_sm_occupancy", "ratio", "DCGM_FI_PROF_SM_OCCUPANCY");
  gpu(dcgm, "gpu_tensor_active", "ratio", "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE");
  gpu(dcgm, "gpu_dram_active", "ratio", "DCGM_FI_PROF_DRAM_ACTIVE");
  out.push_back({.quantity = "gpu_memory_total",
                 .unit = "bytes",
                 .device = dcgm,
                 .parts = {{"DCGM_FI_DEV_FB_USED", kMiB},
                           {"DCGM_FI_DEV_FB_FREE", kMiB},
                           {"DCGM_FI_DEV_FB_RESERVED", kMiB, true}},
                 .without_modes = {}});

  const auto machine = [&](std::string_view quantity, std::string_view unit,
                           std::vector<Part> parts) {
    out.push_back({.quantity = quantity,
                   .unit = unit,
                   .device = {},
                   .parts = std::move(parts),
                   .without_modes = {}});
  };
  machine("cpu_utilization", "ratio", {{"nv_cpu_utilization"}});
  machine("memory_used", "bytes", {{"nv_cpu_memory_used_bytes"}});
  machine("memory_total", "bytes", {{"nv_cpu_memory_total_bytes"}});
  machine("memory_used", "bytes",
          {{"node_memory_MemTotal_bytes"}, {"node_memory_MemAvailable_bytes", -1}});
  machine("memory_total", "bytes", {{"node_memory_MemTotal_bytes"}});
  // Utilisation is what the two increases make of each other.
  for (const bool busy : {true, false}) {
    out.push_back({.quantity = busy ? "cpu_busy" : "cpu_time",
                   .unit = "s",
                   .cumulative = true,
                   .device = {},
                   .parts = {{"node_cpu_seconds_total"}},
                   .sum = true,
                   .without_modes = {}});
    if (busy) out.back().without_modes = {"idle", "iowait"};
  }
  return out;
}

struct Use {
  size_t recipe, part;
};
const std::multimap<std::string_view, Use>& Uses() {
  static const auto uses = [] {
    std::multimap<std::string_view, Use> out;
    for (size_t r = 0; r < Recipes().size(); ++r) {
      for (size_t p = 0; p < Recipes()[r].parts.size(); ++p)
        out.emplace(Recipes()[r].parts[p].name, Use{r, p});
    }
    return out;
  }();
  return uses;
}

// The device a sample speaks of. A part of a GPU (MIG) is a device of its own.
std::string DeviceOf(const Recipe& recipe, const text::MetricSample& sample) {
  for (const std::string_view name : recipe.device) {
    const auto device = sample.Label(name);
    if (!device || device->empty()) continue;
    const auto instance = sample.Label("GPU_I_ID");
    return instance && !instance->empty() ? Format("{}/{}", *device, *instance)
                                          : std::string(*device);
  }
  return {};
}

std::string RenderLabels(const text::MetricSample& sample) {
  std::string out;
  for (const text::MetricLabel& label : sample.labels)
    AppendFormat(out, "{}{}=\"{}\"", out.empty() ? "{" : ",", label.name,
                 Printable(label.value, 120));
  return out.empty() ? out : out + "}";
}

bool Has(std::span<const std::string_view> list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

}  // namespace

std::span<const Recipe> Recipes() {
  static const std::vector<Recipe> recipes = MakeRecipes();
  return recipes;
}

std::vector<Observation> Observe(const text::Exposition& exposition,
                                 std::span<const std::string> wanted) {
  std::vector<Observation> out;
  // What the parts of each quantity of each device amount to so far.
  std::map<std::pair<size_t, std::string>, std::vector<std::optional<double>>> gathered;
  for (const text::MetricSample& sample : exposition.samples) {
    if (std::isnan(sample.value)) continue;
    const auto [first, last] = Uses().equal_range(sample.name);
    for (auto use = first; use != last; ++use) {
      const Recipe& recipe = Recipes()[use->second.recipe];
      if (Has(recipe.without_modes, sample.Label("mode").value_or(""))) continue;
      std::string device = DeviceOf(recipe, sample);
      if (device.empty() && !recipe.device.empty()) continue;
      auto& parts = gathered[{use->second.recipe, std::move(device)}];
      parts.resize(recipe.parts.size());
      std::optional<double>& part = parts[use->second.part];
      const double value = sample.value * recipe.parts[use->second.part].weight;
      // A GPU that several pods share is there once per pod, with the same figures.
      part = recipe.sum ? part.value_or(0) + value : part.value_or(value);
    }
    const std::string_view family =
        sample.family ? std::string_view(exposition.families[*sample.family].name) : "";
    for (const std::string& name : wanted) {
      if (sample.name != name && family != name) continue;
      out.push_back(
          {.quantity = sample.name,
           .family = sample.name,
           .device = {},
           .labels = RenderLabels(sample),
           .unit = sample.family ? exposition.families[*sample.family].unit : std::string(),
           .cumulative = sample.cumulative,
           .value = sample.value});
      break;
    }
  }
  for (const auto& [key, parts] : gathered) {
    const Recipe& recipe = Recipes()[key.first];
    double value = 0;
    bool known = true;
    for (size_t i = 0; i < parts.size(); ++i) {
      known = known && (parts[i] || recipe.parts[i].optional);
      value += parts[i].value_or(0);
    }
    if (!known) continue;
    out.push_back({.quantity = std::string(recipe.quantity),
                   .family = std::string(recipe.parts[0].name),
                   .device = key.second,
                   .labels = {},
                   .unit = std::string(recipe.unit),
                   .cumulative = recipe.cumulative,
                   .value = value});
  }
  return out;
}

}  // namespace sextant::metrics
