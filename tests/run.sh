#!/usr/bin/env bash
# Runs every test. End-to-end tests run real processes against a real clock, and a machine that is busy elsewhere can fail
# them: what fails of them is run once more, alone, and named. Who fails twice has failed; so has any other test at once.
set -euo pipefail
cd "$(dirname "$0")/.."
MAX_AGAIN=3 # More than these at once is no accident.

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if cargo test --workspace --no-fail-fast 2>&1 | tee "$log"; then exit 0; fi

# As cargo says it at its end: `-p tests --test console`.
mapfile -t failed < <(sed -nE 's/^ +`(-p .+)`$/\1/p' "$log")
echo "failed: ${failed[*]:-before any test ran}"
if ((${#failed[@]} == 0 || ${#failed[@]} > MAX_AGAIN)); then exit 1; fi
for target in "${failed[@]}"; do
  name=${target#-p tests --test }
  if [[ $name == "$target" ]]; then exit 1; fi
  echo "again, alone: $name"
  cargo test --workspace --test "$name"
done
echo "PASSED ONLY ALONE: ${failed[*]#-p tests --test }"
