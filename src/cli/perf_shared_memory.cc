#include "cli/perf_shared_memory.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/units.h"
#include "cli/command.h"

namespace sextant::cli {
namespace {

// How many requests can be in flight, in equal shares for the workers.
size_t PartsFor(const PerfOptions& options, const Plan& plan) {
  size_t most = 1;
  for (const run::LoadPoint& point : plan.points) {
    most = std::max(most, point.mode == run::LoadMode::kConcurrency
                              ? static_cast<size_t>(std::ceil(point.value))
                          : options.max_in_flight > 0 ? options.max_in_flight
                                                      : kSharedInFlight);
  }
  return (most + plan.workers - 1) / plan.workers * plan.workers;
}

// The cause in one line, from what the server said.
std::string Cause(const Error& error) {
  if (error.code() == ErrorCode::kUnsupported)
    return "the server has no system shared memory extension: " + error.message();
  if (error.message().find("shared memory") != std::string::npos ||
      error.message().find("open") != std::string::npos) {
    return "the server cannot open this machine's shared memory (is it on another host, in a "
           "container with a /dev/shm of its own (--ipc=host shares it), or another user?): " +
           error.message();
  }
  return error.message();
}

}  // namespace

std::vector<std::string> CheckSharedMemoryOptions(const PerfOptions& options) {
  std::vector<std::string> mistakes;
  if (options.shared_memory == SharedMemoryKind::kCuda) {
    mistakes.emplace_back(
        "--shared-memory cuda is not supported yet: use --shared-memory system, which servers with "
        "GPUs have too");
  }
  if (options.shared_memory == SharedMemoryKind::kNone && options.shared_memory_required)
    mistakes.emplace_back("--shared-memory-required needs --shared-memory system");
  return mistakes;
}

Result<std::unique_ptr<SharedMemory>> SharedMemory::Open(const PerfOptions& options,
                                                         const Plan& plan, const Subject& subject,
                                                         const load::DataSet& data,
                                                         kserve::ControlClient& client) {
  std::unique_ptr<SharedMemory> none;
  if (options.shared_memory == SharedMemoryKind::kNone) return none;
  if (const size_t orphans = kserve::RemoveOrphanedSegments(); orphans > 0) {
    std::fputs(Format("{}: removed {} shared memory object{} of killed runs\n", ProgramName("perf"),
                      orphans, orphans == 1 ? "" : "s")
                   .c_str(),
               stderr);
  }
  int64_t max_batch = 1;
  for (const run::LoadPoint& point : plan.points) max_batch = std::max(max_batch, point.batch_size);
  const auto open = [&]() -> Result<std::unique_ptr<SharedMemory>> {
    std::unique_ptr<SharedMemory> out(new SharedMemory(client));
    SEXTANT_ASSIGN(out->tensors_, load::SharedTensors::Create(
                                      subject.signature, data,
                                      {.max_batch = max_batch,
                                       .parts = PartsFor(options, plan),
                                       .open_output_bytes = options.output_shared_memory_size}));
    SEXTANT_TRY(out->Register(out->tensors_->inputs()));
    SEXTANT_TRY(out->Register(out->tensors_->outputs()));
    return out;
  };
  Result<std::unique_ptr<SharedMemory>> opened = open();
  if (opened.has_value()) return opened;
  const std::string cause = Cause(opened.error());
  if (options.shared_memory_required) {
    return Error(opened.error().code(), "--shared-memory: " + cause);
  }
  std::fputs(Format("{}: warning: no shared memory, tensors are sent in the requests "
                    "(--shared-memory-required makes this an error): {}\n",
                    ProgramName("perf"), cause)
                 .c_str(),
             stderr);
  return none;
}

Result<void> SharedMemory::Register(const kserve::SharedSegment& segment) {
  // It counts as registered when the answer is lost: to forget a region that is not there is no
  // error.
  registered_.push_back(segment.name());
  return client_.RegisterSystemMemory(
      {.name = segment.name(), .key = segment.key(), .byte_size = segment.size()});
}

SharedMemory::~SharedMemory() {
  for (const std::string& name : registered_) {
    // A server that is gone has forgotten them already.
    static_cast<void>(client_.UnregisterSystemMemory(name));
  }
}

std::string SharedMemory::Describe() const {
  return Format("system, inputs {}, outputs {} for {} requests in flight",
                HumanBytes(static_cast<double>(tensors_->inputs().size())),
                HumanBytes(static_cast<double>(tensors_->outputs().size())), tensors_->parts());
}

size_t MaxInFlight(const PerfOptions& options, const SharedMemory* shared) {
  return options.max_in_flight == 0 && shared != nullptr ? kSharedInFlight : options.max_in_flight;
}

}  // namespace sextant::cli
