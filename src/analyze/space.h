// What an analysis may try: configurations of the server and loads, as coordinates on axes.
//
// An axis is a field of config.pbtxt by its dotted path ("instance_group.count",
// "dynamic_batching.max_queue_delay_microseconds", "parameters[threads]"), or one of the load's:
// "batch", "concurrency", "rate", "data", "take". Pure. Threads: plain values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "run/level.h"
#include "text/json.h"

namespace sextant::analyze {

struct Setting {
  std::string path;  // of config.pbtxt
  text::Json value;  // a scalar, or an object or array for a message or a repeated field
};

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

  size_t points() const;
};

}  // namespace sextant::analyze
