#!/usr/bin/env bash
# Runs the real Triton server (CPU only) that scripts/setup.sh --tests installs. The arguments are
# tritonserver's. It runs Python models; the wheel has no other backend.
set -euo pipefail
deps=${SEXTANT_DEPS:-$HOME/.cache/sextant}
wheel=$deps/triton-2.51.0
server=$wheel/pytriton/tritonserver
python=$deps/tests-venv/bin
if [[ ! -x $server/bin/tritonserver || ! -x $python/python3 ]]; then
  echo "triton.sh: there is no Triton in $deps: run scripts/setup.sh --tests" >&2
  exit 127
fi
# The backend's Python is the first python3 in PATH; it must have numpy.
export PATH=$python:$PATH LD_LIBRARY_PATH=$wheel/nvidia_pytriton.libs
exec "$server/bin/tritonserver" --backend-directory="$server/backends" "$@"
