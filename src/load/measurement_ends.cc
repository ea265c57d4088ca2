// What surrounds a level's load: what the load before left behind is awaited, and so is what the
// window left open. Of both is said what did not come.
#include <algorithm>
#include <thread>

#include "base/strings.h"
#include "base/units.h"
#include "load/level_run.h"

namespace sextant::load {

uint64_t Generator::LevelRun::Sum(uint64_t (*of)(const Worker::Totals&)) const {
  uint64_t total = 0;
  for (const auto& worker : workers_) total += of(worker->ReadTotals());
  return total;
}

// Nothing of what was asked of the server before may be left when the level begins: an open loop
// beyond the server's capacity leaves a queue behind.
void Generator::LevelRun::Settle() {
  const Instant begin = SteadyNow();
  const auto in_flight = [](const Worker::Totals& t) { return uint64_t{t.in_flight}; };
  const auto timeouts = [](const Worker::Totals& t) { return t.timeouts; };
  const uint64_t timeouts_before = Sum(timeouts);
  uint64_t cancelled = 0;
  while (Sum(in_flight) > 0) {
    if (SteadyNow() - begin > options_.drain_limit || Stopped()) {
      for (const auto& worker : workers_) cancelled += worker->CancelAll();
      break;
    }
    Look("draining", begin, Nanos(0));
    std::this_thread::sleep_for(2ms);
  }
  NoteBacklog(cancelled, Sum(timeouts) - timeouts_before);
}

void Generator::LevelRun::NoteBacklog(uint64_t cancelled, uint64_t timeouts) {
  if (cancelled + timeouts == 0) return;
  level_.backlog += cancelled + timeouts;
  std::vector<std::string> ways;
  if (cancelled > 0) {
    ways.push_back(stopped_ ? Format("{} were given up at the end", cancelled)
                            : Format("{} were given up after {}", cancelled,
                                     HumanDuration(options_.drain_limit)));
  }
  if (timeouts > 0) ways.push_back(Format("{} timed out", timeouts));
  level_.notes.push_back(
      Format("requests of the load before were still open when it had ended: {}. The server may "
             "have been busy with them in this level; measure lower rates first, or restart the "
             "server in between",
             Join(ways, ", ")));
}

// The load runs on until the window's last request is answered, or until that takes too long; then
// what is open is awaited without load.
void Generator::LevelRun::Drain() {
  LookForOldest();
  const Instant begin = SteadyNow();
  const Instant deadline =
      begin + (stopped_ ? std::min<Nanos>(options_.drain_limit, 2s) : options_.drain_limit);
  bool load_runs = true;
  while (!WaitUntilDone(std::min(deadline, SteadyNow() + kLook)) && SteadyNow() < deadline) {
    Look("draining", begin, Nanos(0));
    if (!stopped_ && Stopped()) return;
    if (load_runs && SteadyNow() - begin >= kLoadRunsOn) {
      load_runs = false;
      for (const auto& worker : workers_) worker->EndLoad();
    }
  }
  // The last block of the window is published when the worker passes its end.
  if (end_ != Instant::max() && !by_trials()) {
    const Instant blocks_deadline = SteadyNow() + 2 * block_length_ + 50ms;
    while (SteadyNow() < blocks_deadline && !incoming_.Beyond(last_block_) &&
           series_.blocks().size() < static_cast<size_t>(last_block_ - first_block_ + 1)) {
      TakeBlocks();
      std::this_thread::sleep_for(1ms);
    }
  }
}

// Where nothing was answered, what is open at the window's end tells why.
void Generator::LevelRun::LookForOldest() {
  if (phase_answered_ > 0) return;
  for (const auto& worker : workers_) {
    const Worker::Open open = worker->ReadOpen();
    open_.count += open.count;
    open_.oldest = std::min(open_.oldest, open.oldest);
  }
}

void Generator::LevelRun::NoteUnanswered() {
  if (!level_.unanswered()) return;
  uint64_t timeouts = Sum([](const Worker::Totals& t) { return t.timeouts; });
  for (const Worker::Totals& totals : before_) timeouts -= totals.timeouts;
  std::string open = "none in flight at its end";
  if (open_.count > 0) {
    open = Format("{} in flight at its end, the oldest for {}", open_.count,
                  HumanDuration(end_ - open_.oldest));
  }
  level_.notes.push_back(
      Format("no request was answered in the window: {}; {} timed out since the level began. Look "
             "at the server, or give a --timeout shorter than --duration, so that requests without "
             "an answer count as failed within the window",
             open, timeouts));
}

}  // namespace sextant::load
