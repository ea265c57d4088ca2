// sextant doctor: what is on this machine, and what to do about what is not.
#include <algorithm>
#include <cstdio>
#include <limits>

#include "base/host.h"
#include "base/strings.h"
#include "base/units.h"
#include "cli/command.h"
#include "gpu/nvml.h"
#include "serve/onnx_engine.h"
#include "text/json.h"

namespace sextant::cli {
namespace {

struct Options {
  bool json = false;
  std::string openvino_module;
};

const options::Table<Options>& Table() {
  static const options::Table<Options> table = [] {
    options::Table<Options> t("doctor", "Says what is missing on this machine, with the remedy",
                              "Looks at what measurements on this machine depend on, one line "
                              "each. Exit codes: 0 nothing stands in the way "
                              "(remarks are possible), 1 something does.");
    t.Add(&Options::json, {.name = "json", .help = "Prints JSON lines instead."});
    t.Add(&Options::openvino_module, {.name = "openvino-module",
                                      .value = "FILE",
                                      .help = "The engine module that runs ONNX models.",
                                      .default_text = "libsextant_openvino.so beside the program",
                                      .is_file = true});
    return t;
  }();
  return table;
}

enum class State { kOk, kRemark, kFault };

struct Finding {
  std::string_view subject;
  State state = State::kOk;
  std::string found;
  std::string remedy;
};

Finding LookAtEngine(const std::string& module) {
  const auto engine = serve::LoadOnnxEngine(module);
  if (engine.has_value())
    return {"ONNX engine", State::kOk, "OpenVINO " + (*engine)->Version(), ""};
  return {"ONNX engine", State::kRemark, engine.error().message(),
          "only 'sextant serve' needs it, for ONNX models"};
}

Finding LookAtGpuLibrary() {
  const auto gpus = gpu::NvmlGpus::Open();
  if (gpus.has_value())
    return {"GPU library", State::kOk, Format("libnvidia-ml.so.1, {} GPUs", (*gpus)->count()), ""};
  return {"GPU library", State::kRemark, gpus.error().message(),
          "GPU figures need NVIDIA's driver on this machine; without it they are left out"};
}

Finding LookAtCores(const HostFacts& facts) {
  const std::string found = Format(
      "{} usable of {} online{} ({})", facts.cores_usable, facts.cores_online,
      facts.cpu_quota ? Format(", limited to {:.2g} by the control group", *facts.cpu_quota) : "",
      facts.cpu_model.empty() ? "unknown model" : facts.cpu_model);
  if (facts.cores_usable < 2) {
    return {"cores", State::kRemark, found,
            "client and server would share one core: measure from another machine"};
  }
  if (facts.cpu_quota && *facts.cpu_quota < facts.cores_usable) {
    return {"cores", State::kRemark, found,
            "a control group that throttles adds stalls to every latency: raise its CPU limit"};
  }
  return {"cores", State::kOk, found, ""};
}

Finding LookAtGovernor(const HostFacts& facts) {
  if (facts.governor.empty())
    return {"CPU governor", State::kOk, "none (clock set by the host)", ""};
  if (facts.governor == "performance") return {"CPU governor", State::kOk, facts.governor, ""};
  return {"CPU governor", State::kRemark, facts.governor,
          "clocks that follow the load make latency depend on it: cpupower frequency-set -g "
          "performance"};
}

Finding LookAtClock(const HostFacts& facts) {
  const std::string name = facts.clock_source.empty() ? "unknown source" : facts.clock_source;
  constexpr int kReadings = 2'000;
  double nanos = std::numeric_limits<double>::max();
  // The quickest of several: what else the machine does is not the clock's.
  for (int round = 0; round < 10; ++round) {
    const Instant start = SteadyNow();
    for (int i = 0; i < kReadings; ++i) static_cast<void>(SteadyNow());
    nanos = std::min(nanos, static_cast<double>((SteadyNow() - start).count()) / kReadings);
  }
  const std::string found = Format("{}, {:.0f} ns a reading", name, nanos);
  if (nanos > 300)
    return {"clock", State::kRemark, found,
            "each stamp costs a system call: boot with clocksource=tsc if the processor allows it"};
  return {"clock", State::kOk, found, ""};
}

Finding LookAtOpenFiles(const HostFacts& facts) {
  const std::string found = Format("{} (at most {})", facts.open_files_soft, facts.open_files_hard);
  if (facts.open_files_hard < 4096) {
    return {"open files", State::kFault, found,
            "each connection is one: ulimit -n 65536, or LimitNOFILE= in the unit file"};
  }
  if (facts.open_files_hard < 20'000)
    return {"open files", State::kRemark, found,
            "more than that many connections at once need ulimit -n 65536"};
  return {"open files", State::kOk, found, ""};
}

Finding LookAtPorts(const HostFacts& facts) {
  const int ports = facts.port_last - facts.port_first + 1;
  const std::string found = Format("{} ({}-{})", ports, facts.port_first, facts.port_last);
  if (facts.port_last == 0) return {"outgoing ports", State::kRemark, "unknown", ""};
  if (ports < 10'000) {
    return {"outgoing ports", State::kRemark, found,
            "connections to one server cannot be more: sysctl net.ipv4.ip_local_port_range='1024 "
            "65535'"};
  }
  return {"outgoing ports", State::kOk, found, ""};
}

Finding LookAtMemory(const HostFacts& facts) {
  if (!facts.memory_bytes) return {"memory", State::kRemark, "unknown", ""};
  return {"memory", State::kOk, HumanBytes(static_cast<double>(*facts.memory_bytes)), ""};
}

int Run(std::span<const std::string_view> arguments) {
  Options options;
  static const Options defaults;
  if (const auto exit_code = ParseOrExit(Table(), &options, &defaults, arguments))
    return *exit_code;
  const HostFacts facts = ReadHostFacts();
  const Finding findings[] = {LookAtCores(facts),
                              LookAtGovernor(facts),
                              LookAtClock(facts),
                              LookAtMemory(facts),
                              LookAtOpenFiles(facts),
                              LookAtPorts(facts),
                              LookAtEngine(options.openvino_module),
                              LookAtGpuLibrary()};
  constexpr std::string_view kMarks[] = {"ok", "note", "FAULT"};
  bool faults = false;
  for (const Finding& finding : findings) {
    faults |= finding.state == State::kFault;
    if (options.json) {
      text::JsonWriter line;
      line.BeginObject()
          .Member("subject", finding.subject)
          .Member("state", ToLower(kMarks[static_cast<size_t>(finding.state)]));
      line.Member("found", finding.found).Member("remedy", finding.remedy).EndObject();
      std::puts(line.text().c_str());
    } else {
      std::puts(Format("{:<6}{:<16}{}{}", kMarks[static_cast<size_t>(finding.state)],
                       finding.subject, finding.found,
                       finding.remedy.empty() ? "" : "; " + finding.remedy)
                    .c_str());
    }
  }
  return faults ? kExitFailure : kExitOk;
}

}  // namespace

Command DoctorCommand() {
  static const Options defaults;
  return {&Table(), &defaults, Run};
}

}  // namespace sextant::cli
