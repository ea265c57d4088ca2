// An engine that is a script of ours: what a real one does is shown by the tests against podman.
#include "analyze/container_engine.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/files.h"
#include "base/strings.h"

namespace sextant::analyze {
namespace {

class ContainerEngines : public testing::Test {
 protected:
  ContainerEngines() {
    EXPECT_TRUE(MakeDirectories(JoinPath(models_, "m")).has_value());
    EXPECT_TRUE(
        WriteFileAtomic(JoinPath(models_, "m/config.pbtxt"), "max_batch_size: 4\n").has_value());
  }
  ~ContainerEngines() override { [[maybe_unused]] const auto gone = RemoveAll(directory_); }

  // What it is asked is in "asked", line by line.
  ContainerEngine Script(const std::string& body) const {
    const std::string path = JoinPath(directory_, "engine");
    EXPECT_TRUE(
        WriteFileAtomic(path, Format("#!/bin/sh\necho \"$@\" >>{0}/asked\n{1}\n", directory_, body))
            .has_value());
    chmod(path.c_str(), 0755);
    return ContainerEngine(path + "  --option of-its-own");
  }
  std::string Probe(const std::string& body) const {
    const auto seen = Script(body).ProbeDirectory(models_, "image", {"--volume", "a:a"});
    return seen.has_value() ? "" : seen.error().message();
  }
  std::string Asked() const { return *ReadFile(JoinPath(directory_, "asked")); }
  // Reads what it is asked for, behind words that are not files.
  static constexpr const char* kReads = "shift 9; cat \"$@\"";

  const std::string directory_ = *MakeTempDirectory("container_engine_test");
  const std::string models_ = JoinPath(directory_, "models");
};

// With only these programs in PATH.
TEST_F(ContainerEngines, AreFoundWhereNobodySaysWhich) {
  const std::string path = std::getenv("PATH");
  const auto with = [&](const std::vector<std::string>& programs) {
    const std::string bin = JoinPath(directory_, "bin" + Join(programs, "-"));
    EXPECT_TRUE(MakeDirectories(bin).has_value());
    for (const std::string& program : programs) {
      EXPECT_TRUE(WriteFileAtomic(JoinPath(bin, program), "#!/bin/sh\n").has_value());
      chmod(JoinPath(bin, program).c_str(), 0755);
    }
    setenv("PATH", bin.c_str(), 1);
  };
  with({"docker"});
  EXPECT_EQ(ContainerEngine::Default(), "docker");
  EXPECT_TRUE(ContainerEngine("").CheckInstalled().has_value());
  EXPECT_EQ(ContainerEngine("podman --runtime runc").CheckInstalled().error().message(),
            "there is no container engine 'podman': this machine has another, give "
            "--container-engine docker");
  with({"docker", "podman"});
  EXPECT_EQ(ContainerEngine::Default(), "podman");
  EXPECT_NE(ContainerEngine("nope").CheckInstalled().error().message().find(
                "--container-engine podman or --container-engine docker"),
            std::string::npos);
  with({});
  EXPECT_EQ(ContainerEngine::Default(), "podman");
  EXPECT_NE(ContainerEngine("").CheckInstalled().error().message().find("install podman or docker"),
            std::string::npos);
  setenv("PATH", path.c_str(), 1);
}

TEST_F(ContainerEngines, ProbeWithAFileThatIsGoneAfterwards) {
  EXPECT_EQ(Probe(kReads), "");
  const std::string asked = Asked();
  EXPECT_TRUE(asked.starts_with(
      "--option of-its-own run --rm --volume a:a --entrypoint cat image " + models_ + "/.sextant-"))
      << asked;
  EXPECT_NE(asked.find(models_ + "/m/config.pbtxt"), std::string::npos) << asked;
  EXPECT_EQ(*ListDirectory(models_), std::vector<std::string>{"m"});
}

TEST_F(ContainerEngines, ThatMountAnotherMachinesDirectoryAreFound) {
  const std::string absent = Probe("echo 'cat: no such file' >&2; exit 1");
  EXPECT_NE(absent.find("does not read a file that was written into '" + models_),
            std::string::npos)
      << absent;
  EXPECT_NE(absent.find("cat: no such file"), std::string::npos) << absent;
  EXPECT_NE(absent.find("the same path where the container engine runs"), std::string::npos);
  const std::string another = Probe("echo another one\nexit 0");
  EXPECT_NE(another.find("finds something else there"), std::string::npos) << another;
}

TEST_F(ContainerEngines, ThatDoNotFollowALinkAreFound) {
  const std::string said = Probe("shift 9; cat \"$1\"; echo 'cat: denied' >&2; exit 1");
  EXPECT_NE(said.find("does not read '" + models_ + "/m/config.pbtxt'"), std::string::npos) << said;
  EXPECT_NE(said.find("--container-argument=--volume=DIR:DIR:ro"), std::string::npos) << said;
}

TEST_F(ContainerEngines, SayWhatIsWrongWhereNothingRuns) {
  EXPECT_NE(Probe("exit 127").find("there is no `cat` in it"), std::string::npos);
  const std::string failed = Probe("echo 'statfs: no such directory' >&2; exit 125");
  EXPECT_NE(failed.find("cannot run a container of 'image': statfs: no such directory"),
            std::string::npos)
      << failed;
  const auto none = ContainerEngine("/no/such/engine").ProbeDirectory(models_, "image", {});
  ASSERT_FALSE(none.has_value());
  EXPECT_NE(none.error().message().find("/no/such/engine"), std::string::npos);
}

TEST_F(ContainerEngines, FetchAnImageOnlyWhereThereIsNone) {
  std::string noted;
  const auto note = [&](const std::string& text) { noted += text; };
  EXPECT_TRUE(Script("exit 0").EnsureImage("image", note, nullptr).has_value());
  EXPECT_EQ(noted, "");
  EXPECT_TRUE(Script("test $3 = pull").EnsureImage("image", note, nullptr).has_value());
  EXPECT_NE(noted.find("has no image 'image' yet and fetches it"), std::string::npos) << noted;
  const auto refused =
      Script("echo 'no such host' >&2; exit 1").EnsureImage("image", note, nullptr);
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().message().find("cannot be fetched: no such host"), std::string::npos);
  const auto stopped =
      Script("test $3 = image && exit 1; exec sleep 60").EnsureImage("image", note, [] {
        return true;
      });
  ASSERT_FALSE(stopped.has_value());
  EXPECT_EQ(stopped.error().code(), ErrorCode::kCancelled);
}

TEST_F(ContainerEngines, KnowAProcessByItsCommandLineAndNotByItsNumber) {
  const auto own = Format("echo {}", getpid());
  EXPECT_EQ(Script(own).FirstProcess("c", "analyze_test"), static_cast<uint32_t>(getpid()));
  EXPECT_FALSE(Script(own).FirstProcess("c", "--http-port=1").has_value());
  EXPECT_FALSE(Script("echo 0").FirstProcess("c", "").has_value());
  EXPECT_FALSE(Script("echo 1").FirstProcess("c", "").has_value());
  EXPECT_FALSE(Script("exit 1").FirstProcess("c", "").has_value());
}

TEST_F(ContainerEngines, RemoveWhenTheGuardsInputEnds) {
  Result<Process> guard = Script("").GuardAgainstOurEnd("a-container");
  ASSERT_TRUE(guard.has_value());
  EXPECT_FALSE(guard->Wait(Nanos(0)).has_value()) << "it waits";
  guard->CloseInput();
  EXPECT_EQ(guard->Wait(std::chrono::seconds(10)), 0);
  EXPECT_EQ(Asked(), "--option of-its-own rm --force a-container\n");
}

}  // namespace
}  // namespace sextant::analyze
