// Against a /proc of the test's own.
#include "analyze/host_usage.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "base/files.h"
#include "base/strings.h"

namespace sextant::analyze {
namespace {

class HostUsages : public testing::Test {
 protected:
  ~HostUsages() override {
    usage_.reset();
    [[maybe_unused]] const auto gone = RemoveAll(proc_);
  }

  void Write(const std::string& name, const std::string& text) {
    const std::string path = JoinPath(proc_, name);
    ASSERT_TRUE(MakeDirectories(DirectoryOf(path)).has_value());
    ASSERT_TRUE(WriteFileAtomic(path, text).has_value());
  }
  // user and system ticks; resident pages, the first of statm being the size.
  void Process(uint32_t pid, uint32_t parent, uint64_t user, uint64_t system, uint64_t pages,
               const std::string& name = "server") {
    Write(Format("{}/stat", pid),
          Format("{} ({}) S {} 1 1 0 -1 4194560 1 0 0 0 {} {} 500 500 20 0 1 0 77 1000 {}\n", pid,
                 name, parent, user, system, pages));
    Write(Format("{}/statm", pid), Format("{} {} 10 1 0 5 0\n", pages * 10, pages));
  }
  void Proportional(uint32_t pid, uint64_t kib) {
    Write(Format("{}/smaps_rollup", pid),
          Format("00400000-7fff0000 ---p 00000000 00:00 0    [rollup]\nRss:     99999 kB\n"
                 "Pss:       {:>8} kB\nPss_Dirty:  4 kB\n",
                 kib));
  }
  void Host(const std::string& numbers) { Write("stat", "cpu  " + numbers + "\ncpu0 1 1 1\n"); }
  void Vanish(uint32_t pid) {
    ASSERT_TRUE(RemoveAll(JoinPath(proc_, Format("{}", pid))).has_value());
  }
  // Its own thread reads once when it is started, and for the rest of the test not again.
  HostUsage& Watching(std::vector<uint32_t> processes) {
    usage_ = HostUsage::Start(std::chrono::hours(1), proc_.c_str());
    usage_->Watch(std::move(processes));
    before_mark_ = SteadyNow();
    usage_->Mark();
    after_mark_ = SteadyNow();
    return *usage_;
  }
  // How many ticks a window had, in the bounds that the test's own clock allows.
  void ExpectTicks(double ticks, HostWindow* out = nullptr) {
    const Instant before = SteadyNow();
    const HostWindow window = usage_->Take();
    const Instant after = SteadyNow();
    if (out != nullptr) *out = window;
    ASSERT_TRUE(window.cpu_cores.has_value());
    const double seconds = ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
    EXPECT_GE(*window.cpu_cores * Seconds(after - before_mark_), seconds * (1 - 1e-9));
    EXPECT_LE(*window.cpu_cores * Seconds(before - after_mark_), seconds * (1 + 1e-9));
  }

  const std::string proc_ = *MakeTempDirectory("host_usage_test");
  const double page_ = static_cast<double>(sysconf(_SC_PAGESIZE));
  std::unique_ptr<HostUsage> usage_;
  Instant before_mark_{}, after_mark_{};
};

TEST_F(HostUsages, ChildrenAndTheirChildrenCountOthersDoNot) {
  Process(10, 1, 100, 50, 100);
  Process(11, 10, 7, 3, 20);
  Process(12, 11, 5, 5, 3);
  Process(20, 1, 1000, 1000, 1000);
  Watching({10});
  Process(10, 1, 130, 60, 100);  // 40
  Process(11, 10, 8, 4, 20);     // 2
  Process(12, 11, 5, 6, 3);      // 1
  Process(13, 12, 4, 0, 4);      // 4, all of it since it began
  Process(20, 1, 9999, 9999, 9999);
  HostWindow window;
  ExpectTicks(47, &window);
  EXPECT_EQ(window.memory_bytes, 127 * page_);
  EXPECT_FALSE(window.proportional);
}

TEST_F(HostUsages, NamesMayHoldSpacesAndParentheses) {
  Process(10, 1, 100, 0, 1, "a (b) S 99 (tritonserver) 1 2 3");
  Process(11, 10, 0, 0, 1, ") R 1");
  Watching({10});
  Process(10, 1, 103, 2, 1, "a (b) S 99 (tritonserver) 1 2 3");
  Process(11, 10, 1, 0, 1, ") R 1");
  HostWindow window;
  ExpectTicks(6, &window);
  EXPECT_EQ(window.memory_bytes, 2 * page_);
}

TEST_F(HostUsages, TheProportionalShareIsPreferredToTheResidentSet) {
  Process(10, 1, 0, 0, 5000);
  Proportional(10, 640);
  Process(11, 10, 0, 0, 5000);
  Proportional(11, 60);
  const HostWindow all = Watching({10}).Take();
  EXPECT_EQ(all.memory_bytes, 700 * 1024.0);
  EXPECT_TRUE(all.proportional);
  // Of one the kernel does not tell.
  Process(12, 10, 0, 0, 3);
  usage_->Mark();
  const HostWindow some = usage_->Take();
  EXPECT_EQ(some.memory_bytes, 700 * 1024.0 + 3 * page_);
  EXPECT_FALSE(some.proportional);
}

TEST_F(HostUsages, AZombieHasNoMemoryAndDoesNotMakeItResident) {
  Process(10, 1, 0, 0, 5000);
  Proportional(10, 640);
  Process(11, 10, 0, 0, 0);
  Write("11/smaps_rollup", "");
  const HostWindow window = Watching({10}).Take();
  EXPECT_EQ(window.memory_bytes, 640 * 1024.0);
  EXPECT_TRUE(window.proportional);
}

TEST_F(HostUsages, MemoryIsTheLargestSampleOfTheWindow) {
  Process(10, 1, 0, 0, 500);
  HostUsage& usage = Watching({10});
  Process(10, 1, 0, 0, 100);
  EXPECT_EQ(usage.Take().memory_bytes, 500 * page_);
  usage.Mark();
  EXPECT_EQ(usage.Take().memory_bytes, 100 * page_) << "what was before the mark is forgotten";
}

TEST_F(HostUsages, WhatVanishesCountsWithWhatItWasSeenToHaveUsed) {
  Process(10, 1, 0, 0, 10);
  Process(11, 10, 20, 0, 10);
  Watching({10});
  Process(11, 10, 25, 0, 10);
  ExpectTicks(5);
  Vanish(11);
  Process(10, 1, 3, 0, 10);
  HostWindow window;
  ExpectTicks(8, &window);
  EXPECT_EQ(window.memory_bytes, 20 * page_);
}

TEST_F(HostUsages, WhatCannotBeReadIsAbsent) {
  Process(10, 1, 0, 0, 10);
  const HostWindow nobody = Watching({}).Take();
  EXPECT_FALSE(nobody.cpu_cores || nobody.memory_bytes || nobody.host_busy);
  const HostWindow gone = Watching({99}).Take();
  EXPECT_FALSE(gone.cpu_cores || gone.memory_bytes);
  Write("10/stat", "10 (server");
  const HostWindow broken = Watching({10}).Take();  // but for its memory
  EXPECT_FALSE(broken.cpu_cores);
  usage_ = HostUsage::Start(std::chrono::hours(1), "/nowhere");
  usage_->Watch({10});
  usage_->Mark();
  const HostWindow nowhere = usage_->Take();
  EXPECT_FALSE(nowhere.cpu_cores || nowhere.memory_bytes || nowhere.host_busy);
}

TEST_F(HostUsages, TheHostIsBusyWithAllThatIsNeitherIdleNorWaitingForDisks) {
  //    user nice system idle iowait irq softirq steal guest guest_nice
  Host("100 10 50 1000 200 5 5 10 40 0");
  HostUsage& usage = Watching({});
  Host("130 20 70 1100 220 10 10 15 70 0");  // 30+10+20+5+5+5 busy, 120 not; guests are users
  const HostWindow window = usage.Take();
  ASSERT_TRUE(window.host_busy.has_value());
  EXPECT_DOUBLE_EQ(*window.host_busy, 75.0 / 195);
}

TEST_F(HostUsages, TheHostsMemoryIsAllButWhatIsAvailableAtItsLargest) {
  const auto available = [&](const std::string& kib) {
    Write("meminfo", "MemTotal:       16000 kB\nMemFree:          100 kB\nMemAvailable:   " + kib +
                         " kB\nBuffers: 1 kB\n");
  };
  available("6000");
  HostUsage& usage = Watching({});
  available("9000");
  EXPECT_EQ(usage.Take().host_memory_bytes, 10000 * 1024.0);
  usage.Mark();
  EXPECT_EQ(usage.Take().host_memory_bytes, 7000 * 1024.0);
  available("17000");
  usage.Mark();
  EXPECT_FALSE(usage.Take().host_memory_bytes.has_value()) << "more than there is";
  Write("meminfo", "MemTotal:       16000 kB\n");
  usage.Mark();
  EXPECT_FALSE(usage.Take().host_memory_bytes.has_value());
}

TEST_F(HostUsages, CountersOfTheHostThatWentBackAreNoShare) {
  Host("100 0 0 1000 0 0 0 0 0 0");
  HostUsage& usage = Watching({});
  Host("90 0 0 1100 0 0 0 0 0 0");
  EXPECT_FALSE(usage.Take().host_busy.has_value());
}

TEST_F(HostUsages, ReadsThisProcessAndItsHost) {
  usage_ = HostUsage::Start(std::chrono::milliseconds(1));
  usage_->Watch({static_cast<uint32_t>(getpid())});
  usage_->Mark();
  // Work until the clock of CPU time has moved.
  const clock_t begin = clock();
  while (clock() - begin < CLOCKS_PER_SEC / 20) {
  }
  const HostWindow window = usage_->Take();
  ASSERT_TRUE(window.cpu_cores && window.memory_bytes && window.host_memory_bytes);
  EXPECT_GT(*window.host_memory_bytes, *window.memory_bytes / 2);
  EXPECT_GT(*window.cpu_cores, 0);
  EXPECT_LT(*window.cpu_cores, 5);
  EXPECT_GT(*window.memory_bytes, 1e5);
}

}  // namespace
}  // namespace sextant::analyze
