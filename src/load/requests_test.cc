// Encoded requests are read back by the server's own decoders.
#include "load/requests.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/strings.h"
#include "kserve/infer_grpc.h"
#include "kserve/infer_http.h"
#include "load/generate.h"
#include "net/http1.h"

namespace sextant::load {
namespace {

using kserve::DataType;
using kserve::Protocol;

const ModelSignature kModel{.name = "a model",
                            .max_batch_size = 8,
                            .inputs = {{"N", DataType::kInt32, {1}}, {"S", DataType::kBytes, {1}}},
                            .outputs = {{"L", DataType::kInt64, {1}}},
                            .optional_inputs = {false, false}};

DataSet Rows(int n, bool expected = false) {
  std::string text = "{\"data\":[";
  for (int i = 0; i < n; ++i)
    text += Format("{}{{\"N\":[{}],\"S\":[\"{}\"]}}", i > 0 ? "," : "", i,
                   std::string(static_cast<size_t>(i), 'x'));
  text += "]";
  if (expected) {
    text += ",\"validation_data\":[";
    for (int i = 0; i < n; ++i) text += Format("{}{{\"L\":[{}]}}", i > 0 ? "," : "", i * 10);
    text += "]";
  }
  return *ParseJsonData(text + "}", "test", kModel, {});
}

std::string Joined(const EncodedRequest& request) {
  std::string out;
  for (const std::string_view piece : request.pieces) out += piece;
  return out;
}

// The values of N in a request, decoded as the server would.
std::vector<double> DecodeN(const EncodedRequest& request, Protocol protocol,
                            kserve::InferRequest& out) {
  const std::string bytes = Joined(request);
  EXPECT_EQ(bytes.size(), request.bytes);
  Result<void> decoded;
  if (protocol == Protocol::kHttp) {
    net::HttpHead head;
    std::string_view fault;
    EXPECT_EQ(net::ParseRequestHead(bytes, head, fault), net::HttpParse::kComplete) << fault;
    EXPECT_EQ(head.target, "/v2/models/a%20model/infer");
    EXPECT_EQ(head.content_length, bytes.size() - head.size);
    out.body = bytes.substr(head.size);
    const auto length = net::FindHeader(head.fields, "inference-header-content-length");
    decoded = kserve::DecodeHttpRequest(length ? ParseUint(*length) : std::nullopt, out);
  } else {
    EXPECT_EQ(net::ParseGrpcPrefix(bytes.data()).length, bytes.size() - 5);
    out.body = bytes.substr(5);
    decoded = kserve::DecodeGrpcRequest(out);
    EXPECT_EQ(out.model_name, "a model");
  }
  EXPECT_TRUE(decoded.has_value()) << decoded.error().message();
  std::vector<double> values;
  for (int64_t i = 0; i < out.inputs[0].shape[0]; ++i)
    values.push_back(
        kserve::ElementAsDouble(DataType::kInt32, out.inputs[0].data, static_cast<uint64_t>(i)));
  return values;
}

TEST(RequestSet, BatchesTakeConsecutiveRowsAndWrapAround) {
  const DataSet data = Rows(4);
  for (const Protocol protocol : {Protocol::kHttp, Protocol::kGrpc}) {
    const auto set = *RequestSet::Encode(
        kModel, data, {.protocol = protocol, .authority = "h:1", .batch_size = 3});
    ASSERT_EQ(set->requests().size(), 4u);
    const std::vector<std::vector<double>> expected{{0, 1, 2}, {3, 0, 1}, {2, 3, 0}, {1, 2, 3}};
    for (size_t k = 0; k < 4; ++k) {
      kserve::InferRequest request;
      EXPECT_EQ(DecodeN(set->requests()[k], protocol, request), expected[k]);
      EXPECT_EQ(request.inputs[1].shape, (kserve::Shape{3, 1}));
    }
  }
}

TEST(RequestSet, SmallRequestsAreOnePieceAndLargeOnesAreNotCopied) {
  const DataSet small = Rows(2);
  EXPECT_EQ((*RequestSet::Encode(kModel, small, {}))->requests()[0].pieces.size(), 1u);
  const ModelSignature big_model{.name = "b",
                                 .max_batch_size = 4,
                                 .inputs = {{"X", DataType::kFp32, {150'000}}},
                                 .optional_inputs = {false}};
  const DataSet big = *GenerateData(big_model, {.rows = 3});
  const auto set =
      *RequestSet::Encode(big_model, big, {.protocol = Protocol::kGrpc, .batch_size = 2});
  const EncodedRequest& wrapped = set->requests()[1];
  ASSERT_EQ(wrapped.pieces.size(), 4u) << "header, length, last row, first row";
  EXPECT_EQ(wrapped.pieces[2].data(), big.inputs()[0].Row(2).data());
  EXPECT_EQ(wrapped.pieces[3].data(), big.inputs()[0].Row(0).data());
}

TEST(RequestSet, JsonTensorsForServersWithoutTheBinaryExtension) {
  const DataSet data = Rows(2);
  const auto set = *RequestSet::Encode(kModel, data, {.json_tensors = true});
  kserve::InferRequest request;
  EXPECT_EQ(DecodeN(set->requests()[1], Protocol::kHttp, request), std::vector<double>{1});
  EXPECT_EQ(request.inputs[1].data, std::string_view("\1\0\0\0x", 5));
}

TEST(RequestSet, ImpossibleBatchesAreRefusedBeforeTheFirstRequest) {
  const DataSet data = Rows(3);
  EXPECT_EQ(RequestSet::Encode(kModel, data, {.batch_size = 9}).error().message(),
            "batch size 9 is above the model's max_batch_size of 8");
  ModelSignature flat = kModel;
  flat.max_batch_size = 0;
  EXPECT_NE(
      RequestSet::Encode(flat, data, {.batch_size = 2}).error().message().find("takes no batches"),
      std::string::npos);
  const ModelSignature open{.name = "o",
                            .max_batch_size = 8,
                            .inputs = {{"X", DataType::kInt32, {-1}}},
                            .optional_inputs = {false}};
  const DataSet ragged = *ParseJsonData(R"({"data":[{"X":[1]},{"X":[1,2]}]})", "r", open, {});
  EXPECT_NE(RequestSet::Encode(open, ragged, {.batch_size = 2})
                .error()
                .message()
                .find("rows 0 and 1 cannot share a batch"),
            std::string::npos);
  EXPECT_TRUE(RequestSet::Encode(open, ragged, {.batch_size = 1}).has_value());
}

TEST(RequestSet, WrongOutputsAreCountedPerInference) {
  const DataSet data = Rows(3, true);
  const auto grpc = *RequestSet::Encode(
      kModel, data, {.protocol = Protocol::kGrpc, .batch_size = 2, .check_outputs = true});
  const auto http = *RequestSet::Encode(
      kModel, data, {.protocol = Protocol::kHttp, .batch_size = 2, .check_outputs = true});
  const auto answer = [](int64_t a, int64_t b) {
    kserve::InferResponse response;
    std::string bytes(reinterpret_cast<const char*>(&a), 8);
    bytes.append(reinterpret_cast<const char*>(&b), 8);
    response.outputs.push_back({"L", DataType::kInt64, {2, 1}, bytes, {}});
    return response;
  };
  // Request 1 begins at row 2: it expects 20 and, wrapped around, 0.
  EXPECT_EQ(*grpc->CountWrong(1, kserve::EncodeGrpcResponse(answer(20, 0)), {}), 0u);
  EXPECT_EQ(*grpc->CountWrong(1, kserve::EncodeGrpcResponse(answer(20, 5)), {}), 1u);
  EXPECT_EQ(*grpc->CountWrong(1, kserve::EncodeGrpcResponse(answer(5, 5)), {}), 2u);
  EXPECT_FALSE(grpc->CountWrong(1, "\xff", {}).has_value());
  kserve::InferRequest wants;
  kserve::InferResponse response = answer(20, 1);
  const auto body = *kserve::EncodeHttpResponse(wants, response);
  EXPECT_EQ(*http->CountWrong(1, body.json, ""), 1u);
}

template <typename T>
T ParameterOf(const kserve::InferRequest& request, std::string_view name) {
  const kserve::Parameter* value = kserve::FindParameter(request.parameters, name);
  if (value == nullptr || !std::holds_alternative<T>(*value)) {
    ADD_FAILURE() << name << " is missing or of another type";
    return T();
  }
  return std::get<T>(*value);
}

TEST(RequestPatch, WhatIsPatchedInIsWhatTheServerReads) {
  const DataSet data = Rows(3);
  for (const Protocol protocol : {Protocol::kHttp, Protocol::kGrpc}) {
    for (const bool text : {false, true}) {
      const auto set = *RequestSet::Encode(
          kModel, data,
          {.protocol = protocol,
           .authority = "h:1",
           .json_tensors = text,
           .http_fields = "X-Note: sequence_id\r\n",
           .parameters = {{"sequence_idle", std::string("sequence_id")}, {"n", int64_t{7}}},
           .patch = {.request_id = true,
                     .sequence = text ? SequenceIdType::kString : SequenceIdType::kInteger}});
      PatchedRequest patched;
      for (const uint64_t id : {uint64_t{1}, uint64_t{1} << 40, (uint64_t{1} << 63) - 1}) {
        for (const bool flag : {false, true}) {
          const size_t row = id % 3;
          set->patch().Apply(set->requests()[row],
                             {.request_id = id + 5, .sequence_id = id, .start = flag, .end = !flag},
                             patched);
          kserve::InferRequest request;
          EXPECT_EQ(DecodeN(patched.request, protocol, request),
                    std::vector<double>{static_cast<double>(row)});
          EXPECT_EQ(ParameterOf<bool>(request, "sequence_start"), flag);
          EXPECT_EQ(ParameterOf<bool>(request, "sequence_end"), !flag);
          EXPECT_EQ(ParameterOf<int64_t>(request, "n"), 7);
          EXPECT_EQ(ParameterOf<std::string>(request, "sequence_idle"), "sequence_id");
          if (text) {
            EXPECT_EQ(ParameterOf<std::string>(request, "sequence_id"), Format("s{:016x}", id));
          } else {
            EXPECT_EQ(ParameterOf<int64_t>(request, "sequence_id"), static_cast<int64_t>(id));
          }
          if (protocol == Protocol::kGrpc) {
            EXPECT_EQ(ParseRequestId(request.id), id + 5);
          }
        }
      }
    }
  }
}

TEST(RequestPatch, ForeignRequestIdsAreNobodys) {
  for (const char* id : {"", "1", "00000000000000g0", "0000000000000001 ", "000000000000000A"})
    EXPECT_FALSE(ParseRequestId(id)) << id;
  EXPECT_EQ(ParseRequestId("00000000000000ff"), 255u);
}

TEST(RequestSet, FloatsMayDifferByTheToleranceAndNothingElseMay) {
  ModelSignature model = kModel;
  model.outputs = {{"L", DataType::kFp32, {2}}};
  const DataSet data = *ParseJsonData(
      R"({"data":[{"N":[1],"S":["a"]}],"validation_data":[{"L":[100,-2]}]})", "t", model, {});
  const auto strict =
      *RequestSet::Encode(model, data, {.protocol = Protocol::kGrpc, .check_outputs = true});
  const auto loose =
      *RequestSet::Encode(model, data,
                          {.protocol = Protocol::kGrpc,
                           .check_outputs = true,
                           .tolerance = Tolerance{.absolute = 0.01, .relative = 0.001}});
  const auto answer = [](float a, float b) {
    kserve::InferResponse response;
    std::string bytes(reinterpret_cast<const char*>(&a), 4);
    bytes.append(reinterpret_cast<const char*>(&b), 4);
    response.outputs.push_back({"L", DataType::kFp32, {1, 2}, bytes, {}});
    return kserve::EncodeGrpcResponse(response);
  };
  EXPECT_EQ(*strict->CountWrong(0, answer(100, -2), {}), 0u);
  EXPECT_EQ(*strict->CountWrong(0, answer(100.05f, -2), {}), 1u);
  EXPECT_EQ(*loose->CountWrong(0, answer(100.05f, -2.005f), {}), 0u);
  EXPECT_EQ(*loose->CountWrong(0, answer(100.2f, -2), {}), 1u);
  EXPECT_EQ(*loose->CountWrong(0, answer(NAN, -2), {}), 1u);
}

TEST(RequestSet, AnOutputLongerThanExpectedIsWrongInABatchToo) {
  const DataSet data = Rows(2, true);
  const auto set = *RequestSet::Encode(
      kModel, data, {.protocol = Protocol::kGrpc, .batch_size = 2, .check_outputs = true});
  const int64_t values[] = {0, 10, 20};
  kserve::InferResponse response;
  response.outputs.push_back(
      {"L", DataType::kInt64, {3, 1}, std::string(reinterpret_cast<const char*>(values), 24), {}});
  EXPECT_EQ(*set->CountWrong(0, kserve::EncodeGrpcResponse(response), {}), 2u);
}

}  // namespace
}  // namespace sextant::load
