#!/usr/bin/env python3
"""`sis demo` shows what is there, says what is not, and leaves no server behind.

usage: test_demo.py SIS_BINARY
"""
import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

from sis_server import ROOT, Server

BINARY = None


def demo(*arguments, **settings):
    environment = {"PATH": os.environ["PATH"], "SIS_DATA_DIR": str(ROOT / "demo"), **settings}
    return subprocess.run([BINARY, "demo", *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120)


class Demo(unittest.TestCase):
    def test_tour(self):
        ran = demo("--load-seconds", "0.5")
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        self.assertIn("repairing a dripping faucet", ran.stdout)
        times = re.search(r"first words after ([\d.]+) ms, [1-9]\d* tokens in ([\d.]+) ms", ran.stdout)
        self.assertTrue(times, ran.stdout)
        self.assertTrue(0 < float(times[1]) < float(times[2]) + 1, times[0])
        self.assertRegex(ran.stdout, r"second 1 +█+ +[1-9][\d,]*/s")
        self.assertRegex(ran.stdout, r"latency p50 .* [1-9][\d,]* answers, 0 failures")

    def test_absent_models_are_named(self):
        ran = demo("--load-seconds", "0", MODEL_CONFIG_PATH=str(ROOT / "tests/http/scores/models.yaml"), MODELS="sentiment,ranker")
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        self.assertIn("left out: no loaded model has the capability text-embedding", ran.stdout)
        self.assertIn("The zip broke", ran.stdout)
        self.assertIn("Lower the screen brightness", ran.stdout)

    def test_a_running_server_and_its_end(self):
        with Server(BINARY, {"MODELS": "demo/embed"}) as server:
            ran = demo("--load-seconds", "0", "--base-url", f"http://127.0.0.1:{server.port}")
            self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
            self.assertNotIn("starting", ran.stdout)
            port = server.port
        ran = demo("--base-url", f"http://127.0.0.1:{port}")
        self.assertEqual(ran.returncode, 1)
        self.assertIn("sis demo: ", ran.stderr)

    def test_a_server_that_cannot_start(self):
        ran = demo(MODELS="no-such-model")
        self.assertEqual(ran.returncode, 1)
        self.assertIn("no-such-model", ran.stderr)

    def test_no_server_is_left(self):
        demo("--load-seconds", "0", MODELS="demo/embed", SERVICE_NAME="left-behind")
        left = [path for path in Path("/proc").glob("[0-9]*/environ") if self.belongs(path)]
        self.assertEqual(left, [])

    @staticmethod
    def belongs(path):
        try:
            return b"SERVICE_NAME=left-behind\0" in path.read_bytes()
        except OSError:
            return False


if __name__ == "__main__":
    BINARY = str(Path(sys.argv.pop(1)).resolve())
    unittest.main()
