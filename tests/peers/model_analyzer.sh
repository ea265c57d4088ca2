#!/usr/bin/env bash
# Runs the real Model Analyzer (1.58.0) that scripts/setup.sh --tests installs. The arguments are its
# own; its configuration file should have `triton_launch_mode: local`, and triton.sh and
# perf_analyzer.sh, which are beside this file, as triton_server_path and perf_analyzer_path.
set -euo pipefail
venv=${SEXTANT_DEPS:-$HOME/.cache/sextant}/model-analyzer-1.58.0
if [[ ! -x $venv/bin/model-analyzer ]]; then
  echo "model_analyzer.sh: there is no Model Analyzer in $venv: run scripts/setup.sh --tests" >&2
  exit 127
fi
exec "$venv/bin/model-analyzer" "$@"
