#include "serve/sequence_controls.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/strings.h"

namespace sextant::serve {
namespace {

using inference::ModelSequenceBatching;
using Control = ModelSequenceBatching::Control;
using kserve::DataType;

constexpr std::array kIdTypes{DataType::kUint64, DataType::kInt64, DataType::kUint32,
                              DataType::kInt32, DataType::kBytes};

// Beyond these a number is a mistake, and every slot costs memory.
constexpr int kMostCandidates = 100'000;

void CheckFlag(const Control& control, const std::string& kind, const std::string& model,
               std::vector<std::string>& faults) {
  const std::array<std::pair<std::string_view, int>, 3> given{
      {{"int32_false_true", control.int32_false_true_size()},
       {"fp32_false_true", control.fp32_false_true_size()},
       {"bool_false_true", control.bool_false_true_size()}}};
  const auto count =
      std::count_if(given.begin(), given.end(), [](const auto& g) { return g.second > 0; });
  constexpr std::string_view kNames = "'int32_false_true', 'fp32_false_true'";
  if (count == 0) {
    faults.push_back(
        Format("sequence batching must specify either {} or 'bool_false_true' for {} for {}",
               kNames, kind, model));
  } else if (count > 1) {
    faults.push_back(Format(
        "sequence batching specifies more than one from {} and 'bool_false_true' for {} for {}",
        kNames, kind, model));
  }
  for (const auto& [name, size] : given) {
    if (size != 0 && size != 2) {
      faults.push_back(
          Format("sequence batching control '{}' must have exactly 2 entries for {} for {}", name,
                 kind, model));
    }
  }
}

void CheckControl(const Control& control, const std::string& model,
                  std::vector<std::string>& faults) {
  const std::string kind = Control::Kind_Name(control.kind());
  if (control.kind() != Control::CONTROL_SEQUENCE_CORRID)
    return CheckFlag(control, kind, model, faults);
  const auto type = kserve::DataTypeFromConfig(control.data_type());
  if (!type || std::find(kIdTypes.begin(), kIdTypes.end(), *type) == kIdTypes.end()) {
    faults.push_back(
        Format("unexpected data type for control {} for {}. Allowed data types are TYPE_UINT64, "
               "TYPE_INT64, TYPE_UINT32, TYPE_INT32 and TYPE_STRING",
               kind, model));
  }
  if (control.int32_false_true_size() + control.fp32_false_true_size() +
          control.bool_false_true_size() >
      0) {
    faults.push_back(
        Format("sequence batching must not specify either 'int32_false_true', 'fp32_false_true' or "
               "'bool_false_true' for {} for {}",
               kind, model));
  }
}

void CheckControls(const inference::ModelConfig& config, std::vector<std::string>& faults) {
  const std::string& model = config.name();
  std::set<std::string> names;
  for (const auto& input : config.input()) names.insert(input.name());
  std::set<int> kinds;
  for (const auto& input : config.sequence_batching().control_input()) {
    if (input.name().empty())
      faults.push_back(Format("sequence batching control tensor must have a name for {}", model));
    if (!names.insert(input.name()).second) {
      faults.push_back(Format("sequence batching control tensor '{}' is an input already for {}",
                              input.name(), model));
    }
    if (input.control_size() != 1) {
      faults.push_back(
          Format("sequence batching control tensor '{}' must have exactly one control, "
                 "not {}, for {}",
                 input.name(), input.control_size(), model));
    }
    for (const Control& control : input.control()) {
      if (!kinds.insert(control.kind()).second) {
        faults.push_back(Format("sequence batching specifies multiple {} tensors for {}",
                                Control::Kind_Name(control.kind()), model));
      }
      CheckControl(control, model, faults);
    }
  }
}

template <typename Values>
std::pair<std::string, std::string> Elements(DataType type, const Values& values) {
  std::pair<std::string, std::string> out;
  const auto element = [&](const auto value, std::string& to) {
    static_cast<void>(kserve::AppendElement(type, static_cast<double>(value), to));
  };
  element(values.Get(0), out.first);
  element(values.Get(1), out.second);
  return out;
}

}  // namespace

std::string SequenceIdText(const SequenceId& id) {
  const uint64_t* number = std::get_if<uint64_t>(&id);
  return number != nullptr ? std::to_string(*number) : Printable(std::get<std::string>(id), 80);
}

void CheckSequenceBatching(const inference::ModelConfig& config, std::vector<std::string>& faults) {
  if (!config.has_sequence_batching()) return;
  const ModelSequenceBatching& batching = config.sequence_batching();
  CheckControls(config, faults);
  if (batching.has_direct()) {
    const float share = batching.direct().minimum_slot_utilization();
    if (!(share >= 0 && share <= 1)) {
      faults.push_back(
          Format("sequence batching minimum slot utilization must be in range (0.0, 1.0] for {}",
                 config.name()));
    }
  }
  if (!batching.has_oldest()) return;
  const int candidates = batching.oldest().max_candidate_sequences();
  if (candidates < 1 || candidates > kMostCandidates) {
    faults.push_back(Format("sequence batching max_candidate_sequences must be from 1 to {} for {}",
                            kMostCandidates, config.name()));
  }
  for (const int32_t size : batching.oldest().preferred_batch_size()) {
    if (size <= 0)
      faults.push_back(
          Format("sequence batching preferred batch size must be positive for {}", config.name()));
    if (config.max_batch_size() > 0 && size > config.max_batch_size()) {
      faults.push_back(
          Format("sequence batching preferred batch size must be <= max batch size for {}",
                 config.name()));
    }
  }
}

SequenceControls::SequenceControls(const inference::ModelConfig& config) : model_(config.name()) {
  shape_.assign(config.max_batch_size() > 0 ? 2 : 1, 1);
  for (const auto& input : config.sequence_batching().control_input()) {
    const Control& control = input.control(0);
    Row row{.kind = control.kind(), .no = {}, .yes = {}};
    DataType type = DataType::kInt32;
    if (control.kind() == Control::CONTROL_SEQUENCE_CORRID) {
      type = *kserve::DataTypeFromConfig(control.data_type());
    } else if (control.int32_false_true_size() == 2) {
      std::tie(row.no, row.yes) = Elements(type, control.int32_false_true());
    } else if (control.fp32_false_true_size() == 2) {
      type = DataType::kFp32;
      std::tie(row.no, row.yes) = Elements(type, control.fp32_false_true());
    } else {
      type = DataType::kBool;
      std::tie(row.no, row.yes) = Elements(type, control.bool_false_true());
    }
    tensors_.push_back({input.name(), type});
    rows_.push_back(std::move(row));
  }
}

Result<void> SequenceControls::AddTo(kserve::InferRequest& request, const Values& values) const {
  // All are made before the first is added: on an error the request is as it was.
  std::vector<std::string> elements(rows_.size());
  for (size_t i = 0; i < rows_.size(); ++i) {
    const Row& row = rows_[i];
    switch (row.kind) {
      case Control::CONTROL_SEQUENCE_START:
        elements[i] = values.start ? row.yes : row.no;
        break;
      case Control::CONTROL_SEQUENCE_END:
        elements[i] = values.end ? row.yes : row.no;
        break;
      case Control::CONTROL_SEQUENCE_READY:
        elements[i] = values.ready ? row.yes : row.no;
        break;
      default: {
        const uint64_t* number = std::get_if<uint64_t>(&values.id);
        if (tensors_[i].type == DataType::kBytes) {
          kserve::AppendBytesElement(
              number == nullptr ? std::get<std::string>(values.id) : std::to_string(*number),
              elements[i]);
        } else if (number == nullptr ||
                   !kserve::AppendElement(tensors_[i].type, *number, elements[i]).has_value()) {
          return InvalidArgument(
              Format("correlation ID {} does not fit input '{}' of model '{}', which is {}",
                     SequenceIdText(values.id), tensors_[i].name, model_,
                     kserve::ConfigTypeName(tensors_[i].type)));
        }
      }
    }
  }
  for (size_t i = 0; i < rows_.size(); ++i) {
    request.inputs.push_back({.name = tensors_[i].name,
                              .type = tensors_[i].type,
                              .shape = shape_,
                              .data = request.converted.emplace_back(std::move(elements[i])),
                              .shared_memory = {}});
  }
  return {};
}

}  // namespace sextant::serve
