// `sextant perf --mix`: several models under one load, as the options name them.
//
// An option about inputs is for every model that has such an input, or for one: its value then
// begins with that model's name and '=': --input-data A=rows.json, --data A=ids=int(0,9),
// --dim A=seq=8..64, --shape A=X:3,224,224, --random-range A=X=0:1. What is said of one model goes
// before what is said of all.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/perf_plan.h"

namespace sextant::cli {

// "A:0.7,B@2:0.3" (weights, which need not add up to 1) or "A:concurrency=4,B:concurrency=2". All
// mistakes at once, as one kInvalidArgument.
Result<std::vector<MixEntry>> ParseMix(std::string_view text);

// MakePlan() where the options have a mix.
std::vector<options::Mistake> MakeMixPlan(const PerfOptions& options, Plan& plan);

// What the options are for one of the models, alone.
struct ModelOptions {
  PerfOptions options;
  Plan plan;
  // What was said of this model and not of all: must be of inputs that it has.
  Plan own;
};
// `add` takes the mistakes in what is said of it alone.
ModelOptions OptionsFor(const PerfOptions& options, const Plan& plan, const MixEntry& entry,
                        const std::function<void(std::string)>& add);

// "--mix (A, B@2)", as errors name the models that there are.
std::string NameMix(const std::vector<MixEntry>& mix);

}  // namespace sextant::cli
