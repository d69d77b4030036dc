"""How to run each load generator against one URL, and what it says of itself. Standard library only; tools that are missing are skipped."""
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/load/truth"))
from truth_tools import TruthServer, cores, first_in_line  # noqa: E402, F401

UNITS_MS = {"us": 1e-3, "ms": 1, "s": 1e3, "m": 6e4}


def find(name, *others):
    """A tool on the path or in the folders people build it in; None when it is nowhere."""
    return shutil.which(name) or next((path for path in others if os.access(path, os.X_OK)), None)


class Tool:
    """`command(url, load, folder)` is what to run; `read(stdout, folder)` gives requests_per_s and, where the tool tells, p50_ms,
    p99_ms and p99_9_ms."""
    name, program, missing = "", None, ""

    def version(self):
        return ""

    def run(self, url, load, seconds_more=60):
        """The figures, the generator's CPU time per request and the share of its core that it used."""
        with tempfile.TemporaryDirectory() as folder:
            command = self.command(url, load, Path(folder))
            pinned = ["taskset", "-c", str(cores()[0])] if cores()[0] != cores()[1] else []
            before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
            done = subprocess.run(pinned + command, capture_output=True, text=True, cwd=folder, preexec_fn=first_in_line,
                                  timeout=load["seconds"] + seconds_more, env={**os.environ, "HOME": folder})
            wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
            try:
                figures = self.read(done.stdout, Path(folder))
            except (AttributeError, KeyError, ValueError, OSError, IndexError) as error:
                raise RuntimeError(f"{self.name}: exit {done.returncode}, cannot read its report ({error!r}):\n"
                                   f"{done.stdout[-2000:]}{done.stderr[-2000:]}") from error
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        figures["cpu_share"] = cpu / wall
        figures["cpu_us_per_request"] = cpu * 1e6 / max(1, figures["requests_per_s"] * load["seconds"])
        return figures


def number(pattern, text):
    return float(re.search(pattern, text).group(1).replace(",", ""))


def time_ms(pattern, text):
    value, unit = re.search(pattern, text).groups()
    return float(value) * UNITS_MS[unit]


def package_version(name):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else "unknown version"


class Sis(Tool):
    """Closed loop, or open with `rate`."""
    def __init__(self, binary, name="sis", *flags):
        self.name, self.program, self.flags = name, str(Path(binary).resolve()), flags

    def version(self):
        return subprocess.run([self.program, "--version"], capture_output=True, text=True).stdout.strip()

    def command(self, url, load, folder):
        rate = ["--rate", str(load["rate"])] if load.get("rate") else []
        return [self.program, "bench", "http", url, "--concurrency", str(load["connections"]), "--duration", f"{load['seconds']}s",
                "--json", str(folder / "run.json"), "--no-progress", *rate, *self.flags]

    def read(self, text, folder):
        run = json.loads((folder / "run.json").read_text())["runs"][0]
        latency = run["latency_ms"]
        return {"requests_per_s": run["requests_per_s"], "failures": run["failures"], "p50_ms": latency["p50"],
                "p99_ms": latency["p99"], "p99_9_ms": latency["p99_9"], "max_ms": latency["max"], "verdict": run["verdict"],
                "late_p99_ms": run.get("late_ms", {}).get("p99"), "service_p99_ms": run.get("service_ms", {}).get("p99"),
                "service_p99_9_ms": run.get("service_ms", {}).get("p99_9")}


class Wrk(Tool):
    name, program, missing = "wrk", find("wrk"), "Debian package wrk"

    def version(self):
        return package_version("wrk")

    def command(self, url, load, folder):
        return [self.program, "-t1", f"-c{load['connections']}", f"-d{load['seconds']}s", "--timeout", "10s", "-s",
                str(Path(__file__).with_name("wrk_percentiles.lua")), url]

    def read(self, text, folder):
        figures = {name: number(name + r" ([\d.]+)", text) for name in ("p50_ms", "p99_ms", "p99_9_ms", "max_ms")}
        return {"requests_per_s": number(r"Requests/sec:\s+([\d.]+)", text), **figures}


class Hey(Tool):
    name, program, missing = "hey", find("hey"), "Debian package hey"

    def version(self):
        return package_version("hey")

    def command(self, url, load, folder):
        # Its rate is per worker.
        rate = ["-q", str(load["rate"] / load["connections"])] if load.get("rate") else []
        return [self.program, "-z", f"{load['seconds']}s", "-c", str(load["connections"]), "-cpus", "1", *rate, "-o", "csv", url] \
            if load.get("every_answer") else \
            [self.program, "-z", f"{load['seconds']}s", "-c", str(load["connections"]), "-cpus", "1", *rate, url]

    def read(self, text, folder):
        if text.startswith("response-time"):
            rows = [line.split(",") for line in text.splitlines()[1:]]
            times = sorted(float(row[0]) * 1e3 for row in rows)
            at = {name: times[min(len(times) - 1, int(q * len(times)))]
                  for name, q in (("p50_ms", 0.5), ("p99_ms", 0.99), ("p99_9_ms", 0.999))}
            return {"requests_per_s": len(rows) / max(float(row[7]) for row in rows), **at, "max_ms": times[-1]}
        return {"requests_per_s": number(r"Requests/sec:\s+([\d.]+)", text),
                "p50_ms": number(r"50% in ([\d.]+) secs", text) * 1e3, "p99_ms": number(r"99% in ([\d.]+) secs", text) * 1e3}


class Ab(Tool):
    name, program, missing = "ab", find("ab"), "Debian package apache2-utils"

    def version(self):
        return package_version("apache2-utils")

    def command(self, url, load, folder):
        return [self.program, "-k", "-q", "-t", str(load["seconds"]), "-n", "100000000", "-c", str(load["connections"]), url]

    def read(self, text, folder):
        return {"requests_per_s": number(r"Requests per second:\s+([\d.]+)", text), "p50_ms": number(r"\n\s+50%\s+(\d+)", text),
                "p99_ms": number(r"\n\s+99%\s+(\d+)", text)}


class H2load(Tool):
    name, program, missing = "h2load", find("h2load"), "Debian package nghttp2-client"

    def version(self):
        return package_version("nghttp2-client")

    def command(self, url, load, folder):
        return [self.program, "--h1", "-t1", f"-c{load['connections']}", "-D", str(load["seconds"]), url]

    def read(self, text, folder):
        return {"requests_per_s": number(r"finished in [\d.]+m?s, ([\d.]+) req/s", text)}


class K6(Tool):
    name, program, missing = "k6", find("k6", "/opt/k6/bin/k6"), "Go module go.k6.io/k6"

    def version(self):
        return subprocess.run([self.program, "version"], capture_output=True, text=True).stdout.split(" (")[0].replace("k6 ", "")

    def command(self, url, load, folder):
        script = folder / "k6.js"
        if load.get("rate"):
            scenario = {"executor": "constant-arrival-rate", "rate": load["rate"], "timeUnit": "1s", "duration": f"{load['seconds']}s",
                        "preAllocatedVUs": load["connections"], "maxVUs": load["connections"]}
        else:
            scenario = {"executor": "constant-vus", "vus": load["connections"], "duration": f"{load['seconds']}s"}
        options = {"discardResponseBodies": True, "scenarios": {"load": scenario},
                   "summaryTrendStats": ["med", "p(99)", "p(99.9)", "max"]}
        script.write_text(f"import http from 'k6/http';\nexport const options = {json.dumps(options)};\n"
                          f"export default function () {{ http.get({json.dumps(url)}); }}\n")
        return [self.program, "run", "--quiet", "--no-usage-report", "--summary-export", str(folder / "k6.json"), str(script)]

    def read(self, text, folder):
        metrics = json.loads((folder / "k6.json").read_text())["metrics"]
        times = metrics["http_req_duration"]
        return {"requests_per_s": metrics["http_reqs"]["rate"], "p50_ms": times["med"], "p99_ms": times["p(99)"],
                "p99_9_ms": times["p(99.9)"], "max_ms": times["max"], "dropped": metrics.get("dropped_iterations", {}).get("count", 0)}


class Locust(Tool):
    """One process; `user` HttpUser (requests) or FastHttpUser (geventhttpclient)."""
    program, missing = find("locust", "/opt/locust/bin/locust"), "PyPI package locust"

    def __init__(self, user="HttpUser"):
        self.user, self.name = user, f"locust {user}"

    def version(self):
        return subprocess.run([self.program, "--version"], capture_output=True, text=True).stdout.split()[1]

    def command(self, url, load, folder):
        host, path = re.fullmatch(r"(http://[^/]+)(/.*)", url).groups()
        wait = f"    wait_time = constant_throughput({load['rate'] / load['connections']})\n" if load.get("rate") else ""
        (folder / "locustfile.py").write_text(
            f"from locust import {self.user}, constant_throughput, task\n\n\nclass User({self.user}):\n{wait}    @task\n"
            f"    def get(self):\n        self.client.get({path!r})\n")
        return [self.program, "-f", str(folder / "locustfile.py"), "--headless", "-u", str(load["connections"]), "-r",
                str(load["connections"]), "-t", f"{load['seconds']}s", "--host", host, "--only-summary", "--json"]

    def read(self, text, folder):
        entry = json.loads(text[text.index("["):])[0]
        times = sorted((float(ms), count) for ms, count in entry["response_times"].items())

        def at(q):
            rank, seen = q * entry["num_requests"], 0
            for ms, count in times:
                seen += count
                if seen >= rank:
                    return ms
            return times[-1][0]
        seconds = entry["last_request_timestamp"] - entry["start_time"]
        return {"requests_per_s": entry["num_requests"] / seconds, "p50_ms": at(0.5), "p99_ms": at(0.99), "p99_9_ms": at(0.999),
                "max_ms": entry["max_response_time"]}
