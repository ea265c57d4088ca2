#include "load/data_files.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/files.h"
#include "base/strings.h"

namespace sextant::load {
namespace {

using kserve::DataType;

class DataFiles : public testing::Test {
 protected:
  void TearDown() override { EXPECT_TRUE(RemoveAll(directory_).has_value()); }

  std::string Write(const std::string& name, std::string_view bytes) const {
    std::string path = JoinPath(directory_, name);
    EXPECT_TRUE(MakeDirectories(path.substr(0, path.rfind('/'))).has_value());
    EXPECT_TRUE(WriteFileAtomic(path, bytes).has_value());
    return path;
  }
  Result<DataSet> Read(const ModelSignature& model, const ShapeByName& shapes = {}) const {
    return ReadInputData(directory_, model, shapes);
  }

  const std::string directory_ = *MakeTempDirectory("sextant-data-");
};

std::string Sample(std::string_view name) {
  return Format("{}/fuzz/corpus/{}", SEXTANT_SOURCE_DIR, name);
}

template <typename T>
std::string Bytes(std::initializer_list<T> values) {
  return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(T)};
}

ModelSignature Model() {
  return {.name = "m",
          .max_batch_size = 8,
          .inputs = {{"F", DataType::kFp32, {2, 2}},
                     {"N", DataType::kInt32, {-1}},
                     {"S", DataType::kBytes, {1}}},
          .outputs = {{"L", DataType::kInt64, {1}}},
          .optional_inputs = {false, false, false}};
}

std::string Fault(const Result<DataSet>& data) {
  return data.has_value() ? "no fault" : data.error().message();
}
void ExpectParts(const std::string& text, std::initializer_list<std::string_view> parts) {
  for (const std::string_view part : parts)
    EXPECT_NE(text.find(part), std::string::npos) << part << "\nin\n" << text;
}

TEST_F(DataFiles, ADirectoryOfImagesIsAnsweredWithHowTheyAreRead) {
  Write("cat.JPG", "x");
  Write("dog.png", "x");
  const std::string fault = Fault(Read(Model()));
  const std::string remedy = Format("--data 'F=image({})' in place of", directory_);
  ExpectParts(fault, {"is an image", remedy});
  EXPECT_EQ(fault.find("missing"), std::string::npos) << fault;
}

TEST_F(DataFiles, ADirectoryHasAFilePerTensorRawOrLines) {
  Write("F", Bytes<float>({1, 2, 3, 4, 5, 6, 7, 8}));
  Write("N.bin", Bytes<int32_t>({1, 2, 3, 4, 5, 6}));
  Write("S", "first line\nsecond\r\n");
  Write("L", Bytes<int64_t>({7, 8}));
  Write(".hidden", "");
  const auto data = Read(Model());
  ASSERT_TRUE(data.has_value()) << data.error().message();
  EXPECT_EQ(data->rows(), 2u) << "a file holds as many rows as fit";
  EXPECT_EQ(data->inputs()[0].Row(1), Bytes<float>({5, 6, 7, 8}));
  EXPECT_NE(data->inputs()[0].file, nullptr) << "mapped, not copied";
  EXPECT_TRUE(data->inputs()[0].owned.empty());
  EXPECT_EQ(data->inputs()[1].RowShape(0), kserve::Shape{3}) << "the open dimension follows";
  EXPECT_EQ(data->inputs()[2].Row(1).substr(4), "second");
  EXPECT_EQ(data->expected()[0].Row(1), Bytes<int64_t>({8}));
}

TEST_F(DataFiles, BytesWithLengthsAndTensorNamesWithSlashesAreFiles) {
  ModelSignature model = Model();
  model.inputs = {{"a/S", DataType::kBytes, {2}}};
  model.optional_inputs = {false};
  Write("a/S.bin", std::string_view("\1\0\0\0x\0\0\0\0\2\0\0\0yz\1\0\0\0w", 20));
  const auto data = Read(model);
  ASSERT_TRUE(data.has_value()) << data.error().message();
  EXPECT_EQ(data->rows(), 2u);
  EXPECT_EQ(data->inputs()[0].Row(0), std::string_view("\1\0\0\0x\0\0\0\0", 9));
  EXPECT_EQ(data->inputs()[0].Row(1).size(), 11u);
}

TEST_F(DataFiles, EveryFaultOfADirectoryIsListed) {
  Write("F", Bytes<float>({1, 2, 3}));
  Write("N.npy", *ReadFile(Sample("npy/float32")));
  Write("X.bin", "x");
  Write("L", Bytes<int64_t>({7}));
  Write("L.npy", "");
  ExpectParts(
      Fault(Read(Model())),
      {"5 parts of the input data do not fit the model:",
       "'X.bin': no tensor of the model has this name; it has inputs 'F', 'N', 'S', outputs "
       "'L'",
       "'L' and 'L.npy' are both for tensor 'L'",
       "input 'S': missing: a file S, S.npy, S.bin or S.txt",
       "input 'F' (F): has 3 elements, which is not a whole number of rows of shape [2,2] "
       "(4 elements)",
       "input 'N' (N.npy): has dtype '<f4', the model wants INT32: save it as int32"});
}

TEST_F(DataFiles, TensorsMustHaveTheSameNumberOfRows) {
  Write("F", Bytes<float>({1, 2, 3, 4, 5, 6, 7, 8}));
  Write("N", Bytes<int32_t>({1, 2}));
  Write("S", "one\ntwo\nthree\n");
  ExpectParts(Fault(Read(Model())), {"input 'S' (S): has 3 rows, input 'F' (F) has 2"});
}

TEST_F(DataFiles, ArraysThatLieAsTheModelWantsThemStayInTheirFile) {
  Write("F.npy", *ReadFile(Sample("npy/float32")));
  ModelSignature model = Model();
  model.inputs.resize(1);
  model.optional_inputs.resize(1);
  const auto data = Read(model);
  ASSERT_TRUE(data.has_value()) << data.error().message();
  EXPECT_EQ(data->rows(), 3u);
  EXPECT_NE(data->inputs()[0].file, nullptr);
  EXPECT_EQ(data->inputs()[0].Row(2), Bytes<float>({4, 4.5, 5, 5.5}));
  const auto lone = ReadInputData(Sample("npy/float32"), model, {});
  ASSERT_TRUE(lone.has_value()) << lone.error().message();
  EXPECT_EQ(lone->rows(), 3u);
  ExpectParts(Fault(ReadInputData(Sample("npy/float32"), Model(), {})), {"is one array"});
}

TEST_F(DataFiles, EveryDtypeOfNumPyReachesItsType) {
  struct Case {
    std::string_view file;
    DataType type;
    kserve::Shape shape;
    std::string row1;
  };
  const Case cases[] = {
      {"npy/big_endian_int32", DataType::kInt32, {2}, Bytes<int32_t>({3, 70000})},
      {"npy/fortran_float64",
       DataType::kFp64,
       {3, 4},
       Bytes<double>({12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23})},
      {"npy/half", DataType::kFp16, {-1}, Bytes<uint16_t>({0x7bff, 0x7c00})},
      {"npy/unicode", DataType::kBytes, {2}, std::string("\0\0\0\0\6\0\0\0日本", 14)},
      {"npy/bytes", DataType::kBytes, {-1}, std::string("\0\0\0\0\3\0\0\0def", 11)},
      {"npy/bool_v2", DataType::kBool, {}, std::string(1, '\0')},
  };
  for (const Case& c : cases) {
    const auto rows = ReadNpy(*ReadFile(Sample(c.file)), {"X", c.type, c.shape}, {});
    ASSERT_TRUE(rows.has_value()) << c.file << ": " << rows.error().message();
    EXPECT_EQ(rows->column.Row(1), c.row1) << c.file;
  }
  const auto bf16 = ReadNpy(*ReadFile(Sample("npy/float32")), {"X", DataType::kBf16, {2, 2}}, {});
  ASSERT_TRUE(bf16.has_value()) << "NumPy has no bfloat16: floats are converted";
  EXPECT_EQ(kserve::ElementAsDouble(DataType::kBf16, bf16->column.bytes(), 3), 1.5);
}

TEST_F(DataFiles, AnArrayOfAnotherShapeIsRefusedWithBothShapes) {
  const auto rows = ReadNpy(*ReadFile(Sample("npy/float32")), {"X", DataType::kFp32, {3, 3}}, {});
  EXPECT_EQ(rows.error().message(),
            "has shape [3,2,2], wanted is [-1,3,3], the rows being the first axis");
  const auto single =
      ReadNpy(*ReadFile(Sample("npy/float32")), {"X", DataType::kFp32, {3, 2, 2}}, {});
  ASSERT_TRUE(single.has_value());
  EXPECT_EQ(single->rows, 1u) << "an array of a row's rank is one row";
  EXPECT_FALSE(ReadNpy(*ReadFile(Sample("npy/empty_rows")), {"X", DataType::kFp32, {4}}, {}));
}

TEST_F(DataFiles, ArchivesStoredAndDeflatedHoldTheSameRows) {
  const auto stored = ReadInputData(Sample("npy/npz_stored"), Model(), {});
  const auto deflated = ReadInputData(Sample("npy/npz_deflated"), Model(), {});
  ASSERT_TRUE(stored.has_value()) << stored.error().message();
  ASSERT_TRUE(deflated.has_value()) << deflated.error().message();
  EXPECT_EQ(stored->rows(), 2u);
  EXPECT_NE(stored->inputs()[0].file, nullptr) << "what is stored is mapped";
  EXPECT_EQ(deflated->inputs()[0].file, nullptr);
  for (size_t i = 0; i < 3; ++i)
    EXPECT_EQ(stored->inputs()[i].bytes(), deflated->inputs()[i].bytes());
  EXPECT_EQ(stored->inputs()[2].Row(1).substr(4), "yz");
  EXPECT_EQ(deflated->expected()[0].Row(1), Bytes<int64_t>({4}));
  std::string damaged = *ReadFile(Sample("npy/npz_deflated"));
  damaged[60] = static_cast<char>(damaged[60] ^ 1);
  ExpectParts(Fault(ReadInputData(Write("damaged.npz", damaged), Model(), {})), {"input 'F'"});
}

}  // namespace
}  // namespace sextant::load
