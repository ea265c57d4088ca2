// Streaming, sequences and request parameters of `sextant perf`: the options, what they amount to,
// and what they mean for the model at hand.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "kserve/control_client.h"
#include "kserve/infer.h"
#include "kserve/metadata.h"
#include "load/patch.h"
#include "load/sequences.h"
#include "options/table.h"

namespace sextant::cli {

enum class SequenceIdChoice { kAuto, kInteger, kString };

struct PerfStreamOptions {
  bool streaming = false;
  size_t streams = 6;

  size_t sequences = 4;
  uint64_t sequence_length = 20;
  double sequence_length_variation = 20;
  std::string sequence_id_range;
  SequenceIdChoice sequence_id_type = SequenceIdChoice::kAuto;
  bool serial_sequences = false;

  std::vector<std::string> request_parameters;
  std::optional<uint64_t> priority;
  std::optional<Nanos> server_timeout;
};

struct PerfOptions;
void AddStreamRows(options::Table<PerfOptions>& table);

// What these options amount to before the model is known.
struct StreamPlan {
  kserve::Parameters parameters;
  uint64_t first_id = 1, ids = 0;  // 0: no range was given
};
// Their mistakes go to `mistakes`; `least_ids` is how many sequences there will be at once.
void MakeStreamPlan(const PerfStreamOptions& options, size_t least_ids, StreamPlan& plan,
                    std::vector<std::string>& mistakes);

// What they mean for a model.
struct StreamSubject {
  bool streaming = false, decoupled = false;
  std::shared_ptr<const load::SequencePlan> sequences;  // null: the model knows none
  load::PatchOptions patch;
  kserve::Parameters parameters;
  std::vector<std::string> notes;
};
// Errors name what the model needs and how to ask for it. `config` may be absent.
Result<StreamSubject> ResolveStreams(const PerfStreamOptions& options, const StreamPlan& plan,
                                     uint64_t seed, kserve::Protocol protocol,
                                     const std::string& model,
                                     const std::optional<kserve::ModelConfig>& config);

// Each sequence sends the rows of one of the streams of `data`, which is from files, in turn, and
// is as long as that; --sequence-length says nothing then. Nothing happens for models without
// sequences.
void UseDataStreams(const load::DataSet& data, StreamSubject& subject);

}  // namespace sextant::cli
