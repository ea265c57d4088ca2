#include "load/mix.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

namespace sextant::load {
namespace {

const std::vector<double> kShares{0.7, 0.2, 0.1};

TEST(TheModelsOfAMix, HaveTheirSharesOfTheRequests) {
  constexpr size_t kArrivals = 100'000;
  MixStream stream(kShares, {}, Random(7));
  std::vector<uint64_t> seen(kShares.size());
  for (size_t i = 0; i < kArrivals; ++i) ++seen[stream.Next().model];
  for (size_t m = 0; m < kShares.size(); ++m) {
    // Five standard deviations of a binomial count.
    const double mean = kArrivals * kShares[m], deviation = std::sqrt(mean * (1 - kShares[m]));
    EXPECT_NEAR(static_cast<double>(seen[m]), mean, 5 * deviation) << m;
  }
}

TEST(TheModelsOfAMix, AreIndependentOfTheOnesBefore) {
  constexpr size_t kArrivals = 100'000;
  MixStream stream(kShares, {}, Random(11));
  std::map<std::pair<size_t, size_t>, double> pairs;
  size_t before = stream.Next().model;
  for (size_t i = 0; i < kArrivals; ++i) {
    const size_t now = stream.Next().model;
    ++pairs[{before, now}];
    before = now;
  }
  double chi_square = 0;
  for (size_t a = 0; a < kShares.size(); ++a) {
    for (size_t b = 0; b < kShares.size(); ++b) {
      const double expected = kArrivals * kShares[a] * kShares[b];
      chi_square += std::pow(pairs[{a, b}] - expected, 2) / expected;
    }
  }
  EXPECT_LT(chi_square, 26.1);  // 8 degrees of freedom, p = 0.001
}

TEST(WeightsThatDoNotAddUpToOne, AreNormalised) {
  const std::vector<double> weights{7, 2, 1};
  MixStream a(kShares, {}, Random(3)), b(weights, {}, Random(3));
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(a.Next().model, b.Next().model);
}

TEST(PartsOfAMix, TogetherAreTheOneStream) {
  constexpr size_t kArrivals = 3000;
  const Random random(42);
  MixStream whole(kShares, {}, random);
  // Three machines of two workers each.
  std::vector<MixStream> parts;
  for (uint64_t shard = 0; shard < 3; ++shard) {
    for (uint64_t worker = 0; worker < 2; ++worker)
      parts.emplace_back(kShares, Part().Of(shard, 3).Of(worker, 2), random);
  }
  std::map<uint64_t, std::pair<size_t, uint64_t>> dealt;
  for (MixStream& part : parts) {
    for (size_t i = 0; i < kArrivals / parts.size(); ++i) {
      const MixStream::Pick pick = part.Next();
      EXPECT_TRUE(dealt.emplace(pick.arrival, std::pair(pick.model, pick.rank)).second);
    }
  }
  ASSERT_EQ(dealt.size(), kArrivals);
  for (size_t i = 0; i < kArrivals; ++i) {
    const MixStream::Pick pick = whole.Next();
    EXPECT_EQ(pick.arrival, i);
    EXPECT_EQ(dealt[i], std::pair(pick.model, pick.rank)) << i;
  }
}

TEST(ASeed, GivesTheSameMixAndAnotherSeedAnother) {
  MixStream a(kShares, {}, Random(5)), b(kShares, {}, Random(5)), c(kShares, {}, Random(6));
  size_t others = 0;
  for (int i = 0; i < 1000; ++i) {
    const size_t model = a.Next().model;
    EXPECT_EQ(b.Next().model, model);
    others += c.Next().model != model ? 1 : 0;
  }
  EXPECT_GT(others, 300u);
}

TEST(TheConcurrencyOfEachModel, IsDealtOutWhole) {
  const std::vector<size_t> counts{4, 2, 1, 9};
  for (const auto& [shards, workers] : {std::pair<size_t, size_t>{1, 1}, {1, 3}, {2, 2}, {3, 8}}) {
    std::vector<size_t> of_part(shards * workers);
    size_t before = 0;
    for (const size_t count : counts) {
      size_t sum = 0;
      std::map<uint64_t, size_t> first_rows;
      for (size_t s = 0; s < shards; ++s) {
        for (size_t w = 0; w < workers; ++w) {
          const MixShare share = ShareOfModel(before, count, Part().Of(s, shards).Of(w, workers));
          sum += share.concurrency;
          of_part[s * workers + w] += share.concurrency;
          if (share.concurrency == 0) continue;
          EXPECT_EQ(share.rows.step, std::min(count, shards * workers));
          ++first_rows[share.rows.first];
        }
      }
      EXPECT_EQ(sum, count);
      // Every part that sends any of the model begins with another of its rows.
      EXPECT_EQ(first_rows.size(), std::min(count, shards * workers));
      EXPECT_EQ(first_rows.rbegin()->first, std::min(count, shards * workers) - 1);
      before += count;
    }
    const auto [least, most] = std::minmax_element(of_part.begin(), of_part.end());
    EXPECT_LE(*most - *least, 1u) << "workers have equal loads";
  }
}

}  // namespace
}  // namespace sextant::load
