// What an analysis may try: configurations of the server and loads, as coordinates on axes.
//
// An axis is a field of config.pbtxt by its dotted path ("instance_group.count",
// "dynamic_batching.max_queue_delay_microseconds", "parameters[threads]"), or one of the load's:
// "batch", "concurrency", "rate", "data", "take". Pure. Threads: plain values.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "analyze/expression.h"
#include "base/clock.h"
#include "base/result.h"
#include "kserve/field_setting.h"
#include "run/level.h"
#include "text/json.h"

namespace sextant::analyze {

// A path of config.pbtxt and its value: a scalar, or an object or array for a message or a repeated
// field (kserve::WithSettings makes them).
using Setting = kserve::FieldSetting;

struct Axis {
  std::string name;
  std::vector<text::Json> values;  // in ascending order where they are numbers
};

// The number 0 is always the model as its repository has it: the default, without settings.
struct Configuration {
  std::vector<uint32_t> coordinates;  // one per axis of the configuration; empty: the default
  std::vector<Setting> settings;
};

struct Load {
  run::LoadPoint point;
  std::string data;  // the name of a data set; empty: there is one
  int take = 0;
};

struct Space {
  std::vector<Axis> axes;                     // of the configuration
  std::vector<Configuration> configurations;  // at least the default
  std::vector<Load> loads;                    // by data, batch size, then ascending value
  // loads_of[c]: indices into `loads` that configuration c may be measured at, ascending.
  std::vector<std::vector<uint32_t>> loads_of;
  // Where the default lies on the axes, if it does.
  std::optional<std::vector<uint32_t>> default_coordinates;
  std::vector<std::string> notes;  // what was left out and why, sentences

  size_t points() const;
};

// What a space is made from. ---------------------------------------------------------------------

// "batch", "concurrency", "rate", "data" or "take".
bool IsLoadAxis(std::string_view name);

struct AxisSpec {
  std::string name;                      // in its full form
  std::vector<text::Json> values;        // empty with
  std::optional<Expression> expression;  // a diagonal: it follows from other axes and fields
};

struct SpaceSpec {
  std::vector<AxisSpec> axes;
  std::vector<Expression> where;  // all must hold

  const AxisSpec* Find(std::string_view name) const;
};

// What the space needs to know of the model (ModelOf in automatic_space.h makes it).
struct SpaceModel {
  // Several that are served together; then paths may have a model's name before them. The first is
  // empty where the others are behind it. None: one model.
  std::vector<std::string> models;
  // The present value of a field as kserve::GetField gives it, null where it is absent; of all
  // models where these differ, an array of theirs.
  std::function<text::Json(const std::string& path)> present;
  // Why no server would take the model with these settings; nothing: one may. May be empty.
  std::function<std::optional<std::string>(std::span<const Setting>)> refuses;
  std::string arrivals = "poisson";  // of request rates
  size_t most_points = 1'000'000;
};

// All configurations and loads that the axes and conditions allow. The first axis varies slowest.
//
// A configuration whose values are all the model's present ones is the default. The default is
// there whatever the conditions say of configurations; those that speak of loads hold for it too. A
// condition over something that a configuration does not have does not restrict it. A batch larger
// than max_batch_size is no load of a configuration. A configuration without loads is left out.
// Diagonals of what is counted are rounded down, those of batch and concurrency are at least 1.
// Errors: kInvalidArgument, all mistakes at once, one a line; kResourceExhausted beyond
// most_points.
Result<Space> MakeSpace(const SpaceSpec& spec, const SpaceModel& model);

// "resnet_config_default" for the default, then "resnet_config_0", ...: Model Analyzer's names.
std::string ConfigurationName(std::string_view model, size_t configuration);
// Whether it is one of these names, of any number.
bool IsConfigurationOf(std::string_view model, std::string_view name);
// "instances=2, max_batch_size=8", "default".
std::string DescribeConfiguration(const Space& space, size_t configuration);
// "batch 1, concurrency 8", "batch 1, rate 100/s, data long".
std::string DescribeLoad(const Load& load);

// What measuring every point once would take.
struct PlanCosts {
  Nanos load{3s}, warmup{1s}, window{1s};
};
struct PlanEstimate {
  size_t points = 0;
  size_t configurations = 0;  // with a load
  size_t server_loads = 0;    // of a configuration into the server
  Nanos time{0};
};
PlanEstimate EstimatePlan(const Space& space, const PlanCosts& costs);

}  // namespace sextant::analyze
