#!/usr/bin/env bash
# Runs the real perf_analyzer (24.10) that scripts/setup.sh --tests installs. The arguments are its
# own.
set -euo pipefail
venv=${SEXTANT_DEPS:-$HOME/.cache/sextant}/tests-venv
if [[ ! -x $venv/bin/perf_analyzer ]]; then
  echo "perf_analyzer.sh: there is no perf_analyzer in $venv: run scripts/setup.sh --tests" >&2
  exit 127
fi
export LD_LIBRARY_PATH=$venv/lib/python3.11/site-packages/nvidia/cuda_runtime/lib
exec "$venv/bin/perf_analyzer" "$@"
