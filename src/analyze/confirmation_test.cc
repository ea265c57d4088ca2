// Paired rounds: how often they are wrong, what they cost, and that drift does not fool them.
#include "analyze/confirmation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "analyze/lattice.h"
#include "base/random.h"

namespace sextant::analyze {
namespace {

constexpr double kVariance = 0.02 * 0.02;

// Of so many contenders whose truth is `best` for the first and 0 for the others; what is decided
// of the leader in the end.
struct End {
  size_t leader = 0;
  bool wins = true;
  size_t takes = 0;
};
End Play(Random& random, size_t contenders, double best, double drift) {
  Confirmation confirmation;
  for (size_t c = 0; c < contenders; ++c) confirmation.Join({c, 0});
  End end;
  while (const auto next = confirmation.Next(kVariance)) {
    const double slow = random.Uniform() < 0.05 ? -0.1 : 0;
    const double noise = 0.02 * random.Normal() + slow;
    const double truth = next->configuration == 0 ? best : 0;
    confirmation.Report(next->configuration,
                        truth + noise + drift * static_cast<double>(end.takes));
    if (++end.takes > 1000) break;
  }
  end.leader = *confirmation.Leader();
  for (const auto& contender : confirmation.contenders()) {
    if (contender.configuration == end.leader) continue;
    const Paired paired = confirmation.Compare(end.leader, contender.configuration);
    end.wins = end.wins && paired.verdict == Paired::Verdict::kBetter;
  }
  return end;
}

TEST(Confirmation, RarelySaysThatOneOfEqualsIsBetter) {
  for (const size_t contenders : {2U, 3U, 5U}) {
    Random random(contenders);
    int wins = 0;
    for (int i = 0; i < 1000; ++i) wins += Play(random, contenders, 0, 0).wins ? 1 : 0;
    EXPECT_LE(wins, 50) << contenders;
  }
}

TEST(Confirmation, NearlyAlwaysFindsWhatIsClearlyBetter) {
  Random random(1);
  int right = 0;
  size_t takes = 0;
  for (int i = 0; i < 500; ++i) {
    const End end = Play(random, 4, 0.1, 0);
    right += end.wins && end.leader == 0 ? 1 : 0;
    takes += end.takes;
  }
  EXPECT_GE(right, 450);
  EXPECT_LE(takes, 500U * 24);
}

TEST(Confirmation, IsOverAfterTwoRoundsWhereTheDifferenceIsManyTimesItsError) {
  Random random(3);
  int wins = 0, right = 0;
  size_t takes = 0;
  for (int i = 0; i < 1000; ++i) {
    const End end = Play(random, 2, 0.25, 0);
    right += end.wins && end.leader == 0 ? 1 : 0;
    takes += end.takes;
    // Of equals it says that hardly ever.
    const End equal = Play(random, 2, 0, 0);
    wins += equal.wins && equal.takes == 2 * kClearRounds ? 1 : 0;
  }
  EXPECT_GE(right, 990);
  EXPECT_LE(takes, 1000U * 5);
  EXPECT_LE(wins, 5);
}

TEST(Confirmation, BeginsWithWhatIsLoadedAndKeepsOnTurning) {
  Confirmation confirmation;
  confirmation.Join({0, 0});
  confirmation.Join({1, 0});
  std::vector<size_t> order;
  std::optional<size_t> loaded = 1;
  while (const auto next = confirmation.Next(kVariance, loaded)) {
    order.push_back(next->configuration);
    loaded = next->configuration;
    // Too near to be told quickly.
    confirmation.Report(next->configuration, next->configuration == 0 ? 0.02 : 0);
    if (order.size() == 6) break;
  }
  EXPECT_EQ(order, (std::vector<size_t>{1, 0, 0, 1, 1, 0}));
}

TEST(Confirmation, IsNotFooledByDrift) {
  Random random(2);
  int wins = 0, right = 0;
  for (int i = 0; i < 500; ++i) {
    // A per cent per take: fifty in the end.
    wins += Play(random, 2, 0, 0.01).wins ? 1 : 0;
    const End end = Play(random, 2, 0.1, 0.01);
    right += end.wins && end.leader == 0 ? 1 : 0;
  }
  EXPECT_LE(wins, 25);
  EXPECT_GE(right, 420);
}

TEST(Confirmation, EndsWhereNothingDiffersAtAll) {
  Confirmation confirmation;
  confirmation.Join({0, 0});
  confirmation.Join({1, 0});
  size_t takes = 0;
  while (const auto next = confirmation.Next(kVariance)) {
    confirmation.Report(next->configuration, 1);
    ASSERT_LE(++takes, 2 * kMostRounds);
  }
  EXPECT_EQ(confirmation.Compare(0, 1).verdict, Paired::Verdict::kTie);
}

TEST(Confirmation, GoesOnWithoutWhoWasDropped) {
  Confirmation confirmation;
  for (size_t c = 0; c < 3; ++c) confirmation.Join({c, 0});
  confirmation.Drop(confirmation.Next(kVariance)->configuration);
  EXPECT_EQ(confirmation.contenders().size(), 2U);
  while (const auto next = confirmation.Next(kVariance))
    confirmation.Report(next->configuration, static_cast<double>(next->configuration));
  EXPECT_EQ(confirmation.Leader(), confirmation.contenders().back().configuration);
}

Space Grid(std::vector<std::vector<text::Json>> values) {
  Space space;
  space.configurations.emplace_back();
  std::vector<uint32_t> place(values.size(), 0);
  for (auto& of_axis : values) space.axes.push_back({"axis", of_axis});
  for (;;) {
    space.configurations.push_back({place, {}});
    size_t axis = values.size();
    while (axis-- > 0) {
      if (++place[axis] < values[axis].size()) break;
      place[axis] = 0;
    }
    if (axis == static_cast<size_t>(-1)) break;
  }
  space.loads_of.resize(space.configurations.size());
  return space;
}

TEST(Lattice, NeighboursAreOneStrideAwayAlongAxesAndDiagonals) {
  const Space space = Grid({{1, 2, 3, 4, 5}, {1, 2, 4, 8, 16}});
  const Lattice lattice(space);
  const size_t centre = *lattice.Centre();
  EXPECT_EQ(lattice.PlaceOf(centre), (Lattice::Place{2, 2}));
  EXPECT_EQ(lattice.Neighbours(centre, {1, 1}).size(), 8U);
  EXPECT_EQ(lattice.Neighbours(centre, {1, 0}).size(), 2U);
  const size_t corner = *lattice.At({0, 0});
  EXPECT_EQ(lattice.Neighbours(corner, {1, 1}).size(), 3U);
  // A stride over the edge ends at it.
  EXPECT_EQ(lattice.Neighbours(centre, {7, 7}).size(), 8U);
  EXPECT_FALSE(lattice.At({9, 9}).has_value());
  EXPECT_GT(lattice.Distance(0, centre), 1000);
  EXPECT_TRUE(lattice.Neighbours(0, {1, 1}).empty());
}

TEST(Lattice, NamesAreAllOneStepApart) {
  const Space space = Grid({{"a", "b", "c", "d"}, {1, 2, 3}});
  const Lattice lattice(space);
  EXPECT_FALSE(lattice.ordered(0));
  EXPECT_EQ(lattice.Neighbours(*lattice.At({0, 1}), {1, 1}).size(), 3U + 2U);
  EXPECT_LT(lattice.Distance(*lattice.At({0, 0}), *lattice.At({3, 0})), 1.1);
}

}  // namespace
}  // namespace sextant::analyze
