"""A small server for tests of clients: audio uploads and KServe tensors, taken apart by Python's own parsers.

It knows nothing of the client under test: forms go through `email`, recordings through `wave`, tensors through `struct`.
What it finds odd is answered with 400 and a reason. Standard library only.
"""
import email
import email.policy
import io
import json
import math
import struct
import threading
import wave
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STRUCTS = {"BOOL": "?", "UINT8": "B", "INT8": "b", "INT16": "h", "UINT16": "H", "INT32": "i", "UINT32": "I", "INT64": "q",
           "UINT64": "Q", "FP16": "e", "FP32": "f", "FP64": "d"}
ENSEMBLE = {
    "name": "ensemble", "versions": ["1"], "platform": "ensemble",
    "inputs": [{"name": "prompt", "datatype": "BYTES", "shape": [-1]},
               {"name": "request_output_len", "datatype": "INT32", "shape": ["-1"]},
               {"name": "temperature", "datatype": "FP32", "shape": [1]},
               {"name": "is_return_log_probs", "datatype": "BOOL", "shape": [1]},
               {"name": "half", "datatype": "FP16", "shape": [2]}],
    "outputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}, {"name": "sum", "datatype": "FP64", "shape": [1]}]}
CONFIG = {"max_batch_size": 0, "input": [{"name": "half", "optional": True}]}


class Odd(Exception):
    pass


def check(condition, reason):
    if not condition:
        raise Odd(reason)


def elements(datatype, raw):
    if datatype != "BYTES":
        size = struct.calcsize(STRUCTS[datatype])
        check(len(raw) % size == 0, f"{datatype}: {len(raw)} bytes")
        return [value for (value,) in struct.iter_unpack("<" + STRUCTS[datatype], raw)]
    values = []
    while raw:
        (length,) = struct.unpack("<I", raw[:4])
        check(len(raw) >= 4 + length, "BYTES element cut off")
        values.append(raw[4:4 + length].decode())
        raw = raw[4 + length:]
    return values


def encode(datatype, values):
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(value.encode())) + value.encode() for value in values)
    return struct.pack(f"<{len(values)}{STRUCTS[datatype]}", *values)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, content_type="application/json", **headers):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        found = {"/v2/models/ensemble": ENSEMBLE, "/v2/models/ensemble/config": CONFIG}.get(self.path)
        self.answer(200 if found else 404, json.dumps(found or {"error": f"nothing at {self.path}"}).encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append(self.path)
        try:
            if self.path == "/v1/audio/transcriptions":
                self.transcribe(body)
            elif self.path == "/v2/models/ensemble/infer":
                self.infer(body)
            else:
                self.answer(404, json.dumps({"error": f"nothing at {self.path}"}).encode())
        except (Odd, KeyError, ValueError, struct.error, wave.Error, EOFError) as error:
            self.server.oddities.append(repr(error))
            self.answer(400, json.dumps({"error": {"message": repr(error)}}).encode())

    # "Transcribes" a recording to its length.
    def transcribe(self, body):
        head = b"Content-Type: " + self.headers["Content-Type"].encode() + b"\r\n\r\n"
        form = email.message_from_bytes(head + body, policy=email.policy.HTTP)
        check(form.get_content_type() == "multipart/form-data" and not form.defects, f"form: {form.defects}")
        fields, recording = {}, None
        for part in form.iter_parts():
            check(not part.defects, f"part: {part.defects}")
            name = part.get_param("name", header="content-disposition")
            if name == "file":
                check(part.get_content_type() == "audio/wav", part.get_content_type())
                recording = part.get_payload(decode=True)
            else:
                fields[name] = part.get_payload(decode=True).decode()
        check(fields["model"] == "whisper-x", str(fields))
        with wave.open(io.BytesIO(recording)) as sound:
            seconds = sound.getnframes() / sound.getframerate()
        text = f"{seconds:.3f} seconds"
        clock = f"00:00:{int(seconds):02}{{}}{round(seconds % 1 * 1000):03}"
        answers = {
            "json": json.dumps({"text": text}),
            "verbose_json": json.dumps({"text": text, "language": fields.get("language"), "duration": seconds,
                                        "segments": [{"id": 0, "start": 0.0, "end": seconds, "text": text}]}),
            "text": text + "\n",
            "srt": f"1\n00:00:00,000 --> {clock.format(',')}\n{text}\n",
            "vtt": f"WEBVTT\n\n00:00:00.000 --> {clock.format('.')}\n{text}\n"}
        kind = fields["response_format"]
        self.answer(200, answers[kind].encode(), "application/json" if "json" in kind else "text/plain")

    # Answers with the prompt in capitals and the sum of all numbers.
    def infer(self, body):
        told = self.headers["Inference-Header-Content-Length"]
        json_bytes = int(told) if told else len(body)
        request, raw = json.loads(body[:json_bytes]), body[json_bytes:]
        declared = {tensor["name"]: tensor for tensor in ENSEMBLE["inputs"]}
        values = {}
        for tensor in request["inputs"]:
            name, datatype = tensor["name"], tensor["datatype"]
            check(datatype == declared[name]["datatype"], f"{name}: {datatype}")
            if "data" in tensor:
                check(datatype not in ("FP16", "BF16"), "halves have no JSON form")
                values[name] = tensor["data"]
            else:
                size = tensor["parameters"]["binary_data_size"]
                values[name], raw = elements(datatype, raw[:size]), raw[size:]
            check(len(values[name]) == math.prod(tensor["shape"]), f"{name}: {tensor['shape']}")
        check(not raw, f"{len(raw)} bytes left")
        check(set(values) >= set(declared) - {"half"}, f"inputs {sorted(values)}")
        outputs = {"text": [text.upper() for text in values["prompt"]],
                   "sum": [float(sum(sum(each) for name, each in values.items() if name != "prompt"))]}
        listed, behind = [], b""
        for wanted in request["outputs"]:
            datatype = {tensor["name"]: tensor["datatype"] for tensor in ENSEMBLE["outputs"]}[wanted["name"]]
            entry = {"name": wanted["name"], "datatype": datatype, "shape": [len(outputs[wanted["name"]])]}
            if wanted.get("parameters", {}).get("binary_data"):
                data = encode(datatype, outputs[wanted["name"]])
                entry["parameters"] = {"binary_data_size": len(data)}
                behind += data
            else:
                entry["data"] = outputs[wanted["name"]]
            listed.append(entry)
        head = json.dumps({"model_name": "ensemble", "model_version": "1", "outputs": listed}).encode()
        extra = {"Inference_Header_Content_Length": str(len(head))} if behind else {}
        self.answer(200, head + behind, "application/octet-stream" if behind else "application/json", **extra)


class FormatsServer:
    """with FormatsServer() as server: server.url, server.requests (paths), server.oddities (what was refused)"""

    def __enter__(self):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.requests, self.server.oddities = self.requests, self.oddities = [], []
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
