// The failures of a run in a few lines, where no level's report has said them. Pure.
#pragma once

#include <span>
#include <string>

#include "run/level.h"

namespace sextant::run {

// For each level with failed requests its classes of failures, with how many there were and the
// first message. Empty when nothing failed.
std::string FormatFailures(std::span<const Level> levels);

// "connect: Connection refused": the first failure there was; empty when there was none.
std::string FirstFailure(std::span<const Level> levels);

}  // namespace sextant::run
