#include "cli/perf_data.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <numeric>

#include "base/files.h"
#include "load/data_files.h"

namespace sextant::cli {
namespace {

// Beyond this a JSON file takes seconds to read.
constexpr double kLargeBytes = 256e6;
// Rows that must have one shape so that batches of every asked size fit.
constexpr size_t kMostRowsPerShape = 4096;

bool IsMadeUp(const std::string& source) { return source == "zero" || source == "random"; }

void SayWhatIsRead(const PerfOptions& options, const std::string& path) {
  struct stat info{};
  if (options.progress == Progress::kNone || stat(path.c_str(), &info) != 0) return;
  const auto bytes = static_cast<double>(info.st_size);
  if (!S_ISREG(info.st_mode) || bytes < kLargeBytes) return;
  std::fputs(Format("Reading {} ({:.1f} GB) ...\n", path, bytes / 1e9).c_str(), stderr);
}

// Rows first .. first + n - 1 have one shape, n being a multiple of every batch size.
size_t RowsPerShape(const PerfOptions& options) {
  size_t out = 1;
  for (const double batch : options.batch.values) {
    if (out > kMostRowsPerShape) break;  // refused in any case, and it must not overflow
    out = std::lcm(out, static_cast<size_t>(std::max(batch, 1.0)));
  }
  return out;
}

Result<load::DataSet> ReadSources(const PerfOptions& options, const Plan& plan,
                                  const load::ModelSignature& model) {
  std::vector<load::DataSet> sets;
  std::vector<std::string> faults;
  for (const std::string& source : options.input_data) {
    SayWhatIsRead(options, source);
    Result<load::DataSet> read = load::ReadInputData(source, model, plan.shapes);
    if (read.has_value()) {
      sets.push_back(*std::move(read));
    } else {
      faults.push_back("--input-data: " + read.error().message());
    }
  }
  if (!faults.empty()) return InvalidArgument(Join(faults, "\n"));
  return load::Concatenate(std::move(sets));
}

}  // namespace

void PlanData(const PerfOptions& options, Plan& plan, const std::function<void(std::string)>& add) {
  for (const std::string& text : options.data) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      add(Format("--data '{}': write NAME=HOW, such as ids=int(0,30521)", Printable(text, 60)));
      continue;
    }
    const std::string name = text.substr(0, equals);
    Result<load::ValueRule> rule = load::ParseValueRule(text.substr(equals + 1));
    if (!rule.has_value()) {
      add(Format("--data {}: {}", name, rule.error().message()));
    } else if (!plan.value_rules.emplace(name, *std::move(rule)).second) {
      add(Format("--data {}: is given twice", name));
    }
  }
  for (const std::string& text : options.dims) {
    Result<load::DimRule> rule = load::ParseDim(text);
    if (rule.has_value()) {
      plan.dims.push_back(*std::move(rule));
    } else {
      add(rule.error().message());
    }
  }
  if (!options.dims.empty() && RowsPerShape(options) > kMostRowsPerShape) {
    add(
        Format("--dim: rows of one batch have one shape, and the batch sizes of -b have {} as "
               "their least common multiple or more, beyond {}: measure them in several runs",
               RowsPerShape(options), kMostRowsPerShape));
  }
  const auto made_up =
      std::count_if(options.input_data.begin(), options.input_data.end(), IsMadeUp);
  const bool files = static_cast<size_t>(made_up) < options.input_data.size();
  if (made_up > 0 && options.input_data.size() > 1)
    add("--input-data: zero and random stand alone; only files are appended to each other");
  if (!files) return;
  if (!plan.ranges.empty()) add("--random-range belongs to random data, not to --input-data FILE");
  if (!options.data.empty()) {
    add("--data belongs to data that is made up, not to --input-data FILE: name the file in "
        "--data NAME=file(PATH)");
  }
  if (!options.dims.empty()) add("--dim belongs to data that is made up, not to --input-data FILE");
  if (options.rows > 0) add("--rows belongs to data that is made up: a file has the rows it has");
}

bool FromFiles(const PerfOptions& options) {
  return std::any_of(options.input_data.begin(), options.input_data.end(),
                     [](const std::string& source) { return !IsMadeUp(source); });
}

Result<load::DataSet> MakeData(const PerfOptions& options, const Plan& plan,
                               const load::ModelSignature& model) {
  for (const auto& [name, shape] : plan.shapes) {
    const bool known = std::any_of(model.inputs.begin(), model.inputs.end(),
                                   [&](const auto& i) { return i.name == name; });
    if (!known)
      return InvalidArgument(Format("--shape: the model has no input '{}'", Printable(name, 60)));
  }
  const bool made_up = options.input_data.empty() || IsMadeUp(options.input_data.front());
  if (!made_up) return ReadSources(options, plan, model);
  return load::GenerateData(
      model, {.zero = !options.input_data.empty() && options.input_data.front() == "zero",
              .seed = plan.seed,
              .rows = options.rows,
              .shapes = plan.shapes,
              .ranges = plan.ranges,
              .string_length = options.string_length,
              .string_data = options.string_data,
              .rules = plan.value_rules,
              .dims = plan.dims,
              .rows_per_shape = RowsPerShape(options)});
}

std::optional<load::Tolerance> OutputTolerance(const PerfOptions& options) {
  if (!options.atol && !options.rtol) return std::nullopt;
  return load::Tolerance{.absolute = options.atol.value_or(0),
                         .relative = options.rtol.value_or(0)};
}

}  // namespace sextant::cli
