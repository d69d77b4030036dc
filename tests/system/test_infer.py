#!/usr/bin/env python3
"""/v1/infer, its stream and /webhooks/ingest against a whole server with mock models. Standard library only.

usage: test_infer.py SIS_BINARY [unittest options]
"""
import concurrent.futures
import hashlib
import hmac
import http.client
import json
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from sis_server import JSON, Server, until  # noqa: E402

BINARY = None
SECRET = "a secret of this test"


def events_of(text):
    events = []
    for block in text.decode().split("\n\n"):
        if not block or block.startswith(":"):
            continue
        lines = dict(line.split(": ", 1) for line in block.split("\n"))
        events.append((lines["event"], json.loads(lines["data"])))
    return events


class Infer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(BINARY, {"WEBHOOK_HMAC_SECRET": SECRET, "MOCK_DECODE_US_PER_STEP": "2000",
                                     "CIRCUIT_BREAKER_TIMEOUT_SEC": "1"}, ["--mock"])

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def ask(self, path="/v1/infer", **fields):
        body = json.dumps({"model": "mock-chat", "prompt": "Tell me something.", **fields})
        return self.server.request("POST", path, body, JSON)

    def test_stream_is_the_answer_in_pieces(self):
        status, headers, text = self.ask()
        self.assertEqual(status, 200, text)
        answer = json.loads(text)
        self.assertEqual(set(answer), {"id", "model", "output", "usage", "latency_ms", "cached"})
        self.assertEqual(headers["X-Request-ID"], answer["id"])
        self.assertRegex(answer["output"], r"^[A-Z][a-z]* .*\.$")
        status, headers, text = self.ask("/v1/infer/stream")
        self.assertEqual(status, 200, text)
        events = events_of(text)
        self.assertEqual({name for name, _ in events}, {"token", "done"})
        self.assertEqual(events[-1], ("done", {}))
        self.assertEqual("".join(data["text"] for _, data in events[:-1]), answer["output"])
        self.assertEqual([data["finish_reason"] for _, data in events[:-1]][-1], "stop")
        self.assertGreater(len(events), 5, "it comes in pieces")

    def test_tokens_come_as_they_are_made(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        begin = time.monotonic()
        connection.request("POST", "/v1/infer/stream", json.dumps(
            {"model": "mock-chat", "prompt": "x", "params": {"max_new_tokens": 1000, "ignore_eos": True}}), JSON)
        response = connection.getresponse()
        response.readline()
        first = time.monotonic() - begin
        response.read()
        whole = time.monotonic() - begin
        connection.close()
        self.assertGreater(whole, 1.9, "1000 steps of 2 ms")
        self.assertLess(first, whole / 2, f"the first event after {first:.3f} s of {whole:.3f} s")

    def test_a_key_is_carried_out_once(self):
        before = self.server.metric("chat_completion_tokens_total", model="mock-chat")
        fields = {"idempotency_key": "k1", "params": {"max_new_tokens": 1000, "ignore_eos": True}}  # 2 s: all come meanwhile
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: self.ask(**fields), range(8)))
        codes = sorted(status for status, _, _ in answers)
        self.assertEqual(codes.count(200), 1, codes)
        self.assertEqual(codes.count(409), 7, codes)
        for status, headers, text in answers:
            if status == 409:
                self.assertEqual(headers["Retry-After"], "1")
                self.assertEqual(json.loads(text)["error"], "conflict")
        status, headers, text = self.ask(**fields)
        self.assertEqual((status, json.loads(text)["cached"]), (200, True))
        self.assertEqual(headers["X-Request-ID"], json.loads(text)["id"])
        after = self.server.metric("chat_completion_tokens_total", model="mock-chat")
        self.assertEqual(after - before, 1000, "computed once")

    def test_a_client_that_leaves_frees_everything(self):
        connections = []
        for path in ("/v1/infer", "/v1/infer/stream") * 4:
            connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
            connection.request("POST", path, json.dumps(
                {"model": "mock-chat", "prompt": "x", "params": {"max_new_tokens": 4000, "ignore_eos": True}}), JSON)
            connections.append(connection)
        self.assertTrue(until(lambda: self.server.metric("chat_running_sequences", model="mock-chat") > 0))
        for connection in connections:
            connection.close()
        self.assertTrue(until(lambda: self.server.metric("chat_running_sequences", model="mock-chat") == 0 and
                              self.server.metric("chat_batch_queue_size", model="mock-chat") == 0))
        self.assertTrue(until(lambda: self.server.metric("chat_requests_total", model="mock-chat", status="499") >= 8))

    def test_webhooks(self):
        def send(document, stamp=None, secret=SECRET, signed=None, **headers):
            body = json.dumps(document)
            stamp = str(int(time.time())) if stamp is None else stamp
            digest = hmac.new(secret.encode(), f"{stamp}.{signed or body}".encode(), hashlib.sha256).hexdigest()
            return self.server.request("POST", "/webhooks/ingest", body,
                                       {"X-Signature": digest, "X-Timestamp": stamp, **headers})
        event = {"type": "model.updated", "timestamp": time.time(), "id": "evt-secret-7",
                 "payload": {"password": "hunter2", "n": [1, 2.5, None, "é😀"]}}
        status, _, text = send(event)
        self.assertEqual(status, 200, text)
        self.assertEqual((json.loads(text)["success"], json.loads(text)["id"]), (True, "evt-secret-7"))
        status, _, text = send(event, signed=json.dumps(event, sort_keys=True))
        self.assertEqual(status, 200, text)
        status, _, text = send(event, signed=json.dumps(event, sort_keys=True, separators=(",", ":")))
        self.assertEqual(status, 200, text)
        self.assertEqual(send(event, secret="wrong")[0], 401)
        self.assertEqual(send(event, stamp=str(int(time.time()) - 400))[0], 401)
        self.assertEqual(send({"id": "x"})[0], 422)
        keyed = {**event, "id": "evt-8"}
        first = send(keyed, **{"Idempotency-Key": "k"})
        accepted = self.server.metric("webhook_events_total", result="accepted")
        again = send(keyed, **{"Idempotency-Key": "k"})
        self.assertEqual((first[0], again[0], again[2]), (200, 200, first[2]))
        self.assertEqual(self.server.metric("webhook_events_total", result="accepted"), accepted)
        self.assertEqual(send({**keyed, "type": "other"}, **{"Idempotency-Key": "k"})[0], 422)
        self.assertTrue(until(lambda: any('"webhook_event"' in line and "evt-secret-7" in line for line in self.server.log)))
        self.assertFalse([line for line in self.server.log if "hunter2" in line or SECRET in line])


class Order(unittest.TestCase):
    def test_key_then_body_then_limit(self):
        settings = {"TRUTHGPT_API_TOKEN": "a-token-of-this-test", "RATE_LIMIT_RPM": "2"}
        with Server(BINARY, settings, ["--mock"]) as server:
            def ask(prompt="x", token="a-token-of-this-test", path="/v1/infer"):
                body = json.dumps({"model": "mock-chat", "prompt": prompt, "params": {"max_new_tokens": 2}})
                status, headers, text = server.request("POST", path, body, {**JSON, "Authorization": f"Bearer {token}"})
                return status, headers, text if status == 200 else json.loads(text)
            self.assertEqual(ask("", "wrong")[0], 401)
            self.assertEqual([ask("")[0] for _ in range(5)], [422] * 5)
            statuses = [ask(path=path) for path in ("/v1/infer", "/v1/infer/stream", "/v1/infer", "/v1/infer/stream")]
            self.assertEqual([status for status, _, _ in statuses], [200, 200, 429, 429])
            self.assertEqual([headers["x-ratelimit-remaining-requests"] for _, headers, _ in statuses], ["1", "0", "0", "0"])
            for _, headers, error in statuses[2:]:
                self.assertEqual(error["error"], "rate_limit_exceeded")
                self.assertGreaterEqual(int(headers["Retry-After"]), 1)
            self.assertEqual(ask("")[0], 422, "what is wrong with it is told whether it would fit or not")
            self.assertEqual(ask("", "wrong")[0], 401)
            self.assertEqual(server.metric("rate_limit_hits_total"), 2)
            self.assertEqual(server.metric("inference_errors_4xx_total"), 10, "each counts once")


if __name__ == "__main__":
    BINARY = sys.argv.pop(1)
    unittest.main(verbosity=2)
