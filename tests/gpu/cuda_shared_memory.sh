#!/usr/bin/env bash
# `sextant perf --shared-memory cuda` against `sextant serve` on a real GPU: over both protocols,
# with outputs that are all right, and with one row of four that expects something else.
#
#   cuda_shared_memory.sh PROGRAM
set -euo pipefail
sextant=$1
. "$(dirname "$0")/common.sh"
write_echo
inputs='{"X":[1,2,3,4]},{"X":[5,6,7,8]},{"X":[9,10,11,12]},{"X":[13,14,15,16]}'
right=${inputs//X/Y}
cat >"$work/right.json" <<<"{\"data\":[$inputs],\"validation_data\":[$right]}"
cat >"$work/wrong.json" <<<"{\"data\":[$inputs],\"validation_data\":[${right/4]/5]}]}"
start_server

failed=0
# check NAME PROTOCOL DATA EXIT_CODE [OPTION...]: the exit code, and that memory was shared.
check() {
  local name=$1 protocol=$2 data=$3 wanted=$4 code=0
  shift 4
  "$sextant" perf -m echo -i "$protocol" -u "$(sed -n "s/^$protocol on //p" "$work/ports")" \
    --shared-memory cuda --shared-memory-required --input-data "$work/$data" --workers 1 \
    --max-wrong-outputs 0 --requests 400 "$@" >"$work/out" 2>&1 || code=$?
  if [[ $code == "$wanted" ]] && grep -q 'shared memory: cuda, device 0' "$work/out"; then
    echo "ok: $name over $protocol"
  else
    echo "FAILED: $name over $protocol: exit code $code, not $wanted"
    cat "$work/out"
    failed=1
  fi
}
for protocol in http grpc; do
  check "right outputs" $protocol right.json 0 -b 1,3 --concurrency-range 4
  check "wrong outputs" $protocol wrong.json 3 --concurrency-range 4
  check "an open loop" $protocol right.json 0 --request-rate-range 300 --request-distribution poisson
done
exit $failed
