// --dim: open dimensions that are drawn, block by block.
#include <algorithm>

#include "base/random.h"
#include "base/strings.h"
#include "load/generate.h"

namespace sextant::load {
namespace {

using kserve::Shape;

// Streams of random numbers for the dimensions, apart from those of the inputs' values.
constexpr uint64_t kFirstStream = 1u << 20;

const kserve::TensorMetadata* FindInput(const ModelSignature& model, std::string_view name) {
  const auto it = std::find_if(model.inputs.begin(), model.inputs.end(),
                               [&](const kserve::TensorMetadata& i) { return i.name == name; });
  return it == model.inputs.end() ? nullptr : &*it;
}

std::string Known(const ModelSignature& model) {
  std::vector<std::string> names;
  for (const kserve::TensorMetadata& input : model.inputs)
    names.push_back(Format("'{}' {}", input.name, kserve::FormatShape(input.shape)));
  return Join(names, ", ");
}

// The faults of one rule on its own.
void CheckRule(const DimRule& rule, const ModelSignature& model, const ShapeByName& shapes,
               FaultList& faults) {
  const kserve::TensorMetadata* input = FindInput(model, rule.name);
  if (input == nullptr) {
    if (rule.index) {
      faults.Add(Format("--dim {}: the model has no input '{}'; it has {}", rule.text,
                        Printable(rule.name, 60), Known(model)));
    }
    return;
  }
  const bool in_range = !rule.index || *rule.index < input->shape.size();
  const bool open =
      rule.index
          ? in_range && input->shape[*rule.index] < 0
          : std::any_of(input->shape.begin(), input->shape.end(), [](int64_t d) { return d < 0; });
  if (!in_range || !open) {
    faults.Add(
        Format("--dim {}: input '{}' has shape {} (dimensions count from 0, without the "
               "batch): {}",
               rule.text, input->name, kserve::FormatShape(input->shape),
               in_range ? "the model fixes that dimension" : "there is no such dimension"));
  } else if (shapes.contains(input->name)) {
    faults.Add(
        Format("--dim {}: --shape gives input '{}' a fixed shape already", rule.text, input->name));
  }
}

// Which rule says how large each open dimension of an input is; null: none does.
std::vector<const DimRule*> RulesFor(const kserve::TensorMetadata& input,
                                     const std::vector<DimRule>& dims,
                                     const std::vector<const DimRule*>& symbols) {
  std::vector<const DimRule*> out(input.shape.size(), nullptr);
  size_t open = 0;
  for (size_t i = 0; i < input.shape.size(); ++i) {
    if (input.shape[i] >= 0) continue;
    if (open < symbols.size()) out[i] = symbols[open];
    for (const DimRule& rule : dims) {
      if (rule.name == input.name && !rule.index && open == 0) out[i] = &rule;
    }
    for (const DimRule& rule : dims) {
      if (rule.name == input.name && rule.index == i) out[i] = &rule;
    }
    ++open;
  }
  return out;
}

}  // namespace

Result<DimRule> ParseDim(std::string_view text) {
  const auto fault = [&] {
    return InvalidArgument(
        Format("--dim '{}': write NAME=8..512, INPUT[1]=8..512 or NAME=128, "
               "with whole numbers from 1, the smaller first",
               Printable(text, 60)));
  };
  DimRule rule{.text = std::string(text)};
  const size_t equals = text.rfind('=');
  if (equals == std::string_view::npos || equals == 0) return fault();
  std::string_view name = text.substr(0, equals), range = text.substr(equals + 1);
  if (name.ends_with(']')) {
    const size_t bracket = name.rfind('[');
    if (bracket == std::string_view::npos || bracket == 0) return fault();
    const auto index = ParseUint(name.substr(bracket + 1, name.size() - bracket - 2));
    if (!index) return fault();
    rule.index = *index;
    name = name.substr(0, bracket);
  }
  rule.name = name;
  const size_t dots = range.find("..");
  const auto low = ParseInt(TrimSpace(range.substr(0, dots)));
  const auto high =
      dots == std::string_view::npos ? low : ParseInt(TrimSpace(range.substr(dots + 2)));
  if (!low || !high || *low < 1 || *high < *low) return fault();
  rule.low = *low;
  rule.high = *high;
  return rule;
}

std::vector<std::vector<Shape>> DrawShapes(const ModelSignature& model, const ShapeByName& shapes,
                                           const std::vector<DimRule>& dims, size_t blocks,
                                           uint64_t seed, FaultList& faults) {
  std::vector<const DimRule*> symbols;
  for (const DimRule& rule : dims) {
    CheckRule(rule, model, shapes, faults);
    if (!rule.index && FindInput(model, rule.name) == nullptr) symbols.push_back(&rule);
  }
  std::vector<bool> used(dims.size());
  std::vector<std::vector<Shape>> out;
  for (const kserve::TensorMetadata& input : model.inputs) {
    std::vector<Shape>& drawn = out.emplace_back();
    Result<Shape> fixed = RowShapeFor(input, shapes);
    if (!fixed.has_value()) faults.Add(fixed.error().message());
    if (!fixed.has_value() || shapes.contains(input.name)) {
      drawn.push_back(fixed.has_value() ? *std::move(fixed) : Shape());
      continue;
    }
    const std::vector<const DimRule*> rules = RulesFor(input, dims, symbols);
    const bool varies = std::any_of(rules.begin(), rules.end(), [](const DimRule* rule) {
      return rule != nullptr && rule->low != rule->high;
    });
    drawn.assign(varies ? blocks : 1, *fixed);
    for (size_t i = 0; i < rules.size(); ++i) {
      if (rules[i] == nullptr) continue;
      const auto which = static_cast<size_t>(rules[i] - dims.data());
      used[which] = true;
      Random random = Random(seed).Fork(kFirstStream + which);
      const auto width = static_cast<uint64_t>(rules[i]->high - rules[i]->low) + 1;
      for (Shape& shape : drawn)
        shape[i] = rules[i]->low + static_cast<int64_t>(random.Below(width));
    }
  }
  for (const DimRule* rule : symbols) {
    if (!used[static_cast<size_t>(rule - dims.data())]) {
      faults.Add(Format("--dim {}: no input has an open dimension left for it; the model has {}",
                        rule->text, Known(model)));
    }
  }
  return out;
}

}  // namespace sextant::load
