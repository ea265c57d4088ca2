#!/usr/bin/env bash
# Shows Sextant at work, from nothing: installs what is missing, builds, serves a real model,
# measures it with real images over HTTP and gRPC, and searches the configuration that serves it
# best. Takes three minutes when all is built, and stops all that it has started. The search's
# results stay, in build/quickstart.
#
#   scripts/quickstart.sh
#   scripts/quickstart.sh --search SEXTANT DIR   only the search, with what is built, into DIR
set -euo pipefail
cd "$(dirname "$0")/.."
sextant=build/release/bin/sextant
results=build/quickstart
work=$(mktemp -d)
server_pid=

say() { printf '\n== %s\n' "$*"; }

fail() {
  echo "quickstart: $*" >&2
  exit 1
}

stop_server() {
  if [[ -n $server_pid ]]; then
    kill "$server_pid" 2>/dev/null || true
    wait "$server_pid" 2>/dev/null || true
    server_pid=
  fi
}

# Runs however the script ends: at its end, on a failure, on Ctrl-C.
clean_up() {
  stop_server
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

# One or two instances, with and without a delay that lets batches grow: four configurations under
# one load, on a server that analyze starts and ends by itself.
search() {
  "$sextant" analyze --model-names digits --model-repository models/repository \
    --input-data models/data/digits.json --set instance_group.count=1,2 \
    --set dynamic_batching.max_queue_delay_microseconds=0,500 --concurrency 16 \
    --constraint 'p99<50ms' --shortest-window 2s --budget 60s --top 4 --export-path "$results"
}

# The configurations that win, or that nothing tells from the best: the ranking in results.json has
# the name before the standing.
best() {
  awk -F '"' '$2 == "configuration" { name = $4 }
    $2 == "standing" && ($4 == "wins" || $4 == "ties") { print name }' "$results/results.json"
}

show_best() {
  for name in $(best); do echo "$results/configurations/$name/config.pbtxt"; done
}

if [[ ${1-} == --search ]]; then
  [[ $# == 3 && $2 == /* && $3 == /* ]] || fail "--search SEXTANT DIR: two absolute paths"
  sextant=$2 results=$3
  search
  show_best
  exit
fi
[[ $# == 0 ]] || fail "$1 is no option"

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
stop_server
say "Searching the configuration that serves it best (60 s)"
rm -rf "$results"
search
say "The best, ready for a repository"
show_best
cat <<END

Shown: a digit classifier's throughput and latency with their 95 % intervals, and the share of images it read right (Correct);
which of four configurations serves it best, or that they tie. A figure without ± has too few independent requests for one, or is a maximum.
Read on: docs/perf.md explains every column, docs/analyze.md the search, models/README.md the models, docs/serve.md the server.
Your own server: $sextant perf -m MODEL -u HOST:8000 (or -i grpc -u HOST:8001), with real data by --input-data FILE.json
Its best configuration: $sextant analyze -m MODEL -u HOST:8000, of a server with --model-control-mode=explicit
END
