#include "load/data.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>

#include "base/strings.h"
#include "load/generate.h"
#include "load/range.h"

namespace sextant::load {
namespace {

using kserve::DataType;

ModelSignature Model() {
  return {.name = "m",
          .max_batch_size = 8,
          .inputs = {{"F", DataType::kFp32, {2, 2}},
                     {"N", DataType::kInt32, {-1}},
                     {"S", DataType::kBytes, {1}}},
          .outputs = {{"L", DataType::kInt64, {1}}},
          .optional_inputs = {false, false, true}};
}

float FloatAt(std::string_view bytes, size_t i) {
  float v;
  std::memcpy(&v, bytes.data() + i * 4, 4);
  return v;
}

TEST(GenerateData, TheSameSeedMakesTheSameBytes) {
  const DataSet a = *GenerateData(Model(), {.seed = 7}), b = *GenerateData(Model(), {.seed = 7}),
                c = *GenerateData(Model(), {.seed = 8});
  EXPECT_EQ(a.rows(), 64u);
  EXPECT_EQ(a.inputs()[0].bytes(), b.inputs()[0].bytes());
  EXPECT_NE(a.inputs()[0].bytes(), c.inputs()[0].bytes());
  EXPECT_NE(a.inputs()[0].Row(0), a.inputs()[0].Row(1)) << "rows differ";
}

TEST(GenerateData, ValuesStayInTheirRange) {
  const DataSet data = *GenerateData(
      Model(),
      {.shapes = {{"N", {5}}}, .ranges = {{"N", {10, 12}}, {"", {-2, -1}}}, .string_length = 3});
  std::set<double> seen;
  for (uint64_t i = 0; i < 64 * 5; ++i)
    seen.insert(kserve::ElementAsDouble(DataType::kInt32, data.inputs()[1].bytes(), i));
  EXPECT_EQ(seen, (std::set<double>{10, 11}));
  for (size_t i = 0; i < 64 * 4; ++i) {
    EXPECT_GE(FloatAt(data.inputs()[0].bytes(), i), -2);
    EXPECT_LT(FloatAt(data.inputs()[0].bytes(), i), -1);
  }
  EXPECT_EQ(data.inputs()[2].Row(0).size(), 4u + 3);
}

TEST(GenerateData, EveryDataTypeCanBeMade) {
  for (int t = 0; t < kserve::kDataTypeCount; ++t) {
    const ModelSignature model{.name = "m", .inputs = {{"X", static_cast<DataType>(t), {3}}}};
    for (const bool zero : {false, true}) {
      const auto data = GenerateData(model, {.zero = zero});
      ASSERT_TRUE(data.has_value()) << data.error().message();
      EXPECT_EQ(data->inputs()[0].bytes().size(), data->rows() * data->inputs()[0].row_bytes);
    }
  }
}

TEST(GenerateData, ShapesMustFitTheModel) {
  EXPECT_NE(GenerateData(Model(), {.shapes = {{"F", {2, 3}}}})
                .error()
                .message()
                .find("--shape F:2,3 does not fit the model, whose input has shape [2,2]"),
            std::string::npos);
  EXPECT_EQ(GenerateData(Model(), {})->inputs()[1].tensor.shape, kserve::Shape{1})
      << "open dimensions are 1";
}

TEST(GenerateData, LargeRowsAreFew) {
  const ModelSignature model{.name = "m", .inputs = {{"X", DataType::kFp32, {3, 1000, 1000}}}};
  EXPECT_EQ(GenerateData(model, {})->rows(), 1u);
}

Result<DataSet> Json(std::string_view text) { return ParseJsonData(text, "f.json", Model(), {}); }

TEST(JsonData, EveryFormOfATensor) {
  const auto data = Json(R"({"data":[
    {"F":[1,2.5,3,4],"N":[7,8],"S":["ab"]},
    {"F":[[1,2],[3,4]],"N":{"content":[9],"shape":[1]},"S":{"b64":"AgAAAHh5"}},
    {"F":{"b64":"AACAPwAAAEAAAEBAAACAQA=="},"N":{"content":{"b64":"CgAAAAsAAAA="},"shape":[2]},"S":"q"}]})");
  ASSERT_TRUE(data.has_value()) << data.error().message();
  EXPECT_EQ(data->rows(), 3u);
  EXPECT_EQ(FloatAt(data->inputs()[0].Row(2), 3), 4.0f);
  EXPECT_EQ(data->inputs()[0].tensor.shape, (kserve::Shape{2, 2}));
  EXPECT_EQ(data->inputs()[1].RowShape(0), kserve::Shape{2})
      << "the open dimension follows from the data";
  EXPECT_EQ(data->inputs()[1].RowShape(1), kserve::Shape{1});
  EXPECT_EQ(kserve::ElementAsDouble(DataType::kInt32, data->inputs()[1].Row(2), 1), 11);
  EXPECT_EQ(data->inputs()[2].Row(1), std::string_view("\2\0\0\0xy", 6));
  EXPECT_EQ(data->inputs()[2].Row(2), std::string_view("\1\0\0\0q", 5));
}

TEST(JsonData, SequencesAndValidationData) {
  const auto data = Json(
      R"({"data":[[{"F":[1,2,3,4],"N":[1]},{"F":[5,6,7,8],"N":[2]}]],"validation_data":[[{"L":[3]},{"L":[4]}]]})");
  ASSERT_TRUE(data.has_value()) << data.error().message();
  EXPECT_EQ(data->rows(), 2u);
  EXPECT_EQ(data->inputs().size(), 2u) << "the optional input is in no row";
  EXPECT_EQ(kserve::ElementAsDouble(DataType::kInt64, data->expected()[0].Row(1), 0), 4);
}

TEST(JsonData, ArraysOfRowsAreStreamsAndRowsAloneAreOne) {
  const auto streams = Json(R"({"data":[[{"F":[1,2,3,4],"N":[1]},{"F":[5,6,7,8],"N":[2]}],
                                        [{"F":[1,2,3,4],"N":[3]}]]})");
  ASSERT_TRUE(streams.has_value()) << streams.error().message();
  EXPECT_EQ(streams->streams(), (std::vector<RowRange>{{0, 2}, {2, 1}}));
  const auto alone = Json(R"({"data":[{"F":[1,2,3,4],"N":[1]},{"F":[5,6,7,8],"N":[2]}]})");
  EXPECT_EQ(alone->streams(), (std::vector<RowRange>{{0, 2}}));
  const auto mixed = Json(R"({"data":[[{"F":[1,2,3,4],"N":[1]}],{"F":[5,6,7,8],"N":[2]}]})");
  EXPECT_NE(mixed.error().message().find("rows and arrays of rows are mixed"), std::string::npos);
  const auto uneven = Json(R"({"data":[[{"F":[1,2,3,4],"N":[1]},{"F":[5,6,7,8],"N":[2]}]],
                               "validation_data":[[{"L":[1]}],[{"L":[2]}]]})");
  EXPECT_NE(uneven.error().message().find("not as long as those of data"), std::string::npos);
}

TEST(JsonData, TimestampsAndDelaysAreKeptInMilliseconds) {
  const auto data = Json(R"({"data":[{"timestamp":[0],"delay":[1],"F":[1,2,3,4],"N":[1]},
                                     {"F":[5,6,7,8],"N":[2],"timestamp":2.5,"delay":[0]}]})");
  ASSERT_TRUE(data.has_value()) << data.error().message();
  EXPECT_EQ(data->timestamps(), (std::vector<Nanos>{0ms, 2500us}));
  EXPECT_EQ(data->delays(), (std::vector<Nanos>{1ms, 0ms}));
  for (const char* bad : {R"("timestamp":[1,2])", R"("timestamp":[-1])", R"("timestamp":["x"])"}) {
    const auto fault = Json(Format(R"({{"data":[{{{},"F":[1,2,3,4],"N":[1]}}]}})", bad));
    ASSERT_FALSE(fault.has_value()) << bad;
    EXPECT_NE(fault.error().message().find("'timestamp': must be one number of milliseconds"),
              std::string::npos)
        << fault.error().message();
  }
  const auto some = Json(R"({"data":[{"F":[1,2,3,4],"N":[1]},
                                     {"F":[5,6,7,8],"N":[2],"timestamp":[3]}]})");
  EXPECT_NE(some.error().message().find("in some rows and not in others"), std::string::npos);
}

TEST(JsonData, HalvesAcceptIntegersFractionsNanAndInfinities) {
  const ModelSignature model{
      .name = "m",
      .inputs = {
          {"H", DataType::kFp16, {4}}, {"B", DataType::kBf16, {2}}, {"T", DataType::kBool, {2}}}};
  const auto data = ParseJsonData(
      R"({"data":[{"H":[1, 0.5, NaN, -Inf],"B":[[3],[-2.5]],"T":[true,0]}]})", "f", model, {});
  ASSERT_TRUE(data.has_value()) << data.error().message();
  const auto at = [&](size_t column, uint64_t i) {
    const DataSet::Column& c = data->inputs()[column];
    return kserve::ElementAsDouble(c.tensor.type, c.bytes(), i);
  };
  EXPECT_EQ(at(0, 0), 1);
  EXPECT_EQ(at(0, 1), 0.5);
  EXPECT_TRUE(std::isnan(at(0, 2)));
  EXPECT_EQ(at(0, 3), -INFINITY);
  EXPECT_EQ(at(1, 1), -2.5);
  EXPECT_EQ(at(2, 0), 1);
}

TEST(JsonData, AnObjectAmongBytesIsItsText) {
  const auto data =
      Json(R"({"data":[{"F":[1,2,3,4],"N":[1],"S":[{"a": [1, {"b":null}], "c":"}"}]}]})");
  ASSERT_TRUE(data.has_value()) << data.error().message();
  EXPECT_EQ(data->inputs()[2].Row(0).substr(4), R"({"a": [1, {"b":null}], "c":"}"})");
}

TEST(Concatenate, KeepsOrderStreamsAndShapes) {
  std::vector<DataSet> sets;
  sets.push_back(*Json(R"({"data":[[{"F":[1,2,3,4],"N":[1]}],[{"F":[1,2,3,4],"N":[2]}]]})"));
  sets.push_back(*Json(R"({"data":[{"F":[5,6,7,8],"N":[3,4]},{"F":[5,6,7,8],"N":[5]}]})"));
  const auto all = Concatenate(std::move(sets));
  ASSERT_TRUE(all.has_value()) << all.error().message();
  EXPECT_EQ(all->rows(), 4u);
  EXPECT_EQ(all->streams(), (std::vector<RowRange>{{0, 1}, {1, 1}, {2, 2}}));
  EXPECT_EQ(all->inputs()[0].row_bytes, 16u) << "rows of one shape need no tables";
  EXPECT_EQ(FloatAt(all->inputs()[0].Row(2), 0), 5);
  EXPECT_EQ(all->inputs()[1].RowShape(2), kserve::Shape{2});
  EXPECT_EQ(kserve::ElementAsDouble(DataType::kInt32, all->inputs()[1].Row(3), 0), 5);
}

TEST(Concatenate, SourcesMustHaveTheSameTensors) {
  std::vector<DataSet> sets;
  sets.push_back(*Json(R"({"data":[{"F":[1,2,3,4],"N":[1]}]})"));
  sets.push_back(*Json(R"({"data":[{"F":[1,2,3,4],"N":[1],"S":["x"]}]})"));
  const auto all = Concatenate(std::move(sets));
  EXPECT_NE(all.error().message().find("has the inputs 'F', 'N', 'S', the data before it 'F', 'N'"),
            std::string::npos)
      << all.error().message();
}

TEST(JsonData, AllFaultsAreListedWithRowTensorAndReason) {
  const auto data = Json(R"({"data":[
    {"F":[1,2,3],"N":[1]},
    {"F":[1,2,3,4],"N":[1.5]},
    {"F":[1,2,3,4]},
    {"F":[1,2,3,4],"N":[1],"X":[1]},
    {"F":["a",2,3,4],"N":[1],"S":[1]},
    {"F":{"content":[1,2,3,4],"shape":[4,1]},"N":{"b64":"!"}},
    {"F":[1,2,3,4],"N":[1],"model":"m"}]})");
  ASSERT_FALSE(data.has_value());
  const std::string expected[] = {
      "f.json: 8 parts of the input data do not fit the model:",
      "data row 0 (line 2): input 'F': has 3 elements, its shape [2,2] wants 4",
      "data row 1 (line 3): 'N', element 0: 1.5 does not fit INT32",
      "data row 2 (line 4): input 'N': missing",
      "data row 3 (line 5): the model has no input 'X'; it has 'F', 'N', 'S'",
      "data row 4 (line 6): 'F', element 0: a string does not fit FP32",
      "data row 5 (line 7): input 'F': has shape [4,1], the model wants [2,2]",
      "data row 5 (line 7): 'N': not base64",
  };
  for (const std::string& line : expected)
    EXPECT_NE(data.error().message().find(line), std::string::npos) << line << "\nin\n"
                                                                    << data.error().message();
}

TEST(JsonData, WhatIsNotInputDataIsRefused) {
  for (const char* bad :
       {"", "[]", "{}", R"({"data":[]})", R"({"data":[5]})", R"({"dta":[]})",
        R"({"data":{"F":[1]}})", R"({"data":[{"F":[{"x":1}]}]})",
        R"({"data":[{"F":[1,2,3,4],"N":[1]}],"validation_data":[{"L":[1]},{"L":[2]}]})", "\"x\"",
        "null"}) {
    EXPECT_FALSE(Json(bad).has_value()) << bad;
  }
}

TEST(JsonData, ManyFaultsAreCutShort) {
  std::string text = "{\"data\":[";
  for (int i = 0; i < 50; ++i) text += std::string(i > 0 ? "," : "") + "{\"F\":[1]}";
  const auto data = Json(text + "]}");
  EXPECT_NE(data.error().message().find("... and 30 more"), std::string::npos)
      << data.error().message();
}

std::string Levels(std::string_view text) {
  const auto values = ParseLevels(text, 1);
  return values.has_value() ? Format("{}", fmt::join(*values, " ")) : "error";
}

TEST(ParseLevels, EveryForm) {
  EXPECT_EQ(Levels("4"), "4");
  EXPECT_EQ(Levels("1:4"), "1 2 3 4");
  EXPECT_EQ(Levels("2:9:3"), "2 5 8");
  EXPECT_EQ(Levels("1..64*2"), "1 2 4 8 16 32 64");
  EXPECT_EQ(Levels("10..20+5"), "10 15 20");
  EXPECT_EQ(Levels("1,2, 8..10"), "1 2 8 9 10");
  EXPECT_EQ(Levels("7:7:1"), "7");
  EXPECT_EQ(ParseLevels("0.1:1:0.1", 0.01)->size(), 10u) << "no drift";
}

TEST(ParseLevels, WhatMakesNoSenseIsRefused) {
  for (const char* bad : {"", "a", "4:1", "0", "1:2:0", "1:2:3:4", "1..8*1", "1..8*0.5", "1,,2",
                          "1:100000", "-1", "1..", "..4"}) {
    EXPECT_EQ(Levels(bad), "error") << bad;
  }
}

}  // namespace
}  // namespace sextant::load
