// Both encodings of inference against each other and, for gRPC, against protobuf's generated
// classes.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/files.h"
#include "base/strings.h"
#include "inference.pb.h"
#include "kserve/infer_grpc.h"
#include "kserve/infer_http.h"
#include "kserve/metadata.h"
#include "kserve/model_config.h"
#include "kserve/shared_memory.h"

namespace sextant::kserve {
namespace {

std::string Floats(std::initializer_list<float> values) {
  return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(float)};
}

Result<void> DecodeHttp(std::string json, InferRequest& request, std::string binary = {}) {
  const size_t header = json.size();
  request.body = json + binary;
  return DecodeHttpRequest(binary.empty() ? std::nullopt : std::optional<uint64_t>(header),
                           request);
}

std::string HttpFault(std::string json, std::string binary = {}) {
  InferRequest request;
  const Result<void> result = DecodeHttp(std::move(json), request, std::move(binary));
  return result.has_value() ? "accepted" : result.error().message();
}

TEST(HttpRequest, JsonAndBinaryTensorsSideBySide) {
  InferRequest request;
  const Result<void> result = DecodeHttp(
      R"({"id":"7","parameters":{"priority":2,"x":"y","binary_data_output":true},"inputs":[)"
      R"({"name":"A","datatype":"FP32","shape":[2,2],"data":[[1,2.5],[3,4]]},)"
      R"({"name":"B","datatype":"INT64","shape":[1],"parameters":{"binary_data_size":8}},)"
      R"({"name":"C","datatype":"BYTES","shape":[2],"data":["ab",""]}],"outputs":[{"name":"O","parameters":{"binary_data":false}},{"name":"P"}]})",
      request, std::string("\x2a\0\0\0\0\0\0\0", 8));
  ASSERT_TRUE(result.has_value()) << result.error().message();
  EXPECT_EQ(request.id, "7");
  EXPECT_EQ(request.inputs[0].data, Floats({1, 2.5, 3, 4}));
  EXPECT_EQ(request.inputs[1].data, std::string_view("\x2a\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(request.inputs[2].data, std::string_view("\2\0\0\0ab\0\0\0\0", 10));
  EXPECT_FALSE(request.outputs[0].binary);
  EXPECT_TRUE(request.outputs[1].binary);
  EXPECT_EQ(std::get<int64_t>(*FindParameter(request.parameters, "priority")), 2);
  EXPECT_EQ(FindParameter(request.parameters, "binary_data_output"), nullptr);
}

TEST(HttpRequest, FaultsNameTheTensor) {
  const auto input = [](std::string_view rest) {
    return Format(R"({{"inputs":[{{"name":"A",{}}}]}})", rest);
  };
  EXPECT_EQ(HttpFault(input(R"("datatype":"FP32","shape":[3],"data":[1,2])")),
            "input 'A' with shape [3] must have 3 elements, got 2");
  EXPECT_EQ(HttpFault(input(R"("datatype":"FP8","shape":[3],"data":[1,2])")),
            "unknown datatype 'FP8' of input 'A'");
  EXPECT_EQ(HttpFault(input(R"("datatype":"INT8","shape":[1],"data":[300])")),
            "'data' of input 'A': 300 does not fit INT8");
  EXPECT_EQ(HttpFault(input(R"("datatype":"FP16","shape":[1],"data":[1])")),
            "FP16 cannot be sent as JSON: use binary tensor data for input 'A'");
  EXPECT_EQ(HttpFault(input(R"("datatype":"FP32","shape":[-1],"data":[1])")),
            "'shape' of input 'A' must hold non-negative integers");
  EXPECT_EQ(
      HttpFault(input(R"("datatype":"FP32","shape":[1])")),
      "input 'A' must have exactly one of 'data', 'binary_data_size' and 'shared_memory_region'");
  EXPECT_EQ(
      HttpFault(input(R"("datatype":"FP32","shape":[2],"parameters":{"binary_data_size":4})"),
                "abcd"),
      "byte size mismatch for input 'A' with shape [2] and type FP32: expected 8 bytes, got 4");
  EXPECT_EQ(HttpFault(input(R"("datatype":"FP32","shape":[2],"parameters":{"binary_data_size":8})"),
                      "abcd"),
            "input 'A' announces 8 bytes of binary data, 4 are left in the body");
  EXPECT_EQ(HttpFault(input(R"("datatype":"FP32","shape":[1],"parameters":{"binary_data_size":4})"),
                      "abcdefgh"),
            "4 bytes of binary data are left over after all inputs");
  EXPECT_EQ(HttpFault("[]"), "the request must be a JSON object");
  EXPECT_EQ(HttpFault("{}"), "the request lacks an array 'inputs'");
  EXPECT_EQ(HttpFault("{\"inputs\":").substr(0, 36), "failed to parse the request JSON: li");
}

TEST(HttpResponse, GoesOutAsItWasAskedForAndReadsBack) {
  InferRequest request;
  request.outputs = {{.name = "B", .binary = true}, {.name = "J"}};
  InferResponse response{.model_name = "m", .model_version = "1", .id = "7"};
  response.outputs.push_back({"B", DataType::kFp32, {2}, Floats({1.5, -2}), {}});
  response.outputs.push_back({"J",
                              DataType::kFp32,
                              {3},
                              Floats({0.1f, 1e30f, std::numeric_limits<float>::infinity()}),
                              {}});
  Result<HttpInferBody> body = EncodeHttpResponse(request, response);
  ASSERT_TRUE(body.has_value());
  EXPECT_EQ(
      body->json,
      R"({"id":"7","model_name":"m","model_version":"1","outputs":[{"name":"B","datatype":"FP32","shape":[2],"parameters":{"binary_data_size":8}},)"
      R"({"name":"J","datatype":"FP32","shape":[3],"data":[0.1,1e+30,Infinity]}]})");
  const std::string whole = body->json + body->binary[0];
  const Result<ResponseView> view = DecodeHttpResponse(whole, body->json.size());
  ASSERT_TRUE(view.has_value()) << view.error().message();
  EXPECT_EQ(view->outputs[0].data, Floats({1.5, -2}));
  EXPECT_EQ(ElementAsDouble(DataType::kFp32, view->outputs[1].data, 0), 0.1f);
}

TEST(HttpResponse, WhatJsonCannotCarryIsSaid) {
  InferRequest request;
  InferResponse half;
  half.outputs.push_back({"H", DataType::kFp16, {1}, "ab", {}});
  EXPECT_EQ(EncodeHttpResponse(request, half).error().message(),
            "FP16 cannot be sent as JSON: use binary tensor data for 'H'");
  InferResponse bytes;
  bytes.outputs.push_back({"S", DataType::kBytes, {1}, std::string("\1\0\0\0\xff", 5), {}});
  EXPECT_EQ(EncodeHttpResponse(request, bytes).error().message(),
            "'S' is not text: use binary tensor data");
}

TEST(GrpcRequest, ReadsWhatProtobufWrites) {
  inference::ModelInferRequest message;
  message.set_model_name("m");
  message.set_id("9");
  (*message.mutable_parameters())["priority"].set_int64_param(3);
  (*message.mutable_parameters())["flag"].set_bool_param(true);
  (*message.mutable_parameters())["scale"].set_double_param(0.5);
  auto* a = message.add_inputs();
  a->set_name("A");
  a->set_datatype("FP32");
  a->add_shape(1);
  a->add_shape(2);
  auto* s = message.add_inputs();
  s->set_name("S");
  s->set_datatype("INT32");
  s->add_shape(4);
  (*s->mutable_parameters())["shared_memory_region"].set_string_param("r");
  (*s->mutable_parameters())["shared_memory_byte_size"].set_int64_param(16);
  message.add_outputs()->set_name("O");
  message.add_raw_input_contents(Floats({1, 2}));
  InferRequest request;
  request.body = message.SerializeAsString();
  const Result<void> result = DecodeGrpcRequest(request);
  ASSERT_TRUE(result.has_value()) << result.error().message();
  EXPECT_EQ(request.model_name, "m");
  EXPECT_EQ(request.inputs[0].data, Floats({1, 2}));
  EXPECT_EQ(request.inputs[0].shape, (Shape{1, 2}));
  EXPECT_EQ(request.inputs[1].shared_memory->byte_size, 16u);
  EXPECT_EQ(std::get<double>(*FindParameter(request.parameters, "scale")), 0.5);
  EXPECT_EQ(request.outputs[0].name, "O");
}

TEST(GrpcRequest, TypedContentsOfEveryType) {
  inference::ModelInferRequest message;
  const auto add = [&](const char* name, const char* type) {
    auto* input = message.add_inputs();
    input->set_name(name);
    input->set_datatype(type);
    input->add_shape(2);
    return input->mutable_contents();
  };
  for (const int v : {-1, 5}) add("I8", "INT8")->add_int_contents(v);
  message.mutable_inputs()->RemoveLast();
  message.mutable_inputs(0)->mutable_contents()->add_int_contents(5);
  auto* f = add("F", "FP32");
  f->add_fp32_contents(1.5f), f->add_fp32_contents(-2);
  auto* u = add("U", "UINT16");
  u->add_uint_contents(1), u->add_uint_contents(65535);
  auto* b = add("B", "BYTES");
  b->add_bytes_contents("x"), b->add_bytes_contents("");
  InferRequest request;
  request.body = message.SerializeAsString();
  const Result<void> result = DecodeGrpcRequest(request);
  ASSERT_TRUE(result.has_value()) << result.error().message();
  EXPECT_EQ(request.inputs[0].data, std::string_view("\xff\5", 2));
  EXPECT_EQ(request.inputs[1].data, Floats({1.5, -2}));
  EXPECT_EQ(request.inputs[2].data, std::string_view("\1\0\xff\xff", 4));
  EXPECT_EQ(request.inputs[3].data, std::string_view("\1\0\0\0x\0\0\0\0", 9));
}

TEST(GrpcRequest, FaultsNameTheTensor) {
  const auto fault = [](const inference::ModelInferRequest& message) {
    InferRequest request;
    request.body = message.SerializeAsString();
    const Result<void> result = DecodeGrpcRequest(request);
    return result.has_value() ? std::string("accepted") : result.error().message();
  };
  inference::ModelInferRequest message;
  auto* input = message.add_inputs();
  input->set_name("A");
  input->set_datatype("FP32");
  input->add_shape(2);
  EXPECT_EQ(
      fault(message),
      "byte size mismatch for input 'A' with shape [2] and type FP32: expected 8 bytes, got 0");
  message.add_raw_input_contents("abc");
  EXPECT_EQ(
      fault(message),
      "byte size mismatch for input 'A' with shape [2] and type FP32: expected 8 bytes, got 3");
  message.set_raw_input_contents(0, "abcdefgh");
  EXPECT_EQ(fault(message), "accepted");
  message.add_raw_input_contents("more");
  EXPECT_EQ(fault(message), "accepted") << "as Triton does";
  message.mutable_raw_input_contents()->RemoveLast();
  input->mutable_contents()->add_fp32_contents(1);
  EXPECT_EQ(fault(message),
            "contents of input 'A' beside raw_input_contents: only one of them may be used");
  input->set_shape(0, -5);
  input->clear_contents();
  EXPECT_EQ(fault(message), "input 'A': the shape [-5] is not valid: negative, or too large");
  InferRequest garbage;
  garbage.body = "\x0a\xff";
  EXPECT_EQ(DecodeGrpcRequest(garbage).error().message(),
            "the message is not valid protocol buffers");
}

TEST(GrpcRequest, ProtobufReadsWhatWeWrite) {
  const std::vector<InferInput> inputs{{.name = "A", .type = DataType::kFp32, .shape = {1, 300}}};
  const Parameters parameters{{"p", int64_t{-1}}, {"s", std::string("t")}, {"d", 2.5}, {"b", true}};
  std::string message =
      EncodeGrpcRequestHeader("m", "2", inputs, {{.name = "O"}}, "id", parameters);
  message += EncodeRawInputHeader(5) + "hello";
  inference::ModelInferRequest read;
  ASSERT_TRUE(read.ParseFromString(message));
  EXPECT_EQ(read.model_version(), "2");
  EXPECT_EQ(read.inputs(0).shape(1), 300);
  EXPECT_EQ(read.parameters().at("p").int64_param(), -1);
  EXPECT_EQ(read.parameters().at("d").double_param(), 2.5);
  EXPECT_EQ(read.outputs(0).name(), "O");
  EXPECT_EQ(read.raw_input_contents(0), "hello");
}

TEST(GrpcResponse, RoundTripsThroughProtobuf) {
  InferResponse response{
      .model_name = "m", .model_version = "1", .id = "7", .parameters = {{"final", true}}};
  response.outputs.push_back({"B", DataType::kFp32, {2}, Floats({1.5, -2}), {}});
  response.outputs.push_back({"S", DataType::kInt8, {1}, "", SharedMemoryReference{"r", 4, 1}});
  const std::string message = EncodeGrpcResponse(response);
  inference::ModelInferResponse read;
  ASSERT_TRUE(read.ParseFromString(message));
  EXPECT_EQ(read.raw_output_contents(0), Floats({1.5, -2}));
  EXPECT_TRUE(read.outputs(1).parameters().empty());
  EXPECT_EQ(read.raw_output_contents(1), "");
  EXPECT_TRUE(read.parameters().at("final").bool_param());
  const Result<ResponseView> view = DecodeGrpcResponse(message);
  ASSERT_TRUE(view.has_value());
  EXPECT_EQ(view->outputs[0].data, Floats({1.5, -2}));
  EXPECT_EQ(view->id, "7");
  inference::ModelStreamInferResponse stream;
  ASSERT_TRUE(stream.ParseFromString(EncodeGrpcStreamError("bad", message)));
  EXPECT_EQ(stream.error_message(), "bad");
  EXPECT_EQ(stream.infer_response().id(), "7");
}

TEST(ModelConfig, TextFaultsHaveAPlace) {
  EXPECT_EQ(ParseModelConfig("name: \"m\"\nmax_batch: 3").error().message(),
            "line 2, column 10: Message type \"inference.ModelConfig\" has no field named "
            "\"max_batch\".");
  EXPECT_FALSE(ParseModelConfig(std::string(10'000, '{')).has_value());
}

TEST(ModelConfig, JsonHasTritonsShapeAndReadsBack) {
  const ModelConfig config = *ParseModelConfig(R"(
    name: "m" backend: "simulated" max_batch_size: 8
    input [ { name: "X" data_type: TYPE_FP32 dims: [ -1, 3 ] } ]
    dynamic_batching { preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 100 }
    parameters { key: "b" value { string_value: "2" } } parameters { key: "a" value { string_value: "1" } })");
  const std::string json = ModelConfigToJson(config);
  EXPECT_NE(json.find(R"("dims":[-1,3])"), std::string::npos) << json;
  EXPECT_NE(json.find(R"("max_queue_delay_microseconds":100)"), std::string::npos);
  EXPECT_NE(json.find(R"("data_type":"TYPE_FP32")"), std::string::npos);
  EXPECT_NE(json.find(R"("parameters":{"a":{"string_value":"1"},"b":{"string_value":"2"}})"),
            std::string::npos);
  EXPECT_EQ(json.find("sequence_batching"), std::string::npos);
  const Result<ModelConfig> read = ParseModelConfigJson(json);
  ASSERT_TRUE(read.has_value()) << read.error().message();
  EXPECT_EQ(ModelConfigToJson(*read), json);
  EXPECT_FALSE(ParseModelConfigJson(R"({"max_batch":3})").has_value());
}

TEST(ModelConfig, SetFieldsAreListedOnce) {
  const ModelConfig config = *ParseModelConfig(R"(
    name: "m" input { name: "A" dims: 1 } input { name: "B" optional: true }
    dynamic_batching { priority_queue_policy { key: 1 value { max_queue_size: 3 } } })");
  EXPECT_EQ(SetFields(config),
            (std::vector<std::string>{"name", "input", "input.name", "input.dims", "input.optional",
                                      "dynamic_batching", "dynamic_batching.priority_queue_policy",
                                      "dynamic_batching.priority_queue_policy.max_queue_size"}));
}

TEST(Metadata, JsonAndProtoRoundTrip) {
  const ModelMetadata model{
      "m", {"1", "2"}, "p", {{"X", DataType::kFp32, {-1, 3}}}, {{"Y", DataType::kBytes, {1}}}};
  const Result<ModelMetadata> from_json = ParseModelMetadata(ToJson(model));
  ASSERT_TRUE(from_json.has_value());
  EXPECT_EQ(ToJson(*from_json), ToJson(model));
  inference::ModelMetadataResponse proto;
  ToProto(model, proto);
  EXPECT_EQ(ToJson(*FromProto(proto)), ToJson(model));
  EXPECT_FALSE(
      ParseModelMetadata(R"({"inputs":[{"name":"X","datatype":"FP9","shape":[1]}]})").has_value());
}

TEST(Statistics, JsonAndProtoRoundTrip) {
  ModelStatistics s{.name = "m",
                    .version = "1",
                    .last_inference_ms = 5,
                    .inference_count = 10,
                    .execution_count = 4};
  s.success = {10, 100};
  s.queue = {10, 20};
  s.compute_infer = {10, 70};
  s.batches.push_back({4, {1, 1}, {1, 30}, {1, 2}});
  const std::vector<ModelStatistics> all{s};
  const auto read = ParseStatistics(ToJson(all));
  ASSERT_TRUE(read.has_value()) << read.error().message();
  EXPECT_EQ(ToJson(*read), ToJson(all));
  inference::ModelStatisticsResponse proto;
  ToProto(all, proto);
  EXPECT_EQ(ToJson(FromProto(proto)), ToJson(all));
}

TEST(SharedMemory, RegionsAreCheckedAgainstTheirObject) {
  const std::string key = Format("/sextant_test_{}", getpid());
  const Fd fd(shm_open(key.c_str(), O_CREAT | O_RDWR, 0600));
  ASSERT_EQ(ftruncate(fd.get(), 8192), 0);
  SharedMemoryRegistry registry;
  EXPECT_TRUE(registry.Register({"r", key, 4100, 100}).has_value());
  EXPECT_EQ(registry.Register({"r", key, 0, 1}).error().code(), ErrorCode::kAlreadyExists);
  EXPECT_FALSE(registry.Register({"big", key, 8000, 1000}).has_value());
  EXPECT_FALSE(registry.Register({"none", "/sextant_no_such", 0, 1}).has_value());
  ASSERT_EQ(pwrite(fd.get(), "hello", 5, 4110), 5);
  const auto view = registry.Find({"r", 10, 5});
  ASSERT_TRUE(view.has_value());
  EXPECT_EQ(std::string_view(view->data, view->size), "hello");
  EXPECT_FALSE(registry.Find({"r", 98, 5}).has_value());
  EXPECT_FALSE(registry.Find({"r", UINT64_MAX, 5}).has_value());
  EXPECT_EQ(registry.Status("")->size(), 1u);
  registry.Unregister("");
  EXPECT_EQ(registry.Status("r").error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(std::string_view(view->data, view->size), "hello") << "the view keeps the mapping";
  shm_unlink(key.c_str());
}

}  // namespace
}  // namespace sextant::kserve
