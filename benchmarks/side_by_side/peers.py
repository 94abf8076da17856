"""The proxies that are compared, their origin and the brain: how each is configured and started."""

import glob
import os
import re
import secrets
import socket
import string
import subprocess
import time

from machine import LOAD_CORE, PROXY_CORE, ROOT, Program, output_of

OURS = f"{ROOT}/target/release/sidecar-proxy"
BRAIN = f"{ROOT}/target/release/lightsout"
ENVOY = next(iter(glob.glob(f"{ROOT}/target/benchmarks/envoy/lib/python3*/site-packages/envoy/_bin/envoy")), "envoy")
KILOBYTE, MEBIBYTE = 1_000, 1 << 20


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Proxy:
    """A running proxy and where it listens."""

    def __init__(self, program, port, h2_port, tls_port, mtls_port):
        self.program, self.port, self.h2_port = program, port, h2_port
        self.tls_port, self.mtls_port = tls_port, mtls_port


class Mesh:
    """Everything that runs side by side."""

    def __init__(self, directory):
        self.directory, self.programs = directory, []
        self.origin = free_port()
        os.makedirs(f"{directory}/files")
        with open(f"{directory}/files/1m", "wb") as body:
            body.write(os.urandom(MEBIBYTE))
        with open(f"{directory}/token", "w", encoding="ascii", opener=private) as token:
            token.write(secrets.token_hex(32))
        self.make_certificate()
        self.make_client()
        config = self.write("origin.conf", kilobyte="k" * KILOBYTE)
        self.run("origin", ["nginx", "-p", directory, "-c", config], LOAD_CORE)
        brain = self.run("brain", [BRAIN, "brain", "--config", self.write("brain.yaml")], LOAD_CORE)
        self.telemetry = brain.ready_line()["telemetry"]

    def write(self, template, file_name=None, **values):
        with open(f"{ROOT}/benchmarks/peers/{template}", encoding="utf8") as file:
            text = string.Template(file.read())
        path = f"{self.directory}/{file_name or template}"
        with open(path, "w", encoding="utf8") as file:
            file.write(text.substitute(dir=self.directory, origin=self.origin, **values))
        return path

    def run(self, name, command, core):
        program = Program(name, command, core, self.directory)
        self.programs.append(program)
        return program

    def make_certificate(self):
        cert, key = f"{self.directory}/cert.pem", f"{self.directory}/key.pem"
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=bench"
        output_of([*command.split(), "-addext", "subjectAltName=DNS:bench,IP:127.0.0.1", "-keyout", key, "-out", cert])
        os.chmod(key, 0o600)
        with open(f"{self.directory}/both.pem", "w", encoding="ascii", opener=private) as both:
            for part in (cert, key):
                with open(part, encoding="ascii") as file:
                    both.write(file.read())

    def make_client(self):
        """An authority, and an identity of its making as workloads show it: `client.pem` holds chain and key."""
        at = self.directory
        new = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30"
        uses = ["-addext", "keyUsage=critical,digitalSignature", "-addext", "extendedKeyUsage=clientAuth"]
        ca = ["-subj", "/CN=authority", "-addext", "keyUsage=critical,keyCertSign", "-addext", "basicConstraints=critical,CA:TRUE"]
        output_of(["openssl", *new.split(), "-x509", *ca, "-keyout", f"{at}/ca-key.pem", "-out", f"{at}/ca.pem"])
        names = ["-subj", "/CN=client", "-addext", "subjectAltName=URI:spiffe://bench/client", *uses]
        vouched = ["-x509", "-CA", f"{at}/ca.pem", "-CAkey", f"{at}/ca-key.pem"]
        made = ["-keyout", f"{at}/client-key.pem", "-out", f"{at}/client-cert.pem"]
        output_of(["openssl", *new.split(), *vouched, "-addext", "basicConstraints=critical,CA:FALSE", *names, *made])
        with open(f"{at}/client.pem", "w", encoding="ascii", opener=private) as both:
            for part in ("client-cert.pem", "client-key.pem"):
                with open(f"{at}/{part}", encoding="ascii") as file:
                    both.write(file.read())

    def start(self, name):
        """Starts a proxy by its name in the report."""
        if name.startswith("ours"):
            return self.start_ours(name)
        port, h2_port, tls_port, mtls_port = free_port(), free_port(), free_port(), free_port()
        ports = {"port": port, "h2_port": h2_port, "tls_port": tls_port, "mtls_port": mtls_port}
        if name == "nginx":
            command = ["nginx", "-p", self.directory, "-c", self.write("nginx.conf", **ports)]
        elif name == "HAProxy":
            command = ["haproxy", "-db", "-f", self.write("haproxy.cfg", **ports)]
        else:
            h2_port = port
            config = self.write("envoy.yaml", **ports)
            command = [ENVOY, "-c", config, "--concurrency", "1", "--log-level", "error", "--use-dynamic-base-id"]
        proxy = Proxy(self.run(name, command, PROXY_CORE), port, h2_port, tls_port, mtls_port)
        wait_for(port, proxy.program)
        return proxy

    def start_ours(self, name):
        """`ours`, `ours without telemetry`, `ours with TLS` or `ours with mutual TLS`."""
        slug = name.replace(" ", "-")
        ai = f'ai: {{ enabled: true, brain: "http://{self.telemetry}", token_path: {self.directory}/token, proxy_id: {slug} }}'
        asked = f', client_auth: {{ mode: strict, ca_path: "{self.directory}/ca.pem" }}' if "mutual" in name else ""
        tls = f', tls: {{ certificate: "{self.directory}/cert.pem", key: "{self.directory}/key.pem"{asked} }}'
        config = self.write(
            "sidecar-proxy.yaml",
            f"{slug}.yaml",
            name=slug,
            ai="" if name.endswith("without telemetry") else ai,
            tls=tls if name.endswith("TLS") else "",
        )
        program = self.run(slug, [OURS, "start", "--config", config], PROXY_CORE)
        port = int(program.ready_line()["main"].rsplit(":", 1)[1])
        return Proxy(program, port, port, port, port)

    def stop(self):
        for program in reversed(self.programs):
            program.stop()


def private(path, flags):
    return os.open(path, flags, 0o600)


def wait_for(port, program):
    for _ in range(200):
        if program.process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    with open(program.log, encoding="utf8", errors="replace") as log:
        raise RuntimeError(f"{program.name} did not come up: {log.read()[-2000:]}")


def versions():
    """What was compared, in each program's own words."""

    def said(command, pattern):
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        found = re.search(pattern, run.stdout + run.stderr)
        return found[1] if found else "?"

    return {
        "ours": said(["git", "-C", ROOT, "log", "-1", "--format=%h"], r"(\w+)"),
        "nginx": said(["nginx", "-v"], r"nginx/(\S+)"),
        "HAProxy": said(["haproxy", "-v"], r"version (\S+)"),
        "Envoy": said([ENVOY, "--version"], r"version: \w+/([\d.]+)"),
        "wrk": said(["wrk", "-v"], r"wrk (\S+)"),
        "h2load": said(["h2load", "--version"], r"nghttp2/(\S+)"),
        "OpenSSL (client)": said(["openssl", "version"], r"OpenSSL (\S+)"),
    }
