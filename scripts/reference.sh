#!/usr/bin/env bash
# Writes docs/reference/ from the program's own option tables.
#
#   scripts/reference.sh [PROGRAM]          writes them (PROGRAM: default build/release/bin/sextant)
#   scripts/reference.sh --check [PROGRAM]  fails, with the difference, when they are out of date
set -euo pipefail
cd "$(dirname "$0")/.."
check=
if [[ ${1-} == --check ]]; then check=yes && shift; fi
sextant=${1:-build/release/bin/sextant}
out=docs/reference
if [[ -n $check ]]; then
  out=$(mktemp -d)
  trap 'rm -rf "$out"' EXIT
fi
mkdir -p "$out"
"$sextant" docs --format markdown --directory "$out"
"$sextant" docs --format schema --directory "$out"
if [[ -n $check ]]; then
  diff -r docs/reference "$out" ||
    { echo "docs/reference is out of date: run scripts/reference.sh and commit" >&2 && exit 1; }
fi
