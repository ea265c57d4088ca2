// What Model Analyzer's YAML says of a model, or of all models: parts that occur in both places.
// Internal to this folder.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "analyze/model_analyzer_yaml.h"
#include "analyze/yaml_reader.h"
#include "text/json.h"

namespace sextant::analyze {

// What may be said of a model; what is absent is taken from what is said for all.
struct ModelSection {
  bool cpu_only = false;
  std::optional<AxisSpec> batch, concurrency, rate;
  std::optional<std::vector<AxisSpec>> configuration;
  std::optional<std::vector<Objective>> objectives;
  std::optional<std::vector<Constraint>> constraints;
  std::optional<double> weighting;
  std::optional<std::vector<std::string>> perf_flags;
  std::optional<NamedTexts> server_flags, server_environment, docker_args;
};

class ModelSectionReader {
 public:
  ModelSectionReader(YamlReader& yaml, std::vector<std::string>& notes)
      : yaml_(yaml), notes_(notes) {}

  // A key of a model's section or one with the same meaning for all models; false: it is neither.
  // `where`: what stands before the key in messages ("profile_models.resnet.").
  bool Read(std::string_view key, const text::Json& value, const std::string& where,
            ModelSection& out);
  // The names that Read knows.
  static std::vector<std::string_view> Keys();

  // A limit on latency in milliseconds, or on throughput.
  static Constraint LatencyBudget(double ms);
  static Constraint MinThroughput(double per_second);

 private:
  using Json = text::Json;
  void ReadParameters(const std::string& key, const Json& value, ModelSection& out);
  std::optional<AxisSpec> ReadLevels(const std::string& key, std::string_view axis,
                                     const Json& value);
  void ReadObjectives(const std::string& key, const Json& value, ModelSection& out);
  void ReadConstraints(const std::string& key, const Json& value, ModelSection& out);
  void ReadLimits(const std::string& key, const Json::Member& member, std::vector<Constraint>& out);
  void ReadPerfFlags(const std::string& key, const Json& value, ModelSection& out);
  void AddPerfFlag(const std::string& key, std::string_view name, const Json& value,
                   std::vector<std::string>& out);

  YamlReader& yaml_;
  std::vector<std::string>& notes_;
};

}  // namespace sextant::analyze
