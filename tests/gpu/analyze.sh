#!/usr/bin/env bash
# What `sextant analyze` says of a real GPU while it searches, against what nvidia-smi says of it in
# the same seconds: which devices, memory (of the device, and of the server's process, which has
# CUDA shared memory open), power, temperature; and baselines before and after the model.
#
#   analyze.sh PROGRAM
set -euo pipefail
sextant=$1
. "$(dirname "$0")/common.sh"
write_echo

"$sextant" analyze -m echo --model-repository "$work/models" -e "$work/out" -i grpc --workers 1 \
  --shared-memory cuda --shared-memory-required --set instances=1,2 -c 2,8 -d 2s \
  --objective throughput:2,power:1 --constraint 'gpu_memory_free>1MiB' >"$work/report" 2>&1 &
server=$! # ends with this test, too
while kill -0 $server 2>/dev/null; do
  nvidia-smi --query-gpu=uuid,memory.used,power.draw,temperature.gpu --format=csv,noheader,nounits \
    >>"$work/devices"
  nvidia-smi --query-compute-apps=gpu_uuid,pid,used_memory --format=csv,noheader,nounits |
    while IFS=', ' read -r uuid pid memory; do
      [[ $(ps -o ppid= -p "$pid" 2>/dev/null) -ne $server ]] || echo "$uuid,$memory"
    done >>"$work/processes"
  sleep 0.2
done
code=0
wait $server || code=$?
server=
cat "$work/report"
[[ $code == 0 ]] || { echo "FAILED: exit code $code" && exit 1; }

failed=0
# check WHAT CONDITION: of awk.
check() {
  if awk "BEGIN { exit !($2) }"; then echo "ok: $1"; else echo "FAILED: $1: not $2" && failed=1; fi
}
# column NAME UUID: its smallest and its largest value over the points of a device; nothing when
# there is none.
column() {
  awk -F, -v name="$1" -v uuid="$2" '
    NR == 1 { for (i = 1; i <= NF; ++i) at[$i] = NF - i; next }
    !(name in at) || $(NF - at["device"]) != uuid { next }
    { value = $(NF - at[name]) }
    value != "" { if (n++ == 0 || value < low) low = value; if (value > high) high = value }
    END { if (n) print low, high }' "$work/out/points.csv"
}
# seen FIELD UUID: the same of what nvidia-smi said.
seen() {
  awk -F', *' -v field="$1" -v uuid="$2" '
    $1 == uuid && $field + 0 == $field { if (n++ == 0 || $field < low) low = $field
                                         if ($field > high) high = $field }
    END { if (n) print low, high }' "$work/devices"
}
# agrees WHAT COLUMN FIELD FACTOR SLACK UUID: ours lie within what nvidia-smi saw, and some slack.
agrees() {
  local ours theirs
  read -r -a ours <<<"$(column "$2" "$6")"
  read -r -a theirs <<<"$(seen "$3" "$6")"
  if [[ ${#theirs[@]} == 0 ]]; then
    check "$1: missing, as the driver has none" "${#ours[@]} == 0"
  elif [[ ${#ours[@]} == 0 ]]; then
    echo "FAILED: $1 is missing; nvidia-smi says ${theirs[*]}" && failed=1
  else
    check "$1 is ${ours[*]}; nvidia-smi saw ${theirs[*]}" \
      "${ours[0]} >= ${theirs[0]} * $4 * (1 - $5) && ${ours[1]} <= ${theirs[1]} * $4 * (1 + $5)"
  fi
}

grep -q '^GPU figures: NVML' "$work/report" || { echo "FAILED: not NVML's figures" && failed=1; }
for uuid in $(cut -d, -f1 "$work/devices" | sort -u); do
  agrees "memory of $uuid" device_gpu_memory_used_bytes 2 1048576 0.02 "$uuid"
  agrees "power of $uuid" device_gpu_power_W 3 1 0.1 "$uuid"
  agrees "temperature of $uuid" device_gpu_temperature_max_C 4 1 0.05 "$uuid"
done
# A container may hide processes from nvidia-smi; then they are hidden from the program, too.
theirs=$(awk -F, '$2 > most { most = $2 } END { print most + 0 }' "$work/processes")
uuid=$(awk -F, 'END { print $1 }' "$work/processes")
read -r -a ours <<<"$(column device_gpu_memory_process_bytes "${uuid:-none}")"
if [[ $theirs == 0 ]]; then
  echo "nvidia-smi lists no process of the server here"
else
  check "memory of the server's process is ${ours[1]:-0}; nvidia-smi saw $theirs MiB" \
    "${ours[1]:-0} >= 0.95 * $theirs * 1048576 && ${ours[1]:-0} <= 1.05 * $theirs * 1048576"
fi
for name in server_only loaded unloaded; do
  grep -q "\"$name\"" "$work/out/results.json" || { echo "FAILED: no baseline $name" && failed=1; }
done
exit $failed
