#!/usr/bin/env bash
# What telemetry costs, in instructions: user-space instructions a request with the recorder off and on, reporting to a live
# brain, counted by callgrind. Unlike CPU time it does not drift with the machine; it leaves the kernel out.
# Start-up is taken away by measuring two lengths and dividing the difference.
#
#   benchmarks/telemetry_instructions.sh [REQUESTS]
set -euo pipefail
cd "$(dirname "$0")/.."
requests=${1:-3000} short=500
source benchmarks/mesh.sh

proxy_config off ""
proxy_config on "ai: { enabled: true, brain: \"http://$telemetry\", token_path: token, proxy_id: bench }"

instructions() { # NAME REQUESTS -> instructions of the whole process
  start "$1-$2" valgrind --tool=callgrind --callgrind-out-file="$1.$2.callgrind" "$proxy" start --config "$1.yaml"
  curl -sf -o /dev/null "http://$(field main)/?[1-$2]"
  kill -TERM "$last_pid"
  wait "$last_pid" || true
  awk '/^(summary|totals):/ { print $2; exit }' "$1.$2.callgrind"
}
for name in off on; do
  first=$(instructions "$name" "$short") second=$(instructions "$name" "$((short + requests))")
  echo "$(((second - first) / requests))" >"$name.per_request"
done
awk -v off="$(cat off.per_request)" -v on="$(cat on.per_request)" \
  'BEGIN { printf "instructions a request: off %d, on %d; on - off %d, on/off %.4f\n", off, on, on - off, on / off }'
