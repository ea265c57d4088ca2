// Do a stream's arrivals follow the law they are said to follow? Kolmogorov-Smirnov tests.
//
//   arrivals_law constant|poisson RATE GROUP FILE      FILE: 8-byte nanoseconds, as of probe.cc
//
// Prints a line of JSON with the distance and its probability under the law for
//   times  when requests arrived, over the whole stretch: uniform in both laws, given their number
//   gaps   the time over GROUP arrivals: Poisson only, a gamma law with shape GROUP
// and, of constant arrivals, the stretch within which 99 % lie around an even pace; of Poisson
// arrivals, the test of single gaps.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "stats/goodness.h"

namespace {

using sextant::stats::KolmogorovSmirnov;

// P(N >= shape) of a Poisson variable with mean x: the gamma law's distribution function for whole
// shapes.
double Gamma(int shape, double x) {
  double term = std::exp(-x), below = 0;
  for (int i = 0; i < shape; ++i) {
    below += term;
    term *= x / (i + 1);
  }
  return 1 - below;
}

KolmogorovSmirnov Gaps(const std::vector<double>& times, double rate, int group) {
  std::vector<double> gaps;
  for (size_t i = static_cast<size_t>(group); i < times.size(); i += static_cast<size_t>(group))
    gaps.push_back((times[i] - times[i - static_cast<size_t>(group)]) * rate);
  return sextant::stats::TestLaw(std::move(gaps), [&](double x) { return Gamma(group, x); });
}

// The stretch, in seconds, within which 99 % of the arrivals lie around an even pace.
double Unevenness(const std::vector<double>& times, double rate) {
  std::vector<double> off;
  for (size_t i = 0; i < times.size(); ++i)
    off.push_back(times[i] - times[0] - static_cast<double>(i) / rate);
  std::sort(off.begin(), off.end());
  const size_t n = off.size();
  return off[n * 995 / 1000] - off[n * 5 / 1000];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fputs("usage: arrivals_law constant|poisson RATE GROUP FILE\n", stderr);
    return 2;
  }
  const bool poisson = std::string_view(argv[1]) == "poisson";
  const double rate = std::atof(argv[2]);
  const int group = std::atoi(argv[3]);
  const auto bytes = sextant::ReadFile(argv[4]);
  if (!bytes.has_value() || bytes->size() < 8000 || rate <= 0 || group < 1) {
    std::fputs("arrivals_law: no file of at least 1000 arrivals, or no rate or group\n", stderr);
    return 1;
  }
  std::vector<uint64_t> stamps(bytes->size() / sizeof(uint64_t));
  std::memcpy(stamps.data(), bytes->data(), stamps.size() * sizeof(uint64_t));
  std::sort(stamps.begin(), stamps.end());
  std::vector<double> times;
  for (const uint64_t stamp : stamps)
    times.push_back(static_cast<double>(stamp - stamps[0]) * 1e-9);

  const double length = times.back();
  // The first and the last arrival are the edges and not drawn.
  const KolmogorovSmirnov uniform = sextant::stats::TestLaw({times.begin() + 1, times.end() - 1},
                                                            [&](double t) { return t / length; });
  std::printf(
      "{\"arrivals\": %zu, \"rate\": %.3f, \"times\": {\"distance\": %.6f, \"probability\": %.4f}",
      times.size(), static_cast<double>(times.size() - 1) / length, uniform.distance,
      uniform.probability);
  if (poisson) {
    const KolmogorovSmirnov gaps = Gaps(times, rate, group), single = Gaps(times, rate, 1);
    std::printf(", \"gaps\": {\"distance\": %.6f, \"probability\": %.4f}", gaps.distance,
                gaps.probability);
    std::printf(", \"single_gaps\": {\"distance\": %.6f, \"probability\": %.4f}", single.distance,
                single.probability);
  } else {
    std::printf(", \"spread_99_us\": %.2f", Unevenness(times, rate) * 1e6);
  }
  std::puts("}");
  return 0;
}
