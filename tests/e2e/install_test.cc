// What it takes to have the program: one file, and libraries that Debian ships.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/strings.h"
#include "harness.h"

namespace sextant::e2e {
namespace {

constexpr uintmax_t kMostBytes = 12'000'000;

ProcessResult Ran(const std::vector<std::string>& argv) {
  const auto result = RunProcess({.argv = argv}, std::chrono::seconds(30));
  EXPECT_TRUE(result.has_value()) << argv[0];
  return result.has_value() ? *result : ProcessResult();
}

bool IsOfAPackage(const std::string& file) {
  // /lib is a link to /usr/lib, and packages name their files by either.
  for (const std::string& name :
       {file, "/usr" + file, std::filesystem::weakly_canonical(file).string()}) {
    if (Ran({"dpkg-query", "-S", name}).exit_code == 0) return true;
  }
  return false;
}

TEST(TheProgram, IsASmallFileOfWhichEveryLibraryIsDebians) {
  size_t libraries = 0;
  const ProcessResult ldd = Ran({"ldd", Program()});
  for (const std::string_view line : Split(ldd.out, '\n')) {
    const size_t arrow = line.find(" => ");
    if (arrow == std::string_view::npos) continue;
    const std::string file(line.substr(arrow + 4, line.find(" (") - arrow - 4));
    EXPECT_TRUE(IsOfAPackage(file)) << line;
    for (const char* heavy : {"python", "openvino", "nvidia", "cuda"})
      EXPECT_EQ(file.find(heavy), std::string::npos) << line;
    ++libraries;
  }
  EXPECT_GE(libraries, 5u);
  EXPECT_LE(libraries, 20u);
  const TempDirectory directory;
  const std::string stripped = directory.File("sextant");
  ASSERT_EQ(Ran({"strip", "-o", stripped, Program()}).exit_code, 0);
  EXPECT_LT(std::filesystem::file_size(stripped), kMostBytes);
  // It needs nothing of where it was built, and nothing beside it.
  EXPECT_EQ(Ran({"env", "-i", stripped, "--version"}).exit_code, 0);
  EXPECT_EQ(Ran({"env", "-i", stripped, "analyze", "--help"}).exit_code, 0);
}

}  // namespace
}  // namespace sextant::e2e
