// sextant perf --merge: run files of machines that made one load together, as one.
#include "cli/perf_merge.h"

#include <cstdio>

#include "base/files.h"
#include "base/version.h"
#include "cli/command.h"
#include "cli/perf_report.h"
#include "run/merge.h"
#include "run/print.h"
#include "run/print_perf_analyzer.h"

namespace sextant::cli {
namespace {

Result<void> Write(const PerfOptions& options, const run::MergedRun& merged) {
  if (!options.output_file.empty()) {
    text::Json header{text::Json::Object()};
    for (const auto& [key, value] : merged.run.header.object()) {
      // The writer has its own.
      if (key != "type" && key != "format" && key != "version") header.Set(key, value);
    }
    header.Set("tool", Format("sextant {}", Version()));
    SEXTANT_ASSIGN(run::RunWriter writer, run::RunWriter::Create(options.output_file, header));
    for (const run::Level& level : merged.run.levels) SEXTANT_TRY(writer.Append(level));
    SEXTANT_TRY(writer.Finish("complete", kExitOk));
  }
  if (!options.csv_file.empty()) {
    const run::PerfAnalyzerForm form{.verbose_csv = options.verbose_csv};
    SEXTANT_TRY(WriteFileAtomic(options.csv_file, run::PerfAnalyzerCsv(form, merged.run.levels)));
    SEXTANT_TRY(WriteModelCsvs(options.csv_file, form, merged.run.levels));
  }
  return {};
}

// Files given twice, whatever they are called. One that is not there is said when it is read.
bool AnyTwice(const std::vector<std::string>& names) {
  bool any = false;
  for (size_t i = 0; i < names.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (!SameFile(names[i], names[j])) continue;
      any = true;
      PrintError("perf", InvalidArgument(Format(
                             "--merge: '{}' and '{}' are one file, whose figures would count "
                             "twice: name each shard's file once",
                             names[j], names[i])));
      break;
    }
  }
  return any;
}

}  // namespace

int RunMerge(const PerfOptions& options) {
  std::vector<run::RunPart> parts;
  bool readable = !AnyTwice(options.merge);
  for (const std::string& name : options.merge) {
    const Result<std::string> text = ReadFile(name);
    Result<run::Run> run = text.has_value() ? run::ParseRun(*text) : Result<run::Run>(text.error());
    if (run.has_value()) {
      parts.push_back({name, *std::move(run)});
    } else {
      // All files that cannot be read, not only the first.
      PrintError("perf", std::move(run).error().In("--merge " + name));
      readable = false;
    }
  }
  if (!readable) return kExitUsage;
  const Result<run::MergedRun> merged = run::MergeRuns(parts);
  if (!merged.has_value()) {
    PrintError("perf", Error(merged.error()).In("--merge"));
    return kExitUsage;
  }
  if (const Result<void> written = Write(options, *merged); !written.has_value()) {
    PrintError("perf", written.error());
    return kExitFailure;
  }
  if (!options.quiet) {
    for (const run::Level& level : merged->run.levels)
      std::fputs((run::FormatLevel(level) + "\n").c_str(), stdout);
  }
  for (const std::string& note : merged->notes)
    std::fputs(Format("Note: {}\n", note).c_str(), stdout);
  std::fputs(run::FormatTable(merged->run.levels).c_str(), stdout);
  return kExitOk;
}

}  // namespace sextant::cli
