// .npy files and ZIP archives, those that NumPy wrote (fuzz/corpus) among them.
#include <gtest/gtest.h>

#include <cstring>

#include "base/files.h"
#include "base/strings.h"
#include "text/npy.h"
#include "text/zip.h"

namespace sextant::text {
namespace {

std::string Sample(std::string_view name) {
  return *ReadFile(Format("{}/fuzz/corpus/{}", SEXTANT_SOURCE_DIR, name));
}

template <typename T>
std::vector<T> Values(std::string_view bytes) {
  std::vector<T> out(bytes.size() / sizeof(T));
  std::memcpy(out.data(), bytes.data(), out.size() * sizeof(T));
  return out;
}

TEST(ParseNpy, WhatNumPyWroteIsReadWhereItLies) {
  const std::string file = Sample("npy/float32");
  const auto array = ParseNpy(file);
  ASSERT_TRUE(array.has_value()) << array.error().message();
  EXPECT_EQ(array->dtype, "<f4");
  EXPECT_EQ(array->shape, (std::vector<int64_t>{3, 2, 2}));
  EXPECT_EQ(array->elements(), 12u);
  EXPECT_GE(array->data.data(), file.data());
  EXPECT_EQ(Values<float>(array->data)[11], 5.5f);
  EXPECT_EQ(ParseNpy(Sample("npy/bool_v2"))->kind, 'b');
  EXPECT_TRUE(ParseNpy(Sample("npy/scalar"))->shape.empty());
  EXPECT_EQ(ParseNpy(Sample("npy/empty_rows"))->elements(), 0u);
}

TEST(NormalizeNpy, TurnsBigEndianAndFortranOrder) {
  const std::string big = Sample("npy/big_endian_int32");
  EXPECT_EQ(Values<int32_t>(NormalizeNpy(*ParseNpy(big))), (std::vector<int32_t>{1, -2, 3, 70000}));
  const std::string fortran = Sample("npy/fortran_float64");
  const auto array = ParseNpy(fortran);
  EXPECT_TRUE(array->fortran_order);
  const std::vector<double> values = Values<double>(NormalizeNpy(*array));
  ASSERT_EQ(values.size(), 24u);
  for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], static_cast<double>(i));
}

TEST(NpyString, ReadsBytesAndUnicode) {
  const std::string unicode = Sample("npy/unicode"), bytes = Sample("npy/bytes");
  const auto u = ParseNpy(unicode), s = ParseNpy(bytes);
  ASSERT_TRUE(u.has_value() && s.has_value());
  EXPECT_EQ(*NpyString(*u, 1), "Größe");
  EXPECT_EQ(*NpyString(*u, 2), "");
  EXPECT_EQ(*NpyString(*u, 3), "日本");
  EXPECT_EQ(*NpyString(*s, 3), "def");
  EXPECT_EQ(*NpyString(*s, 1), "c");
}

TEST(ParseNpy, WhatIsNotAnArrayIsRefused) {
  const std::string good = Sample("npy/float32");
  EXPECT_NE(ParseNpy(Sample("npy/structured")).error().message().find("structured"),
            std::string::npos);
  for (size_t cut = 0; cut < good.size(); ++cut)
    EXPECT_FALSE(ParseNpy(std::string_view(good).substr(0, cut)).has_value()) << cut;
  for (const auto& [from, to] :
       std::initializer_list<std::pair<const char*, const char*>>{{"<f4", "<c8"},
                                                                  {"<f4", "|O8"},
                                                                  {"(3, 2", "(9, 9"},
                                                                  {"(3, 2", "(-3, "},
                                                                  {"False", "Maybe"},
                                                                  {"descr", "dascr"}}) {
    std::string bad = good;
    bad.replace(bad.find(from), std::string_view(to).size(), to);
    EXPECT_FALSE(ParseNpy(bad).has_value()) << to;
  }
}

TEST(ParseZip, ListsWhatNumPyStored) {
  const std::string stored = Sample("npy/npz_stored"), deflated = Sample("npy/npz_deflated");
  const auto entries = ParseZip(stored);
  ASSERT_TRUE(entries.has_value()) << entries.error().message();
  ASSERT_EQ(entries->size(), 3u);
  EXPECT_EQ((*entries)[0].name, "F.npy");
  EXPECT_FALSE((*entries)[0].deflated);
  EXPECT_EQ(ParseNpy((*entries)[0].data)->shape, (std::vector<int64_t>{2, 2, 2}));
  const auto packed = ParseZip(deflated);
  ASSERT_TRUE(packed.has_value()) << packed.error().message();
  EXPECT_TRUE((*packed)[0].deflated);
  EXPECT_EQ((*packed)[0].size, (*entries)[0].size);
}

TEST(ParseZip, WhatIsCutOffOrDamagedIsRefusedOrHarmless) {
  const std::string good = Sample("npy/npz_stored");
  for (size_t cut = 0; cut < good.size(); ++cut)
    EXPECT_FALSE(ParseZip(std::string_view(good).substr(0, cut)).has_value()) << cut;
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(~bad[i]);
    const auto entries = ParseZip(bad);
    if (!entries.has_value()) continue;
    for (const ZipEntry& entry : *entries) EXPECT_LE(entry.data.size(), bad.size());
  }
}

}  // namespace
}  // namespace sextant::text
