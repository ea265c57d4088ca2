// A search over a space with several data sets (or takes that were asked for as an axis), which are
// conditions and not choices: nobody who serves a model chooses what it is asked.
//
// Inside is a search over the same space without them. Each trial of it is measured with every data
// set in turn, at the same load, and told it as one point: the figures are geometric means over the
// data sets (so that two configurations compare by the mean of their relative differences, whatever
// the scale of each data set), the largest of what is a maximum; a constraint must hold in each
// data set, by that data set's own figure and interval. What lacks a figure in one data set lacks
// it. Takes of a data set are combined before (takes.h). Threads: plain values.
#pragma once

#include <memory>

#include "analyze/search.h"

namespace sextant::analyze {

// Null where loads differ neither in their data set nor in their take, or where a configuration has
// no load at which it may be measured with all of them: there each load is a choice.
std::unique_ptr<Search> MakeJointSearch(const Space& space, const SearchOptions& options);

}  // namespace sextant::analyze
