#include "analyze/model_server.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "base/strings.h"

namespace sextant::analyze {
namespace {

class Tails : public testing::Test {
 protected:
  ~Tails() override { [[maybe_unused]] const auto gone = RemoveAll(directory_); }
  std::string Tail(const std::string& text, size_t lines) {
    const std::string path = JoinPath(directory_, "server.log");
    EXPECT_TRUE(WriteFileAtomic(path, text).has_value());
    return TailOf(path, lines);
  }
  const std::string directory_ = *MakeTempDirectory("model_server_test");
};

TEST_F(Tails, AreTheLastLinesIndented) {
  EXPECT_EQ(Tail("a\nb\nc\n", 2), "  b\n  c");
  EXPECT_EQ(Tail("a\nb\nc", 2), "  b\n  c") << "the last line may still be written";
  EXPECT_EQ(Tail("a\n\n\nb\n\n\n", 2), "  a\n  b") << "empty lines say nothing";
  EXPECT_EQ(Tail("\na\n", 5), "  a");
}

TEST_F(Tails, OfNothingIsNothing) {
  EXPECT_EQ(Tail("", 3), "");
  EXPECT_EQ(Tail("\n\n", 3), "");
  EXPECT_EQ(Tail("a\n", 0), "");
  EXPECT_EQ(TailOf(JoinPath(directory_, "none"), 3), "");
}

TEST_F(Tails, ErrorsBeforeTheLastLinesArePreferredToWhatLiesBetween) {
  EXPECT_EQ(
      Tail("I1 starting\nE1121 18:05:00 load.cc:1] no such file\nI2 a\nI3 b\nI4 c\nI5 d\n", 4),
      "  E1121 18:05:00 load.cc:1] no such file\n  I3 b\n  I4 c\n  I5 d");
  EXPECT_EQ(Tail("failed to load\n1\n2\nAn Error: x\n3\n4\n", 4),
            "  failed to load\n  An Error: x\n  3\n  4");
  EXPECT_EQ(Tail("E1 a\nE2 b\nE3 c\nE4 d\n", 2), "  E3 c\n  E4 d");
}

TEST_F(Tails, OfALogOfAnySizeAreWholeLines) {
  std::string log;
  for (int i = 0; log.size() < 500000; ++i) AppendFormat(log, "line {}\n", i);
  log += "the end\n";
  const std::string tail = Tail(log, 3);
  EXPECT_TRUE(tail.ends_with("\n  the end"));
  EXPECT_EQ(Split(tail, '\n').size(), 3U);
  const std::string many = Tail(log, 100000);
  EXPECT_TRUE(many.starts_with("  line "));
  EXPECT_LT(many.size(), 100000U);
}

TEST_F(Tails, BeginWhereTheyAreToldTo) {
  const std::string text = "E1 of the one before\nI2 of this\n";
  const std::string path = JoinPath(directory_, "server.log");
  ASSERT_TRUE(WriteFileAtomic(path, text).has_value());
  EXPECT_EQ(TailOf(path, 5, text.find("I2")), "  I2 of this");
  EXPECT_EQ(TailOf(path, 5, text.size()), "");
  EXPECT_EQ(TailOf(path, 5, text.size() + 1), "") << "a log that was cut off meanwhile";
}

TEST_F(Tails, CannotBringControlCharactersToATerminal) {
  EXPECT_EQ(Tail("\x1b[31mred\n", 1), "  \\x1b[31mred");
  EXPECT_EQ(Tail(std::string(5000, 'x') + "\n", 1).size(), 2 + 300 + 3U);
}

TEST(StartServer, OneThatEndsAtOnceIsAnErrorWithItsLastWords) {
  const std::string directory = *MakeTempDirectory("model_server_test");
  const auto server = StartServer({.kind = Launch::kLocal,
                                   .repository = directory,
                                   .program = "/bin/ls",
                                   .image = {},
                                   .arguments = {},
                                   .environment = {},
                                   .container_arguments = {},
                                   .work_directory = directory});
  ASSERT_FALSE(server.has_value());
  EXPECT_EQ(server.error().code(), ErrorCode::kUnavailable);
  EXPECT_NE(server.error().message().find("/bin/ls ended with exit code 2"), std::string::npos)
      << server.error().message();
  EXPECT_NE(server.error().message().find("--model-repository"), std::string::npos)
      << server.error().message();
  [[maybe_unused]] const auto gone = RemoveAll(directory);
}

// What is missing is named, with what helps.
TEST(StartServer, SaysWhatIsMissing) {
  const std::string directory = *MakeTempDirectory("model_server_test");
  const auto error = [&](Launch kind, const std::string& program, const std::string& log) {
    const auto server = StartServer({.kind = kind,
                                     .repository = directory,
                                     .program = program,
                                     .image = "image",
                                     .arguments = {},
                                     .environment = {},
                                     .container_arguments = {},
                                     .work_directory = directory,
                                     .log = log});
    EXPECT_FALSE(server.has_value());
    return server.has_value() ? "" : server.error().message();
  };
  for (const auto& [said, wanted] :
       {std::pair(error(Launch::kLocal, "no-triton", ""),
                  "there is no program 'no-triton': --server-program FILE says where tritonserver "
                  "is, --image IMAGE"),
        {error(Launch::kContainer, "no-podman --runtime runc", ""),
         "there is no container engine 'no-podman': "},
        {error(Launch::kLocal, "/bin/ls", directory + "/none/x.log"), "/none/x.log' cannot be "},
        {error(Launch::kLocal, "/bin/ls", directory + "/none/x.log"), "give --server-log a file"}})
    EXPECT_NE(said.find(wanted), std::string::npos) << said;
  [[maybe_unused]] const auto gone = RemoveAll(directory);
}

}  // namespace
}  // namespace sextant::analyze
