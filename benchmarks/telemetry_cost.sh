#!/usr/bin/env bash
# What telemetry costs: the proxy's CPU time per request with the recorder off and on, reporting to a
# live brain. Rounds alternate, so that a machine whose speed drifts drifts for both; medians and
# their ratio are what to quote.
#
#   benchmarks/telemetry_cost.sh [ROUNDS] [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5} seconds=${2:-5}
proxy=$PWD/target/release/sidecar-proxy brain=$PWD/target/release/lightsout
dir=$(mktemp -d)
pids=()
stop_all() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$dir"
}
trap stop_all EXIT
cd "$dir"

# Starts a program, waits for its ready line; sets $last_pid and $ready.
start() {
  local name=$1; shift
  "$@" >"$name.out" 2>"$name.log" &
  last_pid=$!
  pids+=("$last_pid")
  for _ in $(seq 200); do
    ready=$(grep -m1 ' ready: ' "$name.out" || true)
    [ -n "$ready" ] && return
    sleep 0.05
  done
  echo "$name did not come up:" >&2; cat "$name.log" >&2; exit 1
}
field() { sed -n "s/.* $1=\([^ ]*\).*/\1/p" <<<" ${ready#* ready: }"; }

origin_port=18080
cat >nginx.conf <<CONF
worker_processes 1; daemon off; pid $dir/nginx.pid; error_log $dir/nginx.log;
events { worker_connections 1024; }
http { access_log off; keepalive_requests 1000000;
  server { listen 127.0.0.1:$origin_port; location / { return 200 "ok"; } } }
CONF
nginx -p "$dir" -c "$dir/nginx.conf" & pids+=($!)

head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >token; chmod 600 token
cat >brain.yaml <<CONF
api: { port: 0 }
telemetry: { port: 0, token_path: token }
mesh_token_path: token
data_dir: data
CONF
start brain "$brain" brain --config brain.yaml
telemetry=$(field telemetry)

proxy_config() { # NAME, further lines
  cat >"$1.yaml" <<CONF
server: { bind_address: 127.0.0.1, port: 0, workers: 1 }
admin: { port: 0, token_path: token, state_path: $1.state }
upstream: { services: { origin: { endpoints: [ { address: 127.0.0.1, port: $origin_port, weight: 100 } ] } } }
$2
CONF
}
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
