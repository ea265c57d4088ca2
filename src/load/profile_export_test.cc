#include "load/profile_export.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>

#include "base/files.h"
#include "base/strings.h"
#include "run/profile_export.h"

namespace sextant::load {
namespace {

using kserve::DataType;

std::string TensorText(DataType type, std::string_view bytes) {
  std::string out;
  AppendTensorJson(type, bytes, out);
  return out;
}

template <typename T>
std::string Bytes(std::initializer_list<T> values) {
  std::string out;
  for (const T value : values) out.append(reinterpret_cast<const char*>(&value), sizeof value);
  return out;
}

TEST(AppendTensorJson, WritesTensorsAsPerfAnalyzerDoes) {
  EXPECT_EQ(TensorText(DataType::kFp32, Bytes<float>({1, 0.1f, 1e10f, -2.5f})),
            "[1.0,0.10000000149011612,10000000000.0,-2.5]");
  EXPECT_EQ(TensorText(DataType::kInt8, Bytes<int8_t>({-3, 4})), "[-3,4]");
  EXPECT_EQ(TensorText(DataType::kUint64, Bytes<uint64_t>({UINT64_MAX, 1})),
            "[18446744073709551615,1]");
  EXPECT_EQ(TensorText(DataType::kBool, Bytes<char>({1, 0})), "[true,false]");
  EXPECT_EQ(TensorText(DataType::kInt32, Bytes<int32_t>({7})), "7") << "one by itself";
  std::string text;
  kserve::AppendBytesElement("a\"b\xC3\xA9\n", text);
  EXPECT_EQ(TensorText(DataType::kBytes, text), "\"a\\\"b\xC3\xA9\\n\"");
}

TEST(AppendTensorJson, WritesWhatPerfAnalyzerCannot) {
  EXPECT_EQ(TensorText(DataType::kFp16, Bytes<uint16_t>({0x3c00, 0xb800})), "[1.0,-0.5]");
  EXPECT_EQ(TensorText(DataType::kFp64, Bytes<double>({NAN, INFINITY})), "[null,null]");
  EXPECT_EQ(TensorText(DataType::kFp32, ""), "[]");
  std::string text;
  kserve::AppendBytesElement("ab", text);
  kserve::AppendBytesElement("c\xFF\xC3\xA9", text);
  EXPECT_EQ(TensorText(DataType::kBytes, text), "[\"ab\",\"c\xEF\xBF\xBD\xC3\xA9\"]");
}

const ModelSignature kModel{.name = "m",
                            .max_batch_size = 8,
                            .inputs = {{"X", DataType::kInt32, {1}}},
                            .outputs = {{"Y", DataType::kInt32, {1}}, {"T", DataType::kBytes, {1}}},
                            .optional_inputs = {false}};

constexpr Instant kBegin{100s};

class ProfileExporterTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = *MakeTempDirectory("sextant_export");
    data_.emplace(
        *ParseJsonData(R"({"data":[{"X":[10]},{"X":[11]},{"X":[12]}]})", "test", kModel, {}));
    requests_ = *RequestSet::Encode(kModel, *data_, {.authority = "h:1"});
  }
  void TearDown() override { static_cast<void>(RemoveAll(directory_)); }

  std::unique_ptr<ProfileExporter> Create(ExportTensors tensors = ExportTensors::kAll) {
    auto made = ProfileExporter::Create({.path = path(),
                                         .tensors = tensors,
                                         .outputs = kModel.outputs,
                                         .version = "1",
                                         .service_kind = "triton"});
    return made.has_value() ? *std::move(made) : nullptr;
  }
  std::string path() const { return JoinPath(directory_, "export.json"); }
  run::ProfileExport Read() const { return *run::ParseProfileExport(*ReadFile(path())); }

  std::string directory_;
  std::optional<DataSet> data_;
  std::unique_ptr<RequestSet> requests_;
};

Answer AnswerAt(Instant received, std::string_view body = {}, bool ends_alone = false) {
  return {.received = received, .body = body, .ends_alone = ends_alone};
}
constexpr std::string_view kBody =
    R"({"model_name":"m","outputs":[{"name":"Y","datatype":"INT32","shape":[1],"data":[5]}]})";

TEST_F(ProfileExporterTest, EveryRequestOfTheWindowsIsThereWithItsDataAndAnswer) {
  const auto exporter = Create();
  RequestLog log(exporter->spill());
  for (uint32_t i = 0; i < 6; ++i)
    log.OnSuccess(i, kBegin + i * 10ms, i % 3, true, AnswerAt(kBegin + i * 10ms + 3ms, kBody));
  log.Flush();
  const Instant edges[] = {kBegin + 10ms, kBegin + 30ms, kBegin + 50ms};
  const auto lost = exporter->EndLevel({.value = 4}, *requests_, edges);
  ASSERT_TRUE(lost.has_value()) << lost.error().message();
  EXPECT_EQ(*lost, 0u);
  const run::ProfileExport file = Read();
  const run::ProfileExport::Experiment& experiment = file.experiments.at(0);
  EXPECT_EQ(experiment.mode, "concurrency");
  EXPECT_EQ(experiment.value, text::Json(4));
  ASSERT_EQ(experiment.requests.size(), 4u) << "due from the first edge on and before the last";
  EXPECT_EQ(experiment.requests[0].inputs, *text::ParseJson(R"({"X":11})"));
  EXPECT_EQ(experiment.requests[1].inputs, *text::ParseJson(R"({"X":12})"));
  EXPECT_EQ(experiment.requests[2].inputs, *text::ParseJson(R"({"X":10})"));
  for (const run::ProfileExport::Request& request : experiment.requests) {
    EXPECT_EQ(request.responses.at(0) - request.timestamp, 3'000'000u);
    EXPECT_EQ(request.outputs.at(0), *text::ParseJson(R"({"Y":5})"));
  }
  EXPECT_EQ(experiment.requests[0].timestamp, experiment.window_boundaries[0]);
  EXPECT_EQ(experiment.window_boundaries[2] - experiment.window_boundaries[0], 40'000'000u);
}

TEST_F(ProfileExporterTest, ResponsesOfADecoupledModelHaveATimeEachAndALoneEndIsEmpty) {
  const auto exporter = Create();
  RequestLog log(exporter->spill());
  log.OnSequence(7, 99);
  log.OnResponse(7, AnswerAt(kBegin + 1ms, kBody));
  log.OnResponse(8, AnswerAt(kBegin + 2ms, kBody));
  log.OnResponse(7, AnswerAt(kBegin + 3ms, kBody));
  log.OnSuccess(7, kBegin, 0, false, AnswerAt(kBegin + 4ms, {}, true));
  log.Forget(8);  // it failed
  log.OnSuccess(8, kBegin + 5ms, 1, false, AnswerAt(kBegin + 6ms, {}, true));
  log.Flush();
  const Instant edges[] = {kBegin, kBegin + 1s};
  ASSERT_TRUE(
      exporter->EndLevel({.mode = run::LoadMode::kRequestRate, .value = 50}, *requests_, edges)
          .has_value());
  const run::ProfileExport file = Read();
  EXPECT_EQ(file.experiments.at(0).mode, "request_rate");
  const auto& requests = file.experiments.at(0).requests;
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].sequence_id, text::Json(99));
  EXPECT_EQ(requests[0].responses.size(), 3u);
  EXPECT_EQ(requests[0].responses[2] - requests[0].timestamp, 4'000'000u);
  EXPECT_EQ(requests[0].outputs[1], *text::ParseJson(R"({"Y":5})"));
  EXPECT_EQ(requests[0].outputs[2], *text::ParseJson(R"({"Y":[],"T":""})"));
  EXPECT_FALSE(requests[1].sequence_id.has_value());
  EXPECT_EQ(requests[1].responses.size(), 1u);
}

TEST_F(ProfileExporterTest, FinishedLevelsAreWholeWhateverComesThen) {
  {
    const auto exporter = Create();
    EXPECT_EQ(Read().experiments.size(), 0u) << "whole before the first level, too";
    RequestLog log(exporter->spill());
    const Instant edges[] = {kBegin, kBegin + 1s};
    for (size_t level = 1; level <= 3; ++level) {
      for (uint32_t i = 0; i < level; ++i)
        log.OnSuccess(0, kBegin, 0, true, AnswerAt(kBegin + 1ms));
      log.Flush();
      ASSERT_TRUE(exporter->EndLevel({}, *requests_, edges).has_value());
      ASSERT_EQ(Read().experiments.size(), level);
      EXPECT_EQ(Read().experiments.back().requests.size(), level) << "none of the levels before";
    }
    EXPECT_EQ(ListDirectory(directory_)->size(), 1u) << "nothing lies beside it";
    EXPECT_FALSE(ProfileExporter::Create({.path = path()}).has_value()) << "nothing is overwritten";
  }
  EXPECT_EQ(Read().experiments.size(), 3u);
}

TEST_F(ProfileExporterTest, ALevelThatDoesNotFitLeavesThoseBefore) {
  const auto exporter = Create();
  RequestLog log(exporter->spill());
  const Instant edges[] = {kBegin, kBegin + 1s};
  const auto level = [&] {
    for (uint32_t i = 0; i < 100; ++i) log.OnSuccess(0, kBegin, 0, true, AnswerAt(kBegin + 1ms));
    log.Flush();
    return exporter->EndLevel({}, *requests_, edges);
  };
  ASSERT_TRUE(level().has_value());
  const std::string before = *ReadFile(path());
  // Full is a file of half a level more.
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  const rlimit tight{before.size() * 3 / 2, old.rlim_max};
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &tight);
  const Result<uint64_t> full = level();
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, old_handler);
  ASSERT_FALSE(full.has_value());
  EXPECT_NE(full.error().message().find("export.json"), std::string::npos)
      << full.error().message();
  EXPECT_EQ(*ReadFile(path()), before);
}

TEST_F(ProfileExporterTest, WithoutALevelThereIsNoFile) {
  Create().reset();
  EXPECT_FALSE(FileExists(path()));
}

TEST_F(ProfileExporterTest, TensorsCanBeLeftOut) {
  for (const ExportTensors tensors : {ExportTensors::kNone, ExportTensors::kInputs}) {
    const auto exporter = Create(tensors);
    EXPECT_FALSE(exporter->needs_bodies());
    RequestLog log(exporter->spill());
    log.OnSuccess(0, kBegin, 0, true, AnswerAt(kBegin + 1ms, kBody));
    log.Flush();
    const Instant edges[] = {kBegin, kBegin + 1s};
    ASSERT_TRUE(exporter->EndLevel({}, *requests_, edges).has_value());
    const run::ProfileExport file = Read();
    const run::ProfileExport::Request& request = file.experiments.at(0).requests.at(0);
    EXPECT_EQ(request.inputs,
              *text::ParseJson(tensors == ExportTensors::kNone ? "{}" : R"({"X":10})"));
    EXPECT_EQ(request.outputs.at(0), *text::ParseJson("{}"));
    static_cast<void>(RemoveAll(path()));
  }
}

// Records of all sizes: smaller than a block, larger than one, larger than what is read at a time.
TEST_F(ProfileExporterTest, RecordsOfAnySizeComeBackAsTheyWere) {
  const auto spill = *RequestSpill::Create(directory_, true);
  RequestLog log(*spill);
  std::vector<size_t> sizes;
  for (uint32_t i = 0; i < 3000; ++i)
    sizes.push_back(i % 500 == 0 ? 3 * RequestSpill::kBlockBytes / 2 + i : i % 997);
  for (uint32_t i = 0; i < sizes.size(); ++i)
    log.OnSuccess(i % 5, kBegin + Nanos(i), i, true,
                  AnswerAt(kBegin, std::string(sizes[i], static_cast<char>('a' + i % 26))));
  log.Flush();
  uint32_t i = 0;
  const auto read = spill->Read([&](const LoggedRequest& request) -> Result<void> {
    EXPECT_EQ(request.request, i);
    EXPECT_EQ(request.due, kBegin + Nanos(i));
    EXPECT_EQ(request.responses.at(0).body,
              std::string(sizes.at(i), static_cast<char>('a' + i % 26)));
    ++i;
    return {};
  });
  ASSERT_TRUE(read.has_value()) << read.error().message();
  EXPECT_EQ(i, sizes.size());
  EXPECT_EQ(*spill->Clear(), 0u);
  EXPECT_TRUE(spill
                  ->Read([](const LoggedRequest&) -> Result<void> {
                    ADD_FAILURE() << "cleared";
                    return {};
                  })
                  .has_value());
}

TEST_F(ProfileExporterTest, NoMoreThanTheLimitWaitsForTheDisk) {
  const auto spill = *RequestSpill::Create(directory_, true);
  size_t refused = 0;
  for (int i = 0; i < 40; ++i) {
    std::optional<std::string> block = spill->Take(RequestSpill::kMostBytes / 4);
    if (!block) {
      ++refused;
      continue;
    }
    block->resize(1);
    spill->Publish(*std::move(block));
  }
  // How many depends on the disk. What was refused is nobody's memory.
  EXPECT_LE(refused, 36u);
  for (size_t i = 0; i < refused; ++i) spill->CountLost();
  EXPECT_EQ(*spill->Clear(), refused);
  EXPECT_EQ(*spill->Clear(), 0u) << "counted once";
}

}  // namespace
}  // namespace sextant::load
