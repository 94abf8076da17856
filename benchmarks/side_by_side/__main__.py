"""Compares the proxies side by side and writes benchmarks/http.md; with QUICK=1, target/benchmarks/http-quick.md.

Rounds are interleaved: every proxy is measured once a round, in an order that rotates, so that a machine whose speed
drifts drifts for all. Ratios are taken within a round; their median is what counts.
"""

import json
import os
import resource
import shutil
import sys
import tempfile
import time

import measures
import report
from peers import ROOT, Mesh, versions

QUICK = os.environ.get("QUICK") == "1"
ROUNDS = int(os.environ.get("ROUNDS", "2" if QUICK else "7"))
SECONDS = 2 if QUICK else 4
PEERS = ["ours", "nginx", "HAProxy", "Envoy"]
ON_OFF = ["ours", "ours without telemetry"]


class Figures:
    """Figures by measure and proxy, one a round; what fails is told and left out."""

    def __init__(self):
        self.by_name, self.failures = {}, []

    def take(self, proxy_name, round_number, work):
        try:
            for name, value in work().items():
                self.by_name.setdefault(name, {}).setdefault(proxy_name, {})[round_number] = value
        except (RuntimeError, OSError, ValueError, ZeroDivisionError) as why:
            self.failures.append(f"{proxy_name}: {str(why).strip()[:300]}")
            print(f"  {self.failures[-1]}", file=sys.stderr, flush=True)


def rotated(names, by):
    return names[by % len(names) :] + names[: by % len(names)]


def run_memory(mesh, figures):
    """Memory first, of fresh processes that nothing else has used."""
    for number in range(1 if QUICK else 3):
        for name in PEERS:
            proxy = mesh.start(name)
            time.sleep(1)
            figures.take(name, number, lambda: measures.memory(proxy, 500 if QUICK else 2_000))
            proxy.program.stop()
    print("memory measured", flush=True)


def run_rounds(mesh, figures):
    proxies = {name: mesh.start(name) for name in [*PEERS, "ours without telemetry"]}
    for name in proxies:
        figures.take(name, -1, lambda: measures.keep_alive(proxies[name], 1) and {})
    for number in range(ROUNDS):
        began = time.monotonic()
        for name in rotated([*PEERS, "ours without telemetry"], number):
            figures.take(name, number, lambda: measures.keep_alive(proxies[name], SECONDS))
        direct = measures.latency(mesh.origin, SECONDS)
        figures.take("the origin itself", number, lambda: {f"{key} us": value for key, value in direct.items()})
        for name in rotated(PEERS, number):
            figures.take(name, number, lambda: measures.added_latency(proxies[name], direct, SECONDS))
        for name in rotated(PEERS, number):
            figures.take(name, number, lambda: measures.http2(proxies[name], 20_000 if QUICK else 100_000))
        for name in rotated(PEERS, number):
            figures.take(name, number, lambda: measures.large_bodies(proxies[name], SECONDS - 1))
        print(f"round {number + 1} of {ROUNDS}: {time.monotonic() - began:.0f} s", flush=True)
    for proxy in proxies.values():
        proxy.program.stop()


def run_handshakes(mesh, figures):
    """Those that show a certificate, then those of which both ends do."""
    for ours, client in [("ours with TLS", None), ("ours with mutual TLS", f"{mesh.directory}/client.pem")]:
        proxies = {}
        for name in PEERS:
            try:
                proxies[name] = mesh.start(ours if name == "ours" else name)
            except RuntimeError as why:
                figures.failures.append(f"TLS, {name}: {str(why)[:300]}")
        for number in range(ROUNDS):
            for name in rotated(list(proxies), number):
                proxy = proxies[name]
                figures.take(name, number, lambda: measures.handshakes(proxy, 1 if QUICK else 2, client))
                figures.take(name, number, lambda: measures.handshake_latency(proxy, 100 if QUICK else 500, client))
        for proxy in proxies.values():
            proxy.program.stop()
    print("handshakes measured", flush=True)


def run_recorder(figures):
    """Telemetry alone: one record in nanoseconds, and what it adds to a request in instructions."""
    for number in range(ROUNDS):
        figures.take("ours", number, lambda: measures.records([f"{ROOT}/target/release/telemetry_record"]))
    counting = ["bash", f"{ROOT}/benchmarks/telemetry_instructions.sh", "1000" if QUICK else "5000"]
    figures.take("ours", 0, lambda: measures.instructions(counting))
    print("the recorder measured", flush=True)


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (8_192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    directory = tempfile.mkdtemp(prefix="lightsout-bench-")
    figures, began, mesh = Figures(), time.monotonic(), None
    try:
        mesh = Mesh(directory)
        run_memory(mesh, figures)
        run_rounds(mesh, figures)
        run_handshakes(mesh, figures)
        run_recorder(figures)
    finally:
        if mesh:
            mesh.stop()
        shutil.rmtree(directory, ignore_errors=True)
    with open(f"{ROOT}/target/benchmarks/http.json", "w", encoding="utf8") as file:
        json.dump(figures.by_name, file, indent=1)
    path = f"{ROOT}/target/benchmarks/http-quick.md" if QUICK else f"{ROOT}/benchmarks/http.md"
    text = report.render(figures, versions(), ROUNDS, time.monotonic() - began)
    with open(path, "w", encoding="utf8") as file:
        file.write(text)
    print(text)
    print(f"written to {os.path.relpath(path, ROOT)}")


if __name__ == "__main__":
    main()
