#!/usr/bin/env bash
# Pins the wheels that NAME.in asks for: writes NAME.txt, each with its version and hash.
#
#   scripts/requirements/pin.sh NAME [--no-deps]
#
# For Python 3.11 on x86_64, which is what setup.sh installs them for. Run it after a change of
# NAME.in; commit both.
set -euo pipefail
cd "$(dirname "$0")"
name=${1:?usage: pin.sh NAME [--no-deps]}
shift

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
/usr/bin/python3 -m venv "$work/venv"
"$work/venv/bin/pip" download --quiet --disable-pip-version-check --only-binary :all: \
  --dest "$work/wheels" --requirement "$name.in" "$@"

{
  echo "# Made from $name.in by: pin.sh $name${*:+ $*}"
  for wheel in "$work"/wheels/*.whl; do
    IFS=- read -r package version _ <<<"${wheel##*/}"
    echo "${package//_/-}==$version --hash=sha256:$(sha256sum "$wheel" | cut -d ' ' -f 1)"
  done
} >"$work/pinned"
mv "$work/pinned" "$name.txt"
