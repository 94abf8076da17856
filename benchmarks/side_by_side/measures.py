"""What is measured of a running proxy. Each returns figures by name; a figure that cannot be had is left out."""

import re
import socket
import ssl
import time

from machine import output_of
from peers import MEBIBYTE, ROOT

STEADY = f"{ROOT}/target/release/steady"
CONNECTIONS, STEADY_CONNECTIONS, RATE = 64, 32, 5_000
H2_CONNECTIONS, H2_STREAMS = 8, 8


def number(pattern, text):
    found = re.search(pattern, text)
    if not found:
        raise RuntimeError(f"nothing like {pattern} in: {text[-500:]}")
    return float(found[1])


def with_cpu(proxy, work):
    """What `work` returns, and the proxy's CPU seconds and the wall's meanwhile."""
    cpu, wall = proxy.program.cpu_seconds(), time.monotonic()
    done = work()
    return done, proxy.program.cpu_seconds() - cpu, time.monotonic() - wall


def wrk(port, path, connections, seconds):
    said = output_of(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", f"http://127.0.0.1:{port}{path}"])
    if "Non-2xx" in said or re.search(r"Socket errors: .*(read|write|timeout) [1-9]", said):
        raise RuntimeError(said)
    return number(r"(\d+) requests in", said)


def keep_alive(proxy, seconds):
    requests, cpu, wall = with_cpu(proxy, lambda: wrk(proxy.port, "/1k", CONNECTIONS, seconds))
    return {"h1 rps": requests / wall, "h1 cpu us": cpu / requests * 1e6, "h1 busy": cpu / wall}


def http2(proxy, requests):
    command = ["h2load", "-t1", f"-n{requests}", f"-c{H2_CONNECTIONS}", f"-m{H2_STREAMS}"]

    def load():
        said = output_of([*command, f"http://127.0.0.1:{proxy.h2_port}/1k"])
        if number(r"status codes: (\d+) 2xx", said) != requests:
            raise RuntimeError(said)

    _, cpu, wall = with_cpu(proxy, load)
    return {"h2 rps": requests / wall, "h2 cpu us": cpu / requests * 1e6, "h2 busy": cpu / wall}


def large_bodies(proxy, seconds):
    requests, cpu, wall = with_cpu(proxy, lambda: wrk(proxy.port, "/1m", 8, seconds))
    gigabytes = requests * MEBIBYTE / 1e9
    return {"1m GB per cpu s": gigabytes / cpu, "1m GB per s": gigabytes / wall}


def latency(port, seconds):
    """Percentiles in microseconds at the fixed rate, counted from when each request was due."""
    said = output_of([STEADY, f"127.0.0.1:{port}", "/1k", str(STEADY_CONNECTIONS), str(RATE), str(seconds)])
    count, p50, p99, p999 = (float(field) for field in said.split())
    if count < 0.98 * RATE * seconds:
        raise RuntimeError(f"the load fell behind: {said}")
    return {"p50": p50, "p99": p99, "p999": p999}


def added_latency(proxy, direct, seconds):
    """What the proxy adds to `direct`, the origin's own percentiles in the same round."""
    through = latency(proxy.port, seconds)
    return {f"added {name} us": through[name] - direct[name] for name in direct}


def handshakes(proxy, seconds, client=None):
    """Full TLS 1.3 handshakes, one connection each, nothing resumed; mutual where there is a `client`'s PEM."""
    kind, port, shown = ("mtls", proxy.mtls_port, ["-cert", client]) if client else ("tls", proxy.tls_port, [])
    command = ["openssl", "s_time", "-new", "-tls1_3", "-time", str(seconds), "-connect", f"127.0.0.1:{port}", *shown]
    # s_time counts a handshake that the other end refuses only once it reads: one that is served comes first.
    handshake(port, client)
    said, cpu, _ = with_cpu(proxy, lambda: output_of(command))
    count = number(r"(\d+) connections in \d+ real seconds", said)
    return {f"{kind} handshakes per cpu s": count / cpu, f"{kind} cpu us": cpu / count * 1e6}


def handshake_latency(proxy, count, client=None):
    """From the first byte to the finished handshake, one after the other, the client's own work included."""
    kind, port = ("mtls", proxy.mtls_port) if client else ("tls", proxy.tls_port)
    taken = sorted(handshake(port, client) for _ in range(count))
    return {f"{kind} handshake p50 ms": taken[count // 2] * 1e3, f"{kind} handshake p99 ms": taken[count * 99 // 100] * 1e3}


def handshake(port, client):
    """Seconds; a request is answered before the connection counts, because a refusal of TLS 1.3 comes late."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode, context.minimum_version = False, ssl.CERT_NONE, ssl.TLSVersion.TLSv1_3
    if client:
        context.load_cert_chain(client)
    with socket.create_connection(("127.0.0.1", port), 5) as plain:
        began = time.perf_counter()
        with context.wrap_socket(plain, server_hostname="bench") as secured:
            taken = time.perf_counter() - began
            secured.sendall(b"GET /1k HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            if not secured.recv(16).startswith(b"HTTP/1.1 200"):
                raise RuntimeError("a handshake that is not served")
    return taken


def memory(proxy, connections):
    """Resident memory as started, and what each idle keep-alive connection adds that has served one request."""
    idle = proxy.program.resident_bytes()
    held = []
    try:
        held.append(one_request(proxy.port))  # what the first connection of all costs is no connection's cost
        before = proxy.program.resident_bytes()
        held.extend(one_request(proxy.port) for _ in range(connections))
        time.sleep(7)  # idle is idle: ours gives buffers back after five seconds at most
        grown = proxy.program.resident_bytes() - before
    finally:
        for connection in held:
            connection.close()
    return {"idle RSS MiB": idle / MEBIBYTE, "bytes per idle connection": grown / connections}


def one_request(port):
    connection = socket.create_connection(("127.0.0.1", port), 5)
    connection.sendall(b"GET /1k HTTP/1.1\r\nHost: bench\r\n\r\n")
    got = b""
    while not got.endswith(b"kkkk"):
        part = connection.recv(65_536)
        if not part:
            raise RuntimeError("a connection was closed")
        got += part
    return connection


def records(command):
    """The slowest mix of keys counts: no client may choose it."""
    said = output_of(command, seconds=1_200)
    medians = [float(found) for found in re.findall(r"median ([\d.]+) ns", said)]
    return {"one record ns": max(medians)}


def instructions(command):
    said = output_of(command, seconds=300)
    off, on = number(r"off (\d+)", said), number(r"on (\d+)", said)
    return {"instructions per request": on, "instructions per request, telemetry on / off": on / off}
