#!/usr/bin/env python3
"""The k6 scripts run in the real k6 against mock models, shortened: they pass, and they fail when they should.

usage: test_k6.py SIS_BINARY [unittest options]

Wants k6: $K6, `k6` on the PATH, or /opt/k6/bin/k6. Exit code 77 without it.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "system"))
from sis_server import Server  # noqa: E402

BINARY, K6 = None, None


def find_k6():
    for place in (os.environ.get("K6"), shutil.which("k6"), "/opt/k6/bin/k6"):
        if place and os.access(place, os.X_OK):
            return place
    return None


class K6Test(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(BINARY, {"MOCK_EMBED_US_PER_BATCH": "3000", "MOCK_DECODE_US_PER_STEP": "500",
                                     "MOCK_PREFILL_US_PER_TOKEN": "50"}, ["--mock"])

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def k6(self, script, **variables):
        """Exit code, stdout and the JSON summaries that were written."""
        with tempfile.TemporaryDirectory() as folder:
            environment = {"PATH": os.environ["PATH"], "HOME": folder, "K6_NO_USAGE_REPORT": "true",
                           "API_URL": f"http://127.0.0.1:{self.server.port}", **variables}
            done = subprocess.run([K6, "run", "--quiet", str(HERE / script)], cwd=folder, env=environment, timeout=120,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            files = {path.name: json.loads(path.read_text()) for path in Path(folder).glob("*.json")}
            return done.returncode, done.stdout + done.stderr, files

    def test_ttfb_gate_passes(self):
        code, text, files = self.k6("ttfb-gate.js", WARMUP_TEST_DURATION="1s", LOAD_TEST_DURATION="3s", TTFB_THRESHOLD="1000")
        self.assertEqual(code, 0, text)
        metrics = files["chat_completions_summary.json"]["metrics"]
        waiting = metrics["http_req_waiting{scenario:load_test}"]
        self.assertEqual(waiting["thresholds"], {"p(90)<1000": {"ok": True}})
        self.assertGreater(waiting["values"]["p(90)"], 0.5)
        self.assertEqual(metrics["checks"]["values"]["fails"], 0)
        # The warm-up is in no threshold: fewer requests count than were sent.
        self.assertLess(metrics["http_reqs{scenario:load_test}"]["values"]["count"], metrics["http_reqs"]["values"]["count"])

    def test_ttfb_gate_fails(self):
        for variables in ({"TTFB_THRESHOLD": "0.001"}, {"RPS_THRESHOLD": "1000000"}):
            code, text, _ = self.k6("ttfb-gate.js", WARMUP_TEST_DURATION="1s", LOAD_TEST_DURATION="1s",
                                    API_PATH="/v1/embeddings", TEST_NAME="slow", **variables)
            self.assertEqual(code, 99, text)
            self.assertIn("FAILED", text)

    def test_load_profile(self):
        short = {"TIME_SCALE": "0.004", "VUS_SCALE": "0.1", "API_PATH": "/v1/embeddings", "SUMMARY_FILE": "summary.json"}
        code, text, files = self.k6("load-test.js", **short)
        self.assertEqual(code, 0, text)
        metrics = files["summary.json"]["metrics"]
        self.assertEqual(set(metrics["http_req_duration"]["thresholds"]), {"p(95)<300", "p(99)<500"})
        self.assertEqual(metrics["http_req_failed"]["values"]["rate"], 0)
        self.assertEqual(metrics["vus_max"]["values"]["max"], 10)
        self.assertGreater(metrics["http_reqs"]["values"]["count"], 10)
        code, text, files = self.k6("load-test.js", API_MODEL="no-such-model", **short)
        self.assertEqual(code, 99, text)
        self.assertFalse(files["summary.json"]["metrics"]["http_req_failed"]["thresholds"]["rate<0.01"]["ok"])

    def test_wrong_settings_are_told(self):
        code, text, _ = self.k6("load-test.js", TIME_SCALE="fast")
        self.assertNotEqual(code, 0)
        self.assertIn("TIME_SCALE: want a number above 0, got 'fast'", text)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    BINARY, K6 = sys.argv.pop(1), find_k6()
    if K6 is None:
        print("there is no k6 on this machine")
        sys.exit(77)
    unittest.main(verbosity=2)
