#!/usr/bin/env python3
"""A KServe v2 server of known behaviour, for tests of clients.

Every model sleeps for known times and counts what it really took, so that a client's server report can be
compared with what the server knows. Requests are checked strictly: a wrong one is answered with 400 and
listed under GET /test/log, beside the number of calls of every path. Also POST /v1/chat/completions with
known gaps. Standard library only; prints "port N" when it listens.

  simple     FP32 [4] -> FP32 [4], batches up to 8: queue 1, input 0.3, infer 6, output 0.2 ms
  text       BYTES [1] and INT32 [1] -> BYTES [1], batches up to 8
  fixed      INT64 [2,3], no batching
  ensemble   preprocessing, fastertransformer (one at a time), postprocessing
  cached     simple behind a response cache: two of three requests are hits
  flaky      simple, every 25th request answers 503
  wandering  slower with every request: never stable
  decoupled, sequence   configurations that clients refuse over HTTP or treat apart
"""
import argparse
import json
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

SIZES = {"BOOL": 1, "UINT8": 1, "INT8": 1, "UINT16": 2, "INT16": 2, "FP16": 2, "BF16": 2, "UINT32": 4,
         "INT32": 4, "FP32": 4, "UINT64": 8, "INT64": 8, "FP64": 8}
STAGES = ("queue", "compute_input", "compute_infer", "compute_output")


class Wrong(Exception):
    """What a client did wrong, or an answer other than 200."""

    def __init__(self, message, status=400):
        super().__init__(message)
        self.status = status


class Model:
    def __init__(self, name, inputs, outputs, max_batch=8, times_ms=(1.0, 0.3, 6.0, 0.2), instances=0, extra=None,
                 steps=(), cache=False, fail_every=0, slower_ms=0.0):
        self.name, self.inputs, self.outputs, self.max_batch = name, inputs, outputs, max_batch
        self.times_ms, self.extra, self.steps = times_ms, extra or {}, steps
        self.cache, self.fail_every, self.slower_ms = cache, fail_every, slower_ms
        self.room = threading.Semaphore(instances) if instances else None
        self.lock = threading.Lock()
        self.calls = 0
        self.counts = {key: [0, 0] for key in ("success", "fail", *STAGES, "cache_hit", "cache_miss")}
        self.inference_count = self.execution_count = 0

    def shape(self, dims):
        return [-1, *dims] if self.max_batch > 0 else list(dims)

    def metadata(self):
        tensors = lambda many: [{"name": n, "datatype": t, "shape": self.shape(d)} for n, t, d in many]
        return {"name": self.name, "versions": ["1"], "platform": "ensemble" if self.steps else "test",
                "inputs": tensors(self.inputs), "outputs": tensors(self.outputs)}

    def config(self):
        tensors = lambda many: [{"name": n, "data_type": "TYPE_" + t.replace("BYTES", "STRING"), "dims": list(d)}
                                for n, t, d in many]
        out = {"name": self.name, "platform": "ensemble" if self.steps else "test", "max_batch_size": self.max_batch,
               "input": tensors(self.inputs), "output": tensors(self.outputs)}
        if self.steps:
            out["ensemble_scheduling"] = {"step": [{"model_name": m, "model_version": -1, "input_map": {},
                                                    "output_map": {}} for m in self.steps]}
        elif "sequence_batching" not in self.extra:
            out["dynamic_batching"] = {}
        if self.cache:
            out["response_cache"] = {"enable": True}
        out.update(self.extra)
        return out

    def stats(self):
        with self.lock:
            return {"name": self.name, "version": "1", "last_inference": 0, "inference_count": self.inference_count,
                    "execution_count": self.execution_count,
                    "inference_stats": {key: {"count": c, "ns": ns} for key, (c, ns) in self.counts.items()},
                    "batch_stats": []}

    def add(self, batch, total_ns, stages_ns=None, hit_ns=None, miss_ns=None):
        with self.lock:
            note = lambda key, ns: self.counts.__setitem__(
                key, [self.counts[key][0] + 1, self.counts[key][1] + ns])
            note("success", total_ns)
            if hit_ns is not None:
                note("queue", 0)
                note("cache_hit", hit_ns)
                return
            if miss_ns is not None:
                note("cache_miss", miss_ns)
            self.inference_count += batch
            self.execution_count += 1
            for key, ns in zip(STAGES, stages_ns):
                note(key, ns)

    def run(self, batch, models):
        """Sleeps through the stages and counts them."""
        with self.lock:
            self.calls += 1
            call = self.calls
        if self.fail_every and call % self.fail_every == 0:
            with self.lock:
                self.counts["fail"][0] += 1
            raise Wrong("the model is out of order", 503)
        began = time.monotonic_ns()
        if self.cache and call % 3 != 0:
            time.sleep(0.0005)
            took = time.monotonic_ns() - began
            self.add(batch, took, hit_ns=took)
            return
        if self.steps:
            totals = [0, 0, 0, 0]
            for step in self.steps:
                for i, ns in enumerate(models[step].run(batch, models)):
                    totals[i] += ns
            self.add(batch, time.monotonic_ns() - began, totals)
            return
        if self.room:
            self.room.acquire()
        try:
            time.sleep(self.times_ms[0] / 1e3)
            marks = [began, time.monotonic_ns()]
            extra_ms = self.slower_ms * call
            for ms in (self.times_ms[1], self.times_ms[2] + extra_ms, self.times_ms[3]):
                time.sleep(ms / 1e3)
                marks.append(time.monotonic_ns())
        finally:
            if self.room:
                self.room.release()
        stages = [b - a for a, b in zip(marks, marks[1:])]
        self.add(batch, time.monotonic_ns() - began, stages, miss_ns=20_000 if self.cache else None)
        return stages


def make_models():
    simple_in, simple_out = [("INPUT0", "FP32", [4])], [("OUTPUT0", "FP32", [4])]
    prompt = [("prompt", "BYTES", [1]), ("request_output_len", "UINT32", [1])]
    all_models = [
        Model("simple", simple_in, simple_out),
        Model("text", [("text", "BYTES", [1]), ("n", "INT32", [1])], [("answer", "BYTES", [1])]),
        Model("fixed", [("numbers", "INT64", [2, 3])], [("sums", "INT64", [2])], max_batch=0),
        Model("any_shape", [("row", "FP32", [-1])], [("sum", "FP32", [1])]),
        Model("ensemble", prompt, [("answer", "BYTES", [1])], steps=("preprocessing", "fastertransformer",
                                                                       "postprocessing")),
        Model("preprocessing", prompt, [("ids", "INT32", [8])], times_ms=(0.1, 0.1, 1.0, 0.1)),
        Model("fastertransformer", [("ids", "INT32", [8])], [("out", "INT32", [8])], times_ms=(0.1, 0.2, 12.0, 0.3),
              instances=1),
        Model("postprocessing", [("out", "INT32", [8])], [("answer", "BYTES", [1])], times_ms=(0.1, 0.1, 0.6, 0.2)),
        Model("cached", simple_in, simple_out, cache=True),
        Model("flaky", simple_in, simple_out, fail_every=25),
        Model("wandering", simple_in, simple_out, slower_ms=0.15),
        Model("decoupled", simple_in, simple_out, extra={"model_transaction_policy": {"decoupled": True}}),
        Model("sequence", simple_in, simple_out, extra={"sequence_batching": {}}),
    ]
    return {model.name: model for model in all_models}


def elements(shape):
    count = 1
    for dim in shape:
        count *= dim
    return count


def check_bytes_tensor(raw, count, name):
    at = 0
    for _ in range(count):
        if at + 4 > len(raw):
            raise Wrong(f"input {name}: a length is missing")
        (size,) = struct.unpack_from("<I", raw, at)
        at += 4 + size
        if at > len(raw):
            raise Wrong(f"input {name}: a string runs past the tensor")
    if at != len(raw):
        raise Wrong(f"input {name}: {len(raw) - at} bytes too many")


def check_input(model, tensor, raw):
    """Returns the batch size and what is left of `raw`."""
    if not isinstance(tensor, dict) or set(tensor) - {"name", "datatype", "shape", "parameters", "data"}:
        raise Wrong(f"odd input {tensor!r}")
    known = {n: (t, d) for n, t, d in model.inputs}
    name = tensor.get("name")
    if name not in known:
        raise Wrong(f"no input {name!r}")
    datatype, dims = known[name]
    if tensor.get("datatype") != datatype:
        raise Wrong(f"input {name}: datatype {tensor.get('datatype')!r}, want {datatype}")
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not all(isinstance(d, int) and d > 0 for d in shape):
        raise Wrong(f"input {name}: shape {shape!r}")
    want = model.shape(dims)
    if len(shape) != len(want) or any(w not in (-1, s) for w, s in zip(want, shape)):
        raise Wrong(f"input {name}: shape {shape}, want {want}")
    batch = shape[0] if model.max_batch > 0 else 1
    if model.max_batch > 0 and batch > model.max_batch:
        raise Wrong(f"batch of {batch}, at most {model.max_batch}")
    count = elements(shape)
    parameters = tensor.get("parameters", {})
    if "data" in tensor:
        if "binary_data_size" in parameters:
            raise Wrong(f"input {name}: both data and binary_data_size")
        flat = tensor["data"]
        while flat and isinstance(flat[0], list):
            flat = [x for row in flat for x in row]
        if len(flat) != count:
            raise Wrong(f"input {name}: {len(flat)} elements, shape {shape} wants {count}")
        kind = str if datatype == "BYTES" else (int, float)
        if not all(isinstance(x, kind) for x in flat):
            raise Wrong(f"input {name}: an element is not {datatype}")
        return batch, raw
    size = parameters.get("binary_data_size")
    if not isinstance(size, int) or size < 0 or size > len(raw):
        raise Wrong(f"input {name}: binary_data_size {size!r} with {len(raw)} bytes left")
    mine = raw[:size]
    if datatype == "BYTES":
        check_bytes_tensor(mine, count, name)
    elif size != count * SIZES[datatype]:
        raise Wrong(f"input {name}: {size} bytes, shape {shape} of {datatype} wants {count * SIZES[datatype]}")
    return batch, raw[size:]


def answer_outputs(model, request, batch):
    """JSON outputs and the raw bytes behind them."""
    known = {n: (t, d) for n, t, d in model.outputs}
    wanted = request.get("outputs")
    if wanted is None:
        binary = request.get("parameters", {}).get("binary_data_output", False)
        wanted = [{"name": n, "parameters": {"binary_data": binary}} for n in known]
    outputs, raw = [], b""
    for want in wanted:
        if want.get("name") not in known:
            raise Wrong(f"no output {want.get('name')!r}")
        datatype, dims = known[want["name"]]
        shape = [batch, *dims] if model.max_batch > 0 else list(dims)
        shape = [4 if d == -1 else d for d in shape]
        count = elements(shape)
        out = {"name": want["name"], "datatype": datatype, "shape": shape}
        if want.get("parameters", {}).get("binary_data"):
            data = b"\x02\0\0\0ok" * count if datatype == "BYTES" else bytes(count * SIZES[datatype])
            out["parameters"] = {"binary_data_size": len(data)}
            raw += data
        else:
            out["data"] = ["ok"] * count if datatype == "BYTES" else [0] * count
        outputs.append(out)
    return outputs, raw


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def send(self, status, body, headers=(), kind="application/json"):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def answer(self, work):
        with self.server.lock:
            calls = self.server.calls
            key = f"{self.command} {self.path}"
            calls[key] = calls.get(key, 0) + 1
        try:
            work()
        except Wrong as error:
            if error.status == 400:
                with self.server.lock:
                    self.server.violations.append(f"{self.path}: {error}")
            self.send(error.status, {"error": str(error)})
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            with self.server.lock:
                self.server.violations.append(f"{self.path}: {error!r}")
            self.send(400, {"error": repr(error)})

    def model(self, parts):
        """The model of ["NAME"] or ["NAME", "versions", "1"] and what is behind it."""
        model = self.server.models.get(unquote(parts[0]))
        if model is None:
            raise Wrong(f"Request for unknown model: '{parts[0]}' is not found", 404)
        rest = parts[1:]
        if rest[:1] == ["versions"]:
            if rest[1:2] != ["1"]:
                raise Wrong(f"no version {rest[1:2]} of {parts[0]}", 404)
            rest = rest[2:]
        return model, rest

    def do_GET(self):
        self.answer(self.get)

    def get(self):
        if self.headers.get("Content-Length", "0") != "0":
            raise Wrong("a GET with a body")
        path = self.path.split("?")[0].strip("/").split("/")
        if path == ["test", "log"]:
            with self.server.lock:
                log = {"calls": dict(self.server.calls), "violations": list(self.server.violations),
                       "headers": dict(self.server.seen_headers),
                       "models": {m.name: m.stats() for m in self.server.models.values()}}
            return self.send(200, log)
        if path == ["metrics"]:
            return self.send(200, self.server.metrics_text().encode(), kind="text/plain")
        if path == ["v2"]:
            return self.send(200, {"name": "test", "version": "1", "extensions": self.server.extensions})
        if path == ["v2", "models", "stats"]:
            return self.send(200, {"model_stats": [m.stats() for m in self.server.models.values()]})
        if path[:2] == ["v2", "models"] and len(path) > 2:
            model, rest = self.model(path[2:])
            if rest == []:
                return self.send(200, model.metadata())
            if rest == ["config"]:
                return self.send(200, model.config())
            if rest == ["stats"]:
                return self.send(200, {"model_stats": [model.stats()]})
        raise Wrong(f"no {self.path}", 404)

    def do_POST(self):
        length = self.headers.get("Content-Length")
        body = self.rfile.read(int(length)) if length else b""
        with self.server.lock:
            for name, value in self.headers.items():
                self.server.seen_headers[name.lower()] = value
        self.answer(lambda: self.post(length, body))

    def post(self, length, body):
        if length is None:
            raise Wrong("no Content-Length")
        path = self.path.split("?")[0].strip("/").split("/")
        if path[:2] == ["v2", "models"] and len(path) > 2:
            model, rest = self.model(path[2:])
            if rest == ["infer"]:
                return self.infer(model, body)
        if path == ["v1", "chat", "completions"]:
            return self.chat(json.loads(body))
        raise Wrong(f"no {self.path}", 404)

    def infer(self, model, body):
        head = self.headers.get("Inference-Header-Content-Length")
        head_bytes = len(body) if head is None else int(head)
        if head_bytes > len(body):
            raise Wrong(f"Inference-Header-Content-Length {head_bytes}, body {len(body)}")
        request = json.loads(body[:head_bytes])
        if set(request) - {"id", "parameters", "inputs", "outputs"}:
            raise Wrong(f"odd fields {sorted(request)}")
        if not isinstance(request.get("id", ""), str):
            raise Wrong("id is no string")
        raw, batch = body[head_bytes:], None
        seen = set()
        for tensor in request["inputs"]:
            size, raw = check_input(model, tensor, raw)
            if batch not in (None, size):
                raise Wrong("inputs of different batches")
            batch = size
            seen.add(tensor["name"])
        if raw:
            raise Wrong(f"{len(raw)} bytes behind the last input")
        if seen != {name for name, _, _ in model.inputs}:
            raise Wrong(f"inputs {sorted(seen)} only")
        outputs, raw_out = answer_outputs(model, request, batch)
        model.run(batch, self.server.models)
        answer = {"model_name": model.name, "model_version": "1", "outputs": outputs}
        if request.get("id"):
            answer["id"] = request["id"]
        text = json.dumps(answer).encode()
        if raw_out:
            return self.send(200, text + raw_out, [("Inference-Header-Content-Length", str(len(text)))],
                             "application/octet-stream")
        return self.send(200, text)

    def chat(self, request):
        if not isinstance(request.get("messages"), list) or not isinstance(request.get("model"), str):
            raise Wrong("want model and messages")
        tokens = int(request.get("max_tokens", 8))
        if not request.get("stream"):
            time.sleep(0.010 + 0.005 * (tokens - 1))
            return self.send(200, {"id": "c", "choices": [{"index": 0, "finish_reason": "stop", "message": {
                "role": "assistant", "content": "word " * tokens}}], "usage": {"completion_tokens": tokens}})
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

        def event(text):
            data = f"data: {text}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()

        for token in range(tokens):
            time.sleep(0.010 if token == 0 else 0.005)
            event(json.dumps({"id": "c", "choices": [{"index": 0, "delta": {"content": "word "}}]}))
        event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, port, extensions):
        super().__init__(("127.0.0.1", port), Handler)
        self.lock = threading.Lock()
        self.calls, self.violations, self.seen_headers = {}, [], {}
        self.models = make_models()
        self.extensions = extensions
        self.began = time.monotonic()

    def handle_error(self, *_):
        pass  # clients that leave in the middle are no news

    def metrics_text(self):
        lines = []
        for family, value in (("nv_gpu_utilization", "0.50"), ("nv_gpu_power_usage", "70.25"),
                              ("nv_gpu_memory_used_bytes", "1048576"), ("nv_gpu_memory_total_bytes", "16777216")):
            lines += [f"# TYPE {family} gauge", f'{family}{{gpu_uuid="GPU-1"}} {value}']
        families = (("nv_inference_request_success", lambda s: s["inference_stats"]["success"]["count"]),
                    ("nv_inference_count", lambda s: s["inference_count"]),
                    ("nv_inference_exec_count", lambda s: s["execution_count"]),
                    ("nv_inference_queue_duration_us", lambda s: s["inference_stats"]["queue"]["ns"] // 1000))
        all_stats = [model.stats() for model in self.models.values()]
        for family, value in families:
            lines.append(f"# TYPE {family} counter")
            lines += [f'{family}{{model="{s["name"]}",version="1"}} {value(s)}' for s in all_stats]
        return "\n".join(lines) + "\n"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--port", type=int, default=0)
    arguments.add_argument("--no-statistics", action="store_true", help="do not list the statistics extension")
    options = arguments.parse_args()
    server = Server(options.port, ["binary_tensor_data"] + ([] if options.no_statistics else ["statistics"]))
    print("port", server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
