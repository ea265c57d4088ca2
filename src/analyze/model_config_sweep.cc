#include "analyze/model_config_sweep.h"

#include <algorithm>

#include "base/strings.h"
#include "kserve/config_fields.h"

namespace sextant::analyze {
namespace {

using text::Json;
constexpr size_t kMostCombinations = 10'000;

// A member of a message or of a map.
std::string Below(const std::string& path, const std::string& name) {
  const bool plain = !name.empty() && name.find_first_of(".[]\"") == std::string::npos;
  if (path.empty() || plain) return path.empty() ? name : Format("{}.{}", path, name);
  return Format("{}[\"{}\"]", path, name);
}

bool Fits(const std::string& path, const Json& value) {
  return kserve::CanonicalValue(path, value).has_value();
}

class Sweep {
 public:
  explicit Sweep(const SweepFault& fault) : fault_(fault) {}

  void Expand(const std::string& path, const Json& value) {
    if (Fits(path, value)) return Add(path, {value});
    if (value.IsObject()) return ExpandMessage(path, value);
    const bool messages = Fits(path, Json(Json::Array{Json(Json::Object())}));
    if (messages && value.IsArray() && value.array().size() == 1 && value.array()[0].IsObject())
      return ExpandSingle(path, value.array()[0]);
    Add(path, Combinations(path, value));
  }

  std::vector<AxisSpec> Take() { return std::move(axes_); }

 private:
  void Add(const std::string& path, std::vector<Json> values) {
    if (!values.empty())
      axes_.push_back({.name = path, .values = std::move(values), .expression = {}});
  }

  void Wrong(const std::string& path, const Json& value) {
    const Result<Json> canonical = kserve::CanonicalValue(path, value);
    if (!canonical.has_value()) fault_(value, canonical.error().message());
  }

  // The message anew, then what is in it.
  void ExpandMessage(const std::string& path, const Json& value) {
    const Json empty{Json::Object()};
    if (!Fits(path, empty)) return Wrong(path, value);
    // A map is added to: what else it holds is not the sweep's business.
    const bool map = Fits(Below(path, "a key that no message has"), {});
    if (!map) Add(path, {empty});
    for (const auto& [name, member] : value.object()) Expand(Below(path, name), member);
  }

  // A list of one message: what is fixed makes the list, what is swept follows.
  void ExpandSingle(const std::string& path, const Json& element) {
    Json fixed{Json::Object()};
    std::vector<const Json::Member*> swept;
    for (const Json::Member& member : element.object()) {
      if (Fits(Below(path, member.first), member.second)) {
        fixed.object().push_back(member);
      } else {
        swept.push_back(&member);
      }
    }
    Add(path, {Json(Json::Array{std::move(fixed)})});
    for (const Json::Member* member : swept) Expand(Below(path, member->first), member->second);
  }

  // All values that are meant, each as a whole.
  std::vector<Json> Combinations(const std::string& path, const Json& value) {
    if (Fits(path, value)) return {value};
    if (value.IsObject()) return ObjectCombinations(path, value);
    if (!value.IsArray()) {
      Wrong(path, value);
      return {};
    }
    const auto is_object = [](const Json& v) { return v.IsObject(); };
    const bool list = Fits(path, Json(Json::Array{Json(Json::Object())})) &&
                      std::all_of(value.array().begin(), value.array().end(), is_object);
    if (list) return ListCombinations(path, value);
    std::vector<Json> out;
    for (const Json& element : value.array()) {
      for (Json& one : Combinations(path, element)) out.push_back(std::move(one));
    }
    return out;
  }

  std::vector<Json> ObjectCombinations(const std::string& path, const Json& value) {
    std::vector<Json> out{Json(Json::Object())};
    for (const auto& [name, member] : value.object()) {
      const std::vector<Json> choices = Combinations(Below(path, name), member);
      if (!Grow(value, out, choices, [&](Json& so_far, const Json& choice) {
            so_far.object().emplace_back(name, choice);
          }))
        return {};
    }
    return out;
  }

  // A list of messages, in each of which something is swept.
  std::vector<Json> ListCombinations(const std::string& path, const Json& value) {
    std::vector<Json> out{Json(Json::Array())};
    for (const Json& element : value.array()) {
      const std::vector<Json> choices = ObjectCombinations(path, element);
      if (!Grow(value, out, choices,
                [](Json& so_far, const Json& choice) { so_far.array().push_back(choice); }))
        return {};
    }
    return out;
  }

  template <typename Append>
  bool Grow(const Json& at, std::vector<Json>& out, const std::vector<Json>& choices,
            Append append) {
    if (out.size() * choices.size() > kMostCombinations) {
      fault_(at, Format("more than {} combinations", kMostCombinations));
      return false;
    }
    std::vector<Json> next;
    for (const Json& so_far : out) {
      for (const Json& choice : choices) append(next.emplace_back(so_far), choice);
    }
    out = std::move(next);
    return true;
  }

  const SweepFault& fault_;
  std::vector<AxisSpec> axes_;
};

}  // namespace

std::vector<AxisSpec> SweepAxes(const Json& parameters, const SweepFault& fault) {
  Sweep sweep(fault);
  if (!parameters.IsObject()) {
    fault(parameters, "a map of fields of config.pbtxt is wanted");
    return {};
  }
  for (const auto& [name, value] : parameters.object()) {
    // A name is a field's, and no path: a dot in it would reach somewhere else.
    if (!Fits(name, {}) || name.find_first_of(".[") != std::string::npos) {
      const Result<Json> known = kserve::CanonicalValue(name, {});
      fault(value, known.has_value() ? Format("'{}': write the fields below each other", name)
                                     : known.error().message());
      continue;
    }
    sweep.Expand(name, value);
  }
  return sweep.Take();
}

}  // namespace sextant::analyze
