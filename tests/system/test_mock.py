#!/usr/bin/env python3
"""Mock models in a whole server: their times, their answers, their faults and what the server makes of these.

usage: test_mock.py SIS_BINARY [unittest options]
"""
import concurrent.futures
import http.client
import json
import re
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from sis_server import JSON, Server, until  # noqa: E402

BINARY = None


def chat(server, prompt="hello", timeout=60, **fields):
    fields = {"model": "mock-chat", "messages": [{"role": "user", "content": prompt}], **fields}
    status, headers, text = server.request("POST", "/v1/chat/completions", json.dumps(fields), JSON, timeout)
    return status, headers, json.loads(text)


def embed(server, *texts, model="mock-embed"):
    status, headers, text = server.request("POST", "/v1/embeddings", json.dumps({"model": model, "input": texts}), JSON)
    return status, headers, json.loads(text)


def content(answer):
    return answer["choices"][0]["message"]["content"]


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def cpu_seconds(server):
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def resident_mib(server):
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


class Answers(unittest.TestCase):
    def test_same_input_same_answer_in_every_process(self):
        runs = []
        for _ in range(2):
            with Server(BINARY, arguments=["--mock"]) as server:
                self.assertTrue(any("mock-chat is a MOCK" in line for line in server.said), server.said)
                texts = [content(chat(server, prompt, temperature=t)[2]) for prompt in ("hello", "why?") for t in (0, 1, 2)]
                self.assertEqual(len(set(texts)), 2, texts)
                for text in texts:
                    self.assertRegex(text, r"^([A-Z][a-z]*( [a-z]+){7}\.)( [A-Z][a-z]*( [a-z]+){7}\.)+$")
                vectors = [item["embedding"] for item in embed(server, "the old river", "the old river runs", "7 x 8?")[2]["data"]]
                runs.append((texts, vectors))
        self.assertEqual(runs[0], runs[1])
        one, near, far = runs[0][1]
        self.assertAlmostEqual(dot(one, one), 1, places=4)
        self.assertGreater(dot(one, near), 0.5)
        self.assertLess(dot(one, far), dot(one, near))

    def test_lengths_stops_and_grammars_are_the_real_ones(self):
        with Server(BINARY, arguments=["--mock"]) as server:
            _, _, answer = chat(server, max_tokens=5)
            self.assertEqual((answer["choices"][0]["finish_reason"], answer["usage"]["completion_tokens"]), ("length", 5))
            whole = content(chat(server)[2])
            word = whole.split()[3]
            self.assertEqual(content(chat(server, stop=[word])[2]).strip(), whole.split(word)[0].strip())
            schema = {"type": "object", "properties": {"name": {"type": "string"}, "n": {"type": "integer"}},
                      "required": ["name", "n"], "additionalProperties": False}
            _, _, answer = chat(server, max_tokens=200, response_format={
                "type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}})
            value = json.loads(content(answer))
            self.assertEqual((set(value), type(value["name"]), type(value["n"])), ({"name", "n"}, str, int))
            status, _, text = server.request("POST", "/tokenize", json.dumps({"model": "mock-chat", "prompt": "the old river é😀"}), JSON)
            self.assertEqual(status, 200, text)
            ids = json.loads(text)["tokens"]
            status, _, text = server.request("POST", "/detokenize", json.dumps({"model": "mock-chat", "tokens": ids}), JSON)
            self.assertIn("the old river é😀", json.loads(text)["prompt"])


class Told(unittest.TestCase):
    def test_models_are_listed_as_they_were_named(self):
        with tempfile.TemporaryDirectory() as folder:
            catalog = Path(folder) / "models.yaml"
            catalog.write_text("models:\n  - {name: talks, handler: mock_chat}\n  - {name: vectors, handler: mock_embedding}\n"
                               "  - {name: talks-too, handler: mock_chat}\n")
            names = ["talks", "vectors", "talks-too"]
            settings = {"MODEL_CONFIG_PATH": str(catalog), "MODELS": ",".join(names), "WARMUP_STEPS": "2", "WARMUP_SKIPLIST": "vectors"}
            with Server(BINARY, settings) as server:
                models = json.loads(server.request("GET", "/v1/models")[2])["data"]
                self.assertEqual([model["id"] for model in models], names)
                health = json.loads(server.request("GET", "/health")[2])
                self.assertEqual((health["models"], health["warmup"]["ok_models"]), (names, names))
                self.assertEqual([queue["model"] for queue in health["chat_batch_queues"]], ["talks", "talks-too"])
                until(lambda: sum("warmup_pool_ready" in line for line in list(server.log)) == 2)  # the log may come after the answers
                lines = [json.loads(line) for line in server.log]
                told = [(line["message"], line.get("model"), line.get("workers")) for line in lines if line["message"].startswith("warmup_")]
                steps = {name: [("warmup_plan", name, 1)] + [("warmup_step_ok", name, None)] * 2 + [("warmup_ok", name, None)]
                         for name in ("talks", "talks-too")}
                self.assertEqual(told, [("warmup_skip", "vectors", None), *steps["talks"], *steps["talks-too"], ("warmup_completed", None, None),
                                        ("warmup_pool_ready", "talks", 1), ("warmup_pool_ready", "talks-too", 1)])
            with Server(BINARY, {**settings, "ENABLE_CHAT_BATCHING": "0"}) as server:
                health = json.loads(server.request("GET", "/health")[2])
                self.assertEqual(health["chat_batch_queues"], [], "nobody waits in a line for company")
                self.assertEqual([queue["model"] for queue in health["embedding_batch_queues"]], ["vectors"])

    def test_a_line_that_is_full_and_one_that_is_slow(self):
        settings = {"MOCK_DECODE_US_PER_STEP": "20000", "CHAT_BATCH_MAX_SIZE": "1", "CHAT_BATCH_QUEUE_SIZE": "2", "CHAT_BATCH_WINDOW_MS": "0",
                    "CHAT_QUEUE_MAX_WAIT_MS": "300", "CHAT_PREFIX_CACHE": "0"}
        with Server(BINARY, settings, ["--mock"]) as server:
            def lines(message):
                return [entry for entry in map(json.loads, list(server.log)) if entry["message"] == message]
            with concurrent.futures.ThreadPoolExecutor(12) as pool:
                statuses = [status for status, _, _ in pool.map(lambda i: chat(server, f"{i}", max_tokens=60, ignore_eos=True), range(12))]
            self.assertGreaterEqual(statuses.count(429), 9, statuses)
            self.assertTrue(until(lambda: lines("chat_batch_queue_full") and lines("chat_batch_items_dropped_due_to_queue_wait")), server.log)
            full, dropped = lines("chat_batch_queue_full")[0], lines("chat_batch_items_dropped_due_to_queue_wait")[0]
            self.assertEqual((full["model"], full["queue_size"], full["max_queue_size"]), ("mock-chat", 2, 2))
            self.assertEqual((dropped["model"], dropped["max_queue_size"], dropped["queue_max_wait_sec"]), ("mock-chat", 2, 0.3))
            self.assertGreaterEqual(dropped["dropped"], 1)
            self.assertGreater(dropped["oldest_wait_sec"], 0.3)


class Times(unittest.TestCase):
    def test_settings_and_catalog_set_the_times(self):
        with tempfile.TemporaryDirectory() as folder:
            catalog = Path(folder) / "models.yaml"
            catalog.write_text("models:\n"
                               "  - {name: slow, handler: mock_chat, mock: {decode_us_per_step: 20000, jitter: 0}}\n"
                               "  - {name: quick, handler: mock_chat}\n"
                               "  - {name: vectors, handler: mock_embedding, mock: {embed_us_per_batch: 100000}}\n")
            with Server(BINARY, {"MODEL_CONFIG_PATH": str(catalog), "MODELS": "slow,quick,vectors",
                                 "MOCK_DECODE_US_PER_STEP": "500", "EMBEDDING_CACHE_SIZE": "0"}) as server:
                def took(run):
                    best = 1e9
                    for _ in range(2):
                        begin = time.monotonic()
                        self.assertEqual(run()[0], 200)
                        best = min(best, time.monotonic() - begin)
                    return best
                slow = took(lambda: chat(server, model="slow", max_tokens=26, ignore_eos=True))
                quick = took(lambda: chat(server, model="quick", max_tokens=26, ignore_eos=True))
                vectors = took(lambda: embed(server, "x", model="vectors"))
                self.assertGreaterEqual(slow, 25 * 0.020)
                self.assertGreaterEqual(quick, 25 * 0.0005)
                self.assertLess(quick, 25 * 0.020)
                self.assertGreaterEqual(vectors, 0.1)
                self.assertLess(vectors, 1)
                # Waiting is asleep: half a second of steps costs little of a core.
                before = cpu_seconds(server)
                chat(server, model="slow", max_tokens=50, ignore_eos=True)
                self.assertLess(cpu_seconds(server) - before, 0.5)

    def test_wrong_values_are_named(self):
        with tempfile.TemporaryDirectory() as folder:
            catalog = Path(folder) / "models.yaml"
            for entry, words in (("{name: a, handler: mock_chat, mock: {decode: 1}}", "decode_us_per_step"),
                                 ("{name: a, handler: mock_chat, mock: {jitter: 2}}", "jitter: want a number from 0 to 1"),
                                 ("{name: a, hf_repo_id: x/y, handler: chat, mock: {jitter: 1}}", "only for the handlers mock_chat")):
                catalog.write_text(f"models:\n  - {entry}\n")
                with self.assertRaises(RuntimeError) as raised:
                    Server(BINARY, {"MODEL_CONFIG_PATH": str(catalog), "MODELS": "a"}).stop()
                self.assertIn(words, str(raised.exception))

    def test_memory_is_taken(self):
        with Server(BINARY, {"MOCK_MEMORY_MB": "150"}, ["--mock"]) as server:
            self.assertGreater(resident_mib(server), 300)  # two models


class Faults(unittest.TestCase):
    """A model that fails is refused, rebuilt and served again; its neighbour notices nothing."""

    def test_breaker_and_rebuild(self):
        with tempfile.TemporaryDirectory() as folder:
            catalog = Path(folder) / "models.yaml"
            catalog.write_text("models:\n"
                               "  - {name: shaky, handler: mock_chat, mock: {failure_rate: 0.02, decode_us_per_step: 300}}\n"
                               "  - {name: shaky-vectors, handler: mock_embedding, mock: {failure_rate: 0.2, embed_us_per_batch: 500}}\n"
                               "  - {name: sound, handler: mock_chat, mock: {decode_us_per_step: 300}}\n")
            with Server(BINARY, {"MODEL_CONFIG_PATH": str(catalog), "MODELS": "shaky,shaky-vectors,sound",
                                 "ENABLE_WARMUP": "0", "EMBEDDING_CACHE_SIZE": "0"}) as server:
                wanted = {p: content(chat(server, p, model="sound")[2]) for p in ("a", "b", "c")}
                seen, problems = {}, []
                lock = threading.Lock()
                begin, over = time.monotonic(), threading.Event()

                def count(model, status):
                    with lock:
                        seen[model, status] = seen.get((model, status), 0) + 1

                def use(worker):
                    n = 0
                    while not over.is_set():
                        n += 1
                        prompt = "abc"[n % 3]
                        status, headers, answer = chat(server, prompt, model="shaky")
                        count("shaky", status)
                        if status == 200 and content(answer) != wanted[prompt]:
                            problems.append(f"another answer after a fault: {content(answer)}")
                        if status == 503 and (answer["error"]["code"] != "circuit_open" or int(headers["Retry-After"]) < 1):
                            problems.append(answer)
                        if status == 503:
                            time.sleep(0.02)
                        status, headers, answer = embed(server, f"{worker} {n}", model="shaky-vectors")
                        count("shaky-vectors", status)
                        if status == 503:
                            time.sleep(0.02)
                        status, _, answer = chat(server, prompt, model="sound")
                        count("sound", status)
                        if content(answer) != wanted[prompt]:
                            problems.append(f"a neighbour's answer changed: {content(answer)}")

                with concurrent.futures.ThreadPoolExecutor(6) as pool:
                    futures = [pool.submit(use, worker) for worker in range(6)]
                    # For 4 s, and until both have failed, been built anew and answered, however long that takes here.
                    until(lambda: problems or any(future.done() for future in futures) or time.monotonic() - begin > 4 and
                          all(seen.get((model, status), 0) for model in ("shaky", "shaky-vectors") for status in (200, 500)) and
                          server.metric("model_rebuilds_total", result="ok") > 1 and server.metric("circuit_breaker_open_total") >= 2, 120)
                    over.set()
                    for future in futures:
                        future.result()
                self.assertEqual(problems[:3], [])
                for model in ("shaky", "shaky-vectors"):
                    self.assertGreater(seen.get((model, 200), 0), 0, seen)
                    self.assertGreater(seen.get((model, 500), 0), 0, seen)
                    self.assertEqual({s for m, s in seen if m == model} - {200, 500, 503}, set(), seen)
                self.assertEqual({s for m, s in seen if m == "sound"}, {200}, seen)
                rebuilt = server.metric("model_rebuilds_total", result="ok")
                self.assertGreater(rebuilt, 1)
                self.assertGreaterEqual(server.metric("circuit_breaker_open_total"), 2)
                self.assertTrue(until(lambda: all(
                    state == "closed" for state in json.loads(server.request("GET", "/health")[2])["circuit_breakers"].values())))
                self.assertEqual(server.metric("circuit_breaker_state"), 0)
                self.assertTrue(until(lambda: server.metric("chat_running_sequences") == 0 and server.metric("chat_kv_blocks", state="used") == 0))
                for message in ("engine_fault", "model_rebuilt"):
                    self.assertTrue(until(lambda: any(message in line for line in list(server.log))), message)

    def test_a_model_that_stays_broken_stays_refused(self):
        with Server(BINARY, {"MOCK_FAILURE_RATE": "1", "ENABLE_WARMUP": "0"}, ["--mock"]) as server:
            status, _, answer = chat(server)
            self.assertEqual(status, 500)
            self.assertNotIn("MOCK_FAILURE_RATE", json.dumps(answer))
            status, headers, answer = chat(server)
            self.assertEqual((status, answer["error"]["code"]), (503, "circuit_open"))
            self.assertGreaterEqual(int(headers["Retry-After"]), 1)
            self.assertTrue(until(lambda: server.metric("model_rebuilds_total", model="mock-chat", result="failed") >= 2))
            health = json.loads(server.request("GET", "/health")[2])
            self.assertEqual(health["circuit_breakers"], {"mock-chat": "open", "mock-embed": "closed"})
            self.assertEqual(server.metric("circuit_breaker_state", model="mock-chat"), 2)
            self.assertEqual(server.metric("circuit_breaker_open_total"), 1)
            for path, body in (("/v1/completions", {"model": "mock-chat", "prompt": "x"}),
                               ("/v1/infer", {"model": "mock-chat", "prompt": "x"})):
                self.assertEqual(server.request("POST", path, json.dumps(body), JSON)[0], 503, path)


class Soak(unittest.TestCase):
    """Some thousand mixed requests over kept connections leave no memory behind. benchmarks/soak runs a million."""

    def worker(self, server, requests):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        failed = 0
        for i in requests:
            if i % 4 == 0:
                path, body = "/v1/chat/completions", {"model": "mock-chat", "max_tokens": 8, "stream": i % 8 == 0,
                                                      "messages": [{"role": "user", "content": f"number {i % 500}"}]}
            elif i % 4 == 1:
                path, body = "/v1/infer", {"model": "mock-chat", "prompt": f"n {i}", "idempotency_key": str(i),
                                           "params": {"max_new_tokens": 4}}
            else:
                path, body = "/v1/embeddings", {"model": "mock-embed", "input": [f"text {i}", f"other {i % 100}"]}
            connection.request("POST", path, json.dumps(body), JSON)
            response = connection.getresponse()
            response.read()
            failed += response.status != 200
        connection.close()
        return failed

    def test_memory_stays(self):
        with Server(BINARY, {"IDEMPOTENCY_MAX_ENTRIES": "200", "CHAT_BATCH_QUEUE_SIZE": "256", "LOG_LEVEL": "WARNING"},
                    ["--mock"]) as server:
            memory, done = [], 0
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                for _ in range(4):
                    parts = [range(done + part, done + 1200, 4) for part in range(4)]
                    self.assertEqual(sum(pool.map(lambda part: self.worker(server, part), parts)), 0)
                    done += 1200
                    memory.append(resident_mib(server))
            # A leak grows every time; buffers that a thread books when its turn comes first do not.
            growth = min(after - before for before, after in zip(memory[1:], memory[2:]))
            self.assertLess(growth, 4, f"MiB after each {1200} requests: {memory}")


if __name__ == "__main__":
    BINARY = sys.argv.pop(1)
    unittest.main(verbosity=2)
