// The words for a level's state, wherever a state is shown to people or written into tables.
//
// Threads: free functions.
#pragma once

#include <span>
#include <string>

#include "run/level.h"

namespace sextant::run {

// The state and what else a reader of the figures must know: "noisy, capped, client-limited".
std::string StateText(const Level& level);
// A line for each word that any of the levels has and that asks for something.
std::string StateLegend(std::span<const Level> levels);

}  // namespace sextant::run
