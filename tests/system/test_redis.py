#!/usr/bin/env python3
"""The response cache and the rate limit on a real redis-server that is killed, paused, restarted, flushed and replaced by something else.

What must hold: no request ever fails because of Redis, none waits for it longer than REDIS_TIMEOUT_MS, answers are the
right ones, and the cache comes back by itself. Standard library only; wants redis-server.

usage: test_redis.py SIS_BINARY
"""
import concurrent.futures
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from sis_server import JSON, Server, free_port, tiny_catalog, until  # noqa: E402

BINARY = None
BUDGET_MS = 300  # where it is the budget that is tested
PATIENT_MS = 10000  # elsewhere: a machine that does other things must not make a miss of a hit
SLACK_MS = 4000  # of a machine that does other things as well


class Redis:
    """A redis-server on `port` that keeps nothing on disk."""

    def __init__(self, port, *arguments):
        self.port = port
        self.folder = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
             "--dir", self.folder.name, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if not until(self.answers, 20):
            raise RuntimeError(f"redis-server on port {port} does not answer ({self.process.poll()})")

    def answers(self):
        try:
            return self.command("PING")[:1] in ("+", "-")
        except OSError:
            return False

    def command(self, *words):
        """The first line of the reply."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as client:
            client.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words))
            return client.recv(4096).decode().split("\r\n")[0]

    def keys(self):
        return int(self.command("DBSIZE")[1:])

    def kill(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


class Garbage:
    """Listens where Redis was and answers whatever comes with what is no Redis."""

    def __init__(self, port, answer):
        self.answer, self.stopping, self.seen = answer, False, 0
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(64)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while not self.stopping:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.seen += 1
            with client:
                try:
                    client.settimeout(0.5)
                    client.recv(4096)
                    client.sendall(self.answer)
                except OSError:
                    pass

    def stop(self):
        self.stopping = True
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)


class Load:
    """Threads that ask, half of them always the same, half always something new, until the block ends."""

    def __init__(self, test, name):
        self.test, self.name = test, name
        self.stopping, self.failures, self.seconds, self.words = False, [], [], {}

    def __enter__(self):
        self.threads = [threading.Thread(target=self._ask, args=(i,)) for i in range(4)]
        for thread in self.threads:
            thread.start()
        return self

    def _ask(self, number):
        i = 0
        while not self.stopping:
            i += 1
            prompt = "Say something." if number % 2 else f"{self.name} {number} {i}"
            begin = time.monotonic()
            try:
                status, word, text = self.test.ask(prompt)
                self.seconds.append(time.monotonic() - begin)
                self.words[word] = self.words.get(word, 0) + 1
                if status != 200 or (number % 2 and text != self.test.expected):
                    self.failures.append((status, text))
            except Exception as fault:  # noqa: BLE001
                self.failures.append(repr(fault))
            time.sleep(0.005)

    def __exit__(self, *_):
        until(lambda: len(self.seconds) > 20 or self.failures, 60)
        self.stopping = True
        for thread in self.threads:
            thread.join()
        print(f"\n  {self.name}: {len(self.seconds)} requests, median {self.median_ms():.0f} ms, "
              f"longest {self.longest_ms():.0f} ms, {self.words}", end="", file=sys.stderr)

    def median_ms(self):
        return 1e3 * statistics.median(self.seconds)

    def longest_ms(self):
        return 1e3 * max(self.seconds)


class RedisCache(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.port = free_port()
        self.settings = {"MODEL_CONFIG_PATH": tiny_catalog(self.folder.name), "MODELS": "tiny", "RESPONSE_CACHE_CHAT": "1",
                         "CACHE_BACKEND": "redis", "REDIS_URL": f"redis://127.0.0.1:{self.port}/0",
                         "REDIS_TIMEOUT_MS": str(PATIENT_MS), "CHAT_BATCH_WINDOW_MS": "0", "CHAT_QUEUE_MAX_WAIT_MS": "0"}
        self.redis = self.server = None

    def use_slow_model(self):
        """In place of the real one a mock that takes a millisecond for every token, however fast the machine is."""
        Path(self.settings["MODEL_CONFIG_PATH"]).write_text("models:\n  - {name: tiny, handler: mock_chat, mock: {decode_us_per_step: 1000}}\n")

    def tearDown(self):
        if self.server:
            self.server.stop()
        if self.redis:
            self.redis.kill()
        self.folder.cleanup()

    def start(self, redis=True, **settings):
        if redis:
            self.redis = Redis(self.port)
        self.server = Server(BINARY, {**self.settings, **settings})
        if redis:
            self.assertTrue(until(self.redis_up), "Redis is found")

    def redis_up(self):
        return self.server.metric("inference_cache_redis_up") == 1

    def ask(self, prompt, headers=None, **fields):
        body = {"model": "tiny", "messages": [{"role": "user", "content": prompt}], "max_tokens": 8, "temperature": 0, **fields}
        status, head, text = self.server.request("POST", "/v1/chat/completions", json.dumps(body), {**JSON, **(headers or {})},
                                                 timeout=60)
        if status != 200:
            return status, head.get("X-Cache"), text
        self.answered = json.loads(text)
        message = self.answered["choices"][0]["message"]
        return status, head.get("X-Cache"), (message.get("reasoning_content") or "") + (message["content"] or "")

    def word(self, prompt, headers=None, **fields):
        status, word, text = self.ask(prompt, headers, **fields)
        self.assertEqual(status, 200, text)
        return word

    def test_what_is_shared_and_what_is_not(self):
        self.start()
        self.assertEqual(self.word("a"), "miss")
        first = self.answered
        self.assertEqual(self.word("a"), "hit")
        again = self.answered
        self.assertEqual(again["choices"], first["choices"])
        self.assertEqual(again["usage"], first["usage"])
        self.assertNotEqual(again["id"], first["id"], "every answer has an id of its own")
        self.assertEqual(self.word("a", user="somebody", metadata={"k": "v"}), "hit", "fields without effect")
        for fields in ({"max_tokens": 9}, {"stop": "x"}, {"logprobs": True}, {"repetition_penalty": 1.1}):
            self.assertEqual(self.word("a", **fields), "miss", fields)
        self.assertEqual(self.word("a", {"Authorization": "Bearer other"}), "miss", "clients share nothing")
        for fields in ({"temperature": 0.5}, {"n": 2}, {"stream": True}):
            status, headers, _ = self.server.request("POST", "/v1/chat/completions", json.dumps(
                {"model": "tiny", "messages": [{"role": "user", "content": "a"}], "max_tokens": 4, "temperature": 0, **fields}), JSON)
            self.assertEqual((status, headers.get("X-Cache")), (200, None), fields)
        hits, misses = (self.server.metric(f"inference_cache_{kind}_total") for kind in ("hits", "misses"))
        self.assertEqual((hits, misses), (2, 6))
        self.assertTrue(until(lambda: self.redis.keys() == 6))
        self.assertGreaterEqual(self.server.metric("redis_calls_total"), 12, "a look-up and a store for each")
        self.assertEqual(self.server.metric("redis_failures_total", reason="timeout"), 0)
        self.assertGreaterEqual(self.server.metric("redis_connections_ready"), 1)
        self.assertEqual(self.server.metric("inference_cache_entries"), 0, "the memory is only a fallback")

    def test_servers_share_and_survive_their_restart(self):
        self.start()
        self.assertEqual(self.word("a"), "miss")
        with Server(BINARY, self.settings) as other:
            own, self.server = self.server, other
            self.assertTrue(until(self.redis_up))
            self.assertEqual(self.word("a"), "hit", "another server's answer")
            self.server = own
        self.server.stop()
        self.server = Server(BINARY, self.settings)
        self.assertTrue(until(self.redis_up))
        self.assertEqual(self.word("a"), "hit", "the answer of the process before")
        # Anybody's garbage under the key is a miss, and is replaced.
        key = self.redis_keys()[0]
        for value in ("garbage", "SISR" + "x" * 100):
            self.redis.command("SET", key, value)
            self.assertEqual(self.word("a"), "miss")
            self.assertEqual(self.word("a"), "hit")
        self.redis.command("DEL", key)
        self.redis.command("LPUSH", key, "a list")
        self.assertEqual(self.word("a"), "miss")
        self.assertGreaterEqual(self.server.metric("inference_cache_errors_total"), 3)

    def redis_keys(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as client:
            client.sendall(b"*2\r\n$4\r\nKEYS\r\n$11\r\ninference:*\r\n")
            return [line for line in client.recv(1 << 16).decode().split("\r\n") if line.startswith("inference:")]

    def test_identical_requests_work_once(self):
        self.use_slow_model()
        self.start()
        barrier = threading.Barrier(8)

        def together(_):
            barrier.wait()
            return self.ask_quietly("All at once", 1500)

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(together, range(8)))
        self.assertEqual({status for status, _, _ in answers}, {200})
        self.assertEqual(len({text for _, _, text in answers}), 1)
        words = [word for _, word, _ in answers]
        self.assertEqual(words.count("miss"), 1, words)
        self.assertGreaterEqual(words.count("join"), 1, words)
        self.assertEqual(self.server.metric("inference_cache_joins_total"), words.count("join"))
        self.assertTrue(until(lambda: self.redis.keys() == 1))

    def ask_quietly(self, prompt, tokens):
        body = {"model": "tiny", "messages": [{"role": "user", "content": prompt}], "max_tokens": tokens, "temperature": 0,
                "ignore_eos": True}
        status, head, text = self.server.request("POST", "/v1/chat/completions", json.dumps(body), JSON, timeout=60)
        return status, head["X-Cache"], json.dumps(json.loads(text).get("choices"))

    def test_a_leader_that_leaves_is_followed(self):
        self.use_slow_model()
        self.start()
        seen = []
        for attempt in range(6):  # a slow machine may take longer to join
            prompt = f"Long {attempt}"
            body = json.dumps({"model": "tiny", "messages": [{"role": "user", "content": prompt}], "max_tokens": 1800,
                               "temperature": 0, "ignore_eos": True})
            misses = self.server.metric("inference_cache_misses_total")
            with concurrent.futures.ThreadPoolExecutor(3) as pool:
                with socket.create_connection(("127.0.0.1", self.server.port), timeout=30) as leader:
                    leader.sendall((f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                                    f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
                    self.assertTrue(until(lambda: self.server.metric("inference_cache_misses_total") == misses + 1))
                    followers = [pool.submit(self.ask_quietly, prompt, 1800) for _ in range(3)]
                    time.sleep(0.3)
                answers = [future.result() for future in followers]
            self.assertEqual({status for status, _, _ in answers}, {200}, "the leader's leaving reaches nobody")
            self.assertEqual(len({text for _, _, text in answers}), 1)
            seen.append(sorted(word for _, word, _ in answers))
            if seen[-1] == ["join", "join", "miss"]:
                break
        self.assertEqual(seen[-1], ["join", "join", "miss"], seen)
        self.assertTrue(until(lambda: self.server.metric("chat_requests_total", status="499") >= 1))

    def test_starts_without_redis_and_finds_it_later(self):
        self.start(redis=False)
        self.assertEqual(self.word("a"), "miss")
        self.assertEqual(self.word("a"), "hit", "kept in memory meanwhile")
        self.assertEqual(self.server.metric("inference_cache_redis_up"), 0)
        self.assertTrue(until(lambda: any("redis_down" in line for line in list(self.server.log))))
        self.redis = Redis(self.port)
        self.assertTrue(until(self.redis_up), "found without a restart")
        self.assertEqual(self.word("b"), "miss")
        self.assertTrue(until(lambda: self.redis.keys() == 1))

    def test_a_password(self):
        self.redis = Redis(self.port, "--requirepass", "hunter2")
        self.server = Server(BINARY, {**self.settings, "REDIS_URL": f"redis://:hunter2@127.0.0.1:{self.port}/2"})
        self.assertTrue(until(self.redis_up))
        self.assertEqual([self.word("a"), self.word("a")], ["miss", "hit"])
        self.server.stop()
        said = "\n".join(self.server.log + self.server.said)
        self.server = Server(BINARY, {**self.settings, "REDIS_URL": f"redis://:hunter3@127.0.0.1:{self.port}/2"})
        self.assertTrue(until(lambda: any("redis_down" in line and "WRONGPASS" in line for line in list(self.server.log))))
        self.assertEqual([self.word("a"), self.word("a")], ["miss", "hit"], "in memory")
        said += "\n".join(self.server.log + self.server.said)
        self.assertIn("redis_up", said)
        self.assertIn("WRONGPASS", said)
        self.assertNotIn("hunter", said)

    def test_a_bad_url_and_none(self):
        server = Server(BINARY, {**self.settings, "REDIS_URL": "rediss://:hunter2@localhost"}, wait=False)
        self.assertNotEqual(server.process.wait(30), 0)
        server.stop()
        said = "\n".join(server.log + server.said)
        self.assertIn("REDIS_URL", said)
        self.assertIn("TLS", said)
        self.assertNotIn("hunter2", said)
        self.server = Server(BINARY, {**self.settings, "REDIS_URL": ""})
        self.assertEqual([self.word("a"), self.word("a")], ["miss", "hit"], "in memory")
        self.assertTrue(until(lambda: any("REDIS_URL is not set" in line for line in list(self.server.log))))

    def test_redis_fares_badly_under_load(self):
        self.start(REDIS_TIMEOUT_MS=str(BUDGET_MS))
        self.expected = self.ask("Say something.")[2]
        loads = []

        def under_load(name):
            loads.append(Load(self, name))
            return loads[-1]

        with under_load("quiet") as quiet:
            time.sleep(1.5)
        with under_load("killed"):
            time.sleep(0.5)
            self.redis.kill()
            self.assertTrue(until(lambda: not self.redis_up()))
            time.sleep(1)
        with under_load("restarted"):
            time.sleep(0.3)
            self.redis = Redis(self.port)
            self.assertTrue(until(self.redis_up), "Redis is found again")
            self.assertTrue(until(lambda: self.redis.keys() > 3), "and used again")
        self.assertEqual(self.word("Say something."), "hit")
        with under_load("paused") as paused:
            time.sleep(0.3)
            os.kill(self.redis.process.pid, signal.SIGSTOP)
            time.sleep(4)
        with under_load("continued"):
            os.kill(self.redis.process.pid, signal.SIGCONT)
            self.assertTrue(until(self.redis_up))
            time.sleep(0.5)
        with under_load("flushed"):
            for _ in range(20):
                self.redis.command("FLUSHALL")
                time.sleep(0.05)
        self.assertEqual(self.word("after the flush"), "miss")
        self.assertEqual(self.word("after the flush"), "hit")
        self.redis.kill()
        for answer in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"+OK\r\n+PONG\r\n+PONG\r\n" * 100, b"+PONG\r\n$9\r\nnonsense!\r\n",
                       b"*1000000000\r\n" + b":1\r\n" * 1000):
            garbage = Garbage(self.port, answer)
            with under_load(f"garbage {answer[:8]}"):
                self.assertTrue(until(lambda: garbage.seen >= 3))
                time.sleep(0.5)
            garbage.stop()
        self.redis = Redis(self.port)
        with under_load("recovered"):
            self.assertTrue(until(lambda: self.redis_up() and self.redis.keys() > 3))
        self.assertEqual(self.word("Say something."), "hit")

        for load in loads:
            self.assertEqual(load.failures, [], load.name)
            self.assertGreater(len(load.seconds), 10, load.name)
            self.assertLess(load.longest_ms(), quiet.longest_ms() + BUDGET_MS + SLACK_MS, load.name)
        # Only who was on the way when Redis stopped waited for it, and everybody at most once.
        self.assertLess(paused.median_ms(), quiet.median_ms() + BUDGET_MS / 2)
        self.assertEqual(self.server.metric("inference_errors_5xx_total"), 0)


class RateLimit(unittest.TestCase):
    """Several servers, one limit, whatever the cache does."""

    def setUp(self):
        self.port = free_port()
        self.redis, self.servers = None, []

    def tearDown(self):
        for server in self.servers:
            server.stop()
        if self.redis:
            self.redis.kill()

    def start(self, **settings):
        server = Server(BINARY, {"REDIS_URL": f"redis://127.0.0.1:{self.port}/0", "REDIS_TIMEOUT_MS": str(PATIENT_MS),
                                 "RATE_LIMIT_RPM": "6", **settings}, ["--mock"])
        self.servers.append(server)
        return server

    def up(self, server):
        return server.metric("rate_limit_redis_up") == 1

    def take(self, *servers):
        """(status, what remains) of one request to each."""
        answers = [server.request("GET", "/v1/models") for server in servers]
        return [(status, int(headers["x-ratelimit-remaining-requests"])) for status, headers, _ in answers]

    def redis_keys(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as client:
            client.sendall(b"*2\r\n$4\r\nKEYS\r\n$1\r\n*\r\n")
            return [line for line in client.recv(1 << 16).decode().split("\r\n") if line.startswith("inference:")]

    def test_one_limit_without_a_shared_cache(self):
        self.redis = Redis(self.port)
        one, two = (self.start(RATE_LIMIT_BACKEND="redis") for _ in range(2))
        self.assertTrue(until(lambda: self.up(one) and self.up(two)))
        self.assertEqual(self.take(one, two, one, two, one, two), [(200, left) for left in (5, 4, 3, 2, 1, 0)])
        self.assertEqual(self.take(one, two), [(429, 0), (429, 0)])
        self.assertEqual(one.metric("inference_cache_redis_up"), 0, "the cache stays in memory")
        self.assertEqual([key for key in self.redis_keys() if ":rate:" not in key], [])
        # Without Redis each counts for itself; with it again they go on together.
        self.redis.kill()
        self.assertTrue(until(lambda: not self.up(one) and not self.up(two)))
        self.assertEqual(self.take(one, two, one, two), [(200, 5), (200, 5), (200, 4), (200, 4)])
        self.assertEqual([self.take(one)[0][0] for _ in range(5)], [200] * 4 + [429])
        self.redis = Redis(self.port)
        self.assertTrue(until(lambda: self.up(one) and self.up(two)))
        self.assertEqual(self.take(one, two, one), [(200, 5), (200, 4), (200, 3)])
        self.assertEqual(one.metric("inference_errors_5xx_total"), 0)

    def test_a_paused_redis_holds_nobody_up(self):
        self.redis = Redis(self.port)
        server = self.start(RATE_LIMIT_BACKEND="redis", REDIS_TIMEOUT_MS=str(BUDGET_MS))
        self.assertTrue(until(lambda: self.up(server)))
        self.assertEqual(self.take(server), [(200, 5)])
        os.kill(self.redis.process.pid, signal.SIGSTOP)
        begin = time.monotonic()
        self.assertEqual(self.take(server, server), [(200, 5), (200, 4)], "counted here")
        self.assertLess(time.monotonic() - begin, (2 * BUDGET_MS + SLACK_MS) / 1000)

    def test_a_shared_cache_without_a_shared_limit(self):
        self.redis = Redis(self.port)
        one, two = (self.start(CACHE_BACKEND="redis", RATE_LIMIT_BACKEND="memory") for _ in range(2))
        self.assertTrue(until(lambda: one.metric("inference_cache_redis_up") == 1 and two.metric("inference_cache_redis_up") == 1))
        self.assertEqual(self.take(one, two, one), [(200, 5), (200, 5), (200, 4)])
        self.assertEqual(self.redis_keys(), [])
        with self.assertRaises(KeyError):
            one.metric("rate_limit_redis_up")

    def test_the_cache_s_backend_unless_told_otherwise(self):
        self.redis = Redis(self.port)
        one, two = (self.start(CACHE_BACKEND="redis") for _ in range(2))
        self.assertTrue(until(lambda: self.up(one) and self.up(two)))
        self.assertEqual(self.take(one, two), [(200, 5), (200, 4)])

    def test_no_url(self):
        server = self.start(RATE_LIMIT_BACKEND="redis", REDIS_URL="")
        self.assertEqual(self.take(server), [(200, 5)])
        self.assertTrue(until(lambda: any("rate_limit_backend" in line and "REDIS_URL is not set" in line for line in list(server.log))))


if __name__ == "__main__":
    BINARY = sys.argv.pop(1)
    if shutil.which("redis-server") is None:
        print("redis-server is not installed (scripts/bootstrap installs it)", file=sys.stderr)
        sys.exit(77)
    unittest.main(verbosity=2)
