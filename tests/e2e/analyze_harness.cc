#include "analyze_harness.h"

#include <gtest/gtest.h>

#include "base/files.h"

namespace sextant::e2e {

using text::Json;

Repository::Repository(const std::map<std::string, ModelText>& models) {
  for (const auto& [name, model] : models) {
    EXPECT_TRUE(MakeDirectories(directory_.File(name + "/1")).has_value());
    directory_.Write(name + "/config.pbtxt", model.Config());
  }
}

ModelText Taking(std::string_view service_time, int max_batch_size) {
  return {.max_batch_size = max_batch_size,
          .parameters = {{"service_time", std::string(service_time)}}};
}

std::string Analysis::Text(const Json& of, std::string_view member) {
  const Json* found = of.Find(member);
  return std::string(found == nullptr ? "" : found->AsString().value_or(""));
}

size_t Analysis::points() const {
  size_t out = 0;
  for (const analyze::Session& session : journal.sessions) out += session.points.size();
  return out;
}

Analysis Read(PerfResult result, const std::string& directory) {
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

std::vector<std::string> Arguments(const Repository& repository, const std::string& directory,
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

Analysis Analyze(const Repository& repository, const std::string& directory,
                 std::vector<std::string> more, std::map<std::string, std::string> environment) {
  return Read(RunSextant(Arguments(repository, directory, std::move(more)), std::move(environment)),
              directory);
}

std::set<std::string> ServerProcesses(const std::string& directory) {
  std::set<std::string> out;
  const auto processes = ListDirectory("/proc");
  for (const std::string& pid : *processes) {
    const auto command = ReadFile("/proc/" + pid + "/cmdline");
    if (command.has_value() && command->find("serve") != std::string::npos &&
        command->find(directory + "/") != std::string::npos)
      out.insert(pid);
  }
  // A leak checker, when a server ends, looks at it from a copy of it.
  std::erase_if(out, [&](const std::string& pid) {
    const auto status = ReadFile("/proc/" + pid + "/status");
    constexpr std::string_view kParent = "\nPPid:\t";
    const size_t at = status.has_value() ? status->find(kParent) : std::string::npos;
    if (at == std::string::npos) return false;
    const size_t begin = at + kParent.size();
    return out.contains(status->substr(begin, status->find('\n', begin) - begin));
  });
  return out;
}

}  // namespace sextant::e2e
