#include "analyze/work_repository.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/files.h"

namespace sextant::analyze {
namespace {

namespace fs = std::filesystem;

class WorkRepositories : public testing::Test {
 protected:
  WorkRepositories() {
    Write("source/m/config.pbtxt", "name: 'm'");
    Write("source/m/1/model.py", "import this");
    Write("source/m/1/parts/weights.bin", "weights");
    Write("source/m/1/__pycache__/model.pyc", "old");
  }
  ~WorkRepositories() override { [[maybe_unused]] const auto gone = RemoveAll(directory_); }

  std::string Path(const std::string& name) const { return JoinPath(directory_, name); }
  void Write(const std::string& name, std::string_view text) const {
    EXPECT_TRUE(MakeDirectories(DirectoryOf(Path(name))).has_value());
    EXPECT_TRUE(WriteFileAtomic(Path(name), text).has_value());
  }
  std::string Read(const std::string& name) const {
    const Result<std::string> text = ReadFile(Path(name));
    return text.has_value() ? *text : "(none)";
  }

  const std::string directory_ = *MakeTempDirectory("work_repository_test");
  WorkRepository repository_{Path("source"), Path("work")};
};

TEST_F(WorkRepositories, AreDirectoriesOfTheirOwnWithLinksToFiles) {
  ASSERT_TRUE(repository_.MirrorAll().has_value());
  EXPECT_EQ(Read("work/m/1/parts/weights.bin"), "weights");
  EXPECT_TRUE(fs::is_symlink(Path("work/m/1/model.py")));
  EXPECT_FALSE(fs::is_symlink(Path("work/m/1")));
  EXPECT_FALSE(fs::is_symlink(Path("work/m/1/parts")));
  Write("work/m/1/cache.bin", "made by the server");
  EXPECT_FALSE(FileExists(Path("source/m/1/cache.bin")));
}

TEST_F(WorkRepositories, HaveAConfigurationThatIsNotTheUsersAndNoPlaceForByteCode) {
  ASSERT_TRUE(repository_.Put("m", "name: 'm' max_batch_size: 4").has_value());
  EXPECT_EQ(Read("work/m/config.pbtxt"), "name: 'm' max_batch_size: 4");
  EXPECT_EQ(Read("source/m/config.pbtxt"), "name: 'm'");
  EXPECT_EQ(Read("work/m/1/model.py"), "import this");
  // Python makes a directory of that name otherwise, which a server that polls takes for news.
  EXPECT_TRUE(fs::is_regular_file(Path("work/m/1/__pycache__")));
  EXPECT_EQ(Read("source/m/1/__pycache__/model.pyc"), "old");
}

TEST_F(WorkRepositories, EndWhereALinkLeadsUpwards) {
  fs::create_directory_symlink(Path("source/m"), Path("source/m/1/up"));
  fs::create_directory_symlink(".", Path("source/m/1/here"));
  ASSERT_TRUE(repository_.MirrorAll().has_value());
  EXPECT_TRUE(fs::is_symlink(Path("work/m/1/up")));
  EXPECT_TRUE(fs::is_symlink(Path("work/m/1/here")));
}

TEST_F(WorkRepositories, TouchNothingOfOthers) {
  Write("work/m/config.pbtxt", "somebody's");
  const Result<void> put = repository_.Put("m", "ours");
  ASSERT_FALSE(put.has_value());
  EXPECT_EQ(put.error().code(), ErrorCode::kAlreadyExists);
  EXPECT_NE(put.error().message().find("--work-repository"), std::string::npos);
  EXPECT_FALSE(repository_.Remove("m").has_value());
  EXPECT_EQ(Read("work/m/config.pbtxt"), "somebody's");
  EXPECT_EQ(repository_.Put("none", "ours").error().code(), ErrorCode::kNotFound);
}

TEST_F(WorkRepositories, AreReplacedAndRemoved) {
  ASSERT_TRUE(repository_.Put("m", "first").has_value());
  ASSERT_TRUE(repository_.Put("m", "second").has_value());
  EXPECT_EQ(Read("work/m/config.pbtxt"), "second");
  ASSERT_TRUE(repository_.Remove("m").has_value());
  EXPECT_FALSE(FileExists(Path("work/m")));
  EXPECT_TRUE(repository_.Remove("m").has_value());
  EXPECT_EQ(Read("source/m/1/model.py"), "import this");
}

}  // namespace
}  // namespace sextant::analyze
