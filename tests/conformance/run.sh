#!/usr/bin/env bash
# Runs the conformance cases (run.py, whose arguments these are) with the Python that
# scripts/setup.sh --tests installs. 77: there is none, or no Triton.
set -euo pipefail
python=${SEXTANT_DEPS:-$HOME/.cache/sextant}/tests-venv/bin/python3
if [[ ! -x $python ]]; then
  echo "there is no $python: scripts/setup.sh --tests installs tritonclient and Triton" >&2
  [[ ${SEXTANT_REQUIRE_PEERS:-} == 1 ]] && exit 1
  exit 77
fi
PYTHONDONTWRITEBYTECODE=1 exec "$python" "$(dirname "${BASH_SOURCE[0]}")/run.py" "$@"
