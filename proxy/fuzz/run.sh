#!/usr/bin/env bash
# Runs each fuzz target for SECONDS_EACH seconds (default 60) from its seeds; stops at the first crash.
# libFuzzer without cargo-fuzz: coverage by the compiler's own pass, on the stable toolchain.
set -euo pipefail
cd "$(dirname "$0")"
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Ccodegen-units=1"
host=$(rustc -vV | sed -n 's/^host: //p')
cargo build --release --bins --target "$host"
for target in ${TARGETS:-framing response http2_frames path forwarded trace config action credentials fields}; do
  mkdir -p "corpus/$target" "artifacts/$target"
  echo "== $target"
  "target/$host/release/$target" "corpus/$target" "seeds/$target" -max_total_time="${SECONDS_EACH:-60}" \
    -max_len=4096 -timeout=5 -rss_limit_mb=2048 -artifact_prefix="artifacts/$target/" -print_final_stats=1 \
    > "artifacts/$target/log" 2>&1 || { tail -30 "artifacts/$target/log"; exit 1; }
  grep -E "^(stat::number_of_executed|Done)" "artifacts/$target/log"
done
