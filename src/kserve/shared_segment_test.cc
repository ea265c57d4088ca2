#include "kserve/shared_segment.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/strings.h"
#include "kserve/infer_grpc.h"
#include "kserve/infer_http.h"
#include "kserve/infer_shared.h"
#include "kserve/shared_memory.h"

namespace sextant::kserve {
namespace {

// The id of a process that was.
pid_t DeadPid() {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  return child;
}

TEST(SharedSegment, IsSeenByOthersUnderItsNameAndEndsWithItsOwner) {
  std::string path;
  {
    const auto segment = SharedSegment::Create("test", 10'000);
    ASSERT_TRUE(segment.has_value()) << segment.error().message();
    path = "/dev/shm" + (*segment)->key();
    EXPECT_TRUE((*segment)->name().starts_with(Format("sextant_{}_", getpid())));
    const auto mapping = SharedMapping::Open((*segment)->key(), 0, 10'000);
    ASSERT_TRUE(mapping.has_value());
    (*segment)->data()[9'999] = 'x';
    EXPECT_EQ((*mapping)->data()[9'999], 'x');
  }
  EXPECT_FALSE(FileExists(path));
}

TEST(SharedSegment, TwoOfOneKindAreNotOne) {
  const auto a = SharedSegment::Create("test", 1), b = SharedSegment::Create("test", 1);
  EXPECT_NE((*a)->key(), (*b)->key());
}

TEST(SharedSegment, MoreThanThereIsIsAnErrorThatSaysHowMuch) {
  const auto segment = SharedSegment::Create("test", uint64_t{1} << 50);
  ASSERT_FALSE(segment.has_value());
  EXPECT_NE(segment.error().message().find("/dev/shm has too little room: "), std::string::npos)
      << segment.error().message();
}

TEST(RemoveOrphanedSegments, TakesWhatTheDeadLeftAndNothingElse) {
  const pid_t dead = DeadPid();
  const std::string orphan = Format("/dev/shm/sextant_{}_0badcafe_inputs", dead),
                    living = Format("/dev/shm/sextant_{}_0badcafe_inputs", getpid()),
                    foreign = Format("/dev/shm/sextant_{}_other", dead);
  for (const std::string& path : {orphan, living, foreign})
    ASSERT_TRUE(WriteFileAtomic(path, "x").has_value());
  const auto mine = SharedSegment::Create("test", 1);
  EXPECT_GE(RemoveOrphanedSegments(), 1u);
  EXPECT_FALSE(FileExists(orphan));
  EXPECT_TRUE(FileExists(living));
  EXPECT_TRUE(FileExists(foreign));
  EXPECT_TRUE(FileExists("/dev/shm" + (*mine)->key()));
  unlink(living.c_str());
  unlink(foreign.c_str());
}

TEST(InferShared, EveryFirstPartGoesWithEverySecond) {
  const std::vector<InferInput> inputs{{.name = "A\"",
                                        .type = DataType::kFp32,
                                        .shape = {2, 3},
                                        .data = {},
                                        .shared_memory = SharedMemoryReference{"in", 64, 24}},
                                       {.name = "B",
                                        .type = DataType::kInt64,
                                        .shape = {2},
                                        .data = {},
                                        .shared_memory = SharedMemoryReference{"in", 128, 16}}};
  const uint64_t offsets[] = {0, 1, 300, uint64_t{1} << 20, (uint64_t{1} << 41) + 7};
  size_t http_size = 0, grpc_size = 0;
  for (const uint64_t offset : offsets) {
    const std::vector<RequestedOutput> outputs{
        {.name = "Y", .shared_memory = SharedMemoryReference{"out", offset, 8}},
        {.name = "Z", .shared_memory = SharedMemoryReference{"out", offset + 64, 8}}};
    InferRequest http, grpc;
    const std::string http_tail = EncodeHttpSharedOutputs(outputs),
                      grpc_tail = EncodeGrpcSharedOutputs(outputs);
    http.body = EncodeHttpSharedInputs(inputs) + http_tail;
    grpc.body = EncodeGrpcSharedInputs("m", "1", inputs) + grpc_tail;
    EXPECT_TRUE(http_size == 0 || http_size == http_tail.size());
    EXPECT_TRUE(grpc_size == 0 || grpc_size == grpc_tail.size());
    http_size = http_tail.size(), grpc_size = grpc_tail.size();
    const auto read_http = DecodeHttpRequest(std::nullopt, http),
               read_grpc = DecodeGrpcRequest(grpc);
    ASSERT_TRUE(read_http.has_value()) << read_http.error().message();
    ASSERT_TRUE(read_grpc.has_value()) << read_grpc.error().message();
    EXPECT_EQ(grpc.model_name, "m");
    for (const InferRequest* request : {&http, &grpc}) {
      ASSERT_EQ(request->inputs.size(), 2u);
      EXPECT_EQ(request->inputs[0].name, "A\"");
      EXPECT_EQ(request->inputs[0].shape, (Shape{2, 3}));
      EXPECT_EQ(request->inputs[1].shared_memory->offset, 128u);
      ASSERT_EQ(request->outputs.size(), 2u);
      EXPECT_EQ(request->outputs[0].shared_memory->region, "out");
      EXPECT_EQ(request->outputs[0].shared_memory->offset, offset);
      EXPECT_EQ(request->outputs[1].shared_memory->offset, offset + 64);
      EXPECT_EQ(request->outputs[1].shared_memory->byte_size, 8u);
    }
  }
}

}  // namespace
}  // namespace sextant::kserve
