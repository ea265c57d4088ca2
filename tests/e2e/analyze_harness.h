// What the end-to-end tests of `sextant analyze` share: a repository on disk for a server that the
// program starts, and what an analysis has left.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "analyze/journal.h"
#include "harness.h"
#include "text/json.h"

namespace sextant::e2e {

class Repository {
 public:
  explicit Repository(const std::map<std::string, ModelText>& models);
  const std::string& path() const { return directory_.path(); }

 private:
  TempDirectory directory_;
};

// Twice the instances, twice the throughput.
ModelText Taking(std::string_view service_time, int max_batch_size = 0);

struct Analysis {
  PerfResult result;
  text::Json json;  // results.json; null when there is none
  analyze::JournalContents journal;

  const text::Json& Ranked(size_t i) const { return json.Find("ranking")->array().at(i); }
  // Empty when it is absent or no text.
  static std::string Text(const text::Json& of, std::string_view member);
  size_t points() const;
};

// What lies in the directory of the results.
Analysis Read(PerfResult result, const std::string& directory);

// `sextant analyze` of the model m with short windows, without a baseline, and with what is more.
std::vector<std::string> Arguments(const Repository& repository, const std::string& directory,
                                   std::vector<std::string> more);
Analysis Analyze(const Repository& repository, const std::string& directory,
                 std::vector<std::string> more,
                 std::map<std::string, std::string> environment = {});

// The process ids of servers that an analysis in this directory started, and that still run.
std::set<std::string> ServerProcesses(const std::string& directory);
inline size_t ServersOf(const std::string& directory) { return ServerProcesses(directory).size(); }

}  // namespace sextant::e2e
