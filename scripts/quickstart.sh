#!/usr/bin/env bash
# Shows Sextant at work, from nothing: installs what is missing, builds, serves a real model and
# measures it with real images over HTTP and gRPC. Takes two minutes when all is built, and stops
# all that it has started.
#
#   scripts/quickstart.sh
set -euo pipefail
cd "$(dirname "$0")/.."
sextant=build/release/bin/sextant
work=$(mktemp -d)
server_pid=

say() { printf '\n== %s\n' "$*"; }

fail() {
  echo "quickstart: $*" >&2
  exit 1
}

# Runs however the script ends: at its end, on a failure, on Ctrl-C.
clean_up() {
  if [[ -n $server_pid ]]; then
    kill "$server_pid" 2>/dev/null || true
    wait "$server_pid" 2>/dev/null || true
  fi
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

build() {
  cmake --preset release >"$work/configure.log" || fail "CMake failed: $(cat "$work/configure.log")"
  cmake --build --preset release --target sextant sextant_openvino
}

# Starts the server on ports that happen to be free. It prints a line for each service,
# "http on 127.0.0.1:40123", and then "ready".
start_server() {
  mkfifo "$work/ports"
  "$sextant" serve --model-repository models/repository --http-address 127.0.0.1 \
    --http-port 0 --grpc-port 0 --metrics-port 0 >"$work/ports" 2>"$work/serve.log" &
  server_pid=$!
  local service address ready=
  while read -r service _ address; do
    case $service in
    http) http_address=$address ;;
    grpc) grpc_address=$address ;;
    ready) ready=yes && break ;;
    esac
  done <"$work/ports"
  [[ -n $ready ]] || fail "the server did not start: $(cat "$work/serve.log")"
}

# measure PROTOCOL ADDRESS: 9 levels, each a second to warm up and three to measure.
measure() {
  "$sextant" perf --model-name digits --protocol "$1" --url "$2" \
    --input-data models/data/digits.json --batch-size 1,4,8 --concurrency-range 1,2,4 \
    --warmup 1s --duration 3s --quiet
}

say "Installing what is missing (scripts/setup.sh)"
scripts/setup.sh
say "Building"
build
say "Starting sextant serve with the models in models/repository"
start_server
echo "ready: HTTP on $http_address, gRPC on $grpc_address"
say "Measuring the model 'digits' over HTTP, with 360 images that it has never seen (40 s)"
measure http "$http_address"
say "The same over gRPC (40 s)"
measure grpc "$grpc_address"
cat <<END

Shown: a digit classifier's throughput and latency with their 95 % intervals, and the share of images it read right (Correct).
Read on: docs/perf.md explains every column, models/README.md the models, docs/serve.md the server.
Your own server: $sextant perf -m MODEL -u HOST:8000 (or -i grpc -u HOST:8001), with real data by --input-data FILE.json
END
