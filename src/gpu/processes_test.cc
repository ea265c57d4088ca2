#include "gpu/processes.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "base/strings.h"

namespace sextant::gpu {
namespace {

class ProcessFamilyTest : public testing::Test {
 protected:
  ~ProcessFamilyTest() override { EXPECT_TRUE(RemoveAll(proc_).has_value()); }
  void Exists(uint32_t pid, uint32_t parent, uint64_t started = 1) {
    const std::string directory = Format("{}/{}", proc_, pid);
    EXPECT_TRUE(MakeDirectories(directory).has_value());
    EXPECT_TRUE(WriteFileAtomic(directory + "/stat",
                                Format("{} (a) b ) c) S {} 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {} "
                                       "0 0\n",
                                       pid, parent, started))
                    .has_value());
  }
  void Ended(uint32_t pid) { EXPECT_TRUE(RemoveAll(Format("{}/{}", proc_, pid)).has_value()); }
  Attribution Attribute(std::vector<ProcessMemory> listed) { return family_.Attribute(listed); }

  const std::string proc_ = *MakeTempDirectory("proc");
  ProcessFamily family_{proc_};
};
using Pids = std::vector<uint32_t>;

TEST_F(ProcessFamilyTest, ChildrenAndTheirChildrenBelongAndOthersDoNot) {
  Exists(1, 0), Exists(10, 1), Exists(11, 10), Exists(12, 11), Exists(20, 1);
  family_.Watch(Pids{10});
  const Attribution all = Attribute({{10, 1}, {12, 2}, {20, 4}, {11, 8}});
  EXPECT_EQ(all.bytes, 11u);
  EXPECT_EQ(all.foreign, Pids{20});
  EXPECT_EQ(Attribute({{20, 4}}).bytes, 0u) << "known to use nothing";
  EXPECT_EQ(Attribute({}).bytes, 0u);
}

TEST_F(ProcessFamilyTest, AProcessInTwoListsCountsOnce) {
  Exists(10, 1);
  family_.Watch(Pids{10});
  EXPECT_EQ(Attribute({{10, 5}, {10, 5}}).bytes, 5u);
}

TEST_F(ProcessFamilyTest, WithNobodyWatchedNothingIsSaid) {
  Exists(20, 1);
  const Attribution none = Attribute({{20, 4}});
  EXPECT_EQ(none.bytes, std::nullopt);
  EXPECT_TRUE(none.foreign.empty());
}

TEST_F(ProcessFamilyTest, AChildWhoseParentEndedStillBelongs) {
  Exists(1, 0), Exists(10, 1), Exists(11, 10), Exists(12, 11);
  family_.Watch(Pids{10});
  EXPECT_EQ(Attribute({{12, 2}}).bytes, 2u);
  Ended(11), Exists(12, 1);
  EXPECT_EQ(Attribute({{12, 2}}).bytes, 2u);
  Ended(12);
  EXPECT_EQ(Attribute({{12, 2}}).bytes, 2u) << "ended since the driver listed it";
  Exists(12, 1, 99);
  EXPECT_EQ(Attribute({{12, 2}}).foreign, Pids{12}) << "another process of the same number";
}

TEST_F(ProcessFamilyTest, AnAmountThatIsNotKnownMakesTheSumUnknown) {
  Exists(10, 1), Exists(11, 10), Exists(20, 1);
  family_.Watch(Pids{10});
  EXPECT_EQ(Attribute({{10, 5}, {11, std::nullopt}}).bytes, std::nullopt);
  EXPECT_EQ(Attribute({{10, 5}, {20, std::nullopt}}).bytes, 5u);
}

TEST_F(ProcessFamilyTest, WhoIsNotToBeSeenIsForeignWhereOthersAre) {
  Exists(10, 1);
  family_.Watch(Pids{10});
  const Attribution both = Attribute({{10, 5}, {4711, 1}});
  EXPECT_EQ(both.bytes, 5u);
  EXPECT_EQ(both.foreign, Pids{4711}) << "the driver's numbers are ours, as 10 shows";
}

// As in a container, whose numbers are not the machine's: this /proc is of no first namespace.
TEST_F(ProcessFamilyTest, AnEmptyListIsZeroOnlyWhereItWouldNameUs) {
  Exists(10, 1);
  family_.Watch(Pids{10});
  EXPECT_EQ(Attribute({}).bytes, std::nullopt) << "the driver may hide them";
  EXPECT_EQ(Attribute({{4711, 1}}).bytes, std::nullopt);
  EXPECT_EQ(Attribute({{10, 5}}).bytes, 5u);
  EXPECT_EQ(Attribute({}).bytes, 0u) << "it did not hide it before";
}

}  // namespace
}  // namespace sextant::gpu
