#!/usr/bin/env bash
# Measures what Sextant costs, against wrk, h2load, perf_analyzer and bare clients on the same
# machine in the same run, and prints each figure beside its limit.
#
#   scripts/bench.sh                    all (about an hour and three quarters), into docs/performance.md
#   scripts/bench.sh http grpc          these
#   scripts/bench.sh --quick            two minutes: does everything run?
#   scripts/bench.sh --help             what there is
#
# The machine should be quiet. Needs what scripts/setup.sh --tests installs.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "bench: $*"; }

build() {
  local log=build/release/bench/build.log
  mkdir -p build/release/bench
  say "building"
  { cmake --preset release && cmake --build --preset release --target sextant bench_tools; } \
    >"$log" 2>&1 || {
    tail -n 30 "$log" >&2
    say "the build failed (above are its last words)" >&2
    exit 2
  }
}

# A network of its own: no neighbour's packets, no firewall's rules, all ports.
isolate=()
if unshare --net true 2>/dev/null; then
  isolate=(unshare --net)
elif unshare --map-root-user --net true 2>/dev/null; then
  isolate=(unshare --map-root-user --net)
else
  say "without a network namespace (needs root): other traffic on loopback disturbs" >&2
fi

case " $* " in
*' --help '* | *' -h '*) ;;
*) build ;;
esac
exec "${isolate[@]}" python3 bench/bench.py "$@"
