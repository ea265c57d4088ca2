// Input data made up: random, zero, or by a rule per input (--data), in shapes of which some
// dimensions may be drawn (--dim).
//
// Everything is a function of the seed. Threads: none.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "load/data.h"
#include "load/image_data.h"

namespace sextant::load {

struct Range {
  double low = 0, high = 1;
};

// How the values of an input are made: "int(0,30521)".
struct ValueRule {
  enum class Kind { kInt, kFloat, kConst, kNormal, kZero, kChoice, kString, kFile, kImage };
  Kind kind = Kind::kZero;
  std::string text;                 // as written, for messages
  int64_t low = 0, high = 0;        // kInt, both included; kString: the length
  double a = 0, b = 0;              // kFloat: [a, b); kNormal: mean and standard deviation
  std::vector<std::string> values;  // kConst (one) and kChoice
  std::string path;                 // kFile, kImage
  ImageOptions image;
};
// int(LOW,HIGH), float(LOW,HIGH), const(V), normal(MEAN,SD), zero, choice(A,B,...), string(LEN) or
// string(LEN,LEN), file(PATH), image(PATH,resize=...,layout=...,scale=...,channels=...). Errors say
// what is allowed.
Result<ValueRule> ParseValueRule(std::string_view text);

// A dimension that is drawn: "INPUT[1]=8..512", or "seq=8..512" for a name of the user's own.
struct DimRule {
  std::string name;             // an input, or what the user calls the dimension
  std::optional<size_t> index;  // in the input's shape without the batch; absent: by name alone
  int64_t low = 1, high = 1;    // both included
  std::string text;
};
Result<DimRule> ParseDim(std::string_view text);

struct GenerateOptions {
  bool zero = false;
  uint64_t seed = 1;
  size_t rows = 0;                      // 0: as many as the files have, or up to 64 in 16 MiB
  ShapeByName shapes;                   // per input, where the model leaves a dimension open
  std::map<std::string, Range> ranges;  // per input or, with an empty name, for all
  uint64_t string_length = 128;
  std::string string_data;                 // instead of random text
  std::map<std::string, ValueRule> rules;  // per input, before all of the above
  std::vector<DimRule> dims;
  // So many neighbouring rows have one shape, so that they can share a batch.
  size_t rows_per_shape = 1;
};

// Rows of zeros or of random values, or what `rules` say. Without a rule: floats in [0, 1),
// integers in [0, 128) or what their type holds of it, BOOL 0 or 1, BYTES random letters and
// digits. Open dimensions without a shape or rule are taken as 1. Errors list every fault.
Result<DataSet> GenerateData(const ModelSignature& model, const GenerateOptions& options);

// The shapes of one input: one for each block of rows, or a single one when nothing is drawn.
//
// A rule "INPUT[i]" is for that dimension, one named like an input for its first open dimension.
// Any other name is the user's own: the first such name is the first open dimension of every input,
// the second the second, and so on; all inputs share what is drawn, so that ids and mask agree.
// Where several apply, the most particular does. Faults go to `faults`.
std::vector<std::vector<kserve::Shape>> DrawShapes(const ModelSignature& model,
                                                   const ShapeByName& shapes,
                                                   const std::vector<DimRule>& dims, size_t blocks,
                                                   uint64_t seed, FaultList& faults);

}  // namespace sextant::load
