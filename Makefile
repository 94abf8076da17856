# Lightsout. `make demo` shows it, `make test` proves it; both install what they need.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test bench bench-canary bench-detection bench-goodput fuzz fmt lint sbom setup test-policies

# Options for the demo: make demo ARGS="--fault slow-endpoint --once"
ARGS ?=

help: ## what can be made
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup ## a whole mesh on loopback, a fault, and the brain mending it
	cargo build --release --workspace --bins
	./target/release/lightsout demo $(ARGS)

test: setup ## every test: units, properties, golden files, real processes end to end
	cargo build --workspace --bins
	cargo test --workspace

test-policies: setup ## authorization by Cedar and Rego, which the usual build leaves out: they take minutes to compile
	cargo build --workspace --bins --features proxy/cedar,proxy/rego
	cargo test --workspace --features proxy/cedar,proxy/rego --lib --test authorization -- authorization cedar rego

fuzz: ## every parser of the data path against made-up bytes, a minute each (SECONDS_EACH=60)
	bash proxy/fuzz/run.sh

bench: setup ## side by side with nginx, HAProxy and Envoy: what a request costs (QUICK=1: four minutes)
	cargo build --release --workspace --bins
	bash benchmarks/install.sh
	python3 benchmarks/side_by_side

bench-detection: setup ## how well the brain sees: simulated faults and quiet weeks, judged by replay
	cargo build --release --workspace --bins
	./target/release/detection-bench $(ARGS)

bench-canary: setup ## how well canaries are judged: simulated rollouts, beside a threshold and a Mann-Whitney judge
	cargo build --release --workspace --bins
	./target/release/canary-bench $(ARGS)

bench-goodput: setup ## what is still done well at twice and ten times what a service bears
	cargo build --release --workspace --bins
	./target/release/goodput target/release/sidecar-proxy | tee benchmarks/goodput.md

fmt: ## format the code
	cargo fmt --all

lint: setup ## formatting, clippy, licences, banned and doubled crates
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	command -v cargo-deny >/dev/null || cargo install cargo-deny --locked
	cargo deny --all-features check bans licenses sources

sbom: ## the bill of materials of what is shipped (CycloneDX, JSON)
	@mkdir -p target
	python3 .ci/sbom.py > target/sbom.cdx.json
	@echo target/sbom.cdx.json

# A C compiler for SQLite and zstd, the sqlite3 shell with which a test forges the audit log, and Prometheus
# with promtool, which judge the metrics, the dashboards and the rules.
setup:
	@if ! command -v cc >/dev/null || ! command -v sqlite3 >/dev/null || ! command -v promtool >/dev/null; then \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$sudo apt-get update -qq && $$sudo apt-get install -y -qq build-essential sqlite3 prometheus; \
	fi
