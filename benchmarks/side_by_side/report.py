"""The table: ratios ours / peer beside what they must and should be, and the figures they come from."""

import datetime
import statistics

import machine

# Figure, what it is called, peer, must, aim, and whether less is better.
RATIOS = [
    ("h1 cpu us", "HTTP/1.1, CPU per request", "nginx", 1.25, 0.90, True),
    ("h1 cpu us", "HTTP/1.1, CPU per request", "HAProxy", 1.10, 0.80, True),
    ("h1 cpu us", "HTTP/1.1, CPU per request", "Envoy", 0.40, 0.25, True),
    ("h2 cpu us", "h2c in, CPU per request", "nginx", 1.10, 0.90, True),
    ("h2 cpu us", "h2c in, CPU per request", "HAProxy", 1.65, 1.20, True),
    ("h2 cpu us", "h2c in, CPU per request", "Envoy", 0.47, 0.38, True),
    ("added p50 us", "added median at 5,000 rps", "nginx", 1.15, 1.05, True),
    ("added p50 us", "added median at 5,000 rps", "Envoy", 0.75, 0.60, True),
    ("added p99 us", "added p99 at 5,000 rps", "nginx", 1.20, 1.00, True),
    ("h1 cpu us", "telemetry on / off, CPU", "ours without telemetry", 1.05, 1.02, True),
    ("1m GB per cpu s", "1 MiB bodies, GB per CPU second", "nginx", 1.30, 1.70, False),
    ("tls cpu us", "TLS 1.3 full handshake, CPU", "Envoy", 0.75, 0.65, True),
    ("mtls cpu us", "mutual TLS 1.3 full handshake, CPU", "Envoy", 0.90, 0.82, True),
]
# Ours alone, with a bound of its own.
BOUNDS = [
    ("idle RSS MiB", "idle resident memory, MiB", 15, 8),
    ("bytes per idle connection", "bytes per idle connection", 16_000, 3_000),
    ("mtls handshake p99 ms", "mutual TLS 1.3 full handshake, p99, ms", 5, 2.5),
    ("one record ns", "one telemetry record, the slowest mix of keys, ns", 100, 40),
]
COLUMNS = ["ours", "nginx", "HAProxy", "Envoy", "ours without telemetry", "the origin itself"]


def spread(values):
    """The median, and the smallest and largest beside it."""
    return f"{short(statistics.median(values))} ({short(min(values))}–{short(max(values))})"


def short(value):
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}" if abs(value) < 1 else f"{value:.4g}"


def verdict(value, must, aim, less):
    met = (lambda bound: value <= bound) if less else (lambda bound: value >= bound)
    return "aim met" if met(aim) else "must met" if met(must) else "**falls short**"


def ratio_rows(by_name):
    for figure, title, peer, must, aim, less in RATIOS:
        ours, theirs = by_name.get(figure, {}).get("ours", {}), by_name.get(figure, {}).get(peer, {})
        ratios = [ours[n] / theirs[n] for n in ours if theirs.get(n)]
        sign = "≤" if less else "≥"
        name = title if peer.startswith("ours") else f"{title}, ours / {peer}"
        if not ratios:
            yield f"| {name} | not measured | {sign} {must} | {sign} {aim} | |"
            continue
        median = statistics.median(ratios)
        yield f"| {name} | {spread(ratios)} | {sign} {must} | {sign} {aim} | {verdict(median, must, aim, less)} |"
    for figure, title, must, aim in BOUNDS:
        values = list(by_name.get(figure, {}).get("ours", {}).values())
        if values:
            median = statistics.median(values)
            yield f"| {title} | {spread(values)} | ≤ {must:,} | ≤ {aim:,} | {verdict(median, must, aim, True)} |"


def figure_rows(by_name):
    for figure, by_proxy in by_name.items():
        cells = [spread(list(by_proxy[column].values())) if by_proxy.get(column) else "" for column in COLUMNS]
        yield f"| {figure} | {' | '.join(cells)} |"


def render(figures, versions, rounds, seconds):
    today = datetime.date.today().isoformat()
    kinds = ", ".join(f"{name} {version}" for name, version in versions.items())
    failures = "".join(f"- {failure}\n" for failure in figures.failures)
    return f"""# Side by side: what a request costs

Written by `make bench` on {today}; {machine.description()}; {rounds} interleaved rounds in {seconds / 60:.0f} minutes.
{kinds} (ours: the commit).

The proxy under test has core {machine.PROXY_CORE} to itself; load, origin and brain share core {machine.LOAD_CORE}. One worker each, keep-alive on both
sides, access logs off. Ours runs its whole pipeline with full telemetry to a live brain. Configurations:
[nginx](peers/nginx.conf), [HAProxy](peers/haproxy.cfg), [Envoy](peers/envoy.yaml), [ours](peers/sidecar-proxy.yaml),
[the origin](peers/origin.conf). Medians of the rounds, in brackets the smallest and largest; a ratio is taken within its round.

| | measured | must | aim | |
|---|---|---|---|---|
{chr(10).join(ratio_rows(figures.by_name))}

## The figures

| | {' | '.join(COLUMNS)} |
|---|{'---|' * len(COLUMNS)}
{chr(10).join(figure_rows(figures.by_name))}

{"What failed:" + chr(10) + chr(10) + failures if failures else ""}
## How

- h1: `wrk`, 64 connections, 1 kB. CPU is the whole process's, user and kernel, from the scheduler's clock
  (`/proc/PID/task/*/schedstat`). busy: CPU seconds per second; where it is below 1, load or origin were the limit, not the proxy.
- h2: h2c with prior knowledge by `h2load`, 8 connections of 8 streams; HTTP/1.1 to the origin.
- added p50, p99, p999: [an open-loop client](src/bin/steady.rs), 32 connections, 5,000 requests a second, each counted from when it
  was due; minus the same percentile of the origin asked directly in the same round.
- 1m: `wrk`, 8 connections, 1 MiB bodies; response bytes per CPU second of the proxy.
- tls, mtls: `openssl s_time -new -tls1_3`, ECDSA P-256, nothing resumed; for mtls both ends show a certificate, and ours verifies a
  SPIFFE id. handshake p50, p99: one after the other on an idle proxy, by Python's `ssl`, the client's own work included.
- one record: [a plain loop](src/bin/telemetry_record.rs) over four mixes of clients and paths, among them 100,000
  distinct ones; windows are taken meanwhile. instructions per request: user space, by callgrind
  ([how](telemetry_instructions.sh)), one connection.
- Memory: resident, of fresh processes; bytes per idle connection over 2,000 connections that have each served one request.
"""
