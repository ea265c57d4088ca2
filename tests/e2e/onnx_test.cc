// ONNX models in `sextant serve`: the real classifier of models/, its real images and their labels.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "base/files.h"
#include "base/strings.h"
#include "harness.h"

namespace sextant::e2e {
namespace {

const std::string kModels = SEXTANT_SOURCE_DIR "/models";

class OnnxModels : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(SEXTANT_ENGINE_MODULE))
      GTEST_SKIP() << "built without the engine module, " SEXTANT_ENGINE_MODULE;
  }
  // A repository with the classifier's file under this configuration; none when that is empty.
  std::string Repository(std::string_view config) {
    std::filesystem::create_directories(directory_.path() + "/m/1");
    std::filesystem::copy_file(kModels + "/repository/digits/1/model.onnx",
                               directory_.path() + "/m/1/model.onnx");
    if (!config.empty()) directory_.Write("m/config.pbtxt", config);
    return directory_.path();
  }
  static PerfResult Measure(const Serve& serve, std::string_view protocol, std::string_view model,
                            std::string_view batch) {
    return RunPerf(Against(serve, protocol, model,
                           {"--input-data", kModels + "/data/digits.json", "--requests", "360",
                            "--warmup", "0", "--workers", "1", "-b", std::string(batch)}));
  }

  TempDirectory directory_;
};

TEST_F(OnnxModels, ReadTheSameDigitsOverBothProtocolsAndInBatches) {
  Serve serve({}, {"--model-repository", kModels + "/repository"});
  for (const std::string_view protocol : {"http", "grpc"}) {
    const PerfResult result = Measure(serve, protocol, "digits", "1,8");
    EXPECT_EQ(result.exit_code, 0) << result.err;
    ASSERT_TRUE(result.run.has_value());
    ASSERT_EQ(result.run->levels.size(), 2U);
    for (const run::Level& level : result.run->levels) {
      const auto batch = static_cast<uint64_t>(level.load.batch_size);
      EXPECT_EQ(level.succeeded, 360U);
      // models/README.md: 355 of the 360 images.
      EXPECT_EQ(level.checked_outputs, 360 * batch);
      EXPECT_EQ(level.wrong_outputs, 5 * batch);
      ASSERT_EQ(level.server.size(), 1U);
      EXPECT_EQ(level.server[0].inference_count, 360 * batch);
      EXPECT_GT(level.server[0].compute_infer_us, 0);
    }
  }
}

TEST_F(OnnxModels, NeedNoConfiguration) {
  Serve serve({}, {"--model-repository", Repository("")});
  const PerfResult result = Measure(serve, "http", "m", "1");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.level().wrong_outputs, 5U);
  const text::Json* model = result.run->header.Find("model");
  ASSERT_NE(model, nullptr);
  const std::string config = text::FormatJson(*model->Find("config"));
  for (const std::string_view part :
       {R"("IMAGE")", R"("SCORES")", R"("LABEL")", "TYPE_FP32", "TYPE_INT64", "onnxruntime"})
    EXPECT_NE(config.find(part), std::string::npos) << part << " in " << config;
}

TEST_F(OnnxModels, RunInInstancesWithThreadsUnderEitherName) {
  Serve serve({}, {"--model-repository", Repository(R"(
backend: "openvino"
max_batch_size: 8
dynamic_batching { preferred_batch_size: [ 8 ] max_queue_delay_microseconds: 500 }
instance_group [ { count: 3 kind: KIND_CPU } ]
parameters { key: "intra_op_thread_count" value: { string_value: "2" } })")});
  const PerfResult result =
      RunPerf(Against(serve, "grpc", "m",
                      {"--input-data", kModels + "/data/digits.json", "--requests", "3600",
                       "--warmup", "0", "--concurrency-range", "24"}));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.level().succeeded, 3600U);
  EXPECT_EQ(result.level().wrong_outputs, 50U);
  ASSERT_EQ(result.level().server.size(), 1U);
  EXPECT_LT(result.level().server[0].execution_count, 3600U) << "nothing was batched";
}

TEST_F(OnnxModels, ThatCannotBeLoadedAreNamedWithTheReason) {
  const std::string repository = Repository("");
  directory_.Write("m/1/model.onnx", "this is no model");
  const PerfResult broken = RunSextant({"serve", "--model-repository", repository, "--http-port",
                                        "0", "--grpc-port", "0", "--metrics-port", "0"});
  EXPECT_EQ(broken.exit_code, 1);
  EXPECT_NE(broken.err.find("model 'm'"), std::string::npos) << broken.err;
}

// Protobuf's wire format, as far as an ONNX file of one node needs it.
std::string Number(int field, char value) { return {static_cast<char>(field << 3), value}; }
std::string Field(int field, std::string_view bytes) {
  std::string out;
  const auto varint = [&](size_t n) {
    for (; n > 127; n >>= 7) out += static_cast<char>(n | 128);
    out += static_cast<char>(n);
  };
  varint(static_cast<size_t>(field) << 3 | 2);
  varint(bytes.size());
  return out.append(bytes);
}

// Y [N, count] has the inputs, FP32 [N, 1] each, side by side.
std::string SideBySide(const std::vector<std::string>& inputs) {
  const auto tensor = [](std::string_view name, size_t columns) {
    const std::string dims =
        Field(1, Field(2, "N")) + Field(1, Number(1, static_cast<char>(columns)));
    return Field(1, name) + Field(2, Field(1, Number(1, 1) + Field(2, dims)));
  };
  std::string node, tensors;
  for (const std::string& input : inputs) {
    node += Field(1, input);
    tensors += Field(11, tensor(input, 1));
  }
  node += Field(2, "Y") + Field(4, "Concat") +
          Field(5, Field(1, "axis") + Number(3, 1) + std::string("\xA0\x01\x02"));
  const std::string graph =
      Field(1, node) + Field(2, "g") + tensors + Field(12, tensor("Y", inputs.size()));
  return Number(1, 8) + Field(7, graph) + Field(8, Number(2, 13));
}

TEST_F(OnnxModels, GetTheControlInputsOfSequences) {
  const auto control = [](std::string_view name, std::string_view kind) {
    return Format(
        "{{ name: '{}' control [ {{ kind: CONTROL_SEQUENCE_{} fp32_false_true: [ 0, 1 ] }} ] }}",
        name, kind);
  };
  std::filesystem::create_directories(directory_.path() + "/m/1");
  directory_.Write("m/1/model.onnx", SideBySide({"X", "BEGINS", "ENDS", "IS"}));
  directory_.Write(
      "m/config.pbtxt",
      Format("max_batch_size: 4 sequence_batching {{ direct {{ }} control_input [ {}, {}, {} "
             "] }} instance_group [ {{ count: 2 }} ]",
             control("BEGINS", "START"), control("ENDS", "END"), control("IS", "READY")));
  // Streams are sequences: every answer has the input, and where in its sequence it was.
  const std::string data =
      directory_.Write("data.json",
                       R"({"data": [[{"X": [5]}, {"X": [6]}, {"X": [7]}], [{"X": [8]}]],
          "validation_data": [[{"Y": [5, 1, 0, 1]}, {"Y": [6, 0, 0, 1]}, {"Y": [7, 0, 1, 1]}],
                              [{"Y": [8, 1, 1, 1]}]]})");
  Serve serve({}, {"--model-repository", directory_.path()});
  for (const std::string_view protocol : {"http", "grpc"}) {
    const PerfResult result = RunPerf(Against(
        serve, protocol, "m",
        {"--input-data", data, "--requests", "400", "--warmup", "0", "--concurrency-range", "6"}));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.level().succeeded, 400U);
    EXPECT_EQ(result.level().checked_outputs, 400U);
    EXPECT_EQ(result.level().wrong_outputs, 0U);
  }
}

TEST_F(OnnxModels, WithoutTheControlInputsOfTheirSequencesAreRefused) {
  std::filesystem::create_directories(directory_.path() + "/m/1");
  directory_.Write("m/1/model.onnx", SideBySide({"X", "BEGINS"}));
  directory_.Write(
      "m/config.pbtxt",
      "max_batch_size: 4 sequence_batching { control_input { name: 'ENDS' control { kind: "
      "CONTROL_SEQUENCE_END fp32_false_true: [ 0, 1 ] } } }");
  const PerfResult refused =
      RunSextant({"serve", "--model-repository", directory_.path(), "--http-port", "0",
                  "--grpc-port", "0", "--metrics-port", "0"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.err.find("no input 'ENDS'"), std::string::npos) << refused.err;
}

TEST_F(OnnxModels, AreNotGivenParametersThatNobodyReads) {
  const PerfResult refused =
      RunSextant({"serve", "--model-repository", Repository(R"(backend: "onnxruntime"
                     parameters { key: "execution_mode" value: { string_value: "1" } })"),
                  "--http-port", "0", "--grpc-port", "0", "--metrics-port", "0"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.err.find("'execution_mode'"), std::string::npos) << refused.err;
}

}  // namespace
}  // namespace sextant::e2e
