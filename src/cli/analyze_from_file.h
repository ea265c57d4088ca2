// What Model Analyzer's file says of servers, searches, containers, places, names of files and
// intervals. What the command line says goes before it.
#pragma once

#include <string>
#include <vector>

#include "analyze/model_analyzer_yaml.h"
#include "cli/analyze_plan.h"

namespace sextant::cli {

// Of the server and of the run.
void TakeFromFile(const analyze::ModelAnalyzerConfig& file, AnalyzeOptions& options,
                  std::vector<std::string>& notes);

// What is tried of one model beside its own axes, and where its journal is.
void TakeModelFromFile(const analyze::ModelAnalyzerConfig& file,
                       const analyze::ModelAnalyzerModel& model, ModelPlan& plan);

// The words of podman's or docker's command line for arguments by the names that docker's Python
// library has for them (`triton_docker_args`).
std::vector<std::string> ContainerWords(const analyze::NamedTexts& arguments);

}  // namespace sextant::cli
