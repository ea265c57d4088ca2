// Several models under one load: the level is the whole, which is measured as ever; beside it the
// workers record each model's requests, from which each has figures of its own.
#include <algorithm>
#include <thread>

#include "base/strings.h"
#include "load/level_run.h"

namespace sextant::load {

bool Generator::LevelRun::MeasuredHere(const run::ServerRecord& record) const {
  if (plan_.mix.empty()) return hooks_.model.empty() || record.model == hooks_.model;
  return std::any_of(plan_.mix.begin(), plan_.mix.end(),
                     [&](const MixModel& model) { return model.name == record.model; });
}

// `load` has the part of the whole that the worker takes.
void Generator::LevelRun::AddModels(const Random& random, WorkerLoad& load) const {
  size_t before = 0;
  std::vector<double> shares;
  for (const MixModel& model : plan_.mix) {
    load.models.push_back({model.requests, ShareOfModel(before, model.concurrency, load.part)});
    before += model.concurrency;
    shares.push_back(model.share);
  }
  if (before == 0) load.mix.emplace(shares, load.part, random.Fork(2));
}

void Generator::LevelRun::TakeModelBlocks() {
  for (size_t m = 0; m < model_blocks_.size(); ++m) {
    ModelBlocks& model = model_blocks_[m];
    for (const auto& worker : workers_) {
      for (std::unique_ptr<Block>& block : worker->model_blocks(m).TakeFull()) {
        model.incoming.Add(*block);
        worker->model_blocks(m).GiveBack(std::move(block));
      }
    }
    while (std::optional<Block> block = model.incoming.Take(workers_.size())) {
      if (block->index < first_block_ || block->index > last_block_) continue;
      block->index -= first_block_;
      model.series.Add(*block);
    }
  }
}

void Generator::LevelRun::ForgetModelBlocks() {
  for (ModelBlocks& model : model_blocks_) model.incoming.Clear();
}

// A model's last block is published a moment after that of the whole.
void Generator::LevelRun::WaitForModelBlocks() {
  const Instant deadline = SteadyNow() + 2 * block_length_ + 50ms;
  const auto delivered = [&] {
    return std::all_of(model_blocks_.begin(), model_blocks_.end(), [&](const ModelBlocks& model) {
      return model.series.blocks().size() >= series_.blocks().size();
    });
  };
  for (TakeModelBlocks(); !delivered() && SteadyNow() < deadline; TakeModelBlocks())
    std::this_thread::sleep_for(1ms);
}

void Generator::LevelRun::CollectModels(const WindowRecord& total) {
  WaitForModelBlocks();
  static const WindowRecord kNothing;
  for (size_t m = 0; m < plan_.mix.size(); ++m) {
    const MixModel& model = plan_.mix[m];
    run::Level& part = level_.models.emplace_back();
    part.load = level_.load;
    part.started = level_.started;
    part.window_rule = level_.window_rule;
    part.part = {.name = model.name, .version = model.version, .share = {}, .concurrency = {}};
    if (model.concurrency > 0) {
      // Of this machine's share, as the whole's is.
      size_t before = 0;
      for (size_t i = 0; i < m; ++i) before += plan_.mix[i].concurrency;
      part.load.value =
          static_cast<double>(ShareOfModel(before, model.concurrency, plan_.shard).concurrency);
      part.part->concurrency = part.load.value;
    } else {
      part.part->share = model.share;
    }
    const ModelBlocks& blocks = model_blocks_[m];
    ComputeLevel({.record = m < total.models.size() ? &total.models[m] : &kNothing,
                  .blocks = &blocks.series.blocks(),
                  .block_length = blocks.series.length(),
                  .window = end_ - begin_,
                  .batch_size = plan_.load.batch_size,
                  .endpoints = endpoints_},
                 options_, part);
    part.client = {};
    if (level_.scheduled > 0) {
      part.part->seen = static_cast<double>(part.scheduled) / static_cast<double>(level_.scheduled);
    }
    for (const run::ServerRecord& record : level_.server) {
      if (record.model == model.name && (model.version.empty() || model.version == record.version))
        part.server.push_back(record);
    }
    for (const std::string& note : part.notes)
      level_.notes.push_back(Format("{}: {}", part.part->label(), note));
    part.notes.clear();
  }
}

}  // namespace sextant::load
