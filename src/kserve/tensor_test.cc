#include "kserve/tensor.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "base/random.h"

namespace sextant::kserve {
namespace {

TEST(DataType, NamesNumbersAndSizesBelongTogether) {
  for (int i = 0; i < kDataTypeCount; ++i) {
    const auto type = static_cast<DataType>(i);
    EXPECT_EQ(ParseDataType(DataTypeName(type)), type);
    EXPECT_EQ(DataTypeFromConfig(ConfigTypeNumber(type)), type);
  }
  EXPECT_EQ(ConfigTypeName(DataType::kBytes), "TYPE_STRING");
  EXPECT_EQ(ElementSize(DataType::kBf16), 2u);
  EXPECT_FALSE(ParseDataType("FP8"));
}

// The compiler's own half type is the oracle.
TEST(HalfPrecision, EveryHalfSurvivesAndRoundingIsTheCompilers) {
  for (uint32_t h = 0; h < 65536; ++h) {
    const float f = HalfToFloat(static_cast<uint16_t>(h));
    if (std::isnan(f)) {
      EXPECT_TRUE(std::isnan(HalfToFloat(FloatToHalf(f))));
    } else {
      ASSERT_EQ(FloatToHalf(f), h);
    }
  }
  Random random(1);
  for (int i = 0; i < 2'000'000; ++i) {
    const auto f = std::bit_cast<float>(static_cast<uint32_t>(random.Next()));
    if (std::isnan(f)) continue;
    ASSERT_EQ(FloatToHalf(f), std::bit_cast<uint16_t>(static_cast<_Float16>(f))) << f;
  }
}

TEST(Bf16, RoundsToNearestEven) {
  EXPECT_EQ(FloatToBf16(1.0f), 0x3f80);
  EXPECT_EQ(FloatToBf16(std::bit_cast<float>(0x3f808000u)), 0x3f80) << "a tie goes to even";
  EXPECT_EQ(FloatToBf16(std::bit_cast<float>(0x3f818000u)), 0x3f82);
  EXPECT_TRUE(std::isnan(Bf16ToFloat(FloatToBf16(NAN))));
  EXPECT_EQ(Bf16ToFloat(0xc000), -2.0f);
}

TEST(Shape, CountsDoNotOverflow) {
  EXPECT_EQ(ElementCount(Shape{2, 3, 4}), 24u);
  EXPECT_EQ(ElementCount(Shape{}), 1u);
  EXPECT_EQ(ElementCount(Shape{0, 5}), 0u);
  EXPECT_FALSE(ElementCount(Shape{-1, 5}));
  EXPECT_FALSE(ElementCount(Shape{int64_t{1} << 40, int64_t{1} << 40}));
  EXPECT_FALSE(ByteSize(DataType::kFp64, Shape{int64_t{1} << 62}));
  EXPECT_EQ(FormatShape(Shape{-1, 3}), "[-1,3]");
}

TEST(Elements, OutOfRangeAndBrokenNumbersAreErrors) {
  std::string out;
  EXPECT_TRUE(AppendElement(DataType::kUint8, int64_t{255}, out).has_value());
  EXPECT_FALSE(AppendElement(DataType::kUint8, int64_t{256}, out).has_value());
  EXPECT_FALSE(AppendElement(DataType::kUint8, int64_t{-1}, out).has_value());
  EXPECT_FALSE(AppendElement(DataType::kInt32, 1.5, out).has_value());
  EXPECT_TRUE(AppendElement(DataType::kInt32, 2.0, out).has_value());
  EXPECT_FALSE(AppendElement(DataType::kInt64, 0x1p63, out).has_value());
  EXPECT_TRUE(AppendElement(DataType::kUint64, UINT64_MAX, out).has_value());
  EXPECT_FALSE(AppendElement(DataType::kBool, int64_t{2}, out).has_value());
  EXPECT_TRUE(AppendElement(DataType::kFp16, 1.5, out).has_value());
  EXPECT_EQ(out.size(), 1u + 4 + 8 + 2);
  EXPECT_EQ(ElementAsDouble(DataType::kFp16, std::string_view(out).substr(13), 0), 1.5);
}

TEST(Bytes, ElementsAreSplitExactly) {
  std::string data;
  AppendBytesElement("one", data);
  AppendBytesElement("", data);
  const auto elements = SplitBytes(data, 2);
  ASSERT_TRUE(elements.has_value());
  EXPECT_EQ((*elements)[0], "one");
  EXPECT_FALSE(SplitBytes(data, 1).has_value());
  EXPECT_FALSE(SplitBytes(data, 3).has_value());
  EXPECT_FALSE(SplitBytes(data.substr(0, 5), 1).has_value());
  EXPECT_FALSE(SplitBytes("\xff\xff\xff\xff", 1).has_value());
}

TEST(AllClose, ComparesFloatsWithinBoundsAndTheRestExactly) {
  const auto bytes = [](DataType type, std::initializer_list<double> values) {
    std::string out;
    for (const double v : values) EXPECT_TRUE(AppendElement(type, v, out).has_value());
    return out;
  };
  for (const DataType type : {DataType::kFp16, DataType::kBf16, DataType::kFp32, DataType::kFp64}) {
    const std::string want = bytes(type, {1, NAN, INFINITY, -4});
    EXPECT_TRUE(AllClose(type, bytes(type, {1.25, NAN, INFINITY, -4.5}), want, 0, 0.25));
    EXPECT_FALSE(AllClose(type, bytes(type, {1.5, NAN, INFINITY, -4}), want, 0, 0.25));
    EXPECT_FALSE(AllClose(type, bytes(type, {1, NAN, 3, -4}), want, 1e9, 1e9));
    EXPECT_FALSE(AllClose(type, bytes(type, {1, 0, INFINITY, -4}), want, 1e9, 1e9));
    EXPECT_FALSE(AllClose(type, bytes(type, {1}), want, 1e9, 1e9));
  }
  EXPECT_FALSE(
      AllClose(DataType::kInt32, bytes(DataType::kInt32, {1}), bytes(DataType::kInt32, {2}), 5, 5));
}

}  // namespace
}  // namespace sextant::kserve
