# Read by the tests that need a GPU. Skips where there is none; $work is a folder that goes at the end.
command -v nvidia-smi >/dev/null || { echo "skipped: no nvidia-smi, so no NVIDIA GPU here" && exit 77; }
nvidia-smi --query-gpu=index --format=csv,noheader | grep -q '^0' ||
  { echo "skipped: nvidia-smi lists no GPU" && exit 77; }
work=$(mktemp -d)
server=
trap '[[ -z $server ]] || { kill $server 2>/dev/null; wait $server; }; rm -rf "$work"' EXIT

# A model whose requests may lie in CUDA shared memory.
write_echo() {
  mkdir -p "$work/models/echo/1"
  cat >"$work/models/echo/config.pbtxt" <<'PBTXT'
backend: "simulated"
max_batch_size: 8
input [ { name: "X" data_type: TYPE_FP32 dims: [ 4 ] } ]
output [ { name: "Y" data_type: TYPE_FP32 dims: [ 4 ] } ]
parameters { key: "service_time" value { string_value: "fixed(1ms)" } }
parameters { key: "output" value { string_value: "echo" } }
PBTXT
}

# Starts `$sextant serve` on the models in $work/models; its ports are in $work/ports.
start_server() {
  "$sextant" serve --model-repository "$work/models" --http-address 127.0.0.1 --http-port 0 --grpc-port 0 \
    --metrics-port 0 >"$work/ports" 2>"$work/log" &
  server=$!
  until grep -q '^ready' "$work/ports"; do
    kill -0 $server || { cat "$work/log" && exit 1; }
    sleep 0.05
  done
}
