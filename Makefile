# Lightsout. `make demo` shows it, `make test` proves it; both install what they need.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help console screenshots demo test test-policies simulate prior bench bench-canary bench-detection bench-goodput bench-trust fuzz fmt lint sbom programs setup

# Options for the demo: make demo ARGS="--fault slow-endpoint --once"
ARGS ?=
# How it is built. `dev` takes what the tests have built already, and is slow at work.
PROFILE ?= release

help: ## what can be made
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

console: setup console/dist/index.html ## the page that the brain serves, to be embedded at the next build

# Files, not a phony: a second `make` does not build it again.
CONSOLE_SOURCES := $(shell find console/src -type f ! -name api.ts) console/build.mjs console/tsconfig.json config/schemas/api.schema.json

console/node_modules/.package-lock.json: console/package-lock.json
	cd console && npm ci --no-audit --no-fund

console/dist/index.html: console/node_modules/.package-lock.json $(CONSOLE_SOURCES)
	cd console && npm run --silent build && npm run --silent check

screenshots: console ## every page, light and dark, at desktop and phone width, into console/screenshots/
	cargo build --workspace --bins
	cd console && npm run --silent screenshots

demo: console ## a whole mesh on loopback, a fault, and the brain mending it
	cargo build --profile $(PROFILE) $(if $(filter dev,$(PROFILE)),--workspace --bins,--package proxy --package brain)
	./target/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))/lightsout demo $(ARGS)

test: console ## every test: units, properties, golden files, real processes end to end, the console in a browser
	cargo build --workspace --bins
	LIGHTSOUT_CONSOLE_TESTS=required bash tests/run.sh

test-policies: setup ## authorization by Rego, which the usual build leaves out
	cargo build --workspace --bins --features proxy/rego
	cargo test --workspace --features proxy/rego --lib --test authorization -- authorization cedar rego

simulate: setup ## 10,000 worlds in which everything goes wrong at once (SEED=n: one of them again, told)
	REPORT=$(CURDIR)/benchmarks/simulation.md cargo test --release -p simulation --test seeds -- --ignored --nocapture

prior: setup ## what came of remedies in 800 simulated worlds, compiled into the brain, and how well that tells 400 others
	PRIOR=$(CURDIR)/brain/src/learning/prior.json REPORT=$(CURDIR)/benchmarks/learning.md \
	  cargo test --release -p brain --lib -- --ignored --nocapture make_prior

fuzz: ## every parser of the data path against made-up bytes, a minute each (SECONDS_EACH=60)
	bash proxy/fuzz/run.sh

# As they are shipped: what tests need of the crates that both use is left out.
programs: setup
	cargo build --release --workspace --exclude tests --bins

bench: programs ## side by side with nginx, HAProxy and Envoy: what a request costs (QUICK=1: four minutes)
	bash benchmarks/install.sh
	python3 benchmarks/side_by_side

bench-detection: programs ## how well the brain sees: simulated faults and quiet weeks, judged by replay
	./target/release/detection-bench $(ARGS)

bench-canary: programs ## how well canaries are judged: simulated rollouts, beside a threshold and a Mann-Whitney judge
	./target/release/canary-bench $(ARGS)

bench-trust: programs ## what it costs to find out whether a client may: 100,000 networks, 100 policies
	./target/release/trust_decisions | tee benchmarks/trust.md

bench-goodput: programs ## what is still done well at twice and ten times what a service bears
	./target/release/goodput target/release/sidecar-proxy | tee benchmarks/goodput.md

fmt: ## format the code
	cargo fmt --all

lint: setup ## formatting, clippy, licences, banned and doubled crates
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	command -v cargo-deny >/dev/null || CARGO_PROFILE_DEV_DEBUG=false cargo install --debug cargo-deny --locked
	cargo deny --all-features check bans licenses sources

sbom: ## the bill of materials of what is shipped (CycloneDX, JSON)
	@mkdir -p target
	python3 .ci/sbom.py > target/sbom.cdx.json
	@echo target/sbom.cdx.json

# A C compiler for SQLite and zstd, the sqlite3 shell and zstd with which tests forge what a brain keeps, strace with
# which one breaks its disk, curl, h2load and openssl, which are clients as people have them, and Prometheus with promtool, which judge the metrics, the dashboards and the rules. Node.js builds the console, Chromium tests it.
setup:
	@missing=; need() { command -v $$1 >/dev/null || missing="$$missing $$2"; }; \
	need cc build-essential; need sqlite3 sqlite3; need zstd zstd; need strace strace; need curl curl; need h2load nghttp2-client; need openssl openssl; need promtool prometheus; need node nodejs; need npm npm; need chromium chromium; \
	if [ -n "$$missing" ]; then \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$sudo apt-get update -qq && $$sudo apt-get install -y -qq $$missing; \
	fi
