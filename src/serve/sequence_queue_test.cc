#include "serve/sequence_queue.h"

#include <gtest/gtest.h>

#include "kserve/model_config.h"
#include "serve/config_rules.h"

namespace sextant::serve {
namespace {

constexpr Instant kStart{1000s};
constexpr uint8_t kBegin = 1, kEnd = 2;

inference::ModelConfig Config(const std::string& text) {
  inference::ModelConfig config = *kserve::ParseModelConfig("name: 'm' " + text);
  NormalizeConfig(config);
  return config;
}

class Queue {
 public:
  explicit Queue(const std::string& config, size_t instances = 1)
      : queue_(Config(config), instances) {}

  // Pushes a request named `name` of a sequence; whether it was taken.
  bool Push(const std::string& name, kserve::Parameter id, uint8_t flags = 0, Instant now = kStart,
            int64_t length = 4, int64_t items = 1) {
    PendingRequest request{.request = std::make_unique<kserve::InferRequest>(),
                           .batch_size = items};
    request.request->id = name;
    request.request->parameters = {{"sequence_id", std::move(id)},
                                   {"sequence_start", (flags & kBegin) != 0},
                                   {"sequence_end", (flags & kEnd) != 0}};
    request.request->inputs.push_back({.name = "X", .shape = {items, length}});
    const Result<void> pushed = queue_.Push(request, now);
    if (!pushed.has_value()) {
      refusal = pushed.error().message();
      EXPECT_NE(request.request, nullptr);
    }
    return pushed.has_value();
  }
  bool Push(const std::string& name, int id, uint8_t flags = 0, Instant now = kStart) {
    return Push(name, kserve::Parameter(int64_t{id}), flags, now);
  }
  // Names of what the instance is to execute now, joined; "-" is padding.
  std::string Take(size_t instance = 0, Instant now = kStart) {
    std::vector<PendingRequest> expired;
    batch.clear();
    again = queue_.Take(instance, now, batch, expired);
    EXPECT_TRUE(expired.empty());
    std::string names;
    for (const PendingRequest& request : batch)
      names += request.padding ? "-" : request.request->id;
    return names;
  }
  Instant EndIdle(Instant now) {
    std::vector<PendingRequest> expired;
    return queue_.TakeExpired(now, expired);
  }
  // The control tensors of the last batch's request i: "START=0 READY=1".
  std::string Controls(size_t i) const {
    std::string out;
    for (const kserve::InferInput& input : batch[i].request->inputs) {
      if (input.name == "X") continue;
      if (!out.empty()) out += ' ';
      out += input.name + "=";
      out += input.type == kserve::DataType::kBytes
                 ? std::string(input.data.substr(4))
                 : std::to_string(kserve::ElementAsDouble(input.type, input.data, 0)).substr(0, 3);
      EXPECT_EQ(input.shape, (kserve::Shape{1, 1}));
    }
    return out;
  }
  size_t size() const { return queue_.size(); }
  size_t Clear() { return queue_.Clear().size(); }

  Instant again{};
  std::string refusal;
  std::vector<PendingRequest> batch;

 private:
  SequenceQueue queue_;
};

const std::string kDirect = "max_batch_size: 2 sequence_batching { direct { } }";

TEST(ASequenceQueue, WantsAnIdABeginningAndNoBatches) {
  Queue queue(kDirect);
  EXPECT_FALSE(queue.Push("a", 0, kBegin));
  EXPECT_EQ(queue.refusal,
            "inference request to model 'm' must specify a non-zero or non-empty correlation ID");
  EXPECT_FALSE(queue.Push("a", std::string(), kBegin));
  EXPECT_FALSE(queue.Push("a", 7));
  EXPECT_EQ(
      queue.refusal,
      "inference request for sequence 7 to model 'm' must specify the START flag on the first "
      "request of the sequence");
  EXPECT_FALSE(queue.Push("a", std::string("abc"), kEnd));
  EXPECT_NE(queue.refusal.find("for sequence abc to"), std::string::npos);
  EXPECT_FALSE(queue.Push("a", int64_t{7}, kBegin, kStart, 4, 2));
  EXPECT_NE(queue.refusal.find("batch-size 1"), std::string::npos);
  EXPECT_EQ(queue.size(), 0U);
  EXPECT_TRUE(queue.Push("a", 7, kBegin));
  EXPECT_TRUE(queue.Push("b", 7, kEnd));
  EXPECT_FALSE(queue.Push("c", 7));
}

TEST(ASequenceQueue, TakesNumbersAndTextForDifferentIds) {
  Queue queue(kDirect);
  EXPECT_TRUE(queue.Push("a", 7, kBegin));
  EXPECT_TRUE(queue.Push("b", std::string("7"), kBegin));
  EXPECT_EQ(queue.Take(), "ab");
}

TEST(TheDirectStrategy, GivesEachSequenceAPlaceInTheBatchAndKeepsItsOrder) {
  Queue queue(kDirect);
  queue.Push("a", 1, kBegin);
  queue.Push("b", 1);
  queue.Push("x", 2, kBegin);
  queue.Push("y", 2);
  queue.Push("z", 2);
  EXPECT_EQ(queue.Take(), "ax");
  EXPECT_EQ(queue.Take(), "by");
  // The first sequence has nothing to say: its place is filled.
  EXPECT_EQ(queue.Take(), "-z");
  EXPECT_EQ(queue.batch[0].request->inputs[0].data, std::string(16, '\0'));
  EXPECT_EQ(queue.Take(), "");
  EXPECT_EQ(queue.again, Instant::max());
  // Behind the last that has something there is no need for that.
  queue.Push("c", 1);
  EXPECT_EQ(queue.Take(), "c");
}

TEST(TheDirectStrategy, SpreadsSequencesOverTheInstances) {
  Queue queue(kDirect, 2);
  for (int i = 1; i <= 5; ++i) queue.Push(std::to_string(i), i, kBegin);
  EXPECT_EQ(queue.Take(0), "13");
  EXPECT_EQ(queue.Take(1), "24");
  // The fifth waits until one of the four is over.
  EXPECT_EQ(queue.Take(0), "");
  queue.Push("4", 4, kEnd);
  EXPECT_EQ(queue.Take(1), "-4");
  EXPECT_EQ(queue.Take(1), "-5");
}

TEST(TheDirectStrategy, KeepsDifferentShapesApart) {
  Queue queue(kDirect);
  queue.Push("a", int64_t{1}, kBegin, kStart, 4);
  queue.Push("b", int64_t{2}, kBegin, kStart, 5);
  EXPECT_EQ(queue.Take(), "a");
  EXPECT_EQ(queue.Take(), "-b");
  EXPECT_EQ(queue.batch[0].request->inputs[0].shape, (kserve::Shape{1, 5}));
}

TEST(TheDirectStrategy, WaitsForItsUtilizationAsLongAsItIsTold) {
  Queue queue(
      "max_batch_size: 2 sequence_batching { direct { max_queue_delay_microseconds: 5000 "
      "minimum_slot_utilization: 1.0 } }");
  queue.Push("a", 1, kBegin);
  EXPECT_EQ(queue.Take(), "");
  EXPECT_EQ(queue.again, kStart + 5ms);
  EXPECT_EQ(queue.Take(0, kStart + 5ms), "a");
  queue.Push("b", 1);
  queue.Push("x", 2, kBegin);
  EXPECT_EQ(queue.Take(), "bx");
}

TEST(TheOldestStrategy, HasOneRequestOfASequenceInExecution) {
  Queue queue("max_batch_size: 4 sequence_batching { oldest { max_candidate_sequences: 2 } }");
  queue.Push("a", 1, kBegin);
  queue.Push("b", 1);
  queue.Push("x", 2, kBegin);
  queue.Push("p", 3, kBegin);
  EXPECT_EQ(queue.Take(), "ax");
  queue.Push("c", 1, kEnd);
  EXPECT_EQ(queue.Take(), "b");
  EXPECT_EQ(queue.Take(), "c");
  // The end made room for the third.
  EXPECT_EQ(queue.Take(), "p");
  EXPECT_EQ(queue.size(), 0U);
}

TEST(TheOldestStrategy, BatchesAsDynamicBatchingDoes) {
  Queue queue(
      "max_batch_size: 4 sequence_batching { oldest { max_candidate_sequences: 8 "
      "preferred_batch_size: [ 2 ] max_queue_delay_microseconds: 5000 } }");
  queue.Push("a", 1, kBegin);
  EXPECT_EQ(queue.Take(), "");
  EXPECT_EQ(queue.again, kStart + 5ms);
  queue.Push("x", 2, kBegin);
  EXPECT_EQ(queue.Take(), "ax");
  queue.Push("p", 3, kBegin, kStart + 1ms);
  EXPECT_EQ(queue.Take(0, kStart + 6ms), "p");
  EXPECT_EQ(queue.batch[0].queued, kStart + 1ms);
}

TEST(AnIdleSequence, IsEndedAndMakesRoom) {
  Queue queue(
      "max_batch_size: 1 sequence_batching { direct { } max_sequence_idle_microseconds: 3000 }");
  queue.Push("a", 1, kBegin);
  queue.Push("x", 2, kBegin);
  EXPECT_EQ(queue.Take(), "a");
  EXPECT_EQ(queue.EndIdle(kStart + 1ms), kStart + 3ms);
  queue.Push("b", 1, 0, kStart + 2ms);
  EXPECT_EQ(queue.EndIdle(kStart + 3ms), kStart + 5ms);
  queue.EndIdle(kStart + 5ms);
  EXPECT_FALSE(queue.Push("c", 1, 0, kStart + 5ms));
  // What it had sent is executed; what waited for its slot had no time to be idle.
  EXPECT_EQ(queue.Take(0, kStart + 5ms), "b");
  EXPECT_EQ(queue.Take(0, kStart + 5ms), "x");
  EXPECT_TRUE(queue.Push("y", 2, 0, kStart + 5ms));
  EXPECT_TRUE(queue.Push("d", 1, kBegin, kStart + 5ms));
}

TEST(AnIdleSequence, IsEndedWithTheOldestStrategyToo) {
  Queue queue(
      "max_batch_size: 4 sequence_batching { oldest { max_candidate_sequences: 1 } "
      "max_sequence_idle_microseconds: 3000 }");
  queue.Push("a", 1, kBegin);
  queue.Push("x", 2, kBegin);
  EXPECT_EQ(queue.Take(), "a");
  // It is executed still: the slot is free when that is over.
  queue.EndIdle(kStart + 3ms);
  EXPECT_FALSE(queue.Push("b", 1, kEnd));
  EXPECT_EQ(queue.Take(), "x");
}

TEST(ASequence, MayBeBegunAnewUnderItsIdAndKeepsItsSlot) {
  Queue queue("max_batch_size: 1 sequence_batching { direct { } }");
  queue.Push("a", 1, kBegin);
  queue.Push("b", 1, kBegin);
  queue.Push("c", 1, kEnd);
  queue.Push("d", 1, kBegin | kEnd);
  std::string order;
  while (queue.size() > 0) order += queue.Take();
  EXPECT_EQ(order, "abcd");
}

TEST(ASequence, HasAMemoryOfItsOwn) {
  Queue queue(kDirect);
  queue.Push("a", 1, kBegin);
  queue.Push("x", 2, kBegin);
  queue.Take();
  const auto first = queue.batch[0].sequence.memory, second = queue.batch[1].sequence.memory;
  EXPECT_NE(first, second);
  queue.Push("b", 1, kEnd);
  queue.Take();
  EXPECT_EQ(queue.batch[0].sequence.memory, first);
  queue.Push("c", 1, kBegin);
  queue.Take();
  EXPECT_NE(queue.batch[0].sequence.memory, first);
}

std::string WithControls(const std::string& id_type) {
  return "max_batch_size: 2 sequence_batching { direct { } control_input [ "
         "{ name: 'START' control [ { kind: CONTROL_SEQUENCE_START int32_false_true: [ 3, 4 ] } ] "
         "},"
         "{ name: 'END' control [ { kind: CONTROL_SEQUENCE_END fp32_false_true: [ 0, 0.5 ] } ] },"
         "{ name: 'READY' control [ { kind: CONTROL_SEQUENCE_READY bool_false_true: [ false, true "
         "] "
         "} ] },"
         "{ name: 'ID' control [ { kind: CONTROL_SEQUENCE_CORRID data_type: " +
         id_type + " } ] } ] }";
}

TEST(ControlInputs, SayWhereInItsSequenceARequestIs) {
  Queue queue(WithControls("TYPE_UINT64"));
  queue.Push("a", 5, kBegin);
  queue.Push("x", 6, kBegin | kEnd);
  EXPECT_EQ(queue.Take(), "ax");
  EXPECT_EQ(queue.Controls(0), "START=4.0 END=0.0 READY=1.0 ID=5.0");
  EXPECT_EQ(queue.Controls(1), "START=4.0 END=0.5 READY=1.0 ID=6.0");
  queue.Push("p", 7, kBegin);
  EXPECT_EQ(queue.Take(), "-p");
  EXPECT_EQ(queue.Controls(0), "START=3.0 END=0.0 READY=0.0 ID=0.0");
}

TEST(ControlInputs, MustBeAbleToHoldTheId) {
  Queue text(WithControls("TYPE_STRING"));
  EXPECT_TRUE(text.Push("a", std::string("abc"), kBegin));
  EXPECT_EQ(text.Take(), "a");
  EXPECT_EQ(text.Controls(0), "START=4.0 END=0.0 READY=1.0 ID=abc");
  Queue numbers(WithControls("TYPE_UINT32"));
  EXPECT_FALSE(numbers.Push("a", std::string("abc"), kBegin));
  EXPECT_NE(
      numbers.refusal.find("ID abc does not fit input 'ID' of model 'm', which is TYPE_UINT32"),
      std::string::npos)
      << numbers.refusal;
  EXPECT_FALSE(numbers.Push("a", kserve::Parameter(int64_t{1} << 40), kBegin));
  EXPECT_TRUE(numbers.Push("a", 9, kBegin));
  EXPECT_EQ(numbers.Take(), "a");
}

TEST(ASequenceQueueThatIsCleared, HandsBackEverything) {
  Queue direct(kDirect);
  for (int i = 1; i <= 4; ++i) direct.Push("a", i, kBegin);
  EXPECT_EQ(direct.Clear(), 4U);
  EXPECT_EQ(direct.Take(), "");
  Queue oldest("max_batch_size: 4 sequence_batching { oldest { max_candidate_sequences: 1 } }");
  oldest.Push("a", 1, kBegin);
  oldest.Take();
  oldest.Push("b", 1);
  oldest.Push("x", 2, kBegin);
  EXPECT_EQ(oldest.Clear(), 2U);
  EXPECT_EQ(oldest.Take(), "");
  EXPECT_EQ(oldest.size(), 0U);
}

}  // namespace
}  // namespace sextant::serve
