#!/usr/bin/env python3
"""/metrics as Prometheus sees it: promtool's linter, both exposition formats, and a real Prometheus that scrapes for some
seconds and answers queries. Needs Debian's package prometheus (scripts/bootstrap installs it); exits with 77 without it.

usage: test_prometheus.py SIS_BINARY [unittest options]
"""
import json
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import urllib.parse
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from sis_server import JSON, Server, free_port, tiny_catalog, until  # noqa: E402

BINARY = None
SKIPPED = 77  # what ctest is told to take for "not run"
# The linter's taste against names that the reference server and its dashboards already have.
HISTORIC = {"inference_request_duration_ms", "inference_request_duration_ms_p50", "inference_request_duration_ms_p95",
            "inference_request_duration_ms_p99"}


class Prometheus(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        # Tracing is on, so that its families are looked at too; its collector is not there.
        cls.server = Server(BINARY, {"MODEL_CONFIG_PATH": tiny_catalog(cls.folder.name), "MODELS": "tiny,demo/embed",
                                     "OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}"})
        cls.ask(4)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        cls.folder.cleanup()

    @classmethod
    def ask(cls, count):
        """One request of each kind, good and bad, `count` times."""
        chat = {"model": "tiny", "messages": [{"role": "user", "content": "Why?"}], "max_tokens": 4}
        for number in range(count):
            for path, body in (("/v1/embeddings", {"model": "demo/embed", "input": f"text {number}"}),
                               ("/v1/embeddings", {"model": "no/such", "input": "x"}),
                               ("/v1/chat/completions", chat), ("/v1/chat/completions", {**chat, "stream": True}),
                               ("/v1/chat/completions", {**chat, "model": 'quote"back\\slash\nline'}),
                               ("/tokenize", {"model": "tiny", "prompt": "a"})):
                cls.server.request("POST", path, json.dumps(body), JSON)

    def test_promtool_finds_nothing(self):
        for accept in ("", "text/plain"):
            text = self.server.request("GET", "/metrics", None, {"Accept": accept} if accept else {})[2]
            done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, timeout=60)
            self.assertNotIn(done.returncode, (1, 2), done.stderr)  # 3: lint, below
            said = [line for line in done.stderr.decode().splitlines() if line.split(" ")[0] not in HISTORIC]
            self.assertEqual(said, [])

    def test_histograms_add_up_and_labels_are_bounded(self):
        def series(family):
            text = self.server.request("GET", "/metrics")[2].decode()
            return re.findall(rf"^{family}(?:\{{(.*)\}})? (\S+)$", text, re.M)
        for family, label in (("chat_request_latency_seconds", 'model="tiny"'), ("http_request_duration_seconds", 'route="/tokenize"')):
            buckets = [float(value) for labels, value in series(f"{family}_bucket") if label in labels]
            self.assertEqual(buckets, sorted(buckets))
            self.assertEqual([buckets[-1]], [float(value) for labels, value in series(f"{family}_count") if label in labels])
            self.assertGreater(buckets[-1], 0)
        text = self.server.request("GET", "/metrics")[2].decode()
        models = set(re.findall(r'[{,]model="([^"]*)"', text))
        self.assertLessEqual(models, {"tiny", "demo/embed", "unknown", ""})

    def test_a_real_prometheus_scrapes_and_answers(self):
        port = free_port()
        config = Path(self.folder.name) / "prometheus.yml"
        config.write_text("global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
                          "scrape_configs:\n"
                          "  - job_name: sis\n"
                          f"    static_configs: [{{targets: ['127.0.0.1:{self.server.port}']}}]\n")
        with open(Path(self.folder.name) / "prometheus.log", "w+b") as log:
            prometheus = subprocess.Popen(["prometheus", f"--config.file={config}", f"--storage.tsdb.path={self.folder.name}/data",
                                           f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"], stdout=log, stderr=log)
            try:
                self.queries(port)
            except AssertionError:
                log.seek(0)
                print(log.read().decode(errors="replace"), file=sys.stderr)
                raise
            finally:
                prometheus.terminate()
                prometheus.wait(30)

    def queries(self, port):
        def query(text):
            """The values that Prometheus answers with; none while it is starting."""
            try:
                url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": text})
                with urllib.request.urlopen(url, timeout=10) as answer:
                    body = json.load(answer)
            except OSError:
                return []
            self.assertEqual(body["status"], "success", body)
            return [float(one["value"][1]) for one in body["data"]["result"]]

        self.assertTrue(until(lambda: query('up{job="sis"}') == [1.0], 60, 0.2), "up is not 1")
        total = self.server.metric("chat_requests_total", model="tiny", status="200")
        self.assertEqual(total, 8)
        self.assertTrue(until(lambda: query('chat_requests_total{model="tiny",status="200"}') == [total], 60, 0.2))
        self.ask(4)
        # A rate needs two scrapes around a change; a quantile needs the buckets as Prometheus wants them.
        self.assertTrue(until(lambda: (query('sum(rate(inference_requests_total[1m]))') or [0])[0] > 0, 60, 0.2))
        # Not a number until a scrape has seen chats that the one before had not.
        quantile = "histogram_quantile(0.95, sum by (le) (rate(chat_request_latency_seconds_bucket[1m])))"
        self.assertTrue(until(lambda: 0 < (query(quantile) or [0])[0] <= 20, 60, 0.2), query(quantile))
        for name in ("inference_request_duration_ms_p95", "process_memory_bytes", "process_uptime_seconds", "device_memory_total_bytes"):
            self.assertGreater(query(name)[0], 0, name)
        self.assertEqual(query("count(count by (model) (chat_requests_total))"), [3.0])  # tiny, demo/embed, unknown
        self.assertGreater(query("scrape_samples_scraped")[0], 100)
        self.assertEqual(query('sum(scrape_samples_scraped) - sum(scrape_samples_post_metric_relabeling)'), [0.0])


if __name__ == "__main__":
    BINARY = sys.argv.pop(1)
    if not shutil.which("promtool") or not shutil.which("prometheus"):
        print("not run: no prometheus here (apt-get install prometheus)", file=sys.stderr)
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
