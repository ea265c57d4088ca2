#include "net/http1.h"

#include <gtest/gtest.h>

#include <vector>

namespace sextant::net {
namespace {

HttpParse Request(std::string_view text, HttpHead& head) {
  std::string_view fault;
  return ParseRequestHead(text, head, fault);
}

TEST(HttpHead, RequestLineAndFraming) {
  HttpHead head;
  ASSERT_EQ(
      Request("POST /v2/models/m/infer?x=1 HTTP/1.1\r\nHost: a\r\ncontent-LENGTH:  12 \r\n\r\nBODY",
              head),
      HttpParse::kComplete);
  EXPECT_EQ(head.method, "POST");
  EXPECT_EQ(head.target, "/v2/models/m/infer?x=1");
  EXPECT_EQ(head.content_length, 12u);
  EXPECT_TRUE(head.keep_alive);
  EXPECT_EQ(FindHeader(head.fields, "HOST"), "a");
  EXPECT_FALSE(FindHeader(head.fields, "ost"));
}

TEST(HttpHead, EveryPrefixIsIncomplete) {
  const std::string text = "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
  HttpHead head;
  for (size_t n = 0; n < text.size(); ++n)
    EXPECT_EQ(Request(text.substr(0, n), head), HttpParse::kIncomplete) << n;
  EXPECT_EQ(Request(text, head), HttpParse::kComplete);
  EXPECT_EQ(head.size, text.size());
}

TEST(HttpHead, WhatSmugglersSendIsRefused) {
  const std::vector<std::string> bad{
      "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
      "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
      "GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
      "GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
      "GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
      "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
      "GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
      "GET / HTTP/1.1\r\nno colon\r\n\r\n",
      "GET / HTTP/1.1\r\nA: b\x01\r\n\r\n",
      std::string("GET / HTTP/1.1\r\nA: b\0c\r\n\r\n", 26),
      "GET  HTTP/1.1\r\n\r\n",
      "GET / HTTP/2.0\r\n\r\n",
      "GET /a\tb HTTP/1.1\r\n\r\n",
      "\x16\x03\x01\x02\n\r\n",
  };
  HttpHead head;
  for (const std::string& text : bad) EXPECT_EQ(Request(text, head), HttpParse::kBad) << text;
}

TEST(HttpHead, AnEndlessHeadIsRefused) {
  HttpHead head;
  EXPECT_EQ(Request("GET / HTTP/1.1\r\nA: " + std::string(70'000, 'x'), head), HttpParse::kBad);
  EXPECT_EQ(Request("GET /" + std::string(70'000, 'x'), head), HttpParse::kBad);
}

TEST(HttpHead, ResponsesAndConnectionRules) {
  HttpHead head;
  std::string_view fault;
  EXPECT_EQ(ParseResponseHead("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", head, fault),
            HttpParse::kComplete);
  EXPECT_EQ(head.status, 200);
  EXPECT_FALSE(head.keep_alive);
  EXPECT_EQ(ParseResponseHead("HTTP/1.0 503\r\nConnection: Keep-Alive\r\n\r\n", head, fault),
            HttpParse::kComplete);
  EXPECT_EQ(head.status, 503);
  EXPECT_TRUE(head.keep_alive);
  for (const char* bad : {"HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n",
                          "HTTP/3 200 OK\r\n\r\n", "SSH-2.0-x\r\n\r\n"}) {
    EXPECT_EQ(ParseResponseHead(bad, head, fault), HttpParse::kBad) << bad;
  }
}

// Feeds a body in pieces of n bytes; "!" at the end when it is bad, "~" when it is incomplete.
std::string ReadBody(HttpBody body, std::string_view bytes, size_t n) {
  std::string out, input;
  while (!body.complete()) {
    const HttpBody::Step step = body.Next(input);
    out += step.data;
    if (step.bad) return out + "!";
    input.erase(0, step.consumed);
    if (step.consumed > 0) continue;
    if (bytes.empty()) return out + "~";
    input += bytes.substr(0, n);
    bytes.remove_prefix(std::min(n, bytes.size()));
  }
  return out;
}

TEST(HttpBody, ChunksInPiecesOfAnySize) {
  HttpHead head;
  head.chunked = true;
  HttpBody body;
  body.StartRequest(head);
  const std::string text = "5;ext=1\r\nhello\r\nA\r\n, world!!!\r\n0\r\nTrailer: x\r\n\r\n";
  for (size_t n = 1; n <= text.size(); ++n)
    EXPECT_EQ(ReadBody(body, text, n), "hello, world!!!") << n;
  EXPECT_EQ(ReadBody(body, "5\r\nhelloX", 3), "hello!");
  EXPECT_EQ(ReadBody(body, "zz\r\n", 9), "!");
  EXPECT_EQ(ReadBody(body, "-1\r\n", 9), "!");
  EXPECT_EQ(ReadBody(body, "fffffffffffffffff\r\n", 99), "!");
  EXPECT_EQ(ReadBody(body, "5\r\nhel", 9), "hel~");
}

TEST(HttpBody, LengthAndConnectionEnd) {
  HttpHead head;
  head.status = 200;
  head.content_length = 5;
  HttpBody body;
  body.StartResponse(head);
  EXPECT_EQ(ReadBody(body, "helloNEXT", 2), "hello");
  head.content_length.reset();
  body.StartResponse(head);
  EXPECT_TRUE(body.until_close());
  head.status = 204;
  body.StartResponse(head);
  EXPECT_TRUE(body.complete());
}

TEST(PercentCoding, RoundTripsAndRejects) {
  EXPECT_EQ(PercentDecode("a%20b%2Fc"), "a b/c");
  EXPECT_FALSE(PercentDecode("%2"));
  EXPECT_FALSE(PercentDecode("%zz"));
  EXPECT_EQ(PercentDecode(PercentEncodePathSegment("ä/ b%")), "ä/ b%");
}

}  // namespace
}  // namespace sextant::net
