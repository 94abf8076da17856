"""The machine: which core does what, what a process has used, and programs started and stopped by their id."""

import os
import re
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CORES = sorted(os.sched_getaffinity(0))
PROXY_CORE = CORES[0]
LOAD_CORE = CORES[-1]


def pinned(core, command):
    return ["taskset", "-c", str(core), *command]


class Program:
    """A running program, pinned to a core; its output goes to a file beside its configuration."""

    def __init__(self, name, command, core, directory):
        self.name, self.log = name, f"{directory}/{name}.out"
        with open(self.log, "w", encoding="utf8") as out:
            self.process = subprocess.Popen(
                pinned(core, command), stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=directory
            )
        self.pid = self.process.pid

    def ready_line(self, seconds=20):
        """The line with which ours say that they serve, as a dictionary of its fields."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            with open(self.log, encoding="utf8", errors="replace") as log:
                found = re.search(r" ready: (.*)", log.read())
            if found:
                return dict(field.split("=", 1) for field in found[1].split())
            time.sleep(0.05)
        with open(self.log, encoding="utf8", errors="replace") as log:
            raise RuntimeError(f"{self.name} did not come up: {log.read()[-2000:]}")

    def cpu_seconds(self):
        """CPU time of all threads, from the scheduler's nanoseconds: user and kernel together."""
        total = 0
        for task in os.listdir(f"/proc/{self.pid}/task"):
            try:
                with open(f"/proc/{self.pid}/task/{task}/schedstat", encoding="ascii") as stat:
                    total += int(stat.read().split()[0])
            except FileNotFoundError:
                pass  # a thread that has just ended
        return total / 1e9

    def resident_bytes(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]) * 1024

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def output_of(command, core=LOAD_CORE, seconds=120):
    """What a load generator says; it runs beside the origin, off the proxy's core."""
    run = subprocess.run(
        pinned(core, command),
        capture_output=True,
        text=True,
        timeout=seconds,
        stdin=subprocess.DEVNULL,
        check=False,
        cwd=ROOT,
    )
    if run.returncode != 0:
        raise RuntimeError(f"{command[0]}: {run.stdout[-500:]} {run.stderr[-500:]}")
    return run.stdout + run.stderr


def description():
    with open("/proc/cpuinfo", encoding="utf8") as cpuinfo:
        model = re.search(r"model name\s*:\s*(.*)", cpuinfo.read())
    kernel = os.uname().release
    return f"{model[1] if model else 'unknown processor'}, {len(CORES)} cores, Linux {kernel}"
