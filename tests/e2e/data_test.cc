// Input data of every form, from the command line to a server that checks sizes and shapes.
#include <gtest/gtest.h>

#include "base/strings.h"
#include "harness.h"

namespace sextant::e2e {
namespace {

constexpr int kOk = 0, kUsage = 2, kVerdict = 3;

// Answers with zeros.
constexpr std::string_view kModel = R"(backend: "null"
max_batch_size: 8
input { name: "F" data_type: TYPE_FP32 dims: [ 2, 2 ] }
input { name: "N" data_type: TYPE_INT32 dims: [ -1 ] }
input { name: "M" data_type: TYPE_INT32 dims: [ -1 ] optional: true }
input { name: "S" data_type: TYPE_STRING dims: [ 1 ] }
output { name: "L" data_type: TYPE_FP32 dims: [ 2 ] }
)";
constexpr std::string_view kVision = R"(backend: "null"
max_batch_size: 8
input { name: "IN" data_type: TYPE_FP32 dims: [ 3, 8, 8 ] }
output { name: "L" data_type: TYPE_FP32 dims: [ 2 ] }
)";

class InputData : public testing::TestWithParam<std::string_view> {
 protected:
  static void SetUpTestSuite() {
    serve_ = new Serve({{"mixed", std::string(kModel)}, {"vision", std::string(kVision)}});
  }
  static void TearDownTestSuite() {
    delete serve_;
    serve_ = nullptr;
  }

  PerfResult Run(std::string_view model, std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"--requests", "40", "--warmup", "0"});
    return RunPerf(Against(*serve_, GetParam(), model, arguments));
  }
  // All requests of the run were answered, the data being as described.
  void ExpectAnswered(const PerfResult& result, std::string_view described) const {
    ASSERT_EQ(result.exit_code, kOk) << result.err << result.out;
    EXPECT_EQ(result.level().failed, 0u) << result.out;
    EXPECT_GE(result.level().succeeded, 40u);
    EXPECT_NE(result.out.find(described), std::string::npos) << described << "\nin\n" << result.out;
  }

  TempDirectory directory_;
  static Serve* serve_;
};
Serve* InputData::serve_ = nullptr;

std::string Sample(std::string_view name) {
  return Format("{}/fuzz/corpus/{}", SEXTANT_SOURCE_DIR, name);
}

TEST_P(InputData, RulesAndDrawnDimensions) {
  ExpectAnswered(Run("mixed", {"--data", "F=normal(0,1)", "--data", "N=int(0,30521)", "--data",
                               "M=const(1)", "--data", "S=choice(a,bc)", "--dim", "seq=2..9",
                               "--rows", "24", "-b", "4", "--seed", "7"}),
                 "random, 24 rows, seed 7, F=normal(0,1), M=const(1), N=int(0,30521), "
                 "S=choice(a,bc), seq=2..9");
}

TEST_P(InputData, SeveralJsonFilesAreAppended) {
  const std::string a =
      directory_.Write("a.json", R"({"data":[[{"F":[[1,2],[3,4]],"N":[1],"S":["x"]}],
                            [{"F":{"b64":"AACAPwAAAEAAAEBAAACAQA=="},"N":[2],"S":"y"}]]})");
  const std::string b = directory_.Write(
      "b.json", R"({"data":[{"timestamp":[5],"F":[1,2,3,NaN],"N":[1],"S":[{"q":1}]}]})");
  const std::string c =
      directory_.Write("c.json", R"({"data":[{"F":[1,2,3,4],"N":[1],"S":[{"q":1}]}]})");
  ExpectAnswered(Run("mixed", {"--input-data", a, "--input-data", c, "-b", "2"}),
                 Format("{}, 2 rows; {}, 1 rows", a, c));
  const PerfResult refused = Run("mixed", {"--input-data", a, "--input-data", b});
  EXPECT_EQ(refused.exit_code, kUsage);
  EXPECT_NE(refused.err.find("timestamps and delays are in all rows"), std::string::npos)
      << refused.err;
}

TEST_P(InputData, ADirectoryOfRawTextAndArrays) {
  const std::string raw(32, '\0');
  const std::string path = directory_.Write("F", raw);
  directory_.Write("N.bin", std::string(24, '\1'));
  directory_.Write("S", "first\nsecond\n");
  const std::string folder = path.substr(0, path.rfind('/'));
  ExpectAnswered(Run("mixed", {"--input-data", folder, "-b", "2"}), folder + ", 2 rows");
}

TEST_P(InputData, ArchivesOfNumPy) {
  for (const std::string_view name : {"npy/npz_stored"})
    ExpectAnswered(Run("mixed", {"--input-data", Sample(name), "-b", "2"}), "npz_stored, 2 rows");
}

TEST_P(InputData, Images) {
  ExpectAnswered(Run("vision", {"--data", "IN=image(" + Sample("image/rgb_png") + ",scale=unit)"}),
                 "IN=image(");
}

TEST_P(InputData, ExpectedOutputsWithinATolerance) {
  const std::string path = directory_.Write(
      "v.json", R"({"data":[{"F":[1,2,3,4],"N":[1],"S":["x"]},{"F":[1,2,3,4],"N":[1],"S":["x"]}],
                    "validation_data":[{"L":[0,0]},{"L":[0.5,0]}]})");
  const PerfResult strict = Run(
      "mixed", {"--input-data", path, "--max-wrong-outputs", "0.1", "--concurrency-range", "1"});
  EXPECT_EQ(strict.exit_code, kVerdict) << strict.err;
  EXPECT_GE(strict.level().checked_outputs, 40u) << "counted, not fatal";
  EXPECT_NEAR(static_cast<double>(strict.level().wrong_outputs) /
                  static_cast<double>(strict.level().checked_outputs),
              0.5, 0.1);
  const PerfResult loose =
      Run("mixed", {"--input-data", path, "--max-wrong-outputs", "0", "--atol", "0.5"});
  EXPECT_EQ(loose.exit_code, kOk) << loose.err;
  EXPECT_EQ(loose.level().wrong_outputs, 0u);
}

TEST_P(InputData, FaultsAreAllListedBeforeTheFirstRequest) {
  const std::string path = directory_.Write(
      "bad.json",
      R"({"data":[{"F":[1,2,3],"N":[1],"S":["x"]},{"F":[1,2,3,4],"N":["a"],"S":[1]}]})");
  const PerfResult result = Run("mixed", {"--input-data", path});
  EXPECT_EQ(result.exit_code, kUsage);
  for (const std::string_view part :
       {"3 parts of the input data do not fit the model", "data row 0 (line 1): input 'F'",
        "data row 1 (line 1): 'N', element 0", "data row 1 (line 1): 'S', element 0"}) {
    EXPECT_NE(result.err.find(part), std::string::npos) << part << "\nin\n" << result.err;
  }
  const PerfResult options = Run("mixed", {"--input-data", path, "--data", "F=zero", "--data",
                                           "N=int(", "--dim", "x", "--rows", "3"});
  EXPECT_EQ(options.exit_code, kUsage);
  for (const std::string_view part : {"--data belongs to data that is made up", "--data N:",
                                      "--dim 'x'", "--rows belongs to data that is made up"}) {
    EXPECT_NE(options.err.find(part), std::string::npos) << part << "\nin\n" << options.err;
  }
}

INSTANTIATE_TEST_SUITE_P(OverBothProtocols, InputData, testing::Values("http", "grpc"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace sextant::e2e
