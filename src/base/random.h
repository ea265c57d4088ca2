// Seeded random numbers, the same on every machine and compiler (the standard library's
// distributions are not), so that a run can be repeated from its seed.
//
// Generator: xoshiro256++ 1.0 (Blackman and Vigna, "Scrambled linear pseudorandom number
// generators", ACM TOMS 47, 2021), seeded through splitmix64. Not for secrets.
// Threads: one Random per thread; Fork() gives independent streams.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <string>

namespace sextant {

// So many hexadecimal digits from the system's own source: for names that nobody else has.
std::string RandomWord(size_t digits);

class Random {
 public:
  explicit Random(uint64_t seed) {
    for (uint64_t& word : state_) word = SplitMix(seed);
  }

  // A stream for part `index` that shares nothing with this one or with other indices.
  Random Fork(uint64_t index) const {
    uint64_t seed = state_[0] ^ (index + 1) * 0x9e3779b97f4a7c15ULL;
    return Random(SplitMix(seed));
  }

  uint64_t Next() {
    const uint64_t result = Rotate(state_[0] + state_[3], 23) + state_[0];
    const uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = Rotate(state_[3], 45);
    return result;
  }

  // Uniform in [0, 1), with 53 random bits.
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }
  // Uniform in [0, n), n > 0, without bias (Lemire 2019).
  uint64_t Below(uint64_t n) {
    auto product = static_cast<unsigned __int128>(Next()) * n;
    if (static_cast<uint64_t>(product) < n) {
      const uint64_t threshold = -n % n;
      while (static_cast<uint64_t>(product) < threshold) {
        product = static_cast<unsigned __int128>(Next()) * n;
      }
    }
    return static_cast<uint64_t>(product >> 64);
  }
  // Exponential with the given mean.
  double Exponential(double mean) { return -mean * std::log1p(-Uniform()); }
  // Standard normal (Box-Muller; the second value is dropped to keep the stream's state simple).
  double Normal() {
    const double radius = std::sqrt(-2 * std::log1p(-Uniform()));
    return radius * std::cos(2 * std::numbers::pi * Uniform());
  }
  // Gamma with this shape (> 0) and scale 1: mean and variance are the shape (Marsaglia and Tsang,
  // "A simple method for generating gamma variables", ACM TOMS 26, 2000).
  double Gamma(double shape) {
    if (shape < 1) {
      // 1 - Uniform() is never 0.
      const double boost = std::pow(1 - Uniform(), 1 / shape);
      return Gamma(shape + 1) * boost;
    }
    const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
    for (;;) {
      const double x = Normal(), root = 1 + c * x;
      if (root <= 0) continue;
      const double v = root * root * root;
      if (std::log1p(-Uniform()) < 0.5 * x * x + d * (1 - v + std::log(v))) return d * v;
    }
  }

 private:
  static uint64_t Rotate(uint64_t x, int k) { return x << k | x >> (64 - k); }
  static uint64_t SplitMix(uint64_t& x) {
    uint64_t z = x += 0x9e3779b97f4a7c15ULL;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
  }

  std::array<uint64_t, 4> state_;
};

}  // namespace sextant
