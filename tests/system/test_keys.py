#!/usr/bin/env python3
"""API keys, rate limits and SIGHUP, on a server that runs. Standard library only.

usage: test_keys.py SIS_BINARY [unittest options]
"""
import hashlib
import json
import os
import re
import signal
import socket
import stat
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
EMBED = json.dumps({"model": "demo/embed", "input": "hello"})


def sha256(key):
    return hashlib.sha256(key.encode()).hexdigest()


def bearer(key, **more):
    return {"Authorization": f"Bearer {key}", **more}


def entries(server, message):
    return [entry for entry in map(json.loads, list(server.log)) if entry["message"] == message]


def keys_list(*items):
    """API_KEYS inline: ("name", "key", {fields})."""
    return json.dumps([{"name": name, "sha256": sha256(key), **fields} for name, key, fields in items])


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.keys_file = Path(self.folder.name) / "keys.yaml"

    def keys(self, *arguments, code=0, **environment):
        done = subprocess.run([BINARY, "keys", *arguments], cwd=self.folder.name, capture_output=True, text=True, timeout=60,
                              env={"PATH": os.environ["PATH"], "API_KEYS": str(self.keys_file), **environment})
        self.assertEqual(done.returncode, code, done.stderr)
        return done


class KeysCommand(Folder):
    def test_add_list_revoke(self):
        done = self.keys("add", "alice", "--rpm", "60", "--burst", "5", "--models", "demo/*", "--expires", "90d", "--priority", "-3")
        key = done.stdout.strip()
        self.assertRegex(key, r"^sk-sis-[A-Za-z0-9_-]{43}$")
        self.assertNotIn(key, done.stderr)
        self.assertEqual(stat.S_IMODE(self.keys_file.stat().st_mode), 0o600)
        text = self.keys_file.read_text()
        self.assertIn(sha256(key), text)
        self.assertNotIn(key, text)
        other = self.keys("add", "bob").stdout.strip()
        self.assertNotEqual(key, other)
        listed = self.keys("list").stdout
        for word in ("alice", "bob", "60/min", "5 burst", "models demo/*", "never"):
            self.assertIn(word, listed)
        self.assertNotIn(sha256(key), listed)
        self.keys("revoke", "alice")
        listed = self.keys("list", "--file", str(self.keys_file), API_KEYS="").stdout
        self.assertNotIn("alice", listed)
        self.assertIn("bob", listed)

    def test_faults_are_named_and_change_nothing(self):
        self.keys("add", "alice")
        before = self.keys_file.read_bytes()
        self.assertIn("alice", self.keys("add", "alice", code=1).stderr)
        self.assertIn("nobody", self.keys("revoke", "nobody", code=1).stderr)
        for words in (["add", "a b"], ["add"], ["add", "x", "y"], ["drop", "x"], [], ["add", "x", "--rpm", "many"], ["add", "x", "--rpm", "0"],
                      ["add", "x", "--priority", "1000"], ["add", "x", "--expires", "2001-01-01"], ["add", "x", "--expires", "soon"],
                      ["add", "x", "--limit", "1"], ["list", "--rpm", "5"]):
            with self.subTest(words=words):
                self.assertTrue(self.keys(*words, code=2).stderr)
        self.keys("add", "x", "--burst", "3", code=1)
        self.keys("add", "x", "--models", "a*b", code=1)
        self.assertEqual(self.keys_file.read_bytes(), before)
        self.assertIn("API_KEYS", self.keys("list", code=2, API_KEYS="").stderr)
        self.keys_file.write_text("keys:\n  - name: a\n    sha256: short\n")
        self.assertIn("line 2", self.keys("add", "b", code=1).stderr)

    def test_writers_at_once_lose_nothing(self):
        running = [subprocess.Popen([BINARY, "keys", "add", f"k{i}", "--file", str(self.keys_file)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                    cwd=self.folder.name, text=True) for i in range(8)]
        made = [process.communicate(timeout=60)[0].strip() for process in running]
        text = self.keys_file.read_text()
        for key in made:
            self.assertIn(sha256(key), text)


class Start(Folder):
    def fails(self, settings, *words, absent=()):
        done = subprocess.run([BINARY, "serve"], cwd=self.folder.name, capture_output=True, text=True, timeout=60,
                              env={"PATH": os.environ["PATH"], "PORT": "0", "HOST": "127.0.0.1", "SIS_DATA_DIR": str(ROOT / "demo"),
                                   "MODEL_CONFIG_PATH": str(ROOT / "models.yaml"), **settings})
        self.assertEqual(done.returncode, 2, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        for word in absent:
            self.assertNotIn(word, done.stderr + done.stdout)

    def test_wrong_settings_stop_the_start(self):
        self.fails({"API_KEYS": "/nowhere/keys.yaml"}, "API_KEYS", "/nowhere/keys.yaml")
        self.fails({"API_KEYS": "sk-sis-topsecret"}, "API_KEYS", absent=["topsecret"])
        self.fails({"API_KEYS": "[{name: a, sha256: topsecret}]"}, "API_KEYS", "sha256", absent=["topsecret"])
        self.fails({"TRUTHGPT_API_TOKEN": "changeme"}, "TRUTHGPT_API_TOKEN")
        self.fails({"TRUSTED_PROXIES": "example.org"}, "TRUSTED_PROXIES", "example.org")
        self.keys_file.write_text("default:\n  rpm: lots\n")
        self.fails({"RATE_LIMITS_FILE": str(self.keys_file)}, "line 2", "lots")
        self.fails({"API_KEYS": str(self.keys_file)}, "line 2", "default")

    def test_an_open_server_says_so(self):
        with Server(BINARY, {"HOST": "0.0.0.0"}) as server:
            self.assertTrue(until(lambda: any("API_KEYS" in line for line in server.said)), server.said)
            self.assertTrue(until(lambda: entries(server, "open_to_everybody")))
        with Server(BINARY, {"HOST": "0.0.0.0", "API_KEYS": "[]"}) as server:
            time.sleep(0.1)
            self.assertFalse(any("API_KEYS" in line for line in server.said))
        with Server(BINARY) as server:
            time.sleep(0.1)
            self.assertFalse(any("API_KEYS" in line for line in server.said))


class Keys(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.secrets = ["alice-secret-1234567890", "chatty-secret-1234567890", "scrape-secret-1234567890", "infer-secret-1234567890", "guessed-secret-1234567890"]
        alice, chatty, scrape, infer, cls.guess = cls.secrets
        cls.alice, cls.chatty, cls.scrape, cls.infer = alice, chatty, scrape, infer
        cls.server = Server(BINARY, {"METRICS_API_KEY": scrape, "TRUTHGPT_API_TOKEN": infer, "LOG_LEVEL": "DEBUG", "API_KEYS": keys_list(
            ("alice", alice, {}), ("chatty", chatty, {"models": ["demo/chat"], "routes": ["/v1/embeddings", "/v1/models*", "/tokenize"]}))})

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def ask(self, path, headers=None, method="GET", body=None):
        return self.server.request(method, path, body, {**JSON, **(headers or {})})

    def raw(self, data):
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=20) as client:
            client.sendall(data)
            answer = b""
            while chunk := client.recv(65536):
                answer += chunk
        return answer

    def test_routes_and_bodies(self):
        for path in ("/", "/health", "/healthz", "/ready", "/live"):
            self.assertEqual(self.ask(path)[0], 200, path)
        for path in ("/v1/models", "/v1/embeddings", "/nowhere", "/tokenize", "/settings"):
            status, headers, body = self.ask(path)
            self.assertEqual(status, 401, path)
            self.assertEqual(headers["WWW-Authenticate"], "Bearer")
            self.assertRegex(headers["X-Request-ID"], r"^[0-9a-f]{32}$")
            error = json.loads(body)["error"]
            self.assertEqual((error["type"], error["code"], error["param"]), ("invalid_request_error", "invalid_api_key", None))
        self.assertEqual(sorted(json.loads(self.ask("/v1/infer", method="POST", body="{}")[2])), ["detail", "error"])
        self.assertEqual(sorted(json.loads(self.ask("/v2/models/x/infer", method="POST", body="{}")[2])), ["error"])
        self.assertEqual(self.ask("/v1/models", bearer(self.alice))[0], 200)
        self.assertEqual(self.ask("/v1/embeddings", bearer(self.alice), "POST", EMBED)[0], 200)
        self.assertEqual(self.ask("/nowhere", bearer(self.alice))[0], 404)
        self.assertEqual(self.ask("/v1/models", bearer(self.guess))[0], 401)

    def test_large_bodies_of_strangers_are_not_read(self):
        def head(key):
            line = b"Authorization: Bearer " + key.encode() + b"\r\n" if key else b""
            return b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n" + line + b"\r\n"
        for key, status, code in (("", b" 401 ", b"invalid_api_key"), (self.guess, b" 401 ", b"invalid_api_key"), (self.infer, b" 403 ", b"route_not_allowed")):
            answer = self.raw(head(key))  # to its end: the body is never sent
            self.assertIn(status, answer.split(b"\r\n")[0])
            self.assertIn(code, answer)
            self.assertIn(b"Connection: close", answer)
        body = json.dumps({"model": "demo/embed", "input": "hello"}).encode()
        self.assertIn(b" 200 ", self.raw(head(self.alice).replace(b"Host", b"Connection: close\r\nHost") + body.ljust(1000000)).split(b"\r\n")[0])

    def test_metrics_and_infer_have_keys_of_their_own(self):
        self.assertEqual(self.ask("/metrics")[0], 401)
        self.assertEqual(self.ask("/metrics", bearer(self.alice))[0], 401)
        self.assertEqual(self.ask("/metrics", bearer(self.scrape))[0], 200)
        self.assertEqual(self.ask("/v1/models", bearer(self.infer))[0], 403)
        self.assertNotIn(self.ask("/v1/infer", bearer(self.infer), "POST", "{}")[0], (401, 403))

    def test_a_key_for_some_models_and_routes(self):
        status, _, body = self.ask("/v1/embeddings", bearer(self.chatty), "POST", EMBED)
        self.assertEqual(status, 403, body)
        error = json.loads(body)["error"]
        self.assertEqual((error["type"], error["param"], error["code"]), ("permission_error", "model", "model_not_allowed"))
        self.assertEqual(self.ask("/v1/chat/completions", bearer(self.chatty), "POST", "{}")[0], 403)
        self.assertEqual([model["id"] for model in json.loads(self.ask("/v1/models", bearer(self.chatty))[2])["data"]], ["demo/chat"])
        self.assertEqual(self.ask("/v1/models/demo/embed", bearer(self.chatty))[0], 404)
        self.assertEqual(self.ask("/tokenize", bearer(self.chatty), "POST", json.dumps({"model": "demo/embed", "content": "x"}))[0], 403)

    def test_hostile_headers(self):
        def status(lines):
            return self.raw(b"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + lines + b"\r\n").split(b" ")[1]
        alice = self.alice.encode()
        self.assertEqual(status(b"authorization:bearer    " + alice + b"  \r\n"), b"200")
        for lines in (b"Authorization: " + alice, b"Authorization: Basic " + alice, b"Authorization: Bearer", b"Authorization: Bearer " + alice + b" x",
                      b"Authorization: Bearer " + b"a" * 50000, b"Authorization: Bearer " + alice[:-1], b"Authorization: Bearer " + alice + b"x",
                      b"Authorization: Bearer " + alice + b"\r\nAuthorization: Bearer " + alice, b"Authorization: Bearer \xff\xfe",
                      b"Authorization: Bearer " + sha256(self.alice).encode(), b"X-Forwarded-For: 127.0.0.1", b"Proxy-Authorization: Bearer " + alice,
                      b"Authorization: Bearer " + alice + b"\x00"):
            self.assertIn(status(lines + b"\r\n"), (b"401", b"400"), lines[:60])
        for target in (b"//health/../v1/models", b"/v1/models/%2e%2e/health", b"/health%00/v1/models", b"/%76%31/models", b"http://x/v1/models"):
            answer = self.raw(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertIn(answer.split(b" ")[1], (b"401", b"400"), target)
        self.assertEqual(self.ask("/health")[0], 200)

    def test_the_log_names_clients_and_shows_no_secret(self):
        self.ask("/v1/embeddings", bearer(self.alice, **{"X-Request-ID": "named-1"}), "POST", EMBED)
        self.ask(f"/v1/models?api_key={self.guess}", bearer(self.guess, **{"X-Request-ID": "guess-1"}))
        self.assertTrue(until(lambda: any(e["request_id"] == "guess-1" for e in entries(self.server, "request_refused"))))
        self.assertTrue(until(lambda: any(e["request_id"] == "named-1" for e in entries(self.server, "embedding_request"))))
        entry = next(e for e in entries(self.server, "embedding_request") if e["request_id"] == "named-1")
        self.assertEqual(entry["client"], "alice")
        refused = next(e for e in entries(self.server, "request_refused") if e["request_id"] == "guess-1")
        self.assertEqual((refused["status"], refused["path"], refused.get("client", "")), (401, "/v1/models", ""))
        self.server.process.send_signal(signal.SIGHUP)
        self.assertTrue(until(lambda: entries(self.server, "reloaded")))
        said = "\n".join(self.server.log + self.server.said) + self.ask("/health")[2].decode() + self.ask("/metrics", bearer(self.scrape))[2].decode()
        for secret in self.secrets:
            self.assertNotIn(secret, said)
            self.assertNotIn(sha256(secret), said)


# What a browser shows to scripts without being told, and what is of no use to them.
SHOWN = {"cache-control", "content-length", "content-type"}
NOT_FOR_SCRIPTS = {"date", "server", "connection", "transfer-encoding", "vary", "x-accel-buffering", "location", "content-encoding"}


class Browsers(unittest.TestCase):
    def test_scripts_may_read_every_header_of_ours(self):
        seen = set()
        keys = keys_list(("a", "key-a", {"rpm": 1000, "tokens_per_minute": 100000}), ("few", "key-few", {"rph": 1}))
        with Server(BINARY, {"API_KEYS": keys}, ["--mock"]) as server:
            def ask(method, path, key="key-a", body=None, **headers):
                status, answered, _ = server.request(method, path, body, {**bearer(key), **JSON, "Origin": "https://page.example", **headers})
                self.assertEqual(answered["Access-Control-Allow-Origin"], "*", path)
                exposed = {name.strip().lower() for name in answered["Access-Control-Expose-Headers"].split(",")}
                sent = {name.lower() for name in answered.keys() if not name.lower().startswith("access-control-")}
                self.assertEqual(sent - SHOWN - NOT_FOR_SCRIPTS - exposed, set(), path)
                seen.update(sent)
                return status
            prompt = json.dumps({"model": "mock-chat", "prompt": "x", "params": {"temperature": 0}, "idempotency_key": "once"})
            self.assertEqual([ask("POST", "/v1/infer", body=prompt) for _ in range(2)], [200, 200])
            self.assertEqual(ask("POST", "/v1/infer/stream", body=prompt), 200)
            trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
            self.assertEqual(ask("GET", "/v1/models", **trace), 200)
            self.assertEqual(ask("GET", "/v1/models", key="wrong"), 401)
            self.assertEqual(ask("GET", "/v1/infer"), 405)
            self.assertEqual(ask("GET", "/nowhere"), 404)
            self.assertEqual([ask("GET", "/v1/models", key="key-few") for _ in range(2)], [200, 429])
        for name in ("x-request-id", "server-timing", "traceresponse", "x-response-time", "x-cache", "idempotent-replayed", "retry-after", "retry-after-ms",
                     "x-should-retry", "x-ratelimit-remaining-requests", "x-ratelimit-limit-tokens", "www-authenticate", "allow"):
            self.assertIn(name, seen)


class Limits(Folder):
    def test_requests_per_window(self):
        with Server(BINARY, {"RATE_LIMIT_RPM": "3", "RATE_LIMIT_WINDOW_SEC": "5"}) as server:
            seen = [server.request("GET", "/v1/models") for _ in range(4)]
            self.assertEqual([status for status, _, _ in seen], [200, 200, 200, 429])
            self.assertEqual([headers["x-ratelimit-remaining-requests"] for _, headers, _ in seen], ["2", "1", "0", "0"])
            self.assertEqual({headers["x-ratelimit-limit-requests"] for _, headers, _ in seen}, {"3"})
            for _, headers, _ in seen:
                self.assertRegex(headers["x-ratelimit-reset-requests"], r"^(\d+ms|[1-5]s)$")
            headers, error = seen[3][1], json.loads(seen[3][2])["error"]
            self.assertEqual(error["code"], "rate_limit_exceeded")
            wait_ms = int(headers["retry-after-ms"])
            self.assertTrue(0 < wait_ms <= 5000, wait_ms)
            self.assertEqual(int(headers["Retry-After"]), -(-wait_ms // 1000))
            self.assertEqual(server.metric("rate_limit_hits_total"), 1)
            self.assertEqual(server.request("GET", "/health")[0], 200)
            time.sleep(wait_ms / 1000 + 0.05)
            self.assertEqual(server.request("GET", "/v1/models")[0], 200)

    def test_per_endpoint_and_per_key(self):
        limits = Path(self.folder.name) / "limits.yaml"
        limits.write_text("default: {rpm: 1000}\nendpoints:\n  - {path: /v1/embeddings, rpm: 2, burst: 1}\n")
        keys = keys_list(("small", "small-key", {"rpm": 2}), ("other", "other-key", {}), ("tokens", "tokens-key", {"tokens_per_minute": 40}))
        with Server(BINARY, {"RATE_LIMITS_FILE": str(limits), "API_KEYS": keys}) as server:
            def embed(key, text="hello"):
                return server.request("POST", "/v1/embeddings", json.dumps({"model": "demo/embed", "input": text}), {**JSON, **bearer(key)})
            self.assertEqual([embed("other-key")[0] for _ in range(4)], [200, 200, 200, 429])
            self.assertEqual([server.request("GET", "/v1/models", headers=bearer("small-key"))[0] for _ in range(3)], [200, 200, 429])
            self.assertEqual(server.request("GET", "/v1/models", headers=bearer("other-key"))[0], 200)
            status, headers, body = embed("tokens-key", "one two three")
            used = json.loads(body)["usage"]["total_tokens"]
            self.assertEqual((status, headers["x-ratelimit-limit-tokens"], headers["x-ratelimit-remaining-tokens"]), (200, "40", str(40 - used)))
            status, headers, _ = embed("tokens-key", "word " * 60)  # more than is left: not before the window is empty
            self.assertEqual(status, 429)
            self.assertEqual(headers["x-ratelimit-remaining-tokens"], str(40 - used))

    def test_requests_in_progress(self):
        catalog = Path(self.folder.name) / "models.yaml"
        catalog.write_text("models:\n  - {name: slow, handler: mock_embedding, mock: {embed_us_per_batch: 1000000}}\n"
                           "  - {name: quick, handler: mock_embedding}\n")
        settings = {"MODEL_CONFIG_PATH": str(catalog), "MODELS": "slow,quick", "API_KEYS": keys_list(("one", "one-key", {"concurrent": 1}))}
        with Server(BINARY, settings) as server:
            slow, quick = (json.dumps({"model": name, "input": "hello"}) for name in ("slow", "quick"))
            first, beside = [], []

            def work():  # the requests beside it may have the place at first
                while not first or first[-1] == 429:
                    first.append(server.request("POST", "/v1/embeddings", slow, {**JSON, **bearer("one-key")}, 60)[0])
            worker = threading.Thread(target=work)
            worker.start()
            while worker.is_alive():
                beside.append(server.request("GET", "/v1/models", headers=bearer("one-key"))[0])
            worker.join()
            self.assertEqual(first[-1], 200)
            self.assertIn(429, beside)
            for _ in range(50):  # a place is free as soon as the answer is there
                self.assertEqual(server.request("POST", "/v1/embeddings", quick, {**JSON, **bearer("one-key")})[0], 200)

    def test_ten_thousand_clients_take_bounded_memory(self):
        keys = [(f"k{i}", f"key-{i}", {}) for i in range(3000)]
        self.keys_file.write_text(json.dumps([{"name": name, "sha256": sha256(key)} for name, key, _ in keys]))
        settings = {"RATE_LIMIT_RPM": "1000", "RATE_LIMIT_CLIENTS_MAX": "500", "TRUSTED_PROXIES": "127.0.0.0/8", "LOG_LEVEL": "ERROR", "API_KEYS": str(self.keys_file)}
        with Server(BINARY, settings) as server:
            def resident():
                return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{server.process.pid}/status").read_text()).group(1))

            def flood(requests):
                with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
                    for at in range(0, len(requests), 25):  # pipelined
                        part = requests[at:at + 25]
                        client.sendall(b"".join(part))
                        answer = b""
                        while answer.count(b"HTTP/1.1 ") < len(part):
                            chunk = client.recv(1 << 20)
                            self.assertTrue(chunk)
                            answer += chunk
            def get(lines):
                return f"GET /v1/models HTTP/1.1\r\nHost: x\r\n{lines}\r\n\r\n".encode()
            flood([get(f"X-Forwarded-For: 1.2.{i // 250}.{i % 250}") for i in range(1000)])
            before = resident()
            flood([get(f"X-Forwarded-For: 9.{i // 62500}.{i // 250 % 250}.{i % 250}") for i in range(10000)])
            flood([get(f"X-Forwarded-For: 2001:db8:{i:x}::1\r\nAuthorization: Bearer guess-{i}") for i in range(5000)])
            flood([get(f"Authorization: Bearer {key}") for _, key, _ in keys])
            grown = resident() - before
            print(f"\n  18,000 requests of 10,000 addresses, 5,000 guesses, 3,000 keys: {grown} KiB more", file=sys.stderr)
            self.assertLess(grown, 16 << 10)


class Reload(Folder):
    def test_keys_limits_and_level_change_without_a_break(self):
        key = self.keys("add", "steady").stdout.strip()
        limits = Path(self.folder.name) / "limits.yaml"
        limits.write_text("endpoints: []\n")
        with Server(BINARY, {"API_KEYS": str(self.keys_file), "RATE_LIMITS_FILE": str(limits)}) as server:
            def hup(message="reloaded"):
                count = len(entries(server, message))
                server.process.send_signal(signal.SIGHUP)
                self.assertTrue(until(lambda: len(entries(server, message)) > count), server.log[-3:])
                return entries(server, message)[-1]
            stop, answers = threading.Event(), []

            def load():
                while not stop.is_set():
                    answers.append(server.request("POST", "/v1/embeddings", EMBED, {**JSON, **bearer(key)})[0])
            workers = [threading.Thread(target=load) for _ in range(3)]
            for worker in workers:
                worker.start()
            added = None
            for i in range(10):
                added = self.keys("add", f"new{i}").stdout.strip()
                self.assertEqual(server.request("GET", "/v1/models", headers=bearer(added))[0], 401)
                self.assertEqual(hup()["keys"], i + 2)
                self.assertEqual(server.request("GET", "/v1/models", headers=bearer(added))[0], 200)
            self.keys("revoke", "new9")
            hup()
            self.assertEqual(server.request("GET", "/v1/models", headers=bearer(added))[0], 401)
            stop.set()
            for worker in workers:
                worker.join()
            self.assertGreater(len(answers), 10)
            self.assertEqual(set(answers), {200})

            good = self.keys_file.read_text()
            self.keys_file.write_text(good + "  - name: broken\n    sha256: 12\n")
            line = good.count("\n") + 1
            self.assertIn(f"line {line}", hup("reload_failed")["error"])
            self.assertEqual(server.request("GET", "/v1/models", headers=bearer(key))[0], 200)
            self.keys_file.unlink()
            self.assertIn("keys.yaml", hup("reload_failed")["error"])
            self.assertEqual(server.request("GET", "/v1/models", headers=bearer(key))[0], 200)
            self.keys_file.write_text(good)
            limits.write_text("endpoints:\n  - {path: /v1/models, rpm: 1, burst: 0}\n")
            self.assertEqual(hup()["endpoint_limits"], 1)
            self.assertEqual([server.request("GET", "/v1/models", headers=bearer(key))[0] for _ in range(2)], [200, 429])

            Path(server.folder.name, ".env").write_text("LOG_LEVEL=ERROR\nMAX_BATCH_SIZE=5\n")
            server.process.send_signal(signal.SIGHUP)
            self.assertTrue(until(lambda: entries(server, "reloaded")[-1]["log_level"] == "ERROR"))

            def silent():  # at first the line of the reload may be followed by one more
                before = len(server.log)
                for _ in range(5):
                    server.request("POST", "/v1/embeddings", EMBED, {**JSON, **bearer(key)})
                time.sleep(0.2)
                return len(server.log) == before
            self.assertTrue(until(silent))
            Path(server.folder.name, ".env").write_text("LOG_LEVEL=INFO\nMAX_BATCH_SIZE=5\n")
            self.assertIn("MAX_BATCH_SIZE", hup("reload_wants_restart")["settings"])
            server.request("POST", "/v1/embeddings", EMBED, {**JSON, **bearer(key)})
            self.assertTrue(until(lambda: len(entries(server, "embedding_request")) > 0 and json.loads(server.log[-1])["message"] == "embedding_request"))

    def test_the_infer_routes_follow_their_token(self):
        body = json.dumps({"model": "demo/chat", "prompt": "hello", "params": {"max_new_tokens": 1}})

        def ask(server, token=None, path="/v1/infer"):
            return server.request("POST", path, body, {**JSON, **(bearer(token) if token else {})})[0]

        def reload(server, text):
            Path(server.folder.name, ".env").write_text(text)
            count = len(entries(server, "reloaded"))
            server.process.send_signal(signal.SIGHUP)
            self.assertTrue(until(lambda: len(entries(server, "reloaded")) > count), server.log[-3:])
        with Server(BINARY, files={".env": "TRUTHGPT_API_TOKEN=first\n"}) as server:
            self.assertEqual([ask(server), ask(server, "other"), ask(server, "first")], [401, 401, 200])
            reload(server, "TRUTHGPT_API_TOKEN=second\n")
            self.assertEqual([ask(server, "first"), ask(server, "second")], [401, 200])
            reload(server, "LOG_LEVEL=INFO\n")  # off: open to nobody
            self.assertEqual([ask(server), ask(server, "second"), ask(server, path="/v1/infer/stream")], [404, 404, 404])
        with Server(BINARY) as server:
            self.assertEqual(ask(server), 404)
            reload(server, "TRUTHGPT_API_TOKEN=first\n")
            self.assertEqual([ask(server), ask(server, "first"), ask(server, "first", "/v1/infer/stream")], [401, 200, 200])


if __name__ == "__main__":
    BINARY = str(Path(sys.argv.pop(1)).resolve())
    unittest.main()
