#include "cli/perf_shared_memory.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/units.h"
#include "cli/command.h"
#include "kserve/shared_segment.h"

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

// Why the server cannot have a region, in one line, from what it said.
Error Refusal(const Error& error, SharedMemoryKind kind) {
  const std::string& text = error.message();
  const bool cuda = kind == SharedMemoryKind::kCuda;
  if (error.code() == ErrorCode::kUnsupported) {
    return Unsupported(
        Format("the server has no {} shared memory extension: {}", cuda ? "CUDA" : "system", text));
  }
  if (cuda && text.find("GPUs not supported") != std::string::npos)
    return Unsupported("the server was built without GPUs: " + text);
  if (cuda && (error.code() == ErrorCode::kInvalidArgument || error.code() == ErrorCode::kInternal))
    return Unavailable(
        "the server cannot open this process's GPU memory (is it on another host, in a container "
        "without --ipc=host and --pid=host, without this GPU, or does it count GPUs differently, "
        "see --shared-memory-device?): " +
        text);
  if (text.find("shared memory") != std::string::npos || text.find("open") != std::string::npos) {
    return {error.code(),
            "the server cannot open this machine's shared memory (is it on another host, in a "
            "container with a /dev/shm of its own (--ipc=host shares it), or another user?): " +
                text};
  }
  return error;
}

Result<load::RegionMaker> MakerFor(const PerfOptions& options) {
  if (options.shared_memory == SharedMemoryKind::kSystem)
    return load::RegionMaker(load::MakeSystemRegion);
  SEXTANT_ASSIGN(const auto driver, gpu::CudaDriver::Load());
  SEXTANT_ASSIGN(const auto device,
                 gpu::CudaDevice::Open(driver, static_cast<int64_t>(options.shared_memory_device)));
  return load::RegionMaker([device](std::string_view what, uint64_t bytes) {
    return load::MakeCudaRegion(device, what, bytes);
  });
}

}  // namespace

std::vector<std::string> CheckSharedMemoryOptions(const PerfOptions& options) {
  std::vector<std::string> mistakes;
  if (options.shared_memory_device != 0 && options.shared_memory != SharedMemoryKind::kCuda) {
    mistakes.push_back(Format("--shared-memory-device {} needs --shared-memory cuda",
                              options.shared_memory_device));
  }
  if (options.shared_memory == SharedMemoryKind::kNone && options.shared_memory_required) {
    mistakes.emplace_back(
        "--shared-memory-required needs --shared-memory system or --shared-memory cuda");
  }
  return mistakes;
}

Result<std::unique_ptr<SharedMemory>> SharedMemory::Make(const PerfOptions& options,
                                                         const Plan& plan, const Subject& subject,
                                                         const load::DataSet& data,
                                                         kserve::ControlClient& client) {
  const bool cuda = options.shared_memory == SharedMemoryKind::kCuda;
  std::unique_ptr<SharedMemory> out(new SharedMemory(
      client, cuda ? Format("cuda, device {}", options.shared_memory_device) : "system"));
  int64_t max_batch = 1;
  for (const run::LoadPoint& point : plan.points) max_batch = std::max(max_batch, point.batch_size);
  SEXTANT_ASSIGN(const load::RegionMaker make, MakerFor(options));
  SEXTANT_ASSIGN(out->tensors_, load::SharedTensors::Create(
                                    subject.signature, data,
                                    {.max_batch = max_batch,
                                     .parts = PartsFor(options, plan),
                                     .open_output_bytes = options.output_shared_memory_size},
                                    make));
  SEXTANT_TRY(out->Register(out->tensors_->inputs(), options.shared_memory));
  SEXTANT_TRY(out->Register(out->tensors_->outputs(), options.shared_memory));
  return out;
}

Result<std::unique_ptr<SharedMemory>> SharedMemory::Open(std::string_view command,
                                                         const PerfOptions& options,
                                                         const Plan& plan, const Subject& subject,
                                                         const load::DataSet& data,
                                                         kserve::ControlClient& client) {
  std::unique_ptr<SharedMemory> none;
  if (options.shared_memory == SharedMemoryKind::kNone) return none;
  if (const size_t orphans = kserve::RemoveOrphanedSegments(); orphans > 0) {
    std::fputs(Format("{}: removed {} shared memory object{} of killed runs\n",
                      ProgramName(command), orphans, orphans == 1 ? "" : "s")
                   .c_str(),
               stderr);
  }
  Result<std::unique_ptr<SharedMemory>> made = Make(options, plan, subject, data, client);
  if (made.has_value()) return made;
  if (options.shared_memory_required) return std::move(made).error().In("--shared-memory");
  PrintWarning(command,
               "no shared memory, tensors are sent in the requests "
               "(--shared-memory-required makes this an error): " +
                   made.error().message());
  return none;
}

Result<void> SharedMemory::Register(const load::TensorRegion& region, SharedMemoryKind kind) {
  // It counts as registered when the answer is lost: to forget a region that is not there is no
  // error.
  registered_.push_back(&region);
  const Result<void> registered = region.Register(client_);
  if (!registered.has_value()) return Refusal(registered.error(), kind);
  return {};
}

SharedMemory::~SharedMemory() {
  for (const load::TensorRegion* region : registered_) {
    // A server that is gone has forgotten them already.
    static_cast<void>(region->Unregister(client_));
  }
}

std::string SharedMemory::Describe() const {
  return Format("{}, inputs {}, outputs {} for {} requests in flight", kind_,
                HumanBytes(static_cast<double>(tensors_->inputs().size())),
                HumanBytes(static_cast<double>(tensors_->outputs().size())), tensors_->parts());
}

void SharedMemory::ReportFault() const {
  const std::optional<Error> fault = tensors_->fault();
  if (!fault) return;
  PrintWarning("perf", "outputs could not be read back from the GPU and count as wrong: " +
                           fault->message());
}

size_t MaxInFlight(const PerfOptions& options, const SharedMemory* shared) {
  return options.max_in_flight == 0 && shared != nullptr ? kSharedInFlight : options.max_in_flight;
}

}  // namespace sextant::cli
