// Several models under one load: whose request comes next, and what each one's requests came to.
#include "load/worker_models.h"

namespace sextant::load {

BlockExchange& Worker::model_blocks(size_t model) { return models_->each[model]->blocks; }

void Worker::SetModels() {
  for (size_t i = 0; i < models_->each.size(); ++i) {
    Models::One& model = *models_->each[i];
    model.restarts = {};
    model.in_flight = static_cast<size_t>(model.recorder.in_flight());
    model.next = i < load_.models.size() ? load_.models[i].own.rows.first : 0;
  }
}

void Worker::IssueDrawn(Instant scheduled) {
  const MixStream::Pick pick = load_.mix->Next();
  IssueOf(pick.model, pick.arrival, pick.rank, scheduled);
}

void Worker::IssueOf(size_t model, uint64_t arrival, uint64_t rank, Instant scheduled) {
  const RequestSet& set = *load_.models[model].requests;
  const size_t size = set.requests().size();
  // As with one model: at random by the arrival's number, or a model's rows in turn.
  const uint64_t row = load_.order == DataOrder::kTrace    ? load_.schedule->row()
                       : load_.order == DataOrder::kRandom ? load_.random.Fork(arrival).Below(size)
                                                           : rank % size;
  ModelRecorder(set).OnScheduled(scheduled);
  IssueRow(scheduled, set, row, nullptr);
}

bool Worker::IssueNextOf(size_t model, Instant scheduled) {
  if (!TakeBudget()) return false;
  Models::One& one = *models_->each[model];
  const uint64_t rank = one.next;
  one.next += load_.models[model].own.rows.step;
  IssueOf(model, rank, rank, scheduled);
  return true;
}

void Worker::IssueModels(Instant now) {
  for (size_t i = 0; i < models_->each.size(); ++i) {
    Models::One& model = *models_->each[i];
    // The whole's count knows of them already.
    while (!model.restarts.empty() && model.restarts.top() <= now) {
      model.restarts.pop();
      --model.in_flight;
    }
    while (model.in_flight < load_.models[i].own.concurrency) {
      ++model.in_flight;
      ++closed_in_flight_;
      if (!IssueNextOf(i, now)) return UpdateWindowDone();
    }
  }
}

void Worker::ReissueModel(size_t index, const Answer& answer) {
  Models::One& model = *models_->each[index];
  if (model.in_flight > load_.models[index].own.concurrency) {  // the load has been lowered
    --model.in_flight;
    --closed_in_flight_;
    return;
  }
  if (answer.outcome.kind == OutcomeKind::kConnect) {
    const Instant at = answer.received + ConnectBackoff(++connect_failures_);
    restarts_.push(at);
    model.restarts.push(at);
    return;
  }
  connect_failures_ = 0;
  if (!IssueNextOf(index, answer.received)) UpdateWindowDone();
}

// An arrival that was not sent is one of the stream all the same.
void Worker::RecordModelOverflow(Instant due) {
  models_->each[load_.mix->Next().model]->recorder.OnOverflow(due);
}

}  // namespace sextant::load
