#include <gtest/gtest.h>

#include <map>

#include "base/random.h"
#include "net/compress.h"
#include "net/grpc.h"
#include "net/hpack.h"
#include "net/http2.h"

namespace sextant::net {
namespace {

std::vector<HeaderField> Decode(HpackDecoder& decoder, std::string_view block) {
  std::vector<HeaderField> fields;
  EXPECT_TRUE(decoder.Decode(block, fields));
  return fields;
}

TEST(Hpack, Nghttp2ReadsWhatWeWrite) {
  std::string block;
  AppendHpackIndexed(block, kHpackMethodPost);
  AppendHpackField(block, kHpackPath, {}, "/a/B");
  AppendHpackField(block, 0, "x-long", std::string(300, 'v'));
  HpackDecoder decoder;
  const auto fields = Decode(decoder, block);
  ASSERT_EQ(fields.size(), 3u);
  EXPECT_EQ(fields[0].name, ":method");
  EXPECT_EQ(fields[0].value, "POST");
  EXPECT_EQ(fields[1].value, "/a/B");
  EXPECT_EQ(fields[2].value, std::string(300, 'v'));
  EXPECT_EQ(ExamineHpack(block), HpackDependence::kNone);
}

TEST(Hpack, InsertedFieldsAreReferredToByIndex) {
  std::string first, next;
  AppendHpackField(first, kHpackPath, {}, "/p", true);
  AppendHpackField(first, 0, "te", "trailers", true);
  AppendHpackIndexed(next, 63);  // the older of the two
  AppendHpackIndexed(next, 62);
  HpackDecoder decoder;
  Decode(decoder, first);
  const auto fields = Decode(decoder, next);
  EXPECT_EQ(fields[0].value, "/p");
  EXPECT_EQ(fields[1].value, "trailers");
  EXPECT_EQ(ExamineHpack(first), HpackDependence::kChanges);
  EXPECT_EQ(ExamineHpack(next), HpackDependence::kReads);
}

TEST(Hpack, MalformedBlocksAreRefused) {
  std::vector<HeaderField> fields;
  for (const std::string& bad :
       {std::string("\xff\xff\xff\xff\xff\xff"), std::string("\x80"), std::string("\xfe"),
        std::string("\x00\x05"
                    "ab",
                    4)}) {
    HpackDecoder decoder;
    EXPECT_FALSE(decoder.Decode(bad, fields));
    ExamineHpack(bad);
  }
  HpackDecoder decoder;
  std::string bomb;
  AppendHpackField(bomb, 0, "a", std::string(4000, 'x'), true);
  for (int i = 0; i < 100; ++i) AppendHpackIndexed(bomb, 62);
  EXPECT_FALSE(decoder.Decode(bomb, fields)) << "a block that expands beyond the limit";
}

TEST(Http2StreamTable, BehavesAsAMap) {
  Http2StreamTable table;
  std::map<uint32_t, uint32_t> model;
  Random random(1);
  uint32_t next = 1;
  for (int step = 0; step < 20'000; ++step) {
    if (model.size() < 3 || (model.size() < 300 && random.Uniform() < 0.5)) {
      table.Insert(next).token = next * 7;
      model[next] = next * 7;
      next += 2 * static_cast<uint32_t>(1 + random.Below(3));
    } else {
      auto it = model.begin();
      std::advance(it, static_cast<long>(random.Below(model.size())));
      table.Erase(it->first);
      model.erase(it);
    }
    if (step % 500 == 0) {
      for (const auto& [id, token] : model) {
        ASSERT_NE(table.Find(id), nullptr);
        EXPECT_EQ(table.Find(id)->token, token);
      }
      EXPECT_EQ(table.size(), model.size());
      EXPECT_EQ(table.Find(next), nullptr);
    }
  }
}

TEST(Grpc, TimeoutsAreNeverShorterThanAsked) {
  EXPECT_EQ(GrpcEncodeTimeout(5s), "5000000u");
  EXPECT_EQ(GrpcEncodeTimeout(1ns), "1n");
  for (const Nanos t : {1ns, 123456789ns, Nanos(5s), Nanos(100h)})
    EXPECT_GE(*GrpcParseTimeout(GrpcEncodeTimeout(t)), t);
  EXPECT_FALSE(GrpcParseTimeout("5"));
  EXPECT_FALSE(GrpcParseTimeout("123456789S"));
  EXPECT_FALSE(GrpcParseTimeout("-5S"));
}

TEST(Grpc, MessagesArePercentEncoded) {
  const std::string text = "100 % wrong: \xc3\xa4\n";
  EXPECT_EQ(GrpcEncodeMessage(text), "100 %25 wrong: %C3%A4%0A");
  EXPECT_EQ(GrpcDecodeMessage(GrpcEncodeMessage(text)), text);
}

TEST(Compress, RoundTripsAndStopsAtItsLimit) {
  const std::string text(100'000, 'z');
  for (const Compression kind : {Compression::kGzip, Compression::kDeflate}) {
    const std::string packed = Compress(kind, text);
    EXPECT_LT(packed.size(), 1000u);
    EXPECT_EQ(*Decompress(kind, packed, 1 << 20), text);
    EXPECT_EQ(Decompress(kind, packed, 1000).error().code(), ErrorCode::kResourceExhausted);
    EXPECT_FALSE(Decompress(kind, packed.substr(0, packed.size() / 2), 1 << 20).has_value());
  }
  EXPECT_FALSE(Decompress(Compression::kGzip, "not gzip", 1000).has_value());
}

}  // namespace
}  // namespace sextant::net
