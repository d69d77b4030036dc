#!/usr/bin/env python3
"""Hostile and unlucky clients in numbers, and the end under load: served clients notice nothing. Standard library only.

usage: test_storms.py SIS_BINARY [unittest options]
"""
import concurrent.futures
import json
import resource
import selectors
import signal
import socket
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from sis_server import JSON, ROOT, Server, until  # noqa: E402

BINARY = None
SLOW_SENDERS = 5000
HEADER_BOMBS = 300
SLOW_READERS = 8
SERVED = 10  # answers that show a client to be served
MIB = 1 << 20


def catalog(folder, step_ms=None):
    """A chat model and an embedding model; with `step_ms` the chat model is a mock that takes so long for every step."""
    tiny = f"hf_repo_id: test/chat-tiny\n    handler: app.models.text_chat.TextChatModel\n    path: {ROOT / 'tests/models/chat-tiny'}\n"
    mock = f"handler: mock_chat\n    mock: {{decode_us_per_step: {1000 * (step_ms or 0)}}}\n"
    path = Path(folder) / "models.yaml"
    path.write_text("models:\n"
                    f"  - name: tiny\n    {mock if step_ms else tiny}"
                    "  - name: embed\n    hf_repo_id: demo/embed\n    handler: app.models.hf_embedding.HFEmbeddingModel\n"
                    f"    path: {ROOT / 'demo/models/embed'}\n")
    return {"MODEL_CONFIG_PATH": str(path), "MODELS": "tiny,embed"}


def chat_body(**fields):
    return json.dumps({"model": "tiny", "messages": [{"role": "user", "content": "Tell me about rivers."}], "seed": 4,
                       "ignore_eos": True, **fields})


def raw_post(path, body):
    body = body.encode()
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def resident_bytes(server):
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmRSS")


class Client(threading.Thread):
    """A well-behaved client: one request after the other, SERVED at least, until told to stop; all must be answered with 200."""

    def __init__(self, server):
        super().__init__()
        self.server, self.over, self.seconds, self.faults = server, threading.Event(), [], []

    def run(self):
        count = 0
        while not self.over.is_set() or len(self.seconds) <= SERVED and not self.faults:
            count += 1
            begin = time.monotonic()
            try:
                status, _, text = self.server.request("POST", "/v1/embeddings", json.dumps({"model": "embed", "input": f"text {count}"}), JSON)
                if status != 200:
                    self.faults.append((status, text[:200]))
            except OSError as fault:
                self.faults.append(repr(fault))
            self.seconds.append(time.monotonic() - begin)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join(120)


class Storms(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = SLOW_SENDERS + 500
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise unittest.SkipTest(f"open files: want {wanted}, the hard limit is {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
        cls.folder = tempfile.TemporaryDirectory()
        cls.server = Server(BINARY, {**catalog(cls.folder.name), "HEADER_TIMEOUT_SEC": "3", "WRITE_TIMEOUT_SEC": "3",
                                     "CHAT_BATCH_MAX_SIZE": "32", "CHAT_QUEUE_MAX_WAIT_MS": "0"})
        for _ in range(20):
            cls.server.request("POST", "/v1/embeddings", json.dumps({"model": "embed", "input": "warm"}), JSON)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        cls.folder.cleanup()

    def assert_well(self, client, before, memory_mib):
        self.assertFalse(client.faults, client.faults[:3])
        self.assertGreater(len(client.seconds), SERVED)
        grown = (resident_bytes(self.server) - before) / MIB
        self.assertLess(grown, memory_mib, f"{grown:.0f} MiB more")

    def test_slow_senders(self):
        before = resident_bytes(self.server)
        selector = selectors.DefaultSelector()
        with Client(self.server) as client:
            peers = []
            for _ in range(SLOW_SENDERS):
                peer = socket.create_connection(("127.0.0.1", self.server.port))
                peer.sendall(b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nX-Slow: ")
                peer.setblocking(False)
                selector.register(peer, selectors.EVENT_READ)
                peers.append(peer)
            held = resident_bytes(self.server)
            closed, end, answers = 0, time.monotonic() + 120, set()
            drip = time.monotonic()
            while closed < SLOW_SENDERS and time.monotonic() < end:
                for key, _ in selector.select(0.1):
                    try:
                        got = key.fileobj.recv(4096)
                    except OSError:
                        got = b""
                    if got:
                        answers.add(got.split(b"\r\n")[0])
                    else:
                        closed += 1
                        selector.unregister(key.fileobj)
                        key.fileobj.close()
                if time.monotonic() - drip > 0.5:  # a byte now and then must not help them
                    drip = time.monotonic()
                    for key in list(selector.get_map().values()):
                        try:
                            key.fileobj.send(b"a")
                        except OSError:
                            pass
        selector.close()
        self.assertEqual(closed, SLOW_SENDERS)
        self.assertEqual(answers, {b"HTTP/1.1 408 Request Timeout"})
        self.assertLess((held - before) / MIB, 120)
        self.assert_well(client, before, 120)

    def test_header_bombs(self):
        before = resident_bytes(self.server)
        bomb = b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"b" * 900) for i in range(200))

        def throw(_):
            with socket.create_connection(("127.0.0.1", self.server.port), timeout=20) as peer:
                try:
                    peer.sendall(bomb)
                    return peer.recv(64).split(b"\r\n")[0]
                except OSError:
                    return b"closed"

        with Client(self.server) as client, concurrent.futures.ThreadPoolExecutor(32) as pool:
            answers = set(pool.map(throw, range(HEADER_BOMBS)))
        self.assertLessEqual(answers, {b"HTTP/1.1 431 Request Header Fields Too Large", b"closed"})
        self.assert_well(client, before, 60)

    def test_slow_readers_of_streams(self):  # each is sent about 20 MB, more than the kernel takes for it
        before = resident_bytes(self.server)
        with Client(self.server) as client:
            peers = []
            for _ in range(SLOW_READERS):
                peer = socket.socket()
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                peer.connect(("127.0.0.1", self.server.port))
                peer.sendall(raw_post("/v1/chat/completions", chat_body(stream=True, max_tokens=400, n=16, logprobs=True, top_logprobs=20)))
                peers.append(peer)
            until(lambda: self.server.metric("chat_requests_total", status="499") >= SLOW_READERS, 200, 0.1)
        gone = self.server.metric("chat_requests_total", status="499")
        for peer in peers:
            peer.close()
        self.assertEqual(gone, SLOW_READERS)
        self.assertTrue(until(lambda: self.server.metric("chat_kv_blocks", state="used") == 0))
        self.assert_well(client, before, 200)


class EndUnderLoad(unittest.TestCase):
    BODY_BYTES = 8000  # so large that the server tells how much of bodies it holds, and parsed as soon as it is there

    def wait_taken(self, server, count):
        """Until the server has the bodies of all `count` requests, or has answered them."""
        def taken():
            answered = server.metric("inference_requests_total")
            return answered + server.metric("http_request_bodies_bytes") // self.BODY_BYTES >= count
        self.assertTrue(until(taken))
        time.sleep(0.05)  # from a body's last byte to its place in the line

    def send(self, server, path, body):
        peer = socket.create_connection(("127.0.0.1", server.port), timeout=120)
        peer.sendall(raw_post(path, body.ljust(self.BODY_BYTES)))
        return peer

    def read_all(self, peers):
        answers = []
        for peer in peers:
            with peer:
                got = b""
                while piece := peer.recv(65536):
                    got += piece
            answers.append(got)
        return answers

    def load_and_stop(self, budget_s, tokens, choices=1, step_ms=None):
        """What every request got that came before the signal, the exit code and the seconds from the signal to the end."""
        with tempfile.TemporaryDirectory() as folder:
            server = Server(BINARY, {**catalog(folder, step_ms), "DRAIN_TIMEOUT_SEC": str(budget_s), "CHAT_BATCH_MAX_SIZE": "4",
                                     "CHAT_BATCH_QUEUE_SIZE": "512", "CHAT_QUEUE_MAX_WAIT_MS": "0"})
            asked = []
            for i in range(24):
                if i % 3 == 2:
                    body = json.dumps({"model": "embed", "input": [f"{i} {k}" for k in range(16)]})
                    asked.append(self.send(server, "/v1/embeddings", body))
                else:
                    body = chat_body(stream=i % 3 == 0, max_tokens=tokens, n=choices)
                    asked.append(self.send(server, "/v1/chat/completions", body))
            self.wait_taken(server, len(asked))
            begin = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            answers = self.read_all(asked)
            code = server.process.wait(120)
            seconds = time.monotonic() - begin
            server.stop()
            return answers, code, seconds

    def sort(self, answers):
        whole, refused, cut = 0, 0, []
        for got in answers:
            head, _, text = got.partition(b"\r\n\r\n")
            if head.startswith(b"HTTP/1.1 200") and b"text/event-stream" in head:
                if b"data: [DONE]" in text:
                    whole += 1
                elif b'"error"' in text and text.endswith(b"0\r\n\r\n"):
                    refused += 1
                else:
                    cut.append(got[-200:])
            elif head.startswith(b"HTTP/1.1 200") and text.rstrip().endswith(b"}"):
                whole += 1
            elif head.startswith(b"HTTP/1.1 503") and b'"error"' in text:
                refused += 1
            else:
                cut.append(got[-200:])
        return whole, refused, cut

    def test_all_are_answered_within_the_budget(self):
        answers, code, _ = self.load_and_stop(budget_s=60, tokens=48)
        whole, refused, cut = self.sort(answers)
        self.assertEqual((whole, refused, cut, code), (24, 0, [], 0))

    def test_at_the_end_of_the_budget_the_rest_gets_an_error(self):
        # 16 chats of 16 times 450 tokens, four tokens every 5 ms: more than two minutes.
        answers, code, seconds = self.load_and_stop(budget_s=0.2, tokens=450, choices=16, step_ms=5)
        whole, refused, cut = self.sort(answers)
        self.assertEqual((whole + refused, cut, code), (24, [], 0))
        self.assertGreater(refused, 0)
        self.assertLess(seconds, 30)

    def test_what_is_still_prepared_is_answered(self):
        def slow(number):  # a grammar whose compiling takes some tenths of a second
            letters = "".join(chr(0x10000 + 2000 * number + i) for i in range(2000))
            schema = {"type": "object", "properties": {letters: {}}, "additionalProperties": {}}
            request = {**json.loads(chat_body(max_tokens=4)), "guided_json": schema}  # which the prompt does not show
            return json.dumps(request, ensure_ascii=False)

        with tempfile.TemporaryDirectory() as folder:
            models = catalog(folder)
            path = Path(models["MODEL_CONFIG_PATH"])
            path.write_text(path.read_text().replace("TextChatModel\n", "TextChatModel\n    supports_structured_outputs: true\n", 1))
            server = Server(BINARY, {**models, "PREP_THREADS": "1", "DRAIN_TIMEOUT_SEC": "60", "CHAT_PREPARE_TIMEOUT_SEC": "60"})
            bodies = [slow(number) for number in range(6)] + [chat_body(max_tokens=4)] * 2  # on one thread, in this order
            peers = [self.send(server, "/v1/chat/completions", body) for body in bodies]
            self.wait_taken(server, len(peers))
            server.process.send_signal(signal.SIGTERM)
            answers = self.read_all(peers)
            code = server.process.wait(120)
            server.stop()
        for got in answers[:6]:  # on a slow machine the time for a grammar may be over
            self.assertTrue(got.startswith((b"HTTP/1.1 200", b"HTTP/1.1 400")), got[:300])
            self.assertEqual(got.startswith(b"HTTP/1.1 400"), b"grammar: not compiled within" in got, got[-300:])
        whole, refused, cut = self.sort(answers[6:])
        self.assertEqual((whole, refused, cut, code), (2, 0, [], 0))

    def test_a_second_signal_ends_at_once(self):
        with tempfile.TemporaryDirectory() as folder:
            server = Server(BINARY, {**catalog(folder, step_ms=20), "DRAIN_TIMEOUT_SEC": "60"})
            with self.send(server, "/v1/chat/completions", chat_body(max_tokens=4000)):  # 80 s of steps
                self.assertTrue(until(lambda: server.metric("chat_running_sequences") == 1))
                server.process.send_signal(signal.SIGTERM)
                # Before it has taken the first one, a second would be the same to it.
                self.assertTrue(until(lambda: any('"draining"' in line for line in list(server.log))))
                begin = time.monotonic()
                server.process.send_signal(signal.SIGTERM)
                code = server.process.wait(50)
                self.assertLess(time.monotonic() - begin, 30)
                self.assertEqual(code, 128 + signal.SIGTERM)
            server.stop()


if __name__ == "__main__":
    BINARY = sys.argv[1]
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=2)
