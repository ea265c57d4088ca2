#include "kserve/cuda_shared_memory.h"

#include <gtest/gtest.h>

namespace sextant::kserve {
namespace {

TEST(CudaSharedMemory, ARegionComesBackAsItWasSent) {
  std::string handle(gpu::kCudaIpcHandleBytes, '\0');
  for (size_t i = 0; i < handle.size(); ++i) handle[i] = static_cast<char>(i * 37);
  const CudaRegion region{.name = "r", .handle = handle, .device = 3, .byte_size = 1ULL << 40};
  const auto read = ParseCudaRegion("r", CudaRegionToJson(region));
  ASSERT_TRUE(read.has_value()) << read.error().message();
  EXPECT_EQ(read->name, "r");
  EXPECT_EQ(read->handle, handle);
  EXPECT_EQ(read->device, 3);
  EXPECT_EQ(read->byte_size, 1ULL << 40);
}

TEST(CudaSharedMemory, WithoutADriverThereAreNoRegions) {
  SharedMemoryRegistry system;
  CudaMemoryRegistry cuda(system, "libcuda-that-is-not-there.so");
  EXPECT_FALSE(cuda.available());
  EXPECT_EQ(cuda.Register({"r", std::string(64, 'x'), 0, 1}).error().code(),
            ErrorCode::kUnsupported);
  EXPECT_TRUE(cuda.Status("")->empty());
  EXPECT_EQ(cuda.Status("r").error().code(), ErrorCode::kNotFound);
  EXPECT_FALSE(cuda.Has("r"));
  std::string bytes;
  EXPECT_EQ(cuda.Read({"r", 0, 1}, bytes).error().code(), ErrorCode::kNotFound);
  cuda.Unregister("r");
  cuda.Unregister("");
}

TEST(CudaSharedMemory, ANameIsReservedUntilItIsReleased) {
  SharedMemoryRegistry system;
  EXPECT_TRUE(system.Reserve("r").has_value());
  EXPECT_EQ(system.Reserve("r").error().code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(system.Register({"r", "/sextant_no_such", 0, 1}).error().code(),
            ErrorCode::kAlreadyExists);
  EXPECT_TRUE(system.Status("")->empty());
  system.Unregister("");
  EXPECT_FALSE(system.Reserve("r").has_value()) << "a region of the other kind has it still";
  system.Release("r");
  EXPECT_TRUE(system.Reserve("r").has_value());
}

}  // namespace
}  // namespace sextant::kserve
