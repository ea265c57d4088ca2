#include "gpu/cuda_memory.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>
#include <vector>

namespace sextant::gpu {
namespace {

std::shared_ptr<const CudaDevice> Device(int index = 0) {
  const auto driver = CudaDriver::Load(SEXTANT_FAKE_CUDA);
  EXPECT_TRUE(driver.has_value()) << driver.error().message();
  auto device = CudaDevice::Open(*driver, index);
  EXPECT_TRUE(device.has_value()) << device.error().message();
  return *device;
}

// The driver fails as told for as long as this lives.
class Failing {
 public:
  explicit Failing(const char* faults) { setenv("SEXTANT_FAKE_CUDA_FAIL", faults, 1); }
  ~Failing() { unsetenv("SEXTANT_FAKE_CUDA_FAIL"); }
};

std::string Contents(const CudaMemory& memory, uint64_t offset, uint64_t bytes) {
  std::string out(bytes, '?');
  const auto read = memory.Read(offset, out.data(), bytes);
  EXPECT_TRUE(read.has_value()) << read.error().message();
  return out;
}

TEST(CudaMemory, WhatIsWrittenIsReadBackFromAnyThread) {
  const auto memory = CudaMemory::Allocate(Device(1), 1000);
  ASSERT_TRUE(memory.has_value()) << memory.error().message();
  EXPECT_EQ((*memory)->size(), 1000u);
  EXPECT_EQ((*memory)->device().index(), 1);
  ASSERT_TRUE((*memory)->Fill(0, 1000, 'a').has_value());
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      const std::string text(100, static_cast<char>('0' + i));
      for (int times = 0; times < 100; ++times) {
        EXPECT_TRUE((*memory)->Write(i * 200, text).has_value());
        EXPECT_EQ(Contents(**memory, i * 200, 100), text);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Contents(**memory, 98, 4), "00aa");
  EXPECT_EQ(Contents(**memory, 1000, 0), "");
}

TEST(CudaMemory, AnotherProcessOpensItByItsHandleAndSeesWhatIsWritten) {
  int handles[2];
  ASSERT_EQ(pipe(handles), 0);
  const pid_t child = fork();
  if (child == 0) {
    CudaIpcHandle handle{};
    if (read(handles[0], handle.data(), handle.size()) != ssize_t{kCudaIpcHandleBytes}) _exit(2);
    const auto device = Device();
    const auto opened = CudaMemory::Open(device, handle, 100);
    if (!opened.has_value() || Contents(**opened, 10, 5) != "hello") _exit(3);
    if (CudaMemory::Open(device, handle, uint64_t{1} << 40).has_value()) _exit(4);
    handle[20] ^= 1;
    if (CudaMemory::Open(device, handle, 100).has_value()) _exit(5);
    _exit((*opened)->Write(50, "world").has_value() ? 0 : 6);
  }
  const auto memory = CudaMemory::Allocate(Device(), 100);
  ASSERT_TRUE(memory.has_value());
  ASSERT_TRUE((*memory)->Write(10, "hello").has_value());
  const auto handle = (*memory)->Handle();
  ASSERT_TRUE(handle.has_value()) << handle.error().message();
  ASSERT_EQ(write(handles[1], handle->data(), handle->size()), ssize_t{kCudaIpcHandleBytes});
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_EQ(Contents(**memory, 50, 5), "world");
  EXPECT_FALSE(CudaMemory::Open(Device(), *handle, 100).has_value()) << "its own";
  close(handles[0]);
  close(handles[1]);
}

TEST(CudaMemory, ADriverThatRefusesIsQuotedWithTheCall) {
  const auto device = Device();
  const Failing failing("cuMemAlloc_v2=2,cuIpcOpenMemHandle_v2=999");
  const auto memory = CudaMemory::Allocate(device, 5 << 20);
  ASSERT_FALSE(memory.has_value());
  EXPECT_EQ(memory.error().code(), ErrorCode::kResourceExhausted);
  EXPECT_EQ(memory.error().message(),
            "6.0 MiB on CUDA device 0: cuMemAlloc_v2: out of memory (CUDA error 2)");
  const auto opened = CudaMemory::Open(device, {}, 1);
  EXPECT_EQ(opened.error().message(), "cuIpcOpenMemHandle_v2: it failed (CUDA error 999)");
}

TEST(CudaMemory, WithoutADriverOrADeviceItIsSaid) {
  const auto none = CudaDriver::Load("libcuda-that-is-not-there.so");
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code(), ErrorCode::kNotFound);
  EXPECT_NE(none.error().message().find("libcuda-that-is-not-there.so"), std::string::npos);
  const auto other = CudaDriver::Load("libm.so.6");
  ASSERT_FALSE(other.has_value());
  EXPECT_EQ(other.error().code(), ErrorCode::kUnavailable);
  const auto driver = CudaDriver::Load(SEXTANT_FAKE_CUDA);
  for (const int64_t index : {int64_t{-1}, int64_t{2}, int64_t{1} << 40}) {
    const auto device = CudaDevice::Open(*driver, index);
    ASSERT_FALSE(device.has_value());
    EXPECT_EQ(device.error().code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(device.error().message().find("the driver shows 0 to 1"), std::string::npos);
  }
  const Failing failing("cuInit=100");
  EXPECT_EQ(CudaDevice::Open(*driver, 0).error().message(),
            "cuInit: no CUDA-capable device is detected (CUDA error 100)");
}

}  // namespace
}  // namespace sextant::gpu
