#include "analyze/expression.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "analyze/owned_name.h"
#include "base/strings.h"

namespace sextant::analyze {
namespace {

bool IsNameStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsSpace(char c) { return c == ' ' || c == '\t'; }

Operand Truth(bool value) { return {.number = value ? 1.0 : 0.0, .text = {}}; }

}  // namespace

std::string FullAxisName(std::string_view name) {
  const OwnedName split = SplitOwner(name);
  if (split.name != "instances") return std::string(name);
  return WithOwner(split.model, "instance_group.count");
}

// Recursive descent; each function leaves its nodes behind the ones before.
class ExpressionParser {
 public:
  ExpressionParser(std::string_view text, std::span<const std::string> models, size_t base)
      : text_(text), models_(models), base_(base) {}

  Result<Expression> Parse(bool condition) {
    out_.text_ = std::string(TrimSpace(text_));
    SEXTANT_ASSIGN(const Type type, Or());
    SkipSpace();
    if (at_ < text_.size())
      return Fault(at_, Format("'{}' is not expected here", Printable(text_.substr(at_, 12))));
    if (condition && type != Type::kTruth)
      return Fault(0, "this is no condition: compare it with something, as in instances<=4");
    if (!condition && type != Type::kValue)
      return Fault(0, "this is a condition; a number is wanted");
    if (!FitsStack()) return Fault(0, "this is nested too deeply");
    return std::move(out_);
  }

 private:
  using Op = Expression::Op;
  enum class Type : uint8_t { kValue, kTruth };

  Error Fault(size_t at, std::string_view what) const {
    return InvalidArgument(Format("column {}: {}", base_ + at + 1, what));
  }
  void SkipSpace() {
    while (at_ < text_.size() && IsSpace(text_[at_])) ++at_;
  }
  bool Take(std::string_view token) {
    SkipSpace();
    if (!text_.substr(at_).starts_with(token)) return false;
    const size_t end = at_ + token.size();
    // A word must end where it ends: "order" does not begin with "or".
    if (IsNameStart(token[0]) && end < text_.size() &&
        (IsNameStart(text_[end]) || IsDigit(text_[end]) || text_[end] == '.'))
      return false;
    at_ = end;
    return true;
  }
  void Emit(Op op) { out_.nodes_.push_back({.op = op}); }

  Result<void> Want(Type type, Type wanted, size_t at) const {
    if (type == wanted) return {};
    return Fault(at, wanted == Type::kTruth ? "a condition is wanted here, such as instances<=4"
                                            : "a number is wanted here, not a condition");
  }

  // A chain of one kind of operator, all of whose operands and whose result have one type.
  struct Operator {
    std::string_view token;
    Op op;
  };
  template <typename Next>
  Result<Type> Chain(std::span<const Operator> operators, Type wanted, Next next) {
    SkipSpace();
    const size_t start = at_;
    SEXTANT_ASSIGN(const Type first, (this->*next)());
    for (bool any = true; any;) {
      any = false;
      for (const auto& [token, op] : operators) {
        if (!Take(token)) continue;
        SEXTANT_TRY(Want(first, wanted, start));
        SkipSpace();
        const size_t at = at_;
        SEXTANT_ASSIGN(const Type second, (this->*next)());
        SEXTANT_TRY(Want(second, wanted, at));
        Emit(op);
        any = true;
        break;
      }
    }
    return first;
  }

  Result<Type> Or() {
    static constexpr Operator kOperators[] = {{"||", Op::kOr}, {"or", Op::kOr}};
    if (++depth_ > Expression::kDepth) return Fault(at_, "this is nested too deeply");
    Result<Type> type = Chain(kOperators, Type::kTruth, &ExpressionParser::And);
    --depth_;
    return type;
  }
  Result<Type> And() {
    static constexpr Operator kOperators[] = {{"&&", Op::kAnd}, {"and", Op::kAnd}};
    return Chain(kOperators, Type::kTruth, &ExpressionParser::Not);
  }
  Result<Type> Not() {
    SkipSpace();
    const bool differs = text_.substr(at_).starts_with("!=");
    if (differs || !(Take("!") || Take("not"))) return Comparison();
    if (++depth_ > Expression::kDepth) return Fault(at_, "this is nested too deeply");
    const size_t at = at_;
    SEXTANT_ASSIGN(const Type type, Not());
    --depth_;
    SEXTANT_TRY(Want(type, Type::kTruth, at));
    Emit(Op::kNot);
    return Type::kTruth;
  }

  std::optional<Op> TakeComparison() {
    static constexpr Operator kOperators[] = {{"<=", Op::kLessEqual}, {">=", Op::kGreaterEqual},
                                              {"==", Op::kEqual},     {"!=", Op::kNotEqual},
                                              {"<", Op::kLess},       {">", Op::kGreater},
                                              {"=", Op::kEqual}};
    for (const auto& [token, op] : kOperators) {
      if (Take(token)) return op;
    }
    return std::nullopt;
  }

  Result<Type> Comparison() {
    SkipSpace();
    const size_t start = at_;
    SEXTANT_ASSIGN(const Type first, Sum());
    const std::optional<Op> op = TakeComparison();
    if (!op) return first;
    SEXTANT_TRY(Want(first, Type::kValue, start));
    SkipSpace();
    const size_t at = at_;
    SEXTANT_ASSIGN(const Type second, Sum());
    SEXTANT_TRY(Want(second, Type::kValue, at));
    Emit(*op);
    SkipSpace();
    const size_t after = at_;
    if (TakeComparison()) return Fault(after, "comparisons are not chained; join two with 'and'");
    return Type::kTruth;
  }

  Result<Type> Sum() {
    static constexpr Operator kOperators[] = {{"+", Op::kAdd}, {"-", Op::kSubtract}};
    return Chain(kOperators, Type::kValue, &ExpressionParser::Product);
  }
  Result<Type> Product() {
    static constexpr Operator kOperators[] = {{"*", Op::kMultiply}, {"/", Op::kDivide}};
    return Chain(kOperators, Type::kValue, &ExpressionParser::Unary);
  }
  Result<Type> Unary() {
    if (!Take("-")) return Primary();
    if (++depth_ > Expression::kDepth) return Fault(at_, "this is nested too deeply");
    const size_t at = at_;
    SEXTANT_ASSIGN(const Type type, Unary());
    --depth_;
    SEXTANT_TRY(Want(type, Type::kValue, at));
    Emit(Op::kNegate);
    return Type::kValue;
  }

  Result<Type> Primary() {
    SkipSpace();
    if (at_ == text_.size()) return Fault(at_, "something is missing here");
    const char c = text_[at_];
    if (Take("(")) {
      const size_t open = at_ - 1;
      SEXTANT_ASSIGN(const Type type, Or());
      if (!Take(")")) return Fault(open, "this parenthesis is not closed");
      return type;
    }
    if (c == '\'' || c == '"') return Quoted(c);
    if (IsNameStart(c) || OwnerLength() > 0) return NameOrCall();
    if (IsDigit(c) || c == '.') return Number();
    return Fault(at_, Format("'{}' is not expected here", Printable(text_.substr(at_, 1))));
  }

  Result<Type> Quoted(char quote) {
    const size_t close = text_.find(quote, at_ + 1);
    if (close == std::string_view::npos) return Fault(at_, "this quote is not closed");
    out_.nodes_.push_back({.op = Op::kText, .index = static_cast<uint32_t>(out_.texts_.size())});
    out_.texts_.emplace_back(text_.substr(at_ + 1, close - at_ - 1));
    at_ = close + 1;
    return Type::kValue;
  }

  Result<Type> Number() {
    size_t end = at_;
    while (end < text_.size() && (IsDigit(text_[end]) || text_[end] == '.')) ++end;
    const auto value = ParseDouble(text_.substr(at_, end - at_));
    if (!value)
      return Fault(at_,
                   Format("'{}' is not a number", Printable(text_.substr(at_, end - at_), 40)));
    out_.nodes_.push_back({.op = Op::kNumber, .number = *value});
    at_ = end;
    return Type::kValue;
  }

  // Of "resnet:" here, where there is such a model; 0: there is none.
  size_t OwnerLength() const {
    size_t length = 0;
    for (const std::string& model : models_) {
      const std::string_view rest = text_.substr(at_);
      if (rest.starts_with(model) && rest.substr(model.size()).starts_with(':'))
        length = std::max(length, model.size() + 1);
    }
    return length;
  }

  std::string_view TakeName() {
    const size_t start = at_;
    at_ += OwnerLength();
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '[') {
        const size_t close = text_.find(']', at_);
        if (close == std::string_view::npos) break;
        at_ = close + 1;
      } else if (IsNameStart(c) || IsDigit(c) || c == '.') {
        ++at_;
      } else {
        break;
      }
    }
    return text_.substr(start, at_ - start);
  }

  Result<Type> NameOrCall() {
    const size_t start = at_;
    const std::string_view name = TakeName();
    if (name == "true" || name == "false") {
      out_.nodes_.push_back({.op = Op::kNumber, .number = name == "true" ? 1.0 : 0.0});
      return Type::kValue;
    }
    if (Take("(")) return Call(name, start);
    const std::string full = FullAxisName(name);
    auto found = std::find(out_.names_.begin(), out_.names_.end(), full);
    if (found == out_.names_.end()) {
      out_.columns_.push_back(base_ + start + 1);
      found = out_.names_.insert(out_.names_.end(), full);
    }
    out_.nodes_.push_back(
        {.op = Op::kName, .index = static_cast<uint32_t>(found - out_.names_.begin())});
    return Type::kValue;
  }

  Result<Type> Call(std::string_view name, size_t start) {
    if (name != "min" && name != "max")
      return Fault(start,
                   Format("there is no '{}()'; there are min() and max()", Printable(name, 40)));
    int arguments = 0;
    do {
      SkipSpace();
      const size_t at = at_;
      SEXTANT_ASSIGN(const Type type, Or());
      SEXTANT_TRY(Want(type, Type::kValue, at));
      if (++arguments > 1) Emit(name == "min" ? Op::kMin : Op::kMax);
    } while (Take(","));
    if (!Take(")")) return Fault(start, Format("the parenthesis of {}() is not closed", name));
    return Type::kValue;
  }

  bool FitsStack() const {
    size_t height = 0, most = 0;
    for (const Expression::Node& node : out_.nodes_) {
      if (node.op == Op::kNumber || node.op == Op::kText || node.op == Op::kName) {
        most = std::max(most, ++height);
      } else if (node.op != Op::kNegate && node.op != Op::kNot) {
        --height;
      }
    }
    return most <= Expression::kDepth;
  }

  std::string_view text_;
  std::span<const std::string> models_;
  size_t base_, at_ = 0, depth_ = 0;
  Expression out_;
};

Result<Expression> Expression::ParseNumber(std::string_view text,
                                           std::span<const std::string> models, size_t base) {
  return ExpressionParser(text, models, base).Parse(false);
}

Result<Expression> Expression::ParseCondition(std::string_view text,
                                              std::span<const std::string> models) {
  return ExpressionParser(text, models, 0).Parse(true);
}

Operand Expression::Apply(Op op, const Operand& a, const Operand& b) {
  // Three-valued: what is known may decide without the rest.
  if (op == Op::kAnd || op == Op::kOr) {
    const double decides = op == Op::kAnd ? 0 : 1;
    if (a.number == decides || b.number == decides) return Truth(decides != 0);
    if (a.missing() || b.missing()) return {};
    return Truth(decides == 0);
  }
  if (op == Op::kEqual || op == Op::kNotEqual) {
    if (a.missing() || b.missing()) return {};
    const bool numbers = a.number && b.number;
    const bool equal = numbers ? *a.number == *b.number : a.text && b.text && *a.text == *b.text;
    return Truth(equal == (op == Op::kEqual));
  }
  if (!a.number || !b.number) return {};
  const double x = *a.number, y = *b.number;
  double value = 0;
  switch (op) {
    case Op::kAdd:
      value = x + y;
      break;
    case Op::kSubtract:
      value = x - y;
      break;
    case Op::kMultiply:
      value = x * y;
      break;
    case Op::kDivide:
      value = x / y;
      break;
    case Op::kMin:
      value = std::min(x, y);
      break;
    case Op::kMax:
      value = std::max(x, y);
      break;
    case Op::kLess:
      return Truth(x < y);
    case Op::kLessEqual:
      return Truth(x <= y);
    case Op::kGreater:
      return Truth(x > y);
    case Op::kGreaterEqual:
      return Truth(x >= y);
    default:
      return {};
  }
  if (!std::isfinite(value)) return {};
  return {.number = value, .text = {}};
}

std::optional<double> Expression::Evaluate(std::span<const Operand> values) const {
  std::array<Operand, kDepth> stack;
  size_t height = 0;
  for (const Node& node : nodes_) {
    switch (node.op) {
      case Op::kNumber:
        stack[height++] = {.number = node.number, .text = {}};
        break;
      case Op::kText:
        stack[height++] = {.number = ParseDouble(texts_[node.index]), .text = texts_[node.index]};
        break;
      case Op::kName:
        stack[height++] = values[node.index];
        break;
      case Op::kNegate:
        if (stack[height - 1].number)
          stack[height - 1] = {.number = -*stack[height - 1].number, .text = {}};
        break;
      case Op::kNot:
        if (stack[height - 1].number) stack[height - 1] = Truth(*stack[height - 1].number == 0);
        break;
      default:
        --height;
        stack[height - 1] = Apply(node.op, stack[height - 1], stack[height]);
    }
  }
  return stack[0].number;
}

std::optional<double> Expression::Number(std::span<const Operand> values) const {
  return Evaluate(values);
}

std::optional<bool> Expression::Holds(std::span<const Operand> values) const {
  const std::optional<double> value = Evaluate(values);
  if (!value) return std::nullopt;
  return *value != 0;
}

}  // namespace sextant::analyze
