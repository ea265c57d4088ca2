#include <gtest/gtest.h>

#include <cmath>

#include "text/csv.h"
#include "text/json.h"
#include "text/yaml.h"

namespace sextant::text {
namespace {

TEST(Json, HalfASurrogatePairIsNoText) {
  EXPECT_EQ(*ParseJson(R"("\ud83d\ude00")")->AsString(), "\xF0\x9F\x98\x80");
  EXPECT_EQ(*ParseJson(R"("\ud7ff")")->AsString(), "\xED\x9F\xBF");
  for (const std::string_view half : {R"("\udc00")", R"("\ud83d")", R"({"\udfff":1})"})
    EXPECT_FALSE(ParseJson(half).has_value()) << half;
}

TEST(Json, RoundTrips) {
  for (const char* text :
       {"null", "true", "-1", "18446744073709551615", "0.1", "1e-07", "\"a\\n\\\"\\u0001\"",
        "[1,[2,{}],{\"a\":[]}]", "{\"b\":1,\"a\":null}", "9007199254740993"}) {
    const Result<Json> value = ParseJson(text);
    ASSERT_TRUE(value.has_value()) << text << value.error().message();
    EXPECT_EQ(FormatJson(*value), text);
  }
}

TEST(Json, NumbersConvertOnlyWhereTheyFit) {
  EXPECT_EQ(ParseJson("3.0")->AsInt(), 3);
  EXPECT_FALSE(ParseJson("3.5")->AsInt());
  EXPECT_FALSE(ParseJson("-1")->AsUint());
  EXPECT_FALSE(ParseJson("18446744073709551615")->AsInt());
  EXPECT_FALSE(ParseJson("1e300")->AsInt());
  EXPECT_FALSE(ParseJson("\"3\"")->AsInt());
  EXPECT_EQ(ParseJson("3")->AsDouble(), 3.0);
}

TEST(Json, FaultsNameTheirPlace) {
  EXPECT_EQ(ParseJson("{\n \"a\": }").error().message(), "line 2, column 7: Invalid value.");
  EXPECT_EQ(ParseJson("{\"a\":1,\"a\":2}").error().message(),
            "line 1, column 11: the key 'a' occurs twice");
  for (const std::string bad :
       {"", "[1,]", "{\"a\"}", "[1] 2", "nan", "\"\xff\"", "01", "1e999", "\"a"}) {
    EXPECT_FALSE(ParseJson(bad).has_value()) << bad;
  }
  EXPECT_FALSE(ParseJson(std::string_view("1\0", 2)).has_value());
}

TEST(Json, DepthIsBounded) {
  EXPECT_FALSE(ParseJson(std::string(100'000, '[')).has_value());
  const std::string deep = std::string(128, '[') + std::string(128, ']');
  EXPECT_TRUE(ParseJson(deep).has_value());
}

TEST(Json, NanAndInfinityOnlyOnRequest) {
  const Result<Json> value = ParseJson("[NaN,-Infinity,Inf]", {.nan_and_inf = true});
  ASSERT_TRUE(value.has_value());
  EXPECT_TRUE(std::isnan(*value->array()[0].AsDouble()));
  EXPECT_EQ(*value->array()[1].AsDouble(), -INFINITY);
  EXPECT_EQ(FormatJson(*value), "[null,null,null]");
}

// Long strings are not copied on the way; what they may hold is the same.
TEST(Json, LongStringsAreReadLikeShortOnes) {
  const std::string filler(10'000, 'x');
  const auto read = [&](std::string_view end) {
    return ParseJson("{\"a\" : \"" + filler + std::string(end));
  };
  const auto first = [](const Result<Json>& value) -> std::string {
    return value.has_value() ? std::string(*value->Find("a")->AsString()) : value.error().message();
  };
  EXPECT_EQ(first(read("\", \"b\": \"y\"}")), filler);
  EXPECT_EQ(first(read("\xc3\xa4\"}")), filler + "\xc3\xa4");
  EXPECT_EQ(first(read("\\\"\\u00e4\"}")), filler + "\"\xc3\xa4");
  EXPECT_EQ(first(read("\x80\"}")), "line 1, column 10011: a string that is not valid UTF-8");
  for (const std::string_view bad : {"", "\n\"}", "\\", "\\q\"}", "\"", "\"]", "\" \"\"}"})
    EXPECT_FALSE(read(bad).has_value()) << bad;
  EXPECT_FALSE(read(std::string_view("\0\"}", 3)).has_value());
  const Result<Json> both = read("\", \"" + filler + "\": \"" + filler + "\"}");
  ASSERT_TRUE(both.has_value());
  EXPECT_EQ(both->Find(filler)->AsString(), filler);
}

TEST(JsonWriter, IndentsOnRequest) {
  JsonWriter writer(2);
  writer.BeginObject()
      .Member("a", 1)
      .Key("b")
      .BeginArray()
      .Value("x")
      .EndArray()
      .Key("c")
      .BeginObject()
      .EndObject()
      .EndObject();
  EXPECT_EQ(writer.text(), "{\n  \"a\": 1,\n  \"b\": [\n    \"x\"\n  ],\n  \"c\": {}\n}");
}

TEST(Yaml, CoreSchema) {
  const Result<Json> value = ParseYaml(
      "a: 1\nb: [1.5, true, ~, no, '1', \"x\", 0x10]\nc:\n  - d: null\n  - e: text with spaces\nf: "
      "12abc\ng: 1e3\n");
  ASSERT_TRUE(value.has_value()) << value.error().message();
  EXPECT_EQ(FormatJson(*value),
            "{\"a\":1,\"b\":[1.5,true,null,\"no\",\"1\",\"x\",\"0x10\"],\"c\":[{\"d\":null},{\"e\":"
            "\"text with "
            "spaces\"}],\"f\":\"12abc\",\"g\":1000}");
}

TEST(Yaml, FaultsNameTheirPlace) {
  EXPECT_EQ(ParseYaml("a: 1\na: 2\n").error().message(),
            "line 2, column 1: the key 'a' occurs twice");
  EXPECT_NE(ParseYaml("a: [1\nb: 2").error().message().find("line "), std::string::npos);
  EXPECT_FALSE(ParseYaml("a: 1\n---\nb: 2\n").has_value());
  EXPECT_FALSE(ParseYaml("? [a]\n: b\n").has_value());
  EXPECT_FALSE(ParseYaml(std::string(100'000, '[')).has_value());
}

TEST(Yaml, AliasBombsAreRefused) {
  std::string bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n";
  for (char c = 'b'; c < 'j'; ++c) {
    const char before = static_cast<char>(c - 1);
    bomb += std::string(1, c) + ": &" + c + " [*" + before + ",*" + before + ",*" + before + ",*" +
            before + ",*" + before + "]\n";
  }
  EXPECT_NE(ParseYaml(bomb).error().message().find("more than"), std::string::npos);
}

TEST(Yaml, FormattedTextReadsBack) {
  const Json value = *ParseJson(
      R"({"a":1,"s":"plain words","q":["true","1","","a: b","- x","#c","x\ny","null","a,b"],"o":{"e":{},"l":[],"n":null},"l":[{"k":1,"m":[2,3]},[4]],"d":0.25})");
  const std::string yaml = FormatYaml(value);
  const Result<Json> back = ParseYaml(yaml);
  ASSERT_TRUE(back.has_value()) << back.error().message() << "\n" << yaml;
  EXPECT_EQ(FormatJson(*back), FormatJson(value)) << yaml;
}

TEST(Csv, CellsAreQuotedWhereNeeded) {
  std::string out;
  const std::string cells[] = {"a", "b,c", "d\"e", ""};
  AppendCsvRow(out, cells);
  EXPECT_EQ(out, "a,\"b,c\",\"d\"\"e\",\n");
}

}  // namespace
}  // namespace sextant::text
