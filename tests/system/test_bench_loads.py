#!/usr/bin/env python3
"""`sis bench` speaks every format: to Python's own parsers for audio and tensors, to our own server for the rest.

usage: test_bench_loads.py SIS_BINARY [BENCH_BINARY]     (a BENCH_BINARY only measures, SIS_BINARY serves)
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest
import wave
from pathlib import Path

from formats_server import FormatsServer
from sis_server import ROOT, Server

BINARY = BENCH = None
TOKEN = "a-token-of-our-own"

TEST_JSON = {"data": [{
    "prompt": {"content": ["<python>def is_even(na: int) ->"], "shape": [1]},
    "request_output_len": {"content": [32], "shape": [1]},
    "temperature": [0.20000000298023224],
    "is_return_log_probs": [True]}, {
    "prompt": ["é", "b"], "request_output_len": [1, 2], "temperature": [1.5], "is_return_log_probs": [False]}],
    "validation_data": [{"text": ["<PYTHON>DEF IS_EVEN(NA: INT) ->"]}, {"text": ["É", "B"], "sum": [4.5]}]}


def bench(*arguments, code=0, **environment):
    ran = subprocess.run([BENCH, "bench", *arguments, "--json", "-", "--no-progress"], capture_output=True, text=True, timeout=120,
                         env={"PATH": os.environ["PATH"], **environment})
    if ran.returncode != code:
        raise AssertionError(f"exit code {ran.returncode}: {ran.stdout[-3000:]} {ran.stderr[-3000:]}")
    return json.loads(ran.stdout)["runs"] if code == 0 else ran


class Formats(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        self.server = FormatsServer().__enter__()

    def tearDown(self):
        self.server.__exit__()
        self.folder.cleanup()
        self.assertEqual(self.server.oddities, [])

    def test_audio_in_every_format(self):
        for number, seconds in enumerate((0.25, 1.5)):
            with wave.open(str(self.path / f"{number}.wav"), "wb") as sound:
                sound.setnchannels(2)
                sound.setsampwidth(2)
                sound.setframerate(8000)
                sound.writeframes(b"\1\2\3\4" * int(8000 * seconds))
        for kind in ("json", "text", "verbose_json", "srt", "vtt"):
            run = bench("audio", "--base-url", self.server.url, "--model", "whisper-x", "--audio-file", str(self.path),
                        "--response-format", kind, "--language", "en", "--", "--n-requests", "10")[0]
            self.assertEqual((run["successes"], run["failures"]), (10, 0), kind)
            self.assertAlmostEqual(run["audio_seconds"], 5 * 1.75)
        run = bench("audio", "--base-url", self.server.url + "/v1", MODEL_NAME="whisper-x", N_REQUESTS="3")[0]
        self.assertEqual(run["audio_seconds"], 3.0)

    def test_tensors_of_a_data_file(self):
        data = self.path / "test.json"
        data.write_text(json.dumps(TEST_JSON))
        for flags in ([], ["--no-binary"], ["--no-binary-outputs"], ["--no-binary", "--no-binary-outputs"]):
            run = bench("kserve", "--base-url", self.server.url, "--model", "ensemble", "--input-data", str(data),
                        "--n-requests", "20", *flags)[0]
            self.assertEqual((run["successes"], run["failures"]), (20, 0), run["error_counts"])
        TEST_JSON["validation_data"][1]["sum"] = [5.5]
        data.write_text(json.dumps(TEST_JSON))
        run = bench("kserve", "--base-url", self.server.url, "--model", "ensemble", "--input-data", str(data),
                    "--n-requests", "20")[0]
        self.assertEqual((run["successes"], run["failures"]), (10, 10))

    def test_made_up_tensors(self):
        run = bench("kserve", "--base-url", self.server.url, "--model", "ensemble", "--shape", "prompt:3", "--shape",
                    "request_output_len:2", "--string-length", "9", "--n-requests", "50")[0]
        self.assertEqual(run["successes"], 50, run["error_counts"])
        ran = bench("kserve", "--base-url", self.server.url, "--model", "ensemble", code=2)
        self.assertIn("want a shape for 'prompt'", ran.stderr)


class OwnServer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(BINARY, {"TRUTHGPT_API_TOKEN": TOKEN})
        cls.url = f"http://127.0.0.1:{cls.server.port}"
        listed = json.loads(cls.server.request("GET", "/v1/models")[2])["data"]
        cls.chat = next(model["id"] for model in listed if "chat" in model["id"])

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def good(self, count, *arguments):
        runs = bench(*arguments, "--base-url", self.url, "--n-requests", str(count), "--concurrency", "2")
        for run in runs:
            self.assertEqual((run["successes"], run["failures"]), (count, 0), run["error_counts"])
        return runs[0]

    def test_rerank(self):
        for shape in ("own", "jina", "cohere"):
            self.good(4, "rerank", "--shape", shape, "--documents", "5", "--lengths", "12", "--distinct")
        model = self.good(2, "rerank", "--documents", "3", "--top-n", "2", "--document", "bread")["model"]
        self.good(4, "rerank", "--shape", "tei", "--model", model, "--documents", "5", "--lengths", "12")

    def test_infer(self):
        run = self.good(20, "infer", "--token", TOKEN, "--model", self.chat, "--prompt", "hello", "--params",
                        '{"max_new_tokens": 8, "temperature": 0}')
        self.assertGreaterEqual(run["cache_hits"], 10)
        run = self.good(6, "infer", "--token", TOKEN, "--model", self.chat, "--max-new-tokens", "4", "--distinct")
        self.assertEqual(run["cache_hits"], 0)
        run = self.good(4, "infer", "--token", TOKEN, "--stream", "--model", self.chat, "--max-new-tokens", "8")
        self.assertGreater(run["ttft_ms"]["count"], 0)

    def test_completions(self):
        run = self.good(6, "completions", "--model", self.chat, "--max-tokens", "2,6", "--ignore-eos", "--distinct")
        self.assertGreaterEqual(run["output_tokens"], 12)
        self.good(3, "completions", "--model", self.chat, "--no-stream", "--batch", "2", "--max-tokens", "4", "--extra", '{"n": 2}')

    def test_chats_from_files(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "chats.json"
            path.write_text(json.dumps([{"conversations": [{"from": "human", "value": "hello"}, {"from": "gpt", "value": "hi"},
                                                           {"from": "human", "value": "bye"}]}]))
            self.good(4, "chat", "--model", self.chat, "--input-data", str(path), "--max-tokens", "uniform:2:4", "--distinct")
            path.write_text(json.dumps({"data": [{"payload": [{"model": self.chat, "max_tokens": 3, "stream": True,
                                                               "messages": [{"role": "user", "content": "hello"}]}]}]}))
            self.good(3, "chat", "--model", self.chat, "--input-data", str(path))
        run = self.good(8, "chat", "--model", self.chat, "--shared-prefix-tokens", "64", "--prefix-groups", "2", "--distinct",
                        "--max-tokens", "2", "--warmup", "4")
        self.assertGreater(run["cached_tokens"], 0)

    def test_http_places(self):
        body = json.dumps({"model": self.chat, "max_tokens": 2, "messages": [{"role": "user", "content": "{{words 3}} {{uuid}}"}]})
        self.good(4, "http", f"{self.url}/v1/chat/completions?n={{{{index}}}}", "--header", "Content-Type: application/json",
                  "--body", body, "--expect-json", "choices[0].message.role=assistant", "--expect-body", "usage")

    def test_smoke(self):
        ran = subprocess.run([BENCH, "bench", "smoke", "--base-url", self.url], capture_output=True, text=True, timeout=120,
                             env={"PATH": os.environ["PATH"]})
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        self.assertRegex(ran.stdout, r"embeddings .*: vector of \d+ in")
        self.assertRegex(ran.stdout, r"chat .*: '.*' in")


if __name__ == "__main__":
    BINARY = sys.argv.pop(1)
    BENCH = sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") and os.path.exists(sys.argv[1]) else BINARY
    unittest.main()
