#!/usr/bin/env bash
# The nv_gpu series of `sextant serve` against what nvidia-smi says of the same GPUs.
#
#   metrics.sh PROGRAM
set -euo pipefail
sextant=$1
. "$(dirname "$0")/common.sh"
mkdir "$work/models"
start_server
address=$(sed -n 's/^metrics on //p' "$work/ports")
exec 3<>"/dev/tcp/${address%:*}/${address##*:}"
printf 'GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n' >&3
metrics=$(cat <&3)

failed=0
while IFS=, read -r uuid total limit; do
  uuid=${uuid// /}
  for name in utilization memory_total_bytes memory_used_bytes power_usage power_limit; do
    value=$(sed -n "s/^nv_gpu_$name{gpu_uuid=\"$uuid\"} //p" <<<"$metrics")
    case $name in
    memory_total_bytes) wanted=$(awk "BEGIN { print $total * 1048576 }") tolerance=0.02 ;;
    power_limit) wanted=$limit tolerance=0.01 ;;
    *) wanted=$value tolerance=1 ;; # moves; must be there
    esac
    if [[ -z $value ]] ||
      ! awk "BEGIN { d = $value - $wanted; exit !((d < 0 ? -d : d) <= $tolerance * $wanted + 1e-9) }"; then
      echo "FAILED: nv_gpu_$name of $uuid is '$value', nvidia-smi says $wanted"
      failed=1
    else
      echo "ok: nv_gpu_$name of $uuid: $value"
    fi
  done
  grep -q "^nv_energy_consumption{gpu_uuid=\"$uuid\"}" <<<"$metrics" || { echo "FAILED: no energy" && failed=1; }
done < <(nvidia-smi --query-gpu=uuid,memory.total,power.limit --format=csv,noheader,nounits)
exit $failed
