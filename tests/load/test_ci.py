#!/usr/bin/env python3
"""The CI templates: they are YAML with the jobs they promise, and deploy/ci/performance.sh does what they call it for.

usage: test_ci.py SIS_BINARY [unittest options]
"""
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CI = ROOT / "deploy" / "ci"
BINARY = None


def free_port():
    """A port whose neighbour is free as well."""
    for _ in range(50):
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            try:
                two.bind(("127.0.0.1", port + 1))
                return port
            except OSError:
                continue
    raise RuntimeError("no two free ports side by side")


class CiTest(unittest.TestCase):
    def performance(self, *arguments, **variables):
        with tempfile.TemporaryDirectory() as folder:
            environment = {"PATH": os.environ["PATH"], "HOME": folder, "OUT": f"{folder}/results", "PORT": str(free_port()),
                           "WARMUP_TEST_DURATION": "500ms", "LOAD_TEST_DURATION": "2s", **variables}
            done = subprocess.run([str(CI / "performance.sh"), *arguments], cwd=folder, env=environment, timeout=120,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            results = Path(folder) / "results"
            files = {path.name: path.read_text() for path in results.glob("*")} if results.exists() else {}
            return done.returncode, done.stdout, files

    def test_thresholds(self):
        code, text, files = self.performance("thresholds", BINARY, TTFB_THRESHOLD="1000")
        self.assertEqual(code, 0, text)
        runs = {run["what"]: run for run in json.loads(files["run.json"])["runs"]}
        self.assertEqual(set(runs), {"warmup", "load_test"})
        limits = {limit["metric"] + " " + limit["threshold"]: limit for limit in runs["load_test"]["thresholds"]}
        self.assertTrue(limits["http_req_waiting{scenario:load_test} p(90)<1000"]["ok"])
        self.assertGreater(limits["http_reqs{scenario:load_test} rate>=2"]["value"], 2)
        code, text, _ = self.performance("thresholds", BINARY, TTFB_THRESHOLD="0.001")
        self.assertEqual(code, 99, text)
        code, text, _ = self.performance("thresholds", BINARY, RPS_THRESHOLD="1000000")
        self.assertEqual(code, 99, text)

    def test_gate(self):
        # Two runs a side never raise an alarm; the report is there all the same.
        code, text, files = self.performance("gate", BINARY, BINARY, GATE_RUNS="2", GATE_DURATION="300ms")
        self.assertEqual(code, 0, text)
        self.assertTrue(files["gate.md"].startswith("### "), files["gate.md"])
        self.assertIn("| latency p50 |", files["gate.md"])
        self.assertEqual(json.loads(files["gate.json"])["groups"][0]["baseline_runs"], 2)

    def test_wrong_calls(self):
        for arguments in ((), ("everything",), ("thresholds",), ("gate", BINARY)):
            code, text, _ = self.performance(*arguments)
            self.assertEqual(code, 104, text)
            self.assertIn("performance.sh thresholds SIS", text)

    def test_templates_call_what_exists(self):
        for name in ("github.yml", "gitlab-ci.yml"):
            text = (CI / name).read_text()
            calls = re.findall(r"deploy/ci/performance\.sh (\w+)", text)
            self.assertEqual(set(calls), {"thresholds", "gate"}, name)
            for constant in ("TTFB_THRESHOLD", "RPS_THRESHOLD", "LOAD_TEST_VUS", "LOAD_TEST_DURATION"):
                self.assertIn(constant, text)
                self.assertIn(constant, (CI / "performance.sh").read_text())

    def test_templates_are_yaml(self):
        try:
            import yaml
        except ImportError:
            self.skipTest("no PyYAML on this machine")
        github = yaml.safe_load((CI / "github.yml").read_text())
        self.assertEqual(set(github["jobs"]), {"thresholds", "gate"})
        for job in github["jobs"].values():
            self.assertTrue(all("run" in step or "uses" in step for step in job["steps"]))
        gitlab = yaml.safe_load((CI / "gitlab-ci.yml").read_text())
        for job in ("performance:thresholds", "performance:gate"):
            self.assertIn(gitlab[job]["extends"], gitlab)
            self.assertTrue(gitlab[job]["script"])


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    BINARY = str(Path(sys.argv.pop(1)).resolve())
    unittest.main(verbosity=2)
