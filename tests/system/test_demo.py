#!/usr/bin/env python3
"""`sis demo` shows what is there, says what is not, and leaves no server behind.

usage: test_demo.py SIS_BINARY
"""
import http.server
import json
import os
import re
import subprocess
import sys
import threading
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

    def test_a_server_of_another_mind(self):
        """Answers of odd shapes are told; texts do not steer the terminal."""
        class Odd(http.server.BaseHTTPRequestHandler):
            capability = "text-embedding"

            def answer(self, body, kind="application/json"):
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                self.answer(json.dumps({"data": [{"id": "m", "capabilities": [self.capability]}]}).encode())

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/v1/embeddings":
                    return self.answer(b'{"data":[]}')
                events = [{"choices": [{"delta": {"content": "\x1b]0;mine\x07two\nlines"}}]},
                          {"choices": [], "usage": {"completion_tokens": None}}]
                self.answer("".join(f"data: {json.dumps(event)}\n\n" for event in events).encode(), "text/event-stream")

            def log_message(self, *_):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Odd) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            url = f"http://127.0.0.1:{server.server_address[1]}"
            ran = demo("--load-seconds", "0", "--base-url", url)
            self.assertEqual(ran.returncode, 1, ran.stdout + ran.stderr)
            self.assertIn("want 4 vectors, found 0", ran.stderr)
            Odd.capability = "chat-completion"
            ran = demo("--load-seconds", "0", "--base-url", url)
            self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
            self.assertIn("?]0;mine?two\nlines", ran.stdout)
            self.assertNotIn("\x1b", ran.stdout)
            server.shutdown()

    def test_no_server_is_left(self):
        ran = demo("--load-seconds", "0", MODELS="demo/embed", SERVICE_NAME="left-behind")
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        self.assertIn("ready in", ran.stdout)  # there was a server to leave
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
