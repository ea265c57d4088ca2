// --data: "int(0,30521)" and its kin.
#include <algorithm>
#include <array>

#include "base/strings.h"
#include "load/generate.h"

namespace sextant::load {
namespace {

using Kind = ValueRule::Kind;

struct Form {
  std::string_view name;
  Kind kind;
  std::string_view usage;
};
constexpr std::array<Form, 9> kForms{{
    {"int", Kind::kInt, "int(LOW,HIGH): whole numbers, both ends included"},
    {"float", Kind::kFloat, "float(LOW,HIGH): LOW included, HIGH not"},
    {"const", Kind::kConst, "const(VALUE)"},
    {"normal", Kind::kNormal, "normal(MEAN,DEVIATION)"},
    {"zero", Kind::kZero, "zero"},
    {"choice", Kind::kChoice, "choice(A,B,...)"},
    {"string", Kind::kString, "string(LENGTH) or string(SHORTEST,LONGEST)"},
    {"file", Kind::kFile, "file(PATH): rows as in a directory given to --input-data"},
    {"image", Kind::kImage,
     "image(PATH_OR_DIRECTORY[,resize=stretch|fit|crop][,layout=chw|hwc]"
     "[,scale=none|unit|inception|imagenet|vgg][,channels=rgb|bgr])"},
}};

// "name(inner)" or "name".
struct Call {
  std::string_view name, inner;
  bool has_arguments = false;
};

std::optional<Call> ParseCall(std::string_view text) {
  const size_t open = text.find('(');
  if (open == std::string_view::npos) return Call{text, {}, false};
  if (!text.ends_with(')')) return std::nullopt;
  return Call{text.substr(0, open), text.substr(open + 1, text.size() - open - 2), true};
}

bool ParseNumbers(const Call& call, ValueRule& out) {
  const std::vector<std::string_view> parts = Split(call.inner, ',');
  if (out.kind == Kind::kString && parts.size() == 1) {
    const auto length = ParseInt(TrimSpace(parts[0]));
    out.low = out.high = length.value_or(-1);
    return length && *length >= 0;
  }
  if (parts.size() != 2) return false;
  const std::string_view first = TrimSpace(parts[0]), second = TrimSpace(parts[1]);
  if (out.kind == Kind::kInt || out.kind == Kind::kString) {
    const auto low = ParseInt(first), high = ParseInt(second);
    out.low = low.value_or(0);
    out.high = high.value_or(0);
    return low && high && *low <= *high && (out.kind == Kind::kInt || *low >= 0);
  }
  const auto a = ParseDouble(first), b = ParseDouble(second);
  out.a = a.value_or(0);
  out.b = b.value_or(0);
  return a && b && (out.kind == Kind::kNormal ? *b >= 0 : *a < *b);
}

bool ParseArguments(const Call& call, ValueRule& out) {
  switch (out.kind) {
    case Kind::kZero:
      return !call.has_arguments;
    case Kind::kConst:
      out.values = {std::string(call.inner)};
      return call.has_arguments;
    case Kind::kChoice:
      for (const std::string_view value : Split(call.inner, ','))
        out.values.emplace_back(TrimSpace(value));
      return call.has_arguments;
    case Kind::kFile:
      out.path = call.inner;
      return !out.path.empty();
    case Kind::kImage: {
      const size_t comma = call.inner.find(',');
      out.path = TrimSpace(call.inner.substr(0, comma));
      if (out.path.empty()) return false;
      return comma == std::string_view::npos ||
             ParseImageOptions(call.inner.substr(comma + 1), out.image);
    }
    default:
      return ParseNumbers(call, out);
  }
}

}  // namespace

Result<ValueRule> ParseValueRule(std::string_view text) {
  const std::optional<Call> call = ParseCall(TrimSpace(text));
  const auto form = std::find_if(kForms.begin(), kForms.end(),
                                 [&](const Form& f) { return call && f.name == call->name; });
  if (form == kForms.end()) {
    std::vector<std::string> names;
    for (const Form& f : kForms) names.emplace_back(f.usage.substr(0, f.usage.find(':')));
    return InvalidArgument(
        Format("'{}' is not known; there are {}", Printable(text, 60), Join(names, ", ")));
  }
  ValueRule out{.kind = form->kind, .text = std::string(TrimSpace(text))};
  if (!ParseArguments(*call, out))
    return InvalidArgument(Format("'{}': write {}", Printable(text, 100), form->usage));
  return out;
}

}  // namespace sextant::load
