// Tensors on a GPU that is not there: a driver of the repository's own (src/gpu/fake_cuda.cc) takes
// its place in both programs, with memory that goes from process to process as a GPU's does.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>

#include "base/files.h"
#include "base/strings.h"
#include "harness.h"
#include "kserve/control_client.h"
#include "net/blocking.h"
#include "text/json.h"

namespace sextant::e2e {
namespace {

using Environment = std::map<std::string, std::string>;

std::map<std::string, std::string> Echo(int batch = 0) {
  return {{"m", EchoModel(batch).Config()}};
}

Environment WithGpu(std::string faults = "") {
  return {{"LD_LIBRARY_PATH", SEXTANT_FAKE_CUDA_DIRECTORY}, {"SEXTANT_FAKE_CUDA_FAIL", faults}};
}

// Also where there is a driver: what lies in its place is no library.
Environment WithoutGpu(const TempDirectory& directory) {
  directory.Write("none/libcuda.so.1", "not a library");
  return {{"LD_LIBRARY_PATH", directory.File("none")}};
}

Serve GpuServe(int batch = 0, const std::string& faults = "") {
  return Serve(Echo(batch), {}, "127.0.0.1", 0, WithGpu(faults));
}

net::HttpReplyText Ask(const Serve& serve, const std::string& method, const std::string& path,
                       const std::string& body = "") {
  const auto address = net::FindListening({"127.0.0.1", serve.http_port()}, 5s);
  auto client = net::BlockingHttpClient::Create(*address, "test");
  return *client->Call(method, "/v2" + path, body, 5s);
}

std::unique_ptr<kserve::ControlClient> Control(const Serve& serve, std::string_view protocol) {
  const bool http = protocol == "http";
  const auto address =
      net::FindListening({"127.0.0.1", http ? serve.http_port() : serve.grpc_port()}, 5s);
  return *kserve::MakeControlClient(http ? kserve::Protocol::kHttp : kserve::Protocol::kGrpc,
                                    *address, "test", "", 5s);
}

size_t Regions(const Serve& serve) {
  const auto reply = Ask(serve, "GET", "/cudasharedmemory/status");
  EXPECT_EQ(reply.status, 200);
  return text::ParseJson(reply.body)->array().size();
}

// Files that a program of ours has left.
size_t Objects(pid_t pid) {
  const auto names = ListDirectory("/dev/shm");
  return static_cast<size_t>(std::count_if(
      names->begin(), names->end(),
      [&](const std::string& name) { return name.starts_with(Format("sextant_{}_", pid)); }));
}

class CudaRuns : public ::testing::TestWithParam<std::string> {
 protected:
  std::vector<std::string> Arguments(const Serve& serve, std::vector<std::string> more) const {
    more.emplace_back("--shared-memory=cuda");
    more.emplace_back("--warmup=0");
    return Against(serve, GetParam(), "m", std::move(more));
  }
  TempDirectory directory_;
};
INSTANTIATE_TEST_SUITE_P(, CudaRuns, ::testing::Values("http", "grpc"),
                         [](const auto& info) { return info.param; });

TEST_P(CudaRuns, OutputsAreReadBackFromTheGpuAndCompared) {
  Serve serve = GpuServe(8);
  for (const int wrong : {0, 1}) {
    const PerfResult result = RunPerf(
        Arguments(serve, {"--shared-memory-required", "--shared-memory-device=1", "-b", "1,3",
                          "--concurrency-range=6", "--requests=400", "--workers=2",
                          "--input-data=" + directory_.Write("data.json", EchoData(wrong))}),
        WithGpu());
    ASSERT_EQ(result.exit_code, 0) << result.err;
    ASSERT_EQ(result.run->levels.size(), 2u);
    for (const run::Level& level : result.run->levels) {
      EXPECT_EQ(level.succeeded, 400u) << result.out;
      const auto inferences = 400 * static_cast<uint64_t>(level.load.batch_size);
      EXPECT_EQ(level.checked_outputs, inferences);
      EXPECT_NEAR(static_cast<double>(level.wrong_outputs),
                  static_cast<double>(static_cast<uint64_t>(wrong) * inferences) / kEchoRows,
                  wrong * 0.1 * static_cast<double>(inferences));
    }
    EXPECT_NE(result.out.find("Note: shared memory: cuda, device 1, inputs"), std::string::npos)
        << result.out;
    EXPECT_EQ(Regions(serve), 0u);
  }
}

TEST_P(CudaRuns, TwoProgramsAtOnceLeaveEachOthersRegionsAlone) {
  Serve serve = GpuServe();
  const std::string data = "--input-data=" + directory_.Write("data.json", EchoData(0));
  Perf longer(Arguments(serve, {"--concurrency-range=4", "--duration=60s", data}), WithGpu());
  ASSERT_TRUE(WaitFor(10s, [&] { return Regions(serve) == 2; }));
  const PerfResult shorter =
      RunPerf(Arguments(serve, {"--concurrency-range=4", "--requests=100", data}), WithGpu());
  EXPECT_EQ(shorter.exit_code, 0) << shorter.err;
  EXPECT_EQ(shorter.level().failed + shorter.level().wrong_outputs, 0u);
  EXPECT_EQ(Regions(serve), 2u) << "the longer run's are still there";
  kill(longer.process().pid(), SIGINT);
  const PerfResult result = longer.Finish();
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_EQ(result.level().failed + result.level().wrong_outputs, 0u) << result.out;
  EXPECT_GT(result.level().checked_outputs, 0u);
  EXPECT_EQ(Regions(serve), 0u);
}

TEST_P(CudaRuns, AKilledRunDoesNotKeepTheNextFromItsWork) {
  Serve serve = GpuServe();
  const std::string data = "--input-data=" + directory_.Write("data.json", EchoData(0));
  Perf perf(Arguments(serve, {"--concurrency-range=4", "--duration=60s", data}), WithGpu());
  ASSERT_TRUE(WaitFor(10s, [&] { return Regions(serve) == 2; }));
  const pid_t pid = perf.process().pid();
  kill(pid, SIGKILL);
  perf.process().Wait(20s);
  const PerfResult next = RunPerf(Arguments(serve, {"--requests=100", data}), WithGpu());
  EXPECT_EQ(next.exit_code, 0) << next.err;
  EXPECT_EQ(next.level().checked_outputs, 100u);
  EXPECT_EQ(next.level().wrong_outputs, 0u);
  EXPECT_EQ(Regions(serve), 2u) << "whose regions they are only the killed run knew";
  EXPECT_EQ(Objects(pid), 0u) << "GPU memory is no file";
}

TEST_P(CudaRuns, WhatTheDriverRefusesIsSaidAndDoneWithoutOrAnErrorWhereItIsRequired) {
  struct Case {
    std::string perf, serve, cause;
  };
  for (const Case& c :
       {Case{"cuMemAlloc_v2=2", "", "on CUDA device 0: cuMemAlloc_v2: out of memory"},
        Case{"cuInit=100", "", "cuInit: no CUDA-capable device is detected"},
        Case{"cuIpcGetMemHandle=801", "", "cuIpcGetMemHandle: it failed (CUDA error 801)"},
        Case{"", "cuIpcOpenMemHandle_v2=400@2", "cuIpcOpenMemHandle_v2: invalid resource handle"},
        Case{"", "cuInit=100", "the server cannot open this process's GPU memory"}}) {
    Serve serve = GpuServe(0, c.serve);
    const PerfResult without = RunPerf(
        Arguments(serve,
                  {"--requests=20", "--input-data=" + directory_.Write("data.json", EchoData(0))}),
        WithGpu(c.perf));
    EXPECT_EQ(without.exit_code, 0) << without.err;
    EXPECT_EQ(without.level().checked_outputs, 20u);
    EXPECT_EQ(without.level().wrong_outputs, 0u);
    EXPECT_NE(without.err.find("warning: no shared memory"), std::string::npos) << without.err;
    EXPECT_NE(without.err.find(c.cause), std::string::npos) << without.err;
    EXPECT_EQ(Regions(serve), 0u) << "what had been registered already is taken back";
  }
  Serve serve = GpuServe();
  const PerfResult refused = RunPerf(
      Arguments(serve, {"--requests=20", "--shared-memory-required"}), WithGpu("cuMemAlloc_v2=2"));
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.err.find("out of memory"), std::string::npos) << refused.err;
}

TEST_P(CudaRuns, WithoutADriverHereOrThereItIsSaid) {
  Serve with = GpuServe();
  const PerfResult here = RunPerf(Arguments(with, {"--requests=20"}), WithoutGpu(directory_));
  EXPECT_EQ(here.exit_code, 0) << here.err;
  EXPECT_NE(here.err.find("NVIDIA's driver cannot be loaded: "), std::string::npos) << here.err;
  EXPECT_NE(here.err.find("libcuda.so.1"), std::string::npos) << here.err;
  const PerfResult device =
      RunPerf(Arguments(with, {"--requests=20", "--shared-memory-device=2"}), WithGpu());
  EXPECT_NE(device.err.find("there is no CUDA device 2: the driver shows 0 to 1"),
            std::string::npos)
      << device.err;

  Serve without(Echo(), {}, "127.0.0.1", 0, WithoutGpu(directory_));
  const PerfResult there = RunPerf(Arguments(without, {"--requests=20"}), WithGpu());
  EXPECT_EQ(there.exit_code, 0) << there.err;
  EXPECT_NE(there.err.find("the server has no CUDA shared memory extension"), std::string::npos)
      << there.err;
}

TEST_P(CudaRuns, NothingIsAskedOfTheDriverForARequest) {
  Serve serve = GpuServe();
  std::vector<size_t> calls;
  for (const int requests : {20, 2000}) {
    Environment environment = WithGpu();
    environment["SEXTANT_FAKE_CUDA_LOG"] = directory_.File(Format("log{}", requests));
    const PerfResult result =
        RunPerf(Arguments(serve, {"--shared-memory-required", "--concurrency-range=4",
                                  Format("--requests={}", requests)}),
                environment);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const std::string log = *ReadFile(environment["SEXTANT_FAKE_CUDA_LOG"]);
    calls.push_back(CountOf(log, "\n"));
    EXPECT_EQ(CountOf(log, "cuMemAlloc_v2"), 2u);
    EXPECT_EQ(CountOf(log, "cuMemFree_v2"), 2u) << "everything is given back";
    EXPECT_EQ(CountOf(log, "cuDevicePrimaryCtxRelease_v2"), 1u);
  }
  EXPECT_EQ(calls[0], calls[1]);
}

TEST_P(CudaRuns, OutputsThatCannotBeReadBackCountAsWrongAndTheCauseIsSaid) {
  Serve serve = GpuServe();
  const PerfResult result = RunPerf(
      Arguments(serve,
                {"--requests=100", "--input-data=" + directory_.Write("d.json", EchoData(0))}),
      WithGpu("cuMemcpyDtoH_v2=2@50"));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.level().checked_outputs, 100u);
  EXPECT_GE(result.level().wrong_outputs, 51u) << "what came before the window is checked too";
  EXPECT_NE(result.err.find("could not be read back from the GPU and count as wrong: "
                            "cuMemcpyDtoH_v2: out of memory"),
            std::string::npos)
      << result.err;
}

TEST_P(CudaRuns, TheServerRefusesWhatIsNoRegion) {
  Serve serve = GpuServe();
  const auto client = Control(serve, GetParam());
  const auto refusal = [](const Result<void>& result) {
    return result.has_value() ? std::string("taken") : result.error().message();
  };
  const std::string nothing(64, 'x');
  const auto expect = [&](const kserve::CudaRegion& region, std::string_view text) {
    const std::string said = refusal(client->RegisterCudaMemory(region));
    EXPECT_NE(said.find(text), std::string::npos) << said;
  };
  expect({"r", nothing, 0, 100}, "failed to register shared memory region 'r': invalid args");
  expect({"r", nothing, 7, 100}, "no CUDA device 7");
  expect({"r", nothing, 0, 0}, "invalid args");
  expect({"r", "short", 0, 100}, GetParam() == "http" ? "'raw_handle' must be" : "invalid args");
  EXPECT_TRUE(client->UnregisterCudaMemory("nosuch").has_value());
  EXPECT_EQ(Regions(serve), 0u);
}

TEST(CudaRegions, AreListedByNameAndShareTheirNamesWithSystemRegions) {
  Serve serve = GpuServe();
  Perf perf(Against(serve, "http", "m", {"--shared-memory=cuda", "--duration=60s"}), WithGpu());
  ASSERT_TRUE(WaitFor(10s, [&] { return Regions(serve) == 2; }));
  const auto all = text::ParseJson(Ask(serve, "GET", "/cudasharedmemory/status").body);
  const std::string name(*all->array()[0].Find("name")->AsString());
  EXPECT_EQ(all->array()[0].Find("device_id")->AsUint(), 0u);
  const auto one = Ask(serve, "GET", "/cudasharedmemory/region/" + name + "/status");
  EXPECT_EQ(text::ParseJson(one.body)->array().size(), 1u) << one.body;
  const auto as_system = Ask(serve, "GET", "/systemsharedmemory/region/" + name + "/status");
  EXPECT_EQ(as_system.status, 404);
  EXPECT_NE(as_system.body.find("registered as CUDA shared memory, not system shared memory"),
            std::string::npos)
      << as_system.body;
  const auto taken =
      Control(serve, "grpc")->RegisterSystemMemory({.name = name, .key = "/x", .byte_size = 1});
  EXPECT_NE(taken.error().message().find("already in manager"), std::string::npos);
  const auto unknown = Ask(serve, "GET", "/cudasharedmemory/region/nosuch/status");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_NE(unknown.body.find("Unable to find cuda shared memory region: 'nosuch'"),
            std::string::npos)
      << unknown.body;
  EXPECT_NE(Ask(serve, "GET", "").body.find("cuda_shared_memory"), std::string::npos);
  // Of one kind, all: the run then fails, and the server does not.
  EXPECT_EQ(Ask(serve, "POST", "/systemsharedmemory/unregister").status, 200);
  EXPECT_EQ(Regions(serve), 2u);
  EXPECT_EQ(Ask(serve, "POST", "/cudasharedmemory/unregister").status, 200);
  EXPECT_EQ(Regions(serve), 0u);
  kill(perf.process().pid(), SIGINT);
  EXPECT_EQ(perf.Finish().exit_code, 130);
  EXPECT_EQ(serve.Stop(), 0);
}

TEST(CudaRegions, ARegisterRequestThatLacksSomethingIsRefusedByItsName) {
  Serve serve = GpuServe();
  const std::string path = "/cudasharedmemory/region/r/register";
  const auto expect = [&](const std::string& body, int status, std::string_view text) {
    const auto reply = Ask(serve, "POST", path, body);
    EXPECT_EQ(reply.status, status) << body;
    EXPECT_NE(reply.body.find(text), std::string::npos) << reply.body;
  };
  expect("{}", 400, "no 'raw_handle' field");
  expect(R"({"raw_handle":{}})", 400, "no 'raw_handle.b64' field");
  expect(R"({"raw_handle":{"b64":"AAAA"}})", 400, "valid base64 encoded cudaIpcMemHandle_t");
  const std::string handle =
      R"({"raw_handle":{"b64":")" + Base64Encode(std::string(64, 'x')) + "\"}";
  expect(handle + "}", 400, "no 'byte_size' field");
  expect(handle + R"(,"byte_size":1})", 400, "no 'device_id' field");
  expect(handle + R"(,"byte_size":-1,"device_id":0})", 500, "non-negative");
  expect("nonsense", 500, "failed to parse the request JSON");
  EXPECT_EQ(Ask(serve, "GET", path).status, 405);
  EXPECT_EQ(Ask(serve, "POST", "/cudasharedmemory/nosuch").status, 404);
}

}  // namespace
}  // namespace sextant::e2e
