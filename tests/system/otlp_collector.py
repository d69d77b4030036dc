"""A stand-in for an OpenTelemetry collector: takes OTLP/HTTP in JSON and checks its shape. Standard library only.

The shape is opentelemetry-proto's ExportTraceServiceRequest as JSON: https://opentelemetry.io/docs/specs/otlp/
"""
import http.server
import json
import re
import threading
import time

HEX = {"traceId": 32, "spanId": 16, "parentSpanId": 16}
SPAN_FIELDS = {"traceId", "spanId", "parentSpanId", "traceState", "name", "kind", "flags", "startTimeUnixNano",
               "endTimeUnixNano", "attributes", "status"}
VALUE_TYPES = {"stringValue": str, "intValue": str, "doubleValue": (int, float), "boolValue": bool, "arrayValue": dict}


def check_value(value):
    assert isinstance(value, dict) and len(value) == 1, value
    (kind, inner), = value.items()
    assert kind in VALUE_TYPES and isinstance(inner, VALUE_TYPES[kind]), value
    if kind == "intValue":
        assert re.fullmatch(r"-?\d{1,19}", inner), value
    if kind == "arrayValue":
        assert set(inner) == {"values"}, value
        for item in inner["values"]:
            check_value(item)


def check_attributes(attributes):
    assert isinstance(attributes, list)
    keys = [one["key"] for one in attributes]
    assert len(set(keys)) == len(keys), keys  # unique, says the specification
    for one in attributes:
        assert set(one) == {"key", "value"} and one["key"], one
        check_value(one["value"])


def check_request(body):
    """Raises AssertionError for anything that is no ExportTraceServiceRequest; gives its spans back."""
    spans = []
    assert set(body) == {"resourceSpans"}, body
    for resource_spans in body["resourceSpans"]:
        assert set(resource_spans) == {"resource", "scopeSpans"}, resource_spans
        check_attributes(resource_spans["resource"]["attributes"])
        names = [one["key"] for one in resource_spans["resource"]["attributes"]]
        assert "service.name" in names, names
        for scope_spans in resource_spans["scopeSpans"]:
            assert set(scope_spans) == {"scope", "spans"}, scope_spans
            assert isinstance(scope_spans["scope"]["name"], str)
            for span in scope_spans["spans"]:
                check_span(span)
                spans.append(span)
    return spans


def check_span(span):
    assert set(span) <= SPAN_FIELDS, span
    for key, digits in HEX.items():
        if key in span or key != "parentSpanId":
            assert re.fullmatch(f"[0-9a-f]{{{digits}}}", span[key]) and set(span[key]) != {"0"}, span
    assert span["name"] and isinstance(span["name"], str), span
    assert span["kind"] in range(1, 6), span
    assert isinstance(span["flags"], int) and span["flags"] & 1, span
    for key in ("startTimeUnixNano", "endTimeUnixNano"):
        assert re.fullmatch(r"\d{19}", span[key]), span
    assert int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"]), span
    assert span["status"].get("code", 0) in (0, 1, 2), span
    check_attributes(span["attributes"])


def attributes(span):
    """{key: plain value} of a span."""
    def plain(value):
        (kind, inner), = value.items()
        if kind == "arrayValue":
            return [plain(item) for item in inner["values"]]
        return int(inner) if kind == "intValue" else inner
    return {one["key"]: plain(one["value"]) for one in span["attributes"]}


class Collector:
    """with Collector() as collector: ... collector.endpoint, collector.spans, collector.faults

    `answer(number, handler)` may answer a request itself (True: it has), the first being number 1.
    """

    def __init__(self, answer=None):
        self.spans, self.faults, self.requests = [], [], 0
        self.changed = threading.Condition()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with collector.changed:
                    collector.requests += 1
                    number = collector.requests
                    collector.changed.notify_all()
                if answer and answer(number, self):
                    return
                spans = []
                try:
                    assert self.path == "/v1/traces", self.path
                    assert self.headers["Content-Type"] == "application/json", self.headers["Content-Type"]
                    spans = check_request(json.loads(body))
                except (AssertionError, ValueError, KeyError, TypeError) as fault:
                    collector.faults.append(f"{fault!r} in {body[:2000]!r}")
                with collector.changed:
                    collector.spans += spans
                    collector.changed.notify_all()
                self.reply(200, b'{"partialSuccess":{}}')

            def reply(self, status, body):
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def wait(self, condition, seconds=30):
        """Whether `condition(self)` came true in time."""
        until = time.monotonic() + seconds
        with self.changed:
            while not condition(self):
                left = until - time.monotonic()
                if left <= 0:
                    return False
                self.changed.wait(min(left, 0.2))
        return True

    def traces(self):
        """{trace id: its spans}"""
        out = {}
        for span in list(self.spans):
            out.setdefault(span["traceId"], []).append(span)
        return out

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
