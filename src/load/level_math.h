// From what the workers recorded to a level's figures. Pure: also fed by simulations in tests.
#pragma once

#include <vector>

#include "load/measurement.h"
#include "load/recorder.h"
#include "run/level.h"

namespace sextant::load {

// Consecutive blocks, merged over the workers. At most `kMost` are kept: beyond that, neighbours
// are joined and the blocks become longer.
class BlockSeries {
 public:
  static constexpr size_t kMost = 256;
  explicit BlockSeries(Nanos length) : length_(length) {}

  void Add(const Block& block);
  const std::vector<Block>& blocks() const { return blocks_; }
  // The length that each block has now.
  Nanos length() const { return length_; }

 private:
  Nanos length_;
  int64_t joined_ = 1;  // original blocks in each
  std::vector<Block> blocks_;
};

struct LevelInput {
  const WindowRecord* record = nullptr;
  const std::vector<Block>* blocks = nullptr;  // of the window, in order
  Nanos block_length{0};
  Nanos window{0};
  int64_t batch_size = 1;
  std::vector<std::string> endpoints;  // their names, where there are several
};
// Fills in everything that follows from the records: counts, rates, latencies, intervals, state.
void ComputeLevel(const LevelInput& input, const MeasureOptions& options, run::Level& level);

// The sentences for what limited the generator, from the level's figures; empty when nothing did.
std::vector<std::string> FindClientLimits(const run::Level& level, bool spin);

// Differences between two snapshots of a server's counters; versions that saw nothing are left out.
std::vector<run::ServerRecord> StatisticsDelta(const std::vector<kserve::ModelStatistics>& before,
                                               const std::vector<kserve::ModelStatistics>& after);

}  // namespace sextant::load
