// Completion scripts of the shells, for a program whose commands have these tables: its commands,
// their options, and the values of those that are a choice or a file. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "options/table.h"

namespace sextant::options {

// A script to source (bash), and files for the directories of completions (zsh, fish).
std::string BashCompletion(std::string_view program, std::span<const TableBase* const> commands);
std::string ZshCompletion(std::string_view program, std::span<const TableBase* const> commands);
std::string FishCompletion(std::string_view program, std::span<const TableBase* const> commands);

}  // namespace sextant::options
