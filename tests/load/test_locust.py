#!/usr/bin/env python3
"""Real Locust masters, headless and with the web UI, order users from our workers; what they count is what we and the server count.

usage: test_locust.py SIS_BINARY [--seconds N] [unittest options]

Wants Locust: $LOCUST, `locust` on the PATH, or /opt/locust/bin/locust. Exit code 77 without it. The default of 8 s per test keeps it
short; --seconds 60 is the long run.
"""
import csv
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

BINARY, LOCUST, SECONDS = None, None, 8.0

# Two classes, so that orders by class are seen; a task that always fails; a chat whose answers are streams.
PLAN = """
scenarios:
  Reader:
    {vus: 1, duration: 1s, weight: 2, think_time: {min: 20ms, max: 60ms}, timeout: 5s,
     tasks: [{name: quick, weight: 3, http: {path: /quick}}, {name: slow, http: {path: /slow}},
             {name: broken, http: {path: /broken}}]}
  Writer:
    {vus: 1, duration: 1s, think_time: 50ms, timeout: 5s,
     tasks: [{name: chat, chat: {model: m, max_tokens: 8}}, {name: post, http: {path: /post, body: {a: 1}}}]}
"""


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers after known times and counts."""
    protocol_version = "HTTP/1.1"
    wbufsize, disable_nagle_algorithm = 1 << 16, True
    counts, lock = {}, threading.Lock()

    def answer(self, status, body, kind="application/json"):
        with self.lock:
            self.counts[self.path] = self.counts.get(self.path, 0) + 1
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        number = self.counts.get(self.path, 0)
        if self.path == "/slow":
            time.sleep(0.080 + 0.001 * (number % 40))
        else:
            time.sleep(0.020 + 0.001 * (number % 20))
        self.answer(500 if self.path == "/broken" else 200, b'{"detail":"broken"}')

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self.path.endswith("/chat/completions"):
            time.sleep(0.03)
            return self.answer(200, b"{}")
        time.sleep(0.05)

        def event(delta, finish=None):
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            return b"data: " + json.dumps({"id": "c", "object": "chat.completion.chunk", "choices": [choice]}).encode() + b"\n\n"

        with self.lock:
            self.counts[self.path] = self.counts.get(self.path, 0) + 1
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        parts = [event({"role": "assistant", "content": ""})] + [event({"content": f"w{i} "}) for i in range(4)]
        for part in parts + [event({}, "stop"), b"data: [DONE]\n\n"]:
            time.sleep(0.005)
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *arguments):
        pass


class Listener(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        pass  # connections that users leave in the middle of an answer


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def merged(documents, task):
    """[upper end in ms, how often] of a task over all workers, and its failures and requests."""
    counts, requests, failures = {}, 0, 0
    for document in documents:
        for run in document["runs"]:
            for part in run["parts"]:
                if part["name"] != task:
                    continue
                requests += part["requests"]
                failures += part["failures"]
                for upper, count in part["latency_ms"].get("counts") or part["latency_ms"].get("counts_up_to_ms", []):
                    counts[upper] = counts.get(upper, 0) + count
    return sorted(counts.items()), requests, failures


def percentile(counts, share):
    total, seen = sum(count for _, count in counts), 0
    for upper, count in counts:
        seen += count
        if seen >= share * total:
            return upper
    return 0


class LocustTest(unittest.TestCase):
    def setUp(self):
        Handler.counts = {}
        self.server = Listener(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.host = f"http://127.0.0.1:{self.server.server_port}"
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, True)
        (self.folder / "plan.yaml").write_text(PLAN)
        dummy = subprocess.run([BINARY, "bench", "serve-worker", "--plan", "plan.yaml", "--print-locustfile"], cwd=self.folder,
                               check=True, capture_output=True, text=True)
        (self.folder / "locustfile.py").write_text(dummy.stdout)
        self.port = free_port()
        self.processes = []

    def tearDown(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()
        self.server.shutdown()
        self.server.server_close()

    def start(self, command):
        process = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.processes.append(process)
        return process

    def master(self, *flags):
        return self.start([LOCUST, "-f", "locustfile.py", "--master", "--master-bind-host", "127.0.0.1",
                           "--master-bind-port", str(self.port), "--exit-code-on-error", "3", *flags])

    def workers(self, count):
        return [self.start([BINARY, "bench", "serve-worker", "--locust-master", f"127.0.0.1:{self.port}", "--plan", "plan.yaml",
                            "--base-url", self.host, "--json", f"worker{i}.json"]) for i in range(count)]

    def documents(self, count):
        return [json.loads((self.folder / f"worker{i}.json").read_text()) for i in range(count)]

    def near(self, a, b, what, slack=0.0):
        self.assertLessEqual(abs(a - b), max(0.01 * max(a, b), slack), f"{what}: {a} and {b}")

    def check_rows(self, rows, documents):
        """Locust's table against the workers' documents and the server's own counts."""
        total_requests = total_failures = 0
        for task, path in (("quick", "/quick"), ("slow", "/slow"), ("broken", "/broken"), ("post", "/post"),
                           ("chat", "/v1/chat/completions")):
            row = next(row for row in rows if row["Name"] == task and row["Type"] in ("GET", "POST"))
            counts, requests, failures = merged(documents, task)
            self.assertGreater(requests, 10, task)
            # A worker's last report is in the table, or this differs by what was in flight at the end.
            self.assertEqual(int(row["Request Count"]), requests, f"{task} requests")
            self.assertEqual(int(row["Failure Count"]), failures, f"{task} failures")
            # The server counts its answers before they are sent: what was on its way at the end is its alone.
            self.near(int(row["Request Count"]), Handler.counts[path], f"{task} requests of the server", slack=2)
            total_requests += requests
            total_failures += failures
            if task == "broken":
                self.assertEqual(requests, failures)
                continue
            self.assertEqual(failures, 0, task)
            for column, share in (("50%", 0.5), ("95%", 0.95), ("99%", 0.99)):
                # Whole milliseconds are all that Locust's table has; of few requests it may take a neighbour's.
                least, most = (percentile(counts, min(1, max(0, share + ranks / requests))) for ranks in (-1.5, 1.5))
                shown = int(row[column])
                self.near(shown, min(max(shown, least), most), f"{task} {column}", slack=1.0)
        total = next(row for row in rows if row["Name"] == "Aggregated")
        self.assertEqual(int(total["Request Count"]), total_requests, "all requests")
        self.assertEqual(int(total["Failure Count"]), total_failures, "all failures")
        first = next(row for row in rows if row["Type"] == "TTFT")
        self.assertEqual(first["Name"], "chat")
        self.assertGreater(float(first["Median Response Time"]), 45)
        return total_requests

    def test_headless(self):
        master = self.master("--headless", "--expect-workers", "2", "-u", "12", "-r", "6", "-t", f"{SECONDS:.0f}s", "--csv", "out",
                             "--host", self.host, "--stop-timeout", "3")
        workers = self.workers(2)
        said, _ = master.communicate(timeout=SECONDS + 60)
        self.assertEqual(master.returncode, 3, said)  # there were failures
        for worker in workers:
            text, _ = worker.communicate(timeout=20)
            self.assertEqual(worker.returncode, 0, text)
        rows = table(self.folder / "out_stats.csv")
        requests = self.check_rows(rows, self.documents(2))
        failures = table(self.folder / "out_failures.csv")
        self.assertEqual([failure["Name"] for failure in failures], ["broken"])
        self.assertIn("status 500", failures[0]["Error"])
        self.assertEqual(len(table(self.folder / "out_exceptions.csv")), 0)
        print(f"headless: {requests} requests; Locust's table:")
        for row in rows:
            print("  ", {key: row[key] for key in ("Type", "Name", "Request Count", "Failure Count", "50%", "95%", "99%")})

    def get(self, path, form=None):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.web}{path}", form, timeout=10) as response:
            return response.read().decode()

    def swarm(self, users, rate):
        form = urllib.parse.urlencode({"user_count": users, "spawn_rate": rate, "host": self.host}).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.web}/swarm", form, timeout=30) as response:
            self.assertTrue(json.loads(response.read())["success"])

    def stop(self):
        try:
            said = self.get("/stop", b"")
        except urllib.error.HTTPError:  # older Locusts want GET
            said = self.get("/stop")
        self.assertTrue(json.loads(said)["success"])

    def wait_for(self, condition, seconds, what):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                if condition():
                    return
            except OSError:
                pass
            time.sleep(0.2)
        self.fail(f"not within {seconds} s: {what}")

    def stats(self):
        return json.loads(self.get("/stats/requests"))

    def test_web_ui(self):
        self.web = free_port()
        master = self.master("--web-host", "127.0.0.1", "--web-port", str(self.web), "--stop-timeout", "3")
        workers = self.workers(2)
        self.wait_for(lambda: len(self.stats()["workers"]) == 2, 30, "two workers")
        self.swarm(10, 10)
        self.wait_for(lambda: self.stats()["user_count"] == 10, 15, "ten users")
        self.wait_for(lambda: self.stats()["total_rps"] > 0, 15, "requests")
        # More and fewer users while it runs.
        self.swarm(4, 10)
        self.wait_for(lambda: self.stats()["user_count"] == 4, 15, "four users")
        self.swarm(12, 10)
        time.sleep(SECONDS)
        live = self.stats()
        self.assertEqual(live["state"], "running")
        self.assertEqual({worker["state"] for worker in live["workers"]}, {"running"})
        self.assertEqual(sum(worker["user_count"] for worker in live["workers"]), 12)
        self.assertTrue(all(worker["memory_usage"] > 1 << 20 for worker in live["workers"]))
        self.stop()
        self.wait_for(lambda: self.stats()["state"] == "stopped", 15, "the end of the test")
        self.wait_for(lambda: len(self.stats()["workers"]) == 2, 15, "two workers again")
        rows = list(csv.DictReader(self.get("/stats/requests/csv").splitlines()))
        first = {path: count for path, count in Handler.counts.items()}
        by_name = {row["Name"]: row for row in rows if row["Type"] == "GET"}
        for task in ("quick", "slow", "broken"):
            self.near(int(by_name[task]["Request Count"]), first[f"/{task}"], f"{task} requests of the server")
        self.assertIn("status 500", self.get("/stats/failures/csv"))
        self.assertIn("quick", self.get("/stats/report?download=1"))

        # A second test with the same workers begins at nothing.
        Handler.counts = {}
        self.swarm(6, 6)
        self.wait_for(lambda: self.stats()["user_count"] == 6, 15, "six users")
        time.sleep(4)
        self.stop()
        self.wait_for(lambda: self.stats()["state"] == "stopped", 15, "the end of the second test")
        time.sleep(0.5)
        second = {row["Name"]: row for row in csv.DictReader(self.get("/stats/requests/csv").splitlines()) if row["Type"] == "GET"}
        self.near(int(second["quick"]["Request Count"]), Handler.counts["/quick"], "quick requests of the second test")
        master.send_signal(signal.SIGTERM)
        for i, worker in enumerate(workers):
            text, _ = worker.communicate(timeout=20)
            self.assertEqual(worker.returncode, 0, text)
        tests = {run["test"] for document in self.documents(2) for run in document["runs"]}
        self.assertEqual(tests, {1, 2})
        print(f"web UI: {sum(first.values())} requests in the first test, {sum(Handler.counts.values())} in the second")

    def test_server_that_is_not_there(self):
        master = self.master("--headless", "--expect-workers", "1", "-u", "2", "-r", "2", "-t", "5s", "--csv", "out", "--host",
                             f"http://127.0.0.1:{free_port()}")
        worker = self.workers(1)[0]
        master.communicate(timeout=60)
        self.assertEqual(master.returncode, 3)
        worker.communicate(timeout=20)
        self.assertEqual(worker.returncode, 0)
        failures = table(self.folder / "out_failures.csv")
        self.assertTrue(failures)
        self.assertIn("Connection refused", failures[0]["Error"])

    def test_interrupted_worker_leaves_in_order(self):
        master = self.master("--headless", "--expect-workers", "2", "-u", "4", "-r", "4", "-t", "8s", "--csv", "out", "--host",
                             self.host)
        workers = self.workers(2)
        time.sleep(5)
        workers[0].send_signal(signal.SIGINT)
        text, _ = workers[0].communicate(timeout=10)
        self.assertEqual(workers[0].returncode, 0, text)
        self.assertTrue((self.folder / "worker0.json").exists())
        said, _ = master.communicate(timeout=60)
        self.assertIn("quit. ", said)
        workers[1].communicate(timeout=20)
        self.assertEqual(workers[1].returncode, 0)


def main():
    global BINARY, LOCUST, SECONDS
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    BINARY = str(Path(sys.argv.pop(1)).resolve())
    if "--seconds" in sys.argv:
        at = sys.argv.index("--seconds")
        SECONDS = float(sys.argv[at + 1])
        del sys.argv[at:at + 2]
    for candidate in (os.environ.get("LOCUST"), shutil.which("locust"), "/opt/locust/bin/locust"):
        if candidate and Path(candidate).exists():
            LOCUST = candidate
            break
    if LOCUST is None:
        print("skipped: no Locust (pip install locust, or set LOCUST)")
        return 77
    unittest.main(verbosity=2)


if __name__ == "__main__":
    sys.exit(main())
