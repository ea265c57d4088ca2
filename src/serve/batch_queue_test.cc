#include "serve/batch_queue.h"

#include <gtest/gtest.h>

#include "kserve/model_config.h"

namespace sextant::serve {
namespace {

constexpr Instant kStart{1000s};

class Queue {
 public:
  explicit Queue(const std::string& config) : queue_(*kserve::ParseModelConfig(config)) {}

  // Pushes a request named `id`; whether it was taken.
  bool Push(const std::string& id, Instant now, int64_t items = 1, kserve::Shape shape = {4},
            kserve::Parameters parameters = {}) {
    PendingRequest request{.request = std::make_unique<kserve::InferRequest>(),
                           .batch_size = items};
    request.request->id = id;
    request.request->parameters = std::move(parameters);
    shape.insert(shape.begin(), items);
    request.request->inputs.push_back({.name = "X", .shape = std::move(shape)});
    const Result<void> pushed = queue_.Push(request, now);
    if (!pushed.has_value()) {
      refusal = pushed.error().message();
      EXPECT_NE(request.request, nullptr);
    }
    return pushed.has_value();
  }
  // Ids of what is to be executed now, joined.
  std::string Take(Instant now) {
    std::vector<PendingRequest> batch, late;
    again = queue_.Take(0, now, batch, late);
    for (const PendingRequest& request : late) expired += request.request->id;
    std::string ids;
    for (const PendingRequest& request : batch) ids += request.request->id;
    return ids;
  }
  size_t size() const { return queue_.size(); }
  size_t Clear() { return queue_.Clear().size(); }

  Instant again{};
  std::string expired, refusal;

 private:
  BatchQueue queue_;
};

TEST(AQueueWithoutBatching, GivesOneRequestAtATimeInOrder) {
  Queue queue("max_batch_size: 8");
  for (const char* id : {"a", "b", "c"}) queue.Push(id, kStart);
  EXPECT_EQ(queue.Take(kStart), "a");
  EXPECT_EQ(queue.Take(kStart), "b");
  EXPECT_EQ(queue.Take(kStart), "c");
  EXPECT_EQ(queue.Take(kStart), "");
  EXPECT_EQ(queue.again, Instant::max());
}

TEST(ABatchingQueue, TakesAllThatWaitsWhenThereIsNoDelay) {
  Queue queue("max_batch_size: 8 dynamic_batching { }");
  for (const char* id : {"a", "b", "c"}) queue.Push(id, kStart);
  EXPECT_EQ(queue.Take(kStart), "abc");
}

TEST(ABatchingQueue, WaitsForItsDelayAndSaysUntilWhen) {
  Queue queue("max_batch_size: 8 dynamic_batching { max_queue_delay_microseconds: 5000 }");
  queue.Push("a", kStart);
  queue.Push("b", kStart + 2ms);
  EXPECT_EQ(queue.Take(kStart + 2ms), "");
  EXPECT_EQ(queue.again, kStart + 5ms);
  EXPECT_EQ(queue.Take(kStart + 5ms), "ab");
}

TEST(ABatchingQueue, DoesNotWaitForMoreThanFits) {
  Queue queue("max_batch_size: 4 dynamic_batching { max_queue_delay_microseconds: 5000 }");
  queue.Push("a", kStart, 2);
  EXPECT_EQ(queue.Take(kStart), "");
  queue.Push("b", kStart, 2);
  EXPECT_EQ(queue.Take(kStart), "ab");
  // Three and two do not fit together, and waiting changes nothing about that.
  queue.Push("c", kStart, 3);
  queue.Push("d", kStart, 2);
  EXPECT_EQ(queue.Take(kStart), "c");
  EXPECT_EQ(queue.Take(kStart), "");
  EXPECT_EQ(queue.size(), 1U);
}

TEST(ABatchingQueue, TakesAPreferredSizeBeforeItsTime) {
  Queue queue(
      "max_batch_size: 8 dynamic_batching { preferred_batch_size: [ 2, 6 ] "
      "max_queue_delay_microseconds: 5000 }");
  queue.Push("a", kStart);
  EXPECT_EQ(queue.Take(kStart), "");
  queue.Push("b", kStart);
  queue.Push("c", kStart);
  EXPECT_EQ(queue.Take(kStart), "ab");
  // What is left over has to wait on, and goes when its time is over.
  EXPECT_EQ(queue.Take(kStart + 4ms), "");
  EXPECT_EQ(queue.Take(kStart + 5ms), "c");
}

TEST(ABatchingQueue, KeepsDifferentShapesApart) {
  Queue queue("max_batch_size: 8 dynamic_batching { }");
  queue.Push("a", kStart, 1, {4});
  queue.Push("b", kStart, 1, {4});
  queue.Push("c", kStart, 1, {5});
  queue.Push("d", kStart, 1, {4});
  EXPECT_EQ(queue.Take(kStart), "ab");
  EXPECT_EQ(queue.Take(kStart), "c");
  EXPECT_EQ(queue.Take(kStart), "d");
}

TEST(AQueueWithALimit, RefusesWhatIsBeyondIt) {
  Queue queue("max_batch_size: 8 dynamic_batching { default_queue_policy { max_queue_size: 2 } }");
  EXPECT_TRUE(queue.Push("a", kStart));
  EXPECT_TRUE(queue.Push("b", kStart));
  EXPECT_FALSE(queue.Push("c", kStart));
  EXPECT_EQ(queue.refusal, "Exceeds maximum queue size");
  EXPECT_EQ(queue.Take(kStart), "ab");
  EXPECT_TRUE(queue.Push("d", kStart));
}

TEST(AQueueWithATimeout, GivesUpWhatHasWaitedTooLong) {
  Queue queue(
      "max_batch_size: 8 dynamic_batching { max_queue_delay_microseconds: 100000 "
      "default_queue_policy { default_timeout_microseconds: 3000 } }");
  queue.Push("a", kStart);
  queue.Push("b", kStart + 1ms);
  EXPECT_EQ(queue.Take(kStart + 2ms), "");
  EXPECT_EQ(queue.again, kStart + 3ms);
  EXPECT_EQ(queue.Take(kStart + 3ms), "");
  EXPECT_EQ(queue.expired, "a");
  EXPECT_EQ(queue.again, kStart + 4ms);
  EXPECT_EQ(queue.size(), 1U);
}

TEST(AQueueWithATimeout, PutsThemBehindAllOthersWhenToldToDelay) {
  Queue queue(
      "max_batch_size: 1 dynamic_batching { default_queue_policy { timeout_action: DELAY "
      "default_timeout_microseconds: 3000 } }");
  queue.Push("a", kStart);
  queue.Push("b", kStart + 2ms);
  EXPECT_EQ(queue.Take(kStart + 4ms), "b");
  EXPECT_EQ(queue.Take(kStart + 4ms), "a");
  EXPECT_EQ(queue.expired, "");
}

TEST(AQueueWithATimeout, LetsARequestShortenItOnlyWhereThatIsAllowed) {
  const kserve::Parameters short_timeout{{"timeout", int64_t{1000}}};
  const kserve::Parameters long_timeout{{"timeout", int64_t{50'000}}};
  Queue strict(
      "max_batch_size: 8 dynamic_batching { max_queue_delay_microseconds: 100000 "
      "default_queue_policy { default_timeout_microseconds: 3000 } }");
  strict.Push("a", kStart, 1, {4}, short_timeout);
  strict.Take(kStart + 2ms);
  EXPECT_EQ(strict.expired, "");
  Queue lenient(
      "max_batch_size: 8 dynamic_batching { max_queue_delay_microseconds: 100000 "
      "default_queue_policy { default_timeout_microseconds: 3000 allow_timeout_override: true } }");
  lenient.Push("a", kStart, 1, {4}, short_timeout);
  lenient.Push("b", kStart, 1, {4}, long_timeout);
  lenient.Take(kStart + 2ms);
  EXPECT_EQ(lenient.expired, "a");
  lenient.Take(kStart + 3ms);
  EXPECT_EQ(lenient.expired, "ab");
}

TEST(AQueueWithPriorities, ServesTheLowerNumberFirst) {
  Queue queue(
      "max_batch_size: 1 dynamic_batching { priority_levels: 3 default_priority_level: 2 }");
  const auto priority = [](int64_t level) { return kserve::Parameters{{"priority", level}}; };
  queue.Push("c", kStart, 1, {4}, priority(3));
  queue.Push("b", kStart);
  queue.Push("x", kStart, 1, {4}, priority(77));  // no such level: the default
  queue.Push("a", kStart, 1, {4}, priority(1));
  std::string order;
  while (queue.size() > 0) order += queue.Take(kStart);
  EXPECT_EQ(order, "abxc");
}

TEST(AQueueWithPriorities, HasALimitPerLevel) {
  Queue queue(
      "max_batch_size: 8 dynamic_batching { priority_levels: 2 default_priority_level: 1 "
      "priority_queue_policy { key: 2 value { max_queue_size: 1 } } }");
  const kserve::Parameters low{{"priority", int64_t{2}}};
  EXPECT_TRUE(queue.Push("a", kStart, 1, {4}, low));
  EXPECT_FALSE(queue.Push("b", kStart, 1, {4}, low));
  EXPECT_TRUE(queue.Push("c", kStart));
  EXPECT_TRUE(queue.Push("d", kStart));
}

TEST(AQueueThatIsCleared, HandsBackEverything) {
  Queue queue("max_batch_size: 8 dynamic_batching { max_queue_delay_microseconds: 5000 }");
  for (const char* id : {"a", "b", "c"}) queue.Push(id, kStart);
  EXPECT_EQ(queue.Clear(), 3U);
  EXPECT_EQ(queue.size(), 0U);
}

}  // namespace
}  // namespace sextant::serve
