// What the end-to-end tests of `sextant analyze` share: a repository on disk, a run of the program,
// and what it wrote.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "analyze/journal.h"
#include "base/files.h"
#include "base/strings.h"
#include "harness.h"
#include "text/json.h"

namespace sextant::e2e {

// A repository on disk for a server that the program starts.
class Repository {
 public:
  explicit Repository(const std::map<std::string, ModelText>& models) {
    for (const auto& [name, model] : models) {
      EXPECT_TRUE(MakeDirectories(directory_.File(name + "/1")).has_value());
      directory_.Write(name + "/config.pbtxt", model.Config());
    }
  }
  const std::string& path() const { return directory_.path(); }

 private:
  TempDirectory directory_;
};

// Twice the instances, twice the throughput.
inline ModelText Taking(std::string_view service_time, int max_batch_size = 0) {
  return {.max_batch_size = max_batch_size,
          .parameters = {{"service_time", std::string(service_time)}}};
}

struct Analysis {
  PerfResult result;
  text::Json json;  // results.json; null when there is none
  analyze::JournalContents journal;

  const text::Json& Ranked(size_t i) const { return json.Find("ranking")->array().at(i); }
  std::string Text(const text::Json& of, std::string_view member) const {
    const text::Json* found = of.Find(member);
    return std::string(found == nullptr ? "" : found->AsString().value_or(""));
  }
  size_t points() const {
    size_t out = 0;
    for (const analyze::Session& session : journal.sessions) out += session.points.size();
    return out;
  }
};

inline Analysis Read(PerfResult result, const std::string& directory) {
  Analysis out{.result = std::move(result), .json = {}, .journal = {}};
  if (const auto text = ReadFile(directory + "/results.json"); text.has_value()) {
    auto json = text::ParseJson(*text);
    EXPECT_TRUE(json.has_value());
    if (json.has_value()) out.json = *std::move(json);
  }
  if (const auto text = ReadFile(directory + "/journal.jsonl"); text.has_value()) {
    auto journal = analyze::ParseJournal(*text);
    EXPECT_TRUE(journal.has_value());
    if (journal.has_value()) out.journal = *std::move(journal);
  }
  return out;
}

inline std::vector<std::string> Arguments(const Repository& repository,
                                          const std::string& directory,
                                          std::vector<std::string> more) {
  std::vector<std::string> out{"analyze",
                               "-m",
                               "m",
                               "--model-repository",
                               repository.path(),
                               "--export-path",
                               directory,
                               "--shortest-window",
                               "200ms",
                               "--longest-window",
                               "500ms",
                               "--base-duration",
                               "0s",
                               "--warmup",
                               "100ms"};
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

inline Analysis Analyze(const Repository& repository, const std::string& directory,
                        std::vector<std::string> more,
                        std::map<std::string, std::string> environment = {}) {
  return Read(RunSextant(Arguments(repository, directory, std::move(more)), std::move(environment)),
              directory);
}

// Servers that an analysis in this directory started, and that still run.
inline size_t ServersOf(const std::string& directory) {
  size_t out = 0;
  const auto processes = ListDirectory("/proc");
  for (const std::string& pid : *processes) {
    const auto command = ReadFile("/proc/" + pid + "/cmdline");
    if (command.has_value() && command->find("serve") != std::string::npos &&
        command->find(directory + "/") != std::string::npos)
      ++out;
  }
  return out;
}

}  // namespace sextant::e2e
