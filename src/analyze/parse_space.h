// Axes and conditions as people write them. Pure.
//
//   NAME=VALUES    NAME: a path of config.pbtxt ("instance_group.count", also "instances"; "
//                  parameters[threads]") or batch, concurrency, rate, data, take
//                  with several models: "resnet:instances" is of one, "instances" of all
//   VALUES         with commas between: numbers, words, true, false, null, JSON ([..], {..}, ".."),
//                  ranges 1..8, 0..1000:100 (a step), 1..64*4 (a factor), log2(1..128);
//                  or one expression over other axes and fields: 2*instances*max_batch_size
//
// `models`: the names of several that are served together; none: there is one.
// Errors: kInvalidArgument, all mistakes at once, one a line, each with its place.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "analyze/space.h"
#include "base/result.h"
#include "text/json.h"

namespace sextant::analyze {

// One NAME=VALUES.
Result<AxisSpec> ParseAxis(std::string_view text, std::span<const std::string> models = {});

// Each of `set` NAME=VALUES, each of `where` a condition.
Result<SpaceSpec> ParseSpace(std::span<const std::string> set, std::span<const std::string> where,
                             std::span<const std::string> models = {});

// The same as an object of names and values: numbers, texts as on the command line, lists of both;
// its member "where" is a condition or a list of them. `source`: the text that it was read from,
// for places.
Result<SpaceSpec> ParseSpaceYaml(const text::Json& space, std::string_view source = {},
                                 std::span<const std::string> models = {});

}  // namespace sextant::analyze
