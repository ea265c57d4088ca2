// Arithmetic and conditions over axes and fields: "2*instances*max_batch_size",
// "instances*max_batch_size<=16 and concurrency>=4". Pure. Threads: plain values.
//
// + - * / ( ) min(a,b) max(a,b); < <= > >= == !=; and && or || not !; texts in quotes. Numbers are
// real numbers. What a name stands for may be missing: then the result is missing too, unless the
// rest decides it (false and missing is false).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sextant::analyze {

// What a name stands for. A text that is a number is both.
struct Operand {
  std::optional<double> number;
  std::optional<std::string_view> text;  // of bytes that live elsewhere
  bool missing() const { return !number && !text; }
};

class Expression {
 public:
  // `models`: what may stand before a name with a colon, whatever characters it has. Errors:
  // kInvalidArgument, "column N: ..."; `base` columns stand before the text.
  static Result<Expression> ParseNumber(std::string_view text,
                                        std::span<const std::string> models = {}, size_t base = 0);
  static Result<Expression> ParseCondition(std::string_view text,
                                           std::span<const std::string> models = {});

  const std::string& text() const { return text_; }
  // Each once; "instances" in its full form.
  const std::vector<std::string>& names() const { return names_; }
  // Where the name stands first, from 1.
  size_t column_of(size_t name) const { return columns_[name]; }

  // `values`: one per name. Nothing: a value that is needed is missing, or divided by zero.
  std::optional<double> Number(std::span<const Operand> values) const;
  std::optional<bool> Holds(std::span<const Operand> values) const;

 private:
  friend class ExpressionParser;
  enum class Op : uint8_t {
    kNumber,
    kText,
    kName,
    kAdd,
    kSubtract,
    kMultiply,
    kDivide,
    kNegate,
    kMin,
    kMax,
    kLess,
    kLessEqual,
    kGreater,
    kGreaterEqual,
    kEqual,
    kNotEqual,
    kAnd,
    kOr,
    kNot
  };
  struct Node {
    Op op;
    double number = 0;
    uint32_t index = 0;  // into names_ or texts_
  };
  // Deeper expressions are refused, so that evaluating one needs no memory.
  static constexpr size_t kDepth = 48;

  std::optional<double> Evaluate(std::span<const Operand> values) const;
  static Operand Apply(Op op, const Operand& a, const Operand& b);

  std::string text_;
  std::vector<Node> nodes_;  // operands before their operator
  std::vector<std::string> names_, texts_;
  std::vector<size_t> columns_;
};

// The full name of an axis that has a short one ("instances", "resnet:instances"), else the name
// itself.
std::string FullAxisName(std::string_view name);

}  // namespace sextant::analyze
