# Sourced by the benchmarks, from the repository's root: an origin (nginx), a live brain, and how to configure and start a
# proxy. Everything lives in a temporary folder and is stopped by its process id.
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
server: { bind_address: 127.0.0.1, port: 0, workers: 1, drain_ms: 1 }
admin: { port: 0, token_path: token, state_path: $1.state }
upstream: { services: { origin: { endpoints: [ { address: 127.0.0.1, port: $origin_port, weight: 100 } ] } } }
$2
CONF
}
