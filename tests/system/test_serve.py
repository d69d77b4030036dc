#!/usr/bin/env python3
"""The server as a process: start, settings, faults, overload, disconnects, shutdown. Standard library only.

usage: test_serve.py SIS_BINARY [unittest options]
"""
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from sis_server import JSON, ROOT, Server, until  # noqa: E402

BINARY = None


def embed_body(texts, **fields):
    return json.dumps({"model": "demo/embed", "input": texts, **fields})


def batch_body(seed):
    """Distinct texts, as many as one batch takes."""
    return embed_body([f"{seed} {i}" for i in range(32)], model="mock-embed")


def slow_server(seconds, **settings):
    """A server whose embedding model takes so long for every batch, however fast the machine is."""
    return Server(BINARY, {"MOCK_EMBED_US_PER_BATCH": str(int(seconds * 1e6)), **settings}, ["--mock"])


class Start(unittest.TestCase):
    def test_answers_health_before_ready_and_then_serves(self):
        with Server(BINARY) as server:
            print(f"\n  ready {time.monotonic() - server.started:.2f} s after start", file=sys.stderr)
            self.assertEqual(server.request("GET", "/ready")[0], 200)
            status, headers, body = server.request("POST", "/v1/embeddings", embed_body("hello"), JSON)
            self.assertEqual(status, 200, body)
            self.assertTrue(any("curl" in line for line in server.said))

    def fails(self, settings, *words, files=None):
        """The start ends with one line on stderr that holds all `words`."""
        with tempfile.TemporaryDirectory() as folder:
            for name, text in (files or {}).items():
                (Path(folder) / name).write_text(text)
            environment = {"PATH": os.environ["PATH"], "PORT": "0", "SIS_DATA_DIR": str(ROOT / "demo"),
                           "MODEL_CONFIG_PATH": str(ROOT / "models.yaml"), **settings}
            done = subprocess.run([BINARY, "serve"], cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
        self.assertNotEqual(done.returncode, 0)
        self.assertLess(done.returncode, 128, done.stderr)
        lines = [line for line in done.stderr.splitlines() if line]
        self.assertEqual(len(lines), 1, done.stderr)
        for word in words:
            self.assertIn(word, lines[0])

    def test_wrong_settings_stop_the_start_with_one_line(self):
        self.fails({"MAX_BATCH_SIZE": "many"}, "MAX_BATCH_SIZE", "many", "environment")
        self.fails({"PORT": "99999"}, "PORT", "99999")
        self.fails({"ENABLE_WARMUP": "maybe"}, "ENABLE_WARMUP", "maybe")
        self.fails({"MODEL_DEVICE": "cuda:7"}, "MODEL_DEVICE", "cuda:7")
        self.fails({"CPU_ISA": "neon"}, "CPU_ISA", "neon")
        self.fails({"MODELS": "no/such"}, "no/such")
        self.fails({"MODEL_CONFIG_PATH": "/nowhere/models.yaml"}, "/nowhere/models.yaml")
        self.fails({}, "MAX_TEXT_CHARS", ".env line 2", "lots", files={".env": "# mine\nMAX_TEXT_CHARS=lots\n"})
        self.fails({"TLS_CERT_FILE": "/nowhere.pem", "TLS_KEY_FILE": "/nowhere.pem"}, "/nowhere.pem")

    def test_a_port_in_use_is_named(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            self.fails({"HOST": "127.0.0.1", "PORT": str(port)}, str(port))

    def test_broken_checkpoints_are_named(self):
        faults = {
            "config.json": ["{", '{"model_type":"mamba"}', "[" * 5000],
            "model.safetensors": ["", "x" * 100, "\x10\x00\x00\x00\x00\x00\x00\x00{\"a\":1}"],
            "tokenizer.json": ["", "{}", '{"model":{"type":"Magic"}}', "[" * 100000],
            "modules.json": ["{}", '[{"type":"x.Pooling","path":"../.."}]', '[{"type":"x.Magic","path":""}]'],
        }
        for name, texts in faults.items():
            for text in texts:
                with self.subTest(file=name, text=text[:30]), tempfile.TemporaryDirectory() as folder:
                    model = Path(folder) / "model"
                    shutil.copytree(ROOT / "demo/models/embed", model)
                    (model / name).write_text(text)
                    catalog = "models:\n  - {name: broken, hf_repo_id: broken, handler: app.models.hf_embedding.HFEmbeddingModel, path: " + str(model) + "}\n"
                    (Path(folder) / "models.yaml").write_text(catalog)
                    self.fails({"MODELS": "broken", "MODEL_CONFIG_PATH": str(Path(folder) / "models.yaml")}, name)

    def test_sources_of_settings_in_order(self):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "env").write_text("MAX_BATCH_SIZE=3\nMAX_TEXT_CHARS=30\nEMBEDDING_CACHE_SIZE=7\nMAX_QUEUE_SIZE=9\n")
            Path(folder, ".env").write_text("MAX_TEXT_CHARS=40\nMAX_QUEUE_SIZE=\n")
            done = subprocess.run([BINARY, "settings", "--json"], cwd=folder, capture_output=True, text=True,
                                  env={"PATH": os.environ["PATH"], "max_batch_size": "5"})
            self.assertEqual(done.returncode, 0, done.stderr)
            for name, value in (("MAX_BATCH_SIZE", "5"), ("MAX_TEXT_CHARS", "40"), ("EMBEDDING_CACHE_SIZE", "7"), ("MAX_QUEUE_SIZE", "9")):
                entry = next(one for one in json.loads(done.stdout) if one["name"] == name)
                self.assertEqual(str(entry["value"]), value, entry)


class Requests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(BINARY, {"EMBEDDING_CACHE_SIZE": "64", "MAX_BODY_BYTES": str(1 << 20), "HEADER_TIMEOUT_SEC": "1", "BODY_GAP_TIMEOUT_SEC": "1",
                                     "EMBEDDING_GENERATE_TIMEOUT_SEC": "30"})

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def raw(self, data, half_close=False, timeout=20):
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=timeout) as client:
            client.sendall(data)
            if half_close:
                client.shutdown(socket.SHUT_WR)
            answer = b""
            while chunk := client.recv(65536):
                answer += chunk
        return answer

    def post(self, body, extra=b""):
        return b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n" + extra + b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body

    def test_batch_equals_single_bit_for_bit(self):
        texts = [f"{i} {'long ' * (i % 40)}text number {i}" for i in range(30)]
        batch = json.loads(self.server.request("POST", "/v1/embeddings", embed_body(texts), JSON)[2])
        with Server(BINARY, {"EMBEDDING_CACHE_SIZE": "0", "EMBEDDING_BATCH_WINDOW_MS": "0"}) as other:
            for i in (0, 7, 29):
                single = json.loads(other.request("POST", "/v1/embeddings", embed_body(texts[i]), JSON)[2])
                self.assertEqual(single["data"][0]["embedding"], batch["data"][i]["embedding"])

    def test_bodies_over_the_limit(self):
        declared = self.raw(b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 104857600\r\n\r\n")
        self.assertIn(b" 413 ", declared.split(b"\r\n")[0])
        chunked = b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunked += (b"10000\r\n" + b"x" * 65536 + b"\r\n") * 17
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=20) as client:
            try:
                client.sendall(chunked)
            except OSError:
                pass  # refused while we were still sending
            self.assertIn(b" 413 ", client.recv(65536).split(b"\r\n")[0])

    def test_invalid_utf8_and_depth(self):
        self.assertIn(b" 400 ", self.raw(self.post(b'{"model":"demo/embed","input":"\xff\xfe"}')).split(b"\r\n")[0])
        self.assertIn(b" 400 ", self.raw(self.post(b'{"model":"demo/embed","input":' + b"[" * 200000)).split(b"\r\n")[0])
        self.assertEqual(self.server.request("GET", "/health")[0], 200)

    def test_slow_senders_are_cut(self):
        self.assertIn(b" 408 ", self.raw(b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\n").split(b"\r\n")[0])
        self.assertIn(b" 408 ", self.raw(b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{").split(b"\r\n")[0])

    def test_bodies_together_are_bounded(self):
        with Server(BINARY, {"MAX_BODIES_BYTES": "100000", "BODY_TIMEOUT_SEC": "30"}) as server:
            large = embed_body("hello").ljust(90000)
            self.assertEqual(server.request("POST", "/v1/embeddings", large, JSON)[0], 200)
            with socket.create_connection(("127.0.0.1", server.port), timeout=20) as holder:
                holder.sendall(b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n" + b" " * 50000)
                self.assertTrue(until(lambda: server.metric("http_request_bodies_bytes") >= 50000))
                status, headers, body = server.request("POST", "/v1/embeddings", large, JSON)
                self.assertEqual(status, 503, body)
                self.assertEqual(headers["Retry-After"], "1")
                self.assertIn("100000", json.loads(body)["detail"])
                self.assertEqual(server.request("POST", "/v1/embeddings", embed_body("hello"), JSON)[0], 200, "small ones are free")
            self.assertTrue(until(lambda: server.metric("http_request_bodies_bytes") == 0))
            self.assertEqual(server.request("POST", "/v1/embeddings", large, JSON)[0], 200)

    def test_garbage_and_smuggling(self):
        for data in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                     b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                     b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"):
            answer = self.raw(data)
            self.assertTrue(answer == b"" or answer.split(b" ")[1].startswith((b"4", b"505")), answer[:100])
        self.assertEqual(self.server.request("GET", "/health")[0], 200)

    def test_disconnect_is_counted_once_and_frees_the_queue(self):
        with slow_server(2) as server:
            blocker = threading.Thread(target=server.request, args=("POST", "/v1/embeddings", batch_body("stays"), JSON, 60))
            blocker.start()
            self.assertTrue(until(lambda: server.metric("inference_active_batches") == 1))
            client = socket.create_connection(("127.0.0.1", server.port))
            client.sendall(self.post(batch_body("gone").encode()))
            self.assertTrue(until(lambda: server.metric("inference_queue_depth") == 1))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            self.assertTrue(until(lambda: server.metric("embedding_requests_total", status="499") == 1))
            blocker.join()
            self.assertTrue(until(lambda: server.metric("inference_queue_depth") == 0))
            self.assertEqual(server.metric("embedding_requests_total", status="499"), 1)
            self.assertEqual(server.metric("embedding_requests_total", status="200"), 1)

    def test_logs_are_json_with_the_request_id(self):
        self.server.request("POST", "/v1/embeddings", embed_body("logged"), {**JSON, "X-Request-ID": "find-me-7"})
        self.assertTrue(until(lambda: any("find-me-7" in line for line in self.server.log)))
        entries = [json.loads(line) for line in list(self.server.log)]
        entry = next(one for one in entries if one["request_id"] == "find-me-7" and one["message"] == "embedding_request")
        for key in ("level", "logger", "timestamp", "model", "latency_ms", "status"):
            self.assertIn(key, entry)

    def test_cache_counts(self):
        hits = self.server.metric("embedding_cache_hits_total", model="demo/embed")
        misses = self.server.metric("embedding_cache_misses_total", model="demo/embed")
        for _ in range(3):
            self.server.request("POST", "/v1/embeddings", embed_body("count me once"), JSON)
        self.assertEqual(self.server.metric("embedding_cache_hits_total", model="demo/embed"), hits + 2)
        self.assertEqual(self.server.metric("embedding_cache_misses_total", model="demo/embed"), misses + 1)


class Overload(unittest.TestCase):
    def flood(self, server, count):
        statuses, lock = [], threading.Lock()

        def one(i):
            answer = server.request("POST", "/v1/embeddings", batch_body(f"f{i}"), JSON, 120)
            with lock:
                statuses.append(answer)

        threads = [threading.Thread(target=one, args=(i,)) for i in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return statuses

    def test_a_full_queue_answers_429_with_a_hint(self):
        with slow_server(0.3, EMBEDDING_BATCH_QUEUE_SIZE="1", EMBEDDING_BATCH_QUEUE_TIMEOUT_SEC="0.05") as server:
            statuses = self.flood(server, 12)
            refused = [headers.get("Retry-After") for status, headers, _ in statuses if status == 429]
            self.assertEqual({status for status, _, _ in statuses}, {200, 429})
            self.assertTrue(all(hint is not None and int(hint) >= 1 for hint in refused))
            self.assertEqual(server.metric("embedding_requests_total", status="429"), len(refused))
            self.assertEqual(server.metric("embedding_requests_total", status="200"), len(statuses) - len(refused))

    def test_a_timeout_answers_504(self):
        with slow_server(0.2, EMBEDDING_GENERATE_TIMEOUT_SEC="0.02") as server:
            statuses = [status for status, _, _ in self.flood(server, 6)]
            self.assertIn(504, statuses)
            self.assertEqual(server.metric("embedding_requests_total", status="504"), statuses.count(504))

    def test_tickets_bound_what_waits_and_runs(self):
        with slow_server(0.5, EMBEDDING_MAX_QUEUE_SIZE="2") as server:
            answers = self.flood(server, 12)
            codes = [status for status, _, _ in answers]
            self.assertEqual(set(codes), {200, 429})
            self.assertGreaterEqual(codes.count(200), 2)
            refused = next(body for status, _, body in answers if status == 429)
            self.assertIn("EMBEDDING_MAX_QUEUE_SIZE", json.loads(refused)["error"]["message"])
            for status, headers, _ in answers:
                if status == 429:
                    self.assertGreaterEqual(int(headers["Retry-After"]), 1)
                    self.assertGreaterEqual(int(headers["retry-after-ms"]), 1)
            self.assertEqual(server.metric("embedding_queue_rejections_total"), codes.count(429))
            self.assertEqual(server.metric("embedding_requests_total", status="429"), codes.count(429))
            # Nothing is left behind: one after the other they all get in, cached ones without a place.
            for i in range(3):
                self.assertEqual(server.request("POST", "/v1/embeddings", embed_body([f"after {i}"], model="mock-embed"), JSON)[0], 200)

    def test_unbatched_requests_wait_for_a_slot(self):
        one_at_a_time = {"ENABLE_EMBEDDING_BATCHING": "0", "EMBEDDING_MAX_CONCURRENT": "1"}
        with slow_server(0.2, **one_at_a_time, EMBEDDING_QUEUE_TIMEOUT_SEC="20") as server:
            self.assertEqual({status for status, _, _ in self.flood(server, 5)}, {200})
        with slow_server(0.5, **one_at_a_time, EMBEDDING_QUEUE_TIMEOUT_SEC="0") as server:
            codes = [status for status, _, _ in self.flood(server, 5)]
            self.assertIn(200, codes)
            self.assertIn(429, codes)

    def test_a_clients_own_time_limit(self):
        with slow_server(0.1) as server:
            late = server.request("POST", "/v1/embeddings", batch_body("late"), {**JSON, "X-Request-Timeout-Ms": "1"})
            self.assertEqual(late[0], 504)
            self.assertEqual(json.loads(late[2])["error"]["type"], "timeout_error")
            self.assertEqual(server.request("POST", "/v1/embeddings", embed_body(["x"], model="mock-embed", timeout=30), JSON)[0], 200)
            self.assertEqual(server.metric("embedding_requests_total", status="504"), 1)


class Shutdown(unittest.TestCase):
    def test_sigterm_finishes_what_runs_and_exits_0(self):
        server = slow_server(0.5, DRAIN_TIMEOUT_SEC="60")
        answers = []
        threads = [threading.Thread(target=lambda i=i: answers.append(server.request("POST", "/v1/embeddings", batch_body(f"s{i}"), JSON, 60)[0])) for i in range(4)]
        for thread in threads:
            thread.start()
        # A batch each: answered, on the device or in its line, all four are the server's.
        taken = ("embedding_requests_total", "inference_active_batches", "inference_queue_depth")
        self.assertTrue(until(lambda: sum(server.metric(name) for name in taken) == 4))
        self.assertEqual(server.stop(signal.SIGTERM, timeout=90), 0)
        for thread in threads:
            thread.join()
        self.assertEqual(answers, [200] * 4)
        messages = [json.loads(line)["message"] for line in server.log]
        self.assertIn("draining", messages)
        self.assertIn("stopped", messages)

    def test_idle_connections_do_not_hold_it_up(self):
        server = Server(BINARY, {"DRAIN_TIMEOUT_SEC": "60"})
        idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
        begin = time.monotonic()
        self.assertEqual(server.stop(signal.SIGINT, timeout=90), 0)
        self.assertLess(time.monotonic() - begin, 30)  # not the drain budget
        for connection in idle:
            connection.close()


if __name__ == "__main__":
    BINARY = str(Path(sys.argv.pop(1)).resolve())
    unittest.main(verbosity=2)
