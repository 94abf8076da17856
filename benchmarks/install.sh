#!/usr/bin/env bash
# What the benchmarks need: wrk for load, nginx as an origin that costs next to nothing, valgrind to count instructions.
set -euo pipefail
command -v wrk >/dev/null && command -v nginx >/dev/null && command -v valgrind >/dev/null && exit 0
sudo=$([ "$(id -u)" = 0 ] || echo sudo)
$sudo apt-get update -qq
$sudo apt-get install -y -qq wrk nginx-light valgrind curl
