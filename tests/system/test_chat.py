#!/usr/bin/env python3
"""Chat under clients that vanish: nothing is lost, nobody else notices, no work goes on for the gone. Standard library only.

usage: test_chat.py SIS_BINARY [unittest options]
"""
import concurrent.futures
import json
import random
import socket
import struct
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from sis_server import JSON, Server, tiny_catalog, until  # noqa: E402

BINARY = None
STEP_TOKENS = 64
PROMPTS = ["Tell me about rivers.", "Count to ten.", "What is a queue?", "Hello! " * 12, "Why?", "Name a colour. " * 20]


def body(prompt, **fields):
    return json.dumps({"model": "tiny", "messages": [{"role": "user", "content": prompt}], "max_tokens": 96, "seed": 4,
                       "ignore_eos": True, **fields})


class Vanishing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.server = Server(BINARY, {"MODEL_CONFIG_PATH": tiny_catalog(cls.folder.name), "MODELS": "tiny", "CHAT_BATCH_MAX_SIZE": "6",
                                     "CHAT_BATCH_QUEUE_SIZE": "512", "CHAT_MAX_QUEUE_SIZE": "512", "CHAT_QUEUE_MAX_WAIT_MS": "0",
                                     "CHAT_STEP_MAX_TOKENS": str(STEP_TOKENS)})

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        cls.folder.cleanup()

    def answer(self, prompt):
        status, _, text = self.server.request("POST", "/v1/chat/completions", body(prompt), JSON, timeout=120)
        self.assertEqual(status, 200, text)
        message = json.loads(text)["choices"][0]["message"]
        return (message.get("reasoning_content") or "") + (message["content"] or "")

    def streamed(self, prompt):
        status, _, text = self.server.request("POST", "/v1/chat/completions", body(prompt, stream=True), JSON, timeout=120)
        self.assertEqual(status, 200, text)
        events = [line[6:] for line in text.decode().split("\n\n") if line.startswith("data: ")]
        self.assertEqual(events[-1], "[DONE]")
        deltas = [json.loads(event)["choices"][0]["delta"] for event in events[:-1]]
        return "".join((delta.get("reasoning_content") or "") + (delta.get("content") or "") for delta in deltas)

    def vanish(self, rng):
        """Connects, asks, and goes away somewhere on the way."""
        text = body(rng.choice(PROMPTS) + str(rng.random()), stream=rng.random() < 0.7, max_tokens=400)
        request = (f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                   f"Content-Length: {len(text)}\r\n\r\n{text}").encode()
        stage = rng.randrange(5)
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=30) as client:
            if stage == 0:  # before its headers are over
                client.sendall(request[:rng.randrange(1, 60)])
            elif stage == 1:  # in the middle of its body
                client.sendall(request[:-rng.randrange(1, len(text))])
            else:
                client.sendall(request)
                if stage == 3:  # some time in the queue, in prefill or between tokens
                    time.sleep(rng.random() * 0.2)
                if stage == 4:  # in the middle of the stream
                    client.recv(rng.randrange(1, 4000))
            if rng.random() < 0.5:  # a reset instead of a goodbye
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def idle(self):
        gauges = ("chat_running_sequences", "chat_batch_queue_size")
        return (all(self.server.metric(name, model="tiny") == 0 for name in gauges) and
                self.server.metric("chat_kv_blocks", model="tiny", state="used") == 0)

    def resident_mib(self):
        status = Path(f"/proc/{self.server.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def test_two_hundred_clients_vanish(self):
        expected = {prompt: self.answer(prompt) for prompt in PROMPTS}
        for prompt in PROMPTS:
            self.assertEqual(self.streamed(prompt), expected[prompt])
        self.assertTrue(until(self.idle), "idle before the waves")
        memory = []
        for wave in range(2):
            rng = random.Random(100 + wave)
            seeds = [random.Random(rng.random()) for _ in range(200)]
            with concurrent.futures.ThreadPoolExecutor(24) as pool:
                gone = [pool.submit(self.vanish, seed) for seed in seeds]
                kept = [(prompt, pool.submit(self.streamed if i % 2 else self.answer, prompt))
                        for i, prompt in enumerate(PROMPTS * 3)]
                for future in gone:
                    future.result()
                for prompt, future in kept:
                    self.assertEqual(future.result(), expected[prompt], "a survivor's answer changed")
            self.assertTrue(until(self.idle, 120), "blocks, places in the queue and sequences all come back")
            memory.append(self.resident_mib())
        self.assertLess(memory[1] - memory[0], 16, f"memory grew from {memory[0]:.0f} to {memory[1]:.0f} MiB")
        # At most the step in progress is computed for a client that has gone.
        wasted = self.server.metric("tokens_after_disconnect_total", model="tiny")
        self.assertLessEqual(wasted, 400 * STEP_TOKENS)
        # How many are noticed depends on the machine: a fast one may have answered, a reset may undo what was sent. Those who ask,
        # say goodbye and leave at once, one in ten, are always among them.
        gone = self.server.metric("chat_requests_total", model="tiny", status="499")
        self.assertGreater(gone, 20)
        print(f"\n  {gone:.0f} gone clients counted, {wasted:.0f} tokens computed for them, "
              f"memory {memory[0]:.0f} and {memory[1]:.0f} MiB", file=sys.stderr)
        self.assertEqual(self.answer(PROMPTS[0]), expected[PROMPTS[0]])


if __name__ == "__main__":
    BINARY = sys.argv.pop(1)
    unittest.main(verbosity=2)
