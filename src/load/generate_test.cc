#include "load/generate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "base/files.h"
#include "base/strings.h"

namespace sextant::load {
namespace {

using kserve::DataType;
using kserve::Shape;

std::map<std::string, ValueRule> Rules(
    std::initializer_list<std::pair<std::string, std::string_view>> rules) {
  std::map<std::string, ValueRule> out;
  for (const auto& [name, text] : rules) {
    Result<ValueRule> rule = ParseValueRule(text);
    EXPECT_TRUE(rule.has_value()) << rule.error().message();
    if (rule.has_value()) out.emplace(name, *std::move(rule));
  }
  return out;
}
std::vector<DimRule> Dims(std::initializer_list<std::string_view> texts) {
  std::vector<DimRule> out;
  for (const std::string_view text : texts) {
    Result<DimRule> rule = ParseDim(text);
    EXPECT_TRUE(rule.has_value()) << rule.error().message();
    if (rule.has_value()) out.push_back(*std::move(rule));
  }
  return out;
}
std::string Fault(const Result<DataSet>& data) {
  return data.has_value() ? "no fault" : data.error().message();
}

ModelSignature Bert() {
  return {.name = "bert",
          .max_batch_size = 16,
          .inputs = {{"ids", DataType::kInt64, {-1}},
                     {"mask", DataType::kInt64, {-1}},
                     {"image", DataType::kFp32, {3, -1, -1}}},
          .optional_inputs = {false, false, false}};
}

TEST(Generators, EachMakesWhatItSays) {
  const ModelSignature model{.name = "m",
                             .inputs = {{"int", DataType::kInt32, {500}},
                                        {"float", DataType::kFp16, {500}},
                                        {"const", DataType::kUint64, {3}},
                                        {"normal", DataType::kFp64, {4000}},
                                        {"zero", DataType::kBytes, {2}},
                                        {"choice", DataType::kBytes, {50}},
                                        {"string", DataType::kBytes, {50}},
                                        {"text", DataType::kBytes, {1}}}};
  const auto data = GenerateData(model, {.seed = 3,
                                         .rows = 2,
                                         .rules = Rules({{"int", "int(-2, 2)"},
                                                         {"float", "float(1,2)"},
                                                         {"const", "const(18446744073709551615)"},
                                                         {"normal", "normal(10,2)"},
                                                         {"zero", "zero"},
                                                         {"choice", "choice(a,bc)"},
                                                         {"string", "string(2,4)"},
                                                         {"text", "const(Hello, world)"}})});
  ASSERT_TRUE(data.has_value()) << data.error().message();
  const auto values = [&](size_t column) {
    std::vector<double> out;
    const DataSet::Column& c = data->inputs()[column];
    for (uint64_t i = 0; i < c.bytes().size() / kserve::ElementSize(c.tensor.type); ++i)
      out.push_back(kserve::ElementAsDouble(c.tensor.type, c.bytes(), i));
    return out;
  };
  const std::vector<double> ints = values(0), normal = values(3);
  EXPECT_EQ(std::set<double>(ints.begin(), ints.end()), (std::set<double>{-2, -1, 0, 1, 2}));
  for (const double v : values(1)) EXPECT_TRUE(v >= 1 && v <= 2) << v;
  EXPECT_EQ(data->inputs()[2].bytes(), std::string(48, '\xff'));
  double sum = 0, squares = 0;
  for (const double v : normal) {
    sum += v;
    squares += (v - 10) * (v - 10);
  }
  EXPECT_NEAR(sum / static_cast<double>(normal.size()), 10, 0.15);
  EXPECT_NEAR(std::sqrt(squares / static_cast<double>(normal.size())), 2, 0.15);
  EXPECT_EQ(data->inputs()[4].Row(0), std::string(8, '\0'));
  const auto strings = kserve::SplitBytes(data->inputs()[5].Row(0), 50);
  EXPECT_EQ(std::set<std::string_view>(strings->begin(), strings->end()),
            (std::set<std::string_view>{"a", "bc"}));
  std::set<size_t> lengths;
  const auto random = kserve::SplitBytes(data->inputs()[6].Row(1), 50);
  for (const std::string_view s : *random) lengths.insert(s.size());
  EXPECT_EQ(lengths, (std::set<size_t>{2, 3, 4}));
  EXPECT_EQ(data->inputs()[7].Row(1).substr(4), "Hello, world");
}

TEST(Generators, WhatIsNotOneIsAnsweredWithItsForm) {
  for (const auto& [text, part] : std::initializer_list<std::pair<const char*, const char*>>{
           {"int(5)", "write int(LOW,HIGH)"},
           {"int(5,4)", "both ends included"},
           {"float(1,1)", "write float(LOW,HIGH)"},
           {"normal(1,-1)", "write normal(MEAN,DEVIATION)"},
           {"zero(1)", "write zero"},
           {"string(-1)", "write string(LENGTH)"},
           {"image()", "write image(PATH"},
           {"image(x,resize=big)", "write image(PATH"},
           {"uniform(1,2)", "is not known; there are int(LOW,HIGH), float(LOW,HIGH)"},
           {"int(1,2", "is not known"}}) {
    const auto rule = ParseValueRule(text);
    ASSERT_FALSE(rule.has_value()) << text;
    EXPECT_NE(rule.error().message().find(part), std::string::npos) << rule.error().message();
  }
}

TEST(Generators, ValuesThatTheTypeDoesNotHoldAreAllReported) {
  const ModelSignature model{.name = "m",
                             .inputs = {{"a", DataType::kInt8, {1}},
                                        {"b", DataType::kInt32, {1}},
                                        {"c", DataType::kFp32, {1}},
                                        {"d", DataType::kBool, {1}}}};
  const std::string fault = Fault(GenerateData(model, {.rules = Rules({{"a", "int(0,300)"},
                                                                       {"b", "float(0,1)"},
                                                                       {"c", "string(5)"},
                                                                       {"d", "choice(0,2)"},
                                                                       {"e", "zero"}})}));
  for (const char* part :
       {"5 parts", "--data a=int(0,300): 300 does not fit INT8",
        "--data b=float(0,1): makes fractions, the input is INT32: use int(...)",
        "--data c=string(5): makes text, the input is FP32",
        "--data d=choice(0,2): 2 is not a BOOL",
        "--data e=zero: the model has no input 'e'; it has 'a', 'b', 'c', 'd'"}) {
    EXPECT_NE(fault.find(part), std::string::npos) << part << "\nin\n" << fault;
  }
}

TEST(Dims, ANameOfOnesOwnIsDrawnOnceForAllInputs) {
  const auto data = GenerateData(
      Bert(), {.seed = 1, .rows = 40, .dims = Dims({"seq=8..16", "image[1]=5", "image[2]=7..9"})});
  ASSERT_TRUE(data.has_value()) << data.error().message();
  std::set<int64_t> lengths, widths;
  for (size_t row = 0; row < 40; ++row) {
    const int64_t seq = data->inputs()[0].RowShape(row)[0];
    lengths.insert(seq);
    EXPECT_EQ(data->inputs()[1].RowShape(row)[0], seq) << "ids and mask agree";
    EXPECT_EQ(data->inputs()[0].Row(row).size(), static_cast<size_t>(seq) * 8);
    const Shape& image = data->inputs()[2].RowShape(row);
    EXPECT_EQ(image[1], 5);
    widths.insert(image[2]);
  }
  EXPECT_EQ(*lengths.begin(), 8);
  EXPECT_EQ(*lengths.rbegin(), 16);
  EXPECT_EQ(widths, (std::set<int64_t>{7, 8, 9}));
}

TEST(Dims, TheSecondNameIsTheSecondOpenDimension) {
  const auto data = GenerateData(Bert(), {.dims = Dims({"first=2", "second=3"})});
  ASSERT_TRUE(data.has_value()) << data.error().message();
  EXPECT_EQ(data->inputs()[0].tensor.shape, Shape{2});
  EXPECT_EQ(data->inputs()[2].tensor.shape, (Shape{3, 2, 3}));
}

TEST(Dims, RowsOfABatchHaveOneShape) {
  const auto data =
      GenerateData(Bert(), {.rows = 20, .dims = Dims({"seq=1..1000"}), .rows_per_shape = 8});
  ASSERT_TRUE(data.has_value()) << data.error().message();
  EXPECT_EQ(data->rows(), 24u) << "whole batches";
  std::set<int64_t> lengths;
  for (size_t row = 0; row < data->rows(); ++row) {
    lengths.insert(data->inputs()[0].RowShape(row)[0]);
    EXPECT_EQ(data->inputs()[0].RowShape(row), data->inputs()[0].RowShape(row / 8 * 8));
  }
  EXPECT_EQ(lengths.size(), 3u);
}

TEST(Dims, TheSeedRepeatsThem) {
  const auto make = [](uint64_t seed) {
    return *GenerateData(Bert(), {.seed = seed, .dims = Dims({"seq=1..1000"})});
  };
  EXPECT_EQ(make(5).inputs()[0].shapes, make(5).inputs()[0].shapes);
  EXPECT_NE(make(5).inputs()[0].shapes, make(6).inputs()[0].shapes);
}

TEST(Dims, MistakesNameTheShape) {
  const std::string fault = Fault(GenerateData(
      Bert(),
      {.shapes = {{"mask", {4}}},
       .dims = Dims({"image[0]=4", "image[7]=4", "masq[0]=3", "mask=5", "a=1", "b=2", "c=3"})}));
  for (const char* part :
       {"--dim image[0]=4: input 'image' has shape [3,-1,-1] (dimensions count from 0, without the "
        "batch): the model fixes that dimension",
        "--dim image[7]=4", "there is no such dimension",
        "--dim masq[0]=3: the model has no input 'masq'",
        "--dim mask=5: --shape gives input 'mask' a fixed shape already",
        "--dim c=3: no input has an open dimension left for it"}) {
    EXPECT_NE(fault.find(part), std::string::npos) << part << "\nin\n" << fault;
  }
  for (const char* bad : {"", "x", "x=", "=3", "x=0", "x=5..4", "x=1..2..3", "x[a]=1", "[1]=2"})
    EXPECT_FALSE(ParseDim(bad).has_value()) << bad;
}

TEST(FileGenerator, GivesTheRowsAndTheOthersFollow) {
  const std::string path = Format("{}/fuzz/corpus/npy/float32", SEXTANT_SOURCE_DIR);
  const std::string directory = *MakeTempDirectory("sextant-file-");
  const std::string file = JoinPath(directory, "x.npy");
  ASSERT_TRUE(WriteFileAtomic(file, *ReadFile(path)).has_value());
  const ModelSignature model{
      .name = "m", .inputs = {{"X", DataType::kFp32, {2, 2}}, {"Y", DataType::kInt8, {1}}}};
  const auto data = GenerateData(model, {.rules = Rules({{"X", "file(" + file + ")"}})});
  ASSERT_TRUE(data.has_value()) << data.error().message();
  EXPECT_EQ(data->rows(), 3u);
  EXPECT_NE(data->inputs()[0].file, nullptr);
  const auto more = GenerateData(model, {.rows = 5, .rules = Rules({{"X", "file(" + file + ")"}})});
  EXPECT_EQ(more->inputs()[0].Row(4), more->inputs()[0].Row(1)) << "they come around again";
  EXPECT_TRUE(RemoveAll(directory).has_value());
}

// The numbers are Pillow's and NumPy's: (x / 255 - mean) / deviation of the picture at 8 x 8.
TEST(ImageGenerator, LaysOutAndScalesAsAVisionModelWants) {
  const std::string sample = Format("{}/fuzz/corpus/image/rgb_png", SEXTANT_SOURCE_DIR);
  const auto make = [&](DataType type, const Shape& shape, std::string_view options) {
    const ModelSignature model{.name = "m", .inputs = {{"X", type, shape}}};
    return GenerateData(model, {.rules = Rules({{"X", Format("image({}{})", sample, options)}})});
  };
  const auto chw = make(DataType::kFp32, {3, 8, 8}, ",scale=imagenet");
  ASSERT_TRUE(chw.has_value()) << chw.error().message();
  const auto at = [](const DataSet& data, uint64_t i) {
    const DataSet::Column& c = data.inputs()[0];
    return kserve::ElementAsDouble(c.tensor.type, c.bytes(), i);
  };
  EXPECT_NEAR(at(*chw, 0), -1.86103, 0.018) << "red, row 0, column 0; a step of 8 bits is 0.0171";
  EXPECT_NEAR(at(*chw, 64 + 3 * 8 + 5), -0.267507, 0.018);
  EXPECT_NEAR(at(*chw, 128 + 63), 1.663965, 0.018);
  const auto hwc = make(DataType::kFp16, {8, 8, 3}, ",scale=vgg,channels=bgr");
  ASSERT_TRUE(hwc.has_value()) << hwc.error().message();
  EXPECT_NEAR(at(*hwc, (3 * 8 + 5) * 3), -36, 1);
  EXPECT_NEAR(at(*hwc, (3 * 8 + 5) * 3 + 1), -16, 1);
  EXPECT_NEAR(at(*hwc, (3 * 8 + 5) * 3 + 2), 39, 1);
  const auto grey = make(DataType::kUint8, {1, 8, 8}, "");
  ASSERT_TRUE(grey.has_value()) << grey.error().message();
  EXPECT_NEAR(at(*grey, 3 * 8 + 5), 115, 1);
  const auto own_size = make(DataType::kUint8, {-1, -1, 3}, "");
  EXPECT_EQ(own_size->inputs()[0].tensor.shape, (Shape{30, 40, 3}));
  const auto encoded = make(DataType::kBytes, {1}, "");
  EXPECT_EQ(encoded->inputs()[0].Row(0).substr(4), *ReadFile(sample));
}

TEST(ImageGenerator, WhatDoesNotFitIsSaid) {
  const std::string sample = Format("{}/fuzz/corpus/image", SEXTANT_SOURCE_DIR);
  const auto fault = [&](DataType type, const Shape& shape, const std::string& arguments) {
    const ModelSignature model{.name = "m", .inputs = {{"X", type, shape}}};
    return Fault(GenerateData(model, {.rules = Rules({{"X", "image(" + arguments + ")"}})}));
  };
  EXPECT_NE(
      fault(DataType::kUint8, {3, 8, 8}, sample + "/rgb_png,scale=unit").find("use scale=none"),
      std::string::npos);
  EXPECT_NE(fault(DataType::kFp32, {8, 8}, sample + "/rgb_png").find("it takes three dimensions"),
            std::string::npos);
  EXPECT_NE(fault(DataType::kFp32, {3, 8, 3}, sample + "/rgb_png").find("add layout=chw"),
            std::string::npos);
  EXPECT_NE(fault(DataType::kFp32, {3, 8, 8}, sample).find("has no .png, .jpg or .jpeg files"),
            std::string::npos);
  EXPECT_NE(fault(DataType::kFp32, {3, 8, 8}, sample + "/cmyk_jpeg").find("CMYK"),
            std::string::npos);
}

}  // namespace
}  // namespace sextant::load
