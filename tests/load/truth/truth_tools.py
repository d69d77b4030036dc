"""Runs `sis bench` against the truth server and compares what it reports with what the server wrote down. Standard library only."""
import functools
import http.client
import json
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Bounds:
    """A figure is right when it is within `relative` or within `absolute_ms` of the known one."""
    relative: float
    absolute_ms: float
    tail_ms: float  # in place of absolute_ms for p99 and beyond, and for the times of single requests


STRICT = Bounds(0.01, 0.05, 0.05)  # what the generator is held to, on a machine that does nothing else
SHARED = Bounds(0.05, 0.5, 5.0)  # what is left to see where others' work delays one request in a hundred

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99_9": 0.999}


def cores():
    """Cores of the generator and of the server; the same one twice when there is only one."""
    mine = sorted(os.sched_getaffinity(0))
    return mine[0], mine[1 if len(mine) > 1 else 0]


def first_in_line():
    """Before other processes of a busy machine, where we may: a preempted generator measures the machine."""
    os.setsid()  # where the kernel shares cores between sessions first, the session's rank counts
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -20)
        Path("/proc/self/autogroup").write_text("-20")
    except OSError:
        pass


class TruthServer:
    """with TruthServer(binary) as server: server.url("fixed,ms=5"), server.log("fixed,ms=5")

    A request counts from when the kernel received it: where the server itself was late, its log says so.
    """

    def __init__(self, binary, *flags, kernel_times=True):
        command = [str(Path(binary).resolve()), "--cpu", str(cores()[1]), *(["--kernel-times"] if kernel_times else []), *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=first_in_line)
        line = self.process.stdout.readline()
        found = re.fullmatch(r"truth_server on 127\.0\.0\.1:(\d+)\n", line)
        if not found:
            self.process.wait(10)
            raise RuntimeError(f"truth_server did not start: {line!r}")
        self.port = int(found.group(1))

    def url(self, segment=""):
        return f"http://127.0.0.1:{self.port}/{segment}"

    def log(self, segment):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", "/log/" + segment)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"log of {segment}: {answer.status} {text[:200]}")
            return json.loads(text)
        finally:
            connection.close()

    def stop(self, sig=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(sig)
        self.process.wait(10)
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()


def bench(binary, *arguments, timeout=120, pinned=True):
    """The first run of the JSON document of `sis bench ARGUMENTS`, with `exit_code` and `stderr` beside its figures."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.json"
        command = [str(Path(binary).resolve()), "bench", *map(str, arguments), "--json", str(file), "--no-progress",
                   "--server-metrics", "off"]  # which would be one more request in the log
        if pinned and cores()[0] != cores()[1]:
            command = ["taskset", "-c", str(cores()[0]), *command]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=folder,
                              env={"PATH": os.environ["PATH"], "HOME": folder}, preexec_fn=first_in_line)
        run = json.loads(file.read_text())["runs"][0] if file.exists() else {}
    run["exit_code"], run["stdout"], run["stderr"] = done.returncode, done.stdout, done.stderr
    return run


def quantile(values, q):
    """The value of rank ceil(q * n), as the generator defines it."""
    ordered = sorted(values)
    return ordered[min(len(ordered), max(1, math.ceil(q * len(ordered)))) - 1]


def mean(values):
    return sum(values) / len(values)


def known_figures(values_ms):
    return {"mean": mean(values_ms), **{name: quantile(values_ms, q) for name, q in QUANTILES.items()}}


def misses(what, reported, known_ms, floor_ms=0.0, figures=("mean", "p50", "p90", "p99", "p99_9"), bounds=STRICT):
    """What of the histogram object `reported` is not the known values plus the floor, as lines for people."""
    known = known_figures(known_ms)
    faults = []
    if reported.get("count") != len(known_ms):
        faults.append(f"{what}: count {reported.get('count')}, known {len(known_ms)}")
    for name in figures:
        want, got = known[name] + floor_ms, reported.get(name, math.nan)
        absolute_ms = bounds.tail_ms if name.startswith("p99") else bounds.absolute_ms
        if not abs(got - want) <= max(absolute_ms, bounds.relative * want):
            faults.append(f"{what} {name}: reported {got:.4f} ms, known {want:.4f} ms")
    return faults


PAUSES = """
import sys, time
last, end, longest = time.monotonic(), time.monotonic() + float(sys.argv[1]), 0.0
while last < end:
    now = time.monotonic()
    longest, last = max(longest, now - last), now
print(longest * 1e3)
"""


def longest_pause_ms(seconds=3.0):
    """The longest time for which a process that only looks at the clock stands still, on the generator's core or the server's."""
    probes = [subprocess.Popen(["taskset", "-c", str(core), sys.executable, "-c", PAUSES, str(seconds)], stdout=subprocess.PIPE, text=True,
                               preexec_fn=first_in_line) for core in cores()]
    return max(float(probe.communicate(timeout=seconds + 60)[0]) for probe in probes)


def best_of(tries, excuse=lambda: None):
    """For tests at the mercy of what else runs on the machine: a figure that is right once is right; a generator that is wrong is
    wrong every time.

    The test gets the number of the try and returns its faults, "FIGURE: what is wrong with it". After the last one `excuse` may
    tell why they say nothing about the generator.
    """
    def wrap(test):
        @functools.wraps(test)
        def run(self):
            said, always = [], None
            for number in range(tries):
                faults = test(self, number)
                figures = {fault.split(":")[0] for fault in faults}
                always = figures if always is None else always & figures
                if not always:
                    return
                said.append(f"try {number + 1}: " + "; ".join(faults))
            if reason := excuse():
                self.skipTest(f"{reason}; {said[-1]}")
            self.fail(f"wrong each time: {', '.join(sorted(always))}\n" + "\n".join(said))
        return run
    return wrap


def sojourns_ms(log):
    """From the last byte of the request read to the last piece of the answer written, by the server's own clock."""
    return [(last - received) * 1e-6 for received, last in zip(log["received_ns"], log["last_ns"])]
