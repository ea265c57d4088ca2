#include "analyze/server_directory.h"

#include <gtest/gtest.h>

#include <optional>

namespace sextant::analyze {
namespace {

class ServerDirectories : public testing::Test {
 protected:
  ~ServerDirectories() override { [[maybe_unused]] const auto gone = RemoveAll(directory_); }
  const std::string directory_ = *MakeTempDirectory("server_directory_test");
  const std::string path_ = JoinPath(directory_, "server");
};

TEST_F(ServerDirectories, AreMadeAndEmptied) {
  {
    const auto directory = ServerDirectory::Take(path_);
    ASSERT_TRUE(directory.has_value());
    EXPECT_TRUE(directory->left_behind().empty());
    ASSERT_TRUE(WriteFileAtomic(JoinPath(path_, "server.log"), "text").has_value());
  }
  EXPECT_EQ(*ListDirectory(path_), std::vector<std::string>{"server.log"});
  const auto again = ServerDirectory::Take(path_);
  ASSERT_TRUE(again.has_value());
  EXPECT_FALSE(FileExists(JoinPath(path_, "server.log")));
}

TEST_F(ServerDirectories, BelongToOneProcessAtATime) {
  std::optional<ServerDirectory> first(*ServerDirectory::Take(path_));
  ASSERT_TRUE(WriteFileAtomic(JoinPath(path_, "server.log"), "text").has_value());
  const auto second = ServerDirectory::Take(path_);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code(), ErrorCode::kUnavailable);
  EXPECT_NE(second.error().message().find("--export-path"), std::string::npos);
  EXPECT_TRUE(FileExists(JoinPath(path_, "server.log"))) << "the first one's";
  first.reset();
  EXPECT_TRUE(ServerDirectory::Take(path_).has_value());
}

TEST_F(ServerDirectories, TellWhatAKilledProcessCouldNotRemove) {
  const std::string one = UniqueServerName(), two = UniqueServerName();
  EXPECT_NE(one, two);
  const std::string notes = JoinPath(path_, ".leftovers");
  std::string text;
  {
    auto directory = ServerDirectory::Take(path_);
    ASSERT_TRUE(directory->Note({.name = one, .engine = "podman --runtime runc"}).has_value());
    ASSERT_TRUE(directory->Note({.name = two, .engine = ""}).has_value());
    text = *ReadFile(notes);
  }
  EXPECT_FALSE(FileExists(notes));
  // As a kill leaves it, and lines that are not of ours.
  text += "all\nsextant-analyze-../../x\n/etc podman\ncut o";
  ASSERT_TRUE(WriteFileAtomic(notes, text).has_value());
  const auto directory = ServerDirectory::Take(path_);
  ASSERT_TRUE(directory.has_value());
  ASSERT_EQ(directory->left_behind().size(), 2u);
  EXPECT_EQ(directory->left_behind()[0].name, one);
  EXPECT_EQ(directory->left_behind()[0].engine, "podman --runtime runc");
  EXPECT_EQ(directory->left_behind()[1].name, two);
  EXPECT_EQ(directory->left_behind()[1].engine, "");
}

TEST_F(ServerDirectories, NamesRegionsOfSharedMemoryThatAreOnlyOurs) {
  const std::string ours = UniqueServerName(), others = UniqueServerName();
  for (const std::string& name : {ours + "_1", ours + "_2", others + "_1", std::string("else")})
    ASSERT_TRUE(WriteFileAtomic(JoinPath(directory_, name), "").has_value());
  RemoveSharedMemory("", directory_);
  RemoveSharedMemory("sextant-analyze-", directory_);
  EXPECT_EQ(ListDirectory(directory_)->size(), 4u);
  RemoveSharedMemory(ours, directory_);
  EXPECT_EQ(*ListDirectory(directory_), (std::vector<std::string>{"else", others + "_1"}));
}

}  // namespace
}  // namespace sextant::analyze
