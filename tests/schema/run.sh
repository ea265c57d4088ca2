#!/usr/bin/env bash
# run.sh SEXTANT: what `sextant analyze` writes, held to docs/schema. Without jsonschema, which
# scripts/setup.sh --tests installs, it is skipped (exit code 77), or fails when
# SEXTANT_REQUIRE_PEERS is 1.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=${SEXTANT_DEPS:-$HOME/.cache/sextant}/schema-venv/bin/python3
if [[ ! -x $python ]]; then
  echo "there is no $python: scripts/setup.sh --tests installs it" >&2
  if [[ ${SEXTANT_REQUIRE_PEERS-} == 1 ]]; then exit 1; fi
  exit 77
fi
exec "$python" "$here/check.py" "$@"
