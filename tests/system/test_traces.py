#!/usr/bin/env python3
"""Traces, request logs and timing headers of the server as a process, against a collector's stand-in that checks what it
is sent. Standard library only.

usage: test_traces.py SIS_BINARY [unittest options]
"""
import http.client
import json
import socket
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from otlp_collector import Collector, attributes  # noqa: E402
from sis_server import JSON, Server, tiny_catalog, until  # noqa: E402

BINARY = None
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{PARENT}-01"
UNSAMPLED = f"00-{TRACE}-{PARENT}-00"


class Models:
    """Settings of a server with one model of each kind."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.settings = {"MODEL_CONFIG_PATH": tiny_catalog(self.folder.name), "MODELS": "tiny,demo/embed", "LOG_LEVEL": "DEBUG"}

    def cleanup(self):
        self.folder.cleanup()


def embed_body(text="hello"):
    return json.dumps({"model": "demo/embed", "input": text})


def chat_body(**fields):
    return json.dumps({"model": "tiny", "messages": [{"role": "user", "content": "Why?"}], "max_tokens": 12, "seed": 1,
                       "ignore_eos": True, **fields})


def line_of(server, request_id):
    """The one log line of a request, as JSON."""
    def lines():
        return [json.loads(line) for line in list(server.log) if request_id in line]
    if not until(lines, 10):
        raise AssertionError(f"no line of {request_id}")
    found = lines()
    if len(found) != 1:
        raise AssertionError(f"{len(found)} lines of {request_id}: {found}")
    return found[0]


class Traces(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.models = Models()
        cls.collector = Collector()
        cls.server = Server(BINARY, {**cls.models.settings, "OTLP_ENDPOINT": cls.collector.endpoint, "SERVICE_NAME": "traced"})

    @classmethod
    def tearDownClass(cls):
        code = cls.server.stop()
        cls.collector.__exit__()
        cls.models.cleanup()
        if code != 0:
            raise RuntimeError(f"sis serve ended with {code}")

    def spans_of(self, request_id):
        """The server's span of a request and its children by name, checked to lie within it."""
        def mine(collector):
            return [span for span in list(collector.spans) if attributes(span).get("sis.request_id") == request_id]
        self.assertTrue(self.collector.wait(mine), f"no span of {request_id}")
        self.assertEqual(self.collector.faults, [])
        parents = mine(self.collector)
        self.assertEqual(len(parents), 1)
        parent = parents[0]
        self.assertEqual(parent["kind"], 2)
        children = [span for span in list(self.collector.spans) if span.get("parentSpanId") == parent["spanId"]]
        for child in children:
            self.assertEqual(child["traceId"], parent["traceId"])
            self.assertEqual(child["kind"], 1)
            self.assertGreaterEqual(int(child["startTimeUnixNano"]), int(parent["startTimeUnixNano"]), child["name"])
            self.assertLessEqual(int(child["endTimeUnixNano"]), int(parent["endTimeUnixNano"]), child["name"])
        names = [child["name"] for child in children]
        self.assertEqual(len(set(names)), len(names), names)
        return parent, {child["name"]: child for child in children}

    def ordered(self, children, *names):
        """Stages that follow each other begin in that order."""
        begins = [int(children[name]["startTimeUnixNano"]) for name in names]
        self.assertEqual(begins, sorted(begins), names)

    def post(self, path, body, request_id, headers=None):
        return self.server.request("POST", path, body, {**JSON, "X-Request-ID": request_id, **(headers or {})})

    def test_an_embedding_joins_its_callers_trace(self):
        status, headers, _ = self.post("/v1/embeddings", embed_body("a new text"), "embed-1",
                                       {"traceparent": SAMPLED, "tracestate": "rojo=1,congo=2"})
        self.assertEqual(status, 200)
        parent, children = self.spans_of("embed-1")
        self.assertEqual(parent["traceId"], TRACE)
        self.assertEqual(parent["parentSpanId"], PARENT)
        self.assertEqual(parent["traceState"], "rojo=1,congo=2")
        self.assertEqual(parent["flags"] & 0x300, 0x300)  # the parent is another process's
        self.assertEqual(headers["traceresponse"], f"00-{TRACE}-{parent['spanId']}-01")
        self.assertEqual(parent["name"], "POST /v1/embeddings")
        said = attributes(parent)
        self.assertEqual(said["http.request.method"], "POST")
        self.assertEqual(said["http.route"], "/v1/embeddings")
        self.assertEqual(said["http.response.status_code"], 200)
        self.assertEqual(said["gen_ai.operation.name"], "embeddings")
        self.assertEqual(said["gen_ai.request.model"], "demo/embed")
        self.assertGreater(said["gen_ai.usage.input_tokens"], 0)
        self.assertEqual(said["client.address"], "127.0.0.1")
        for name in ("parse", "prepare", "queue", "compute", "write"):
            self.assertIn(name, children)
        self.ordered(children, "parse", "prepare", "queue", "compute", "write")
        self.assertLess(abs(int(parent["endTimeUnixNano"]) / 1e9 - time.time()), 60)
        # Again: from the cache, in a trace of its own.
        self.post("/v1/embeddings", embed_body("a new text"), "embed-2")
        parent, children = self.spans_of("embed-2")
        self.assertNotEqual(parent["traceId"], TRACE)
        self.assertNotIn("parentSpanId", parent)
        self.assertIn("cache", children)
        self.assertNotIn("compute", children)

    def test_chat_whole_and_streamed(self):
        for number, stream in enumerate((False, True)):
            with self.subTest(stream=stream):
                name = f"chat-{number}"
                status, headers, text = self.post("/v1/chat/completions", chat_body(stream=stream), name)
                self.assertEqual(status, 200, text)
                parent, children = self.spans_of(name)
                said = attributes(parent)
                self.assertEqual(said["gen_ai.operation.name"], "chat")
                self.assertEqual(said["gen_ai.request.model"], "tiny")
                self.assertEqual(said["gen_ai.request.max_tokens"], 12)
                self.assertEqual(said["gen_ai.usage.output_tokens"], 12)
                self.assertGreater(said["gen_ai.usage.input_tokens"], 0)
                self.assertEqual(said["gen_ai.response.finish_reasons"], ["length"])
                self.assertEqual(said["sis.stream"], stream)
                self.assertEqual(parent["status"], {})
                self.ordered(children, "parse", "prepare", "queue", "prefill", "decode")
                entry = line_of(self.server, name)
                self.assertEqual(entry["trace_id"], parent["traceId"])
                self.assertEqual(entry["span_id"], parent["spanId"])
                timing = headers["Server-Timing"]
                for stage in ("parse", "queue", "total") + (() if stream else ("prepare", "prefill", "decode", "write")):
                    self.assertIn(f"{stage};dur=", timing)
                if not stream:
                    self.assertIn("write", children)

    def test_what_goes_wrong(self):
        self.post("/v1/chat/completions", chat_body(model="no/such"), "wrong-1")
        parent, _ = self.spans_of("wrong-1")
        self.assertEqual(parent["status"], {})  # the caller's mistake is no error of the server
        self.assertEqual(attributes(parent)["http.response.status_code"], 404)
        self.assertEqual(attributes(parent)["gen_ai.request.model"], "unknown")
        self.server.request("GET", "/no/such/path", None, {"X-Request-ID": "wrong-2"})
        parent, _ = self.spans_of("wrong-2")
        self.assertEqual(parent["name"], "GET")  # paths from outside are no names
        self.assertNotIn("http.route", attributes(parent))
        # A client that goes away in the middle of a stream.
        with socket.create_connection(("127.0.0.1", self.server.port)) as client:
            body = chat_body(stream=True, max_tokens=100).encode()
            client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Request-ID: wrong-3\r\n"
                           b"Content-Length: %d\r\n\r\n" % len(body) + body)
            client.recv(1000)
        parent, children = self.spans_of("wrong-3")
        if attributes(parent)["http.response.status_code"] != 200:  # it may have been faster than our leaving
            self.assertEqual(attributes(parent)["http.response.status_code"], 499)
            self.assertIn("prefill", children)

    def test_text_routes_and_quiet_ones(self):
        self.post("/tokenize", json.dumps({"model": "tiny", "prompt": "some words"}), "text-1")
        parent, children = self.spans_of("text-1")
        self.assertEqual(parent["name"], "POST /tokenize")
        self.assertEqual(attributes(parent)["gen_ai.request.model"], "tiny")
        self.ordered(children, "queue", "parse", "compute")
        for path in ("/health", "/ready", "/live", "/metrics"):
            self.server.request("GET", path, None, {"X-Request-ID": f"quiet{path}", "traceparent": SAMPLED})
            self.assertEqual(line_of(self.server, f"quiet{path}")["level"], "DEBUG")
        self.post("/tokenize", json.dumps({"model": "tiny", "prompt": "later"}), "text-2")
        self.spans_of("text-2")
        quiet = [span for span in self.collector.spans if str(attributes(span).get("sis.request_id", "")).startswith("quiet")]
        self.assertEqual(quiet, [])

    def test_the_callers_decision_and_hostile_headers(self):
        status, headers, _ = self.post("/v1/embeddings", embed_body(), "not-sampled", {"traceparent": UNSAMPLED})
        self.assertTrue(headers["traceresponse"].startswith(f"00-{TRACE}-"))
        self.assertTrue(headers["traceresponse"].endswith("-00"))
        self.assertEqual(line_of(self.server, "not-sampled")["trace_id"], TRACE)
        broken = ["x", "00-" + "0" * 32 + "-" + PARENT + "-01", SAMPLED.upper(), SAMPLED + "-x", "ff" + SAMPLED[2:], "0" * 8000, SAMPLED[:-1]]
        for number, header in enumerate(broken):
            status, _, _ = self.post("/v1/embeddings", embed_body(), f"hostile-{number}",
                                     {"traceparent": header, "tracestate": "=,=;\x7f", "User-Agent": "u" * 5000})
            self.assertIn(status, (200, 400), header)  # 400: the HTTP parser refuses the control byte
            if status == 200:
                self.assertNotEqual(self.spans_of(f"hostile-{number}")[0]["traceId"], TRACE)
        for number, header in enumerate(broken):
            self.post("/v1/embeddings", embed_body(), f"hostile2-{number}", {"traceparent": header, "tracestate": "=,a", "User-Agent": "u" * 5000})
            parent, _ = self.spans_of(f"hostile2-{number}")
            self.assertNotEqual(parent["traceId"], TRACE)
            self.assertNotIn("traceState", parent)
            self.assertLessEqual(len(attributes(parent)["user_agent.original"]), 256)
        self.assertFalse([span for span in self.collector.spans if attributes(span).get("sis.request_id") == "not-sampled"])

    def test_the_export_is_counted(self):
        self.post("/v1/embeddings", embed_body(), "counted")
        self.spans_of("counted")
        self.assertTrue(until(lambda: self.server.metric("trace_spans_sent_total") >= 2))
        self.assertEqual(self.server.metric("trace_spans_dropped_total"), 0)


class Timing(unittest.TestCase):
    """Without tracing: headers and lines of every route."""

    @classmethod
    def setUpClass(cls):
        cls.models = Models()
        cls.server = Server(BINARY, cls.models.settings)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        cls.models.cleanup()

    def test_every_answer_and_line_tells_times(self):
        cases = [("POST", "/v1/embeddings", embed_body("one"), 200, "embedding_request"),
                 ("POST", "/v1/embeddings", "{", 400, "embedding_request"),
                 ("POST", "/v1/chat/completions", chat_body(), 200, "chat_request"),
                 ("POST", "/v1/chat/completions", chat_body(stream=True), 200, "chat_request"),
                 ("POST", "/v1/chat/completions", chat_body(model="x"), 404, "chat_request"),
                 ("POST", "/v1/completions", json.dumps({"model": "tiny", "prompt": "a", "max_tokens": 3}), 200, "completion_request"),
                 ("POST", "/tokenize", json.dumps({"prompt": "a"}), 200, "http_request"),
                 ("POST", "/detokenize", json.dumps({"tokens": [1]}), 200, "http_request"),
                 ("POST", "/apply-template", json.dumps({"messages": [{"role": "user", "content": "a"}]}), 200, "http_request"),
                 ("POST", "/tokenize", "[", 400, "http_request"),
                 ("GET", "/v1/models", None, 200, "http_request"),
                 ("GET", "/v1/models/none", None, 404, "http_request"),
                 ("GET", "/health", None, 200, "http_request"),
                 ("GET", "/health/", None, 307, "http_request"),
                 ("GET", "/nowhere", None, 404, "http_request"),
                 ("GET", "/v1/embeddings", None, 405, "http_request")]
        for number, (method, path, body, wanted, event) in enumerate(cases):
            with self.subTest(path=path, status=wanted):
                request_id = f"timed-{number}."
                status, headers, text = self.server.request(method, path, body, {**JSON, "X-Request-ID": request_id})
                self.assertEqual(status, wanted, text)
                self.assertRegex(headers["X-Response-Time"], r"^\d+\.\d\d$")
                self.assertRegex(headers["Server-Timing"], r"^(\w+;dur=\d+\.\d{3}, )*total;dur=\d+\.\d{3}$")
                self.assertIsNone(headers["traceresponse"])
                entry = line_of(self.server, request_id)
                self.assertEqual(entry["message"], event)
                self.assertEqual(entry["status"], wanted)
                self.assertRegex(entry["trace_id"], "^[0-9a-f]{32}$")
                self.assertRegex(entry["span_id"], "^[0-9a-f]{16}$")
                spent = sum(value for key, value in entry.items() if key.endswith("_ms") and key not in ("latency_ms", "first_token_ms"))
                self.assertLessEqual(spent, entry["latency_ms"] * 1.001 + 0.01, entry)
                if status == 200 and method == "POST":
                    self.assertGreater(spent, 0, entry)
                    self.assertIn("model", entry)
        line = line_of(self.server, "timed-2.")
        for key in ("parse_ms", "queue_ms", "prepare_ms", "prefill_ms", "decode_ms", "write_ms"):
            self.assertIn(key, line)

    def test_a_callers_trace_is_passed_on(self):
        _, headers, _ = self.server.request("GET", "/v1/models", None, {"traceparent": SAMPLED, "X-Request-ID": "passed"})
        self.assertTrue(headers["traceresponse"].startswith(f"00-{TRACE}-"))
        self.assertTrue(headers["traceresponse"].endswith("-01"))
        self.assertEqual(line_of(self.server, "passed")["trace_id"], TRACE)

    def test_requests_are_counted_by_route(self):
        before = {"/tokenize": 0, "unknown": 0}
        for route in before:
            try:
                before[route] = self.server.metric("http_requests_total", route=route)
            except KeyError:
                pass
        for _ in range(3):
            self.server.request("POST", "/tokenize", json.dumps({"model": "tiny", "prompt": "a"}), JSON)
        for number in range(5):
            self.server.request("GET", f"/random/{number}")
            self.server.request("POST", "/tokenize", json.dumps({"model": f"m{number}", "prompt": "a"}), JSON)
        self.assertEqual(self.server.metric("http_requests_total", route="/tokenize"), before["/tokenize"] + 8)
        self.assertEqual(self.server.metric("http_requests_total", route="unknown"), before["unknown"] + 5)
        self.assertEqual(self.server.metric("http_requests_total", route="/tokenize", model="unknown", status="404"), 5)
        self.assertGreater(self.server.metric("device_memory_reserved_bytes", device="cpu"), 1e6)
        self.assertGreaterEqual(self.server.metric("device_memory_reserved_bytes"), self.server.metric("device_memory_used_bytes"))
        self.assertGreater(self.server.metric("device_memory_total_bytes"), self.server.metric("device_memory_reserved_bytes"))


class Trouble(unittest.TestCase):
    """Whatever the collector does, requests are answered as fast as ever."""

    def serves(self, endpoint, settings=None, seconds=0.0, check=lambda server: None):
        models = Models()
        try:
            with Server(BINARY, {**models.settings, "OTLP_ENDPOINT": endpoint, **(settings or {})}) as server:
                connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
                begin, slowest = time.monotonic(), 0.0
                for number in range(2000):
                    start = time.monotonic()
                    connection.request("POST", "/v1/embeddings", embed_body("same"), JSON)
                    response = connection.getresponse()
                    response.read()
                    self.assertEqual(response.status, 200)
                    if number > 0:
                        slowest = max(slowest, time.monotonic() - start)
                connection.close()
                print(f"\n  {2000 / (time.monotonic() - begin):.0f} requests/s, slowest {slowest * 1000:.1f} ms", file=sys.stderr)
                self.assertLess(slowest, 4)  # no request waits for an attempt (5 s) or a back-off
                time.sleep(seconds)
                check(server)
                stopping = time.monotonic()
            self.assertLess(time.monotonic() - stopping, 25)  # the flush keeps its budget; who never answers takes a minute
            return server
        finally:
            models.cleanup()

    def test_nobody_listens(self):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"

        def check(server):
            self.assertTrue(until(lambda: server.metric("trace_export_retries_total") > 0))
            self.assertGreater(server.metric("trace_spans_dropped_total", reason="queue_full"), 0)
            self.assertLessEqual(server.metric("trace_queue_spans"), 4096 + 600)
            self.assertTrue(until(lambda: any("trace_export_failed" in line for line in server.log)))
        begin = time.monotonic()
        server = self.serves(endpoint, check=check)
        complaints = [line for line in server.log if "trace_export_failed" in line]
        self.assertIn(len(complaints), range(1, 2 + int((time.monotonic() - begin) / 60)))  # one a minute, not one per attempt

    def test_it_never_answers(self):
        with Collector(answer=lambda number, handler: time.sleep(60) or True) as collector:
            self.serves(collector.endpoint, check=lambda server: self.assertTrue(collector.wait(lambda c: c.requests > 0)))

    def test_it_answers_garbage(self):
        def garbage(number, handler):
            handler.wfile.write(b"\x00\xffnot HTTP at all\r\n\r\n" * 100)
            handler.close_connection = True
            return True
        with Collector(answer=garbage) as collector:
            self.serves(collector.endpoint)
            self.assertGreater(collector.requests, 0)

    def test_refused_spans_are_not_sent_again(self):
        def refuse(number, handler):
            handler.reply(400, b'{"message":"no"}')
            return True

        def check(server):
            self.assertTrue(until(lambda: server.metric("trace_spans_dropped_total", reason="refused") > 0))
            self.assertEqual(server.metric("trace_export_retries_total"), 0)
        with Collector(answer=refuse) as collector:
            self.serves(collector.endpoint, check=check)

    def test_it_comes_back(self):
        def busy(number, handler):
            if number > 2:
                return False
            handler.reply(503, b"")
            return True
        with Collector(answer=busy) as collector:
            self.serves(collector.endpoint, {"TRACE_SAMPLE_RATIO": "0.2"},
                        check=lambda server: self.assertTrue(collector.wait(lambda c: len(c.spans) > 0)))
            self.assertEqual(collector.faults, [])
            kept = len(collector.traces())
            self.assertTrue(280 < kept < 530, kept)  # 2,000 at 0.2: seven standard deviations

    def test_what_waits_is_sent_at_the_end(self):
        with Collector() as collector:
            models = Models()
            with Server(BINARY, {**models.settings, "OTLP_ENDPOINT": collector.endpoint}) as server:
                for number in range(5):
                    server.request("POST", "/v1/embeddings", embed_body(f"{number}"), {**JSON, "X-Request-ID": f"end-{number}"})
            models.cleanup()
            ids = {attributes(span).get("sis.request_id") for span in collector.spans}
            self.assertTrue({f"end-{number}" for number in range(5)} <= ids, ids)

    def test_settings(self):
        models = Models()
        with Server(BINARY, {**models.settings, "OTLP_ENDPOINT": "http://127.0.0.1:4317"}) as server:
            self.assertTrue(until(lambda: any("gRPC" in line and "4318" in line for line in server.log)))
        with Collector() as collector:
            with Server(BINARY, {**models.settings, "OTLP_ENDPOINT": collector.endpoint, "ENABLE_TRACING": "0"}) as server:
                server.request("POST", "/v1/embeddings", embed_body(), {**JSON, "traceparent": SAMPLED})
            self.assertEqual(collector.requests, 0)
        for settings, word in (({"OTLP_ENDPOINT": "localhost:4318"}, "OTLP_ENDPOINT"), ({"TRACE_SAMPLE_RATIO": "1.5"}, "TRACE_SAMPLE_RATIO")):
            server = Server(BINARY, {**models.settings, **settings}, wait=False)
            self.assertNotEqual(server.process.wait(30), 0)
            server.stop()
            self.assertTrue(any(word in line for line in server.said), server.said)
        models.cleanup()


if __name__ == "__main__":
    BINARY = sys.argv.pop(1)
    unittest.main(verbosity=2)
