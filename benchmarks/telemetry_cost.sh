#!/usr/bin/env bash
# What telemetry costs: the proxy's CPU time per request with the recorder off and on, reporting to a
# live brain. Rounds alternate, so that a machine whose speed drifts drifts for both; medians and
# their ratio are what to quote.
#
#   benchmarks/telemetry_cost.sh [ROUNDS] [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5} seconds=${2:-5}
source benchmarks/mesh.sh

proxy_config off ""
proxy_config on "ai: { enabled: true, brain: \"http://$telemetry\", token_path: token, proxy_id: bench }"
start off "$proxy" start --config off.yaml; off_pid=$last_pid off_url=http://$(field main)/
start on "$proxy" start --config on.yaml; on_pid=$last_pid on_url=http://$(field main)/

ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
hertz=$(getconf CLK_TCK)
measure() { # PID URL -> microseconds of CPU per request
  local before requests
  before=$(ticks "$1")
  requests=$(wrk -t1 -c32 -d"${seconds}s" "$2" | awk '/requests in/ { print $1 }')
  awk -v t="$(($(ticks "$1") - before))" -v hz="$hertz" -v n="$requests" 'BEGIN { printf "%.3f\n", t / hz / n * 1e6 }'
}

measure "$off_pid" "$off_url" >/dev/null
measure "$on_pid" "$on_url" >/dev/null
for round in $(seq "$rounds"); do
  off=$(measure "$off_pid" "$off_url") on=$(measure "$on_pid" "$on_url")
  echo "$off" >>off.us; echo "$on" >>on.us
  awk -v a="$off" -v b="$on" -v r="$round" 'BEGIN { printf "round %d: off %.2f us, on %.2f us a request, on/off %.3f\n", r, a, b, b / a }'
  awk -v a="$off" -v b="$on" 'BEGIN { printf "%.4f\n", b / a }' >>ratio
done
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
echo "median CPU per request: off $(median off.us) us, on $(median on.us) us; median on/off $(median ratio)"
