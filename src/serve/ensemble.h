// Runs ensembles: each request becomes requests to the models of the steps, a step's as soon as all
// of its input tensors are there. Only the steps that the outputs asked for need are executed. A
// step that fails fails the request, once the steps that are under way have ended.
//
// Threads: a request is carried on by whichever thread answers a step.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "model_config.pb.h"
#include "serve/backend.h"

namespace sextant::serve {

class LoadedModel;

// Finds a loaded model by name and version (empty: the latest). Called for every step.
using FindModel =
    std::function<Result<std::shared_ptr<LoadedModel>>(const std::string&, const std::string&)>;

// `find` is used by the ensembles as long as they are there.
std::unique_ptr<Backend> MakeEnsembleBackend(FindModel find);

}  // namespace sextant::serve
