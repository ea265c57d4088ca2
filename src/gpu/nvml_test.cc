#include "gpu/nvml.h"

#include <gtest/gtest.h>

namespace sextant::gpu {
namespace {

TEST(Nvml, EveryDeviceTellsWhatItKnowsAndNothingElse) {
  const auto gpus = NvmlGpus::Open(SEXTANT_NVML_SIM_LIBRARY);
  ASSERT_TRUE(gpus.has_value()) << gpus.error().message();
  EXPECT_EQ((*gpus)->count(), 2u);
  std::vector<GpuReading> readings;
  do {
    readings = (*gpus)->Read();
  } while (!readings.empty() && readings[0].energy_joules < 0.001);
  ASSERT_EQ(readings.size(), 2u);
  EXPECT_EQ(readings[0].uuid, "GPU-sim-0");
  EXPECT_EQ(readings[0].utilization, 0.42);
  EXPECT_EQ(readings[0].memory_used_bytes, double(1ULL << 30));
  EXPECT_EQ(readings[0].memory_total_bytes, double(80ULL << 30));
  EXPECT_EQ(readings[0].power_watts, 61.5);
  EXPECT_EQ(readings[0].power_limit_watts, 300.0);
  EXPECT_TRUE(readings[0].energy_joules.has_value());
  EXPECT_EQ(readings[1].utilization, std::nullopt);
  EXPECT_EQ(readings[1].power_watts, std::nullopt);
  EXPECT_TRUE(readings[1].memory_used_bytes.has_value());
}

TEST(Nvml, AMachineWithoutTheLibraryHasNone) {
  const auto gpus = NvmlGpus::Open("libnvidia-ml-that-is-not-there.so");
  ASSERT_FALSE(gpus.has_value());
  EXPECT_EQ(gpus.error().code(), ErrorCode::kNotFound);
}

TEST(Nvml, AnotherLibraryIsNotTakenForIt) {
  const auto gpus = NvmlGpus::Open("libm.so.6");
  ASSERT_FALSE(gpus.has_value());
  EXPECT_EQ(gpus.error().code(), ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace sextant::gpu
