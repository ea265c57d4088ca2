// What the samples of a metrics endpoint mean: one table of known names, and what is observed of a
// scrape by it. Pure.
//
// A quantity has one name, one unit and, where it belongs to a GPU, its device, whoever exports it:
// Triton and `sextant serve` (nv_gpu_..., nv_cpu_...), dcgm-exporter (DCGM_FI_...), node_exporter.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/prometheus.h"

namespace sextant::metrics {

// One family's part in a quantity.
struct Part {
  std::string_view name;  // of the samples
  double weight = 1;      // times this, in the quantity's unit
  bool optional = false;  // the quantity is known without it
};

struct Recipe {
  std::string_view quantity;
  std::string_view unit;  // "ratio", "bytes", "W", "J", "s", "C", "MHz"
  bool cumulative = false;
  // The labels that name the device, the first that a sample has; empty: of the machine.
  std::vector<std::string_view> device;
  std::vector<Part> parts;
  // Of several samples of one device: all count, but for those whose `mode` is one of these.
  bool sum = false;
  std::vector<std::string_view> without_modes;
};
std::span<const Recipe> Recipes();

struct Observation {
  std::string quantity;  // of a recipe, or the sample's own name
  std::string family;    // the (first) name it was read from
  std::string device;    // UUID or index; empty: of the machine
  std::string labels;    // of further metrics: {a="b",...}, all that the sample has
  std::string unit;      // empty: not known
  bool cumulative = false;
  double value = 0;
};

// Everything that the recipes know, and the samples whose name or family is in `wanted`. What is
// NaN is missing. A quantity of which a part is missing is missing.
std::vector<Observation> Observe(const text::Exposition& exposition,
                                 std::span<const std::string> wanted);

}  // namespace sextant::metrics
