#!/usr/bin/env bash
# Runs one case of the comparison with perf_analyzer and Triton: run.sh CASE SEXTANT. Without the
# real programs, which scripts/setup.sh --tests installs, the case is skipped (exit code 77), or
# fails when SEXTANT_REQUIRE_PEERS is 1.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
deps=${SEXTANT_DEPS:-$HOME/.cache/sextant}
python=$deps/tests-venv/bin/python3
for needed in "$python" "$deps/tests-venv/bin/perf_analyzer" \
  "$deps/triton-2.51.0/pytriton/tritonserver/bin/tritonserver"; do
  if [[ ! -x $needed ]]; then
    echo "there is no $needed: scripts/setup.sh --tests installs it" >&2
    if [[ ${SEXTANT_REQUIRE_PEERS-} == 1 ]]; then exit 1; fi
    exit 77
  fi
done
exec "$python" "$here/run.py" "$@"
