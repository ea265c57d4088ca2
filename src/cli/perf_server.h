// What `sextant perf` does when a server is not there yet, or is not what it was taken for.
#pragma once

#include "cli/perf_subject.h"

namespace sextant::cli {

// With --wait-ready: asks the first server until it says that it is ready, with a line on stderr
// every few seconds. Errors: it was not ready in time, with the last reason.
Result<void> WaitReady(const PerfOptions& options, const Target& target,
                       const Credentials& credentials);

// A failure with what further questions show: the models that there are, when this one is not
// among them; the service that really listens on the port, when it is another one.
Result<Subject> ExplainFailure(Result<Subject> asked, const PerfOptions& options,
                               const Target& target, const load::Endpoint& endpoint,
                               kserve::ControlClient& client);

}  // namespace sextant::cli
