#!/usr/bin/env python3
"""The official OpenAI SDKs for Python and Node, unmodified, on chat and completions: whole and streamed answers are the
same, tools and structured output parse, logprobs, n, errors and retries.

usage: test_openai_chat.py SIS_BINARY WORK_FOLDER     (packages are installed below WORK_FOLDER)

The model is random (tests/models/chat-tiny): its words mean nothing, its formats must be right.
"""
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "system"))
sys.path.insert(0, str(HERE))
from python_venv import ensure  # noqa: E402
from sis_server import ROOT, Server  # noqa: E402

OPENAI_PYTHON = "openai==3.54.0"
OPENAI_NODE = "openai@7.57.0"
JSONSCHEMA = "jsonschema==4.25.1"

PYTHON_CLIENT = r"""
import asyncio, json, sys
import jsonschema
import openai
from pydantic import BaseModel
client = openai.OpenAI(base_url=sys.argv[1], api_key="unused", max_retries=0)
ask = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Tell me something."}]
# A random model that may think first does so for ever.
quick = {"chat_template_kwargs": {"enable_thinking": False}}
plain = dict(model="tiny", messages=ask, max_tokens=24, seed=7, temperature=0.8, extra_body=quick)
out = {}

def text_of(stream):
    texts, reasons, roles, ids, usage = {}, {}, {}, set(), None
    for chunk in stream:
        ids.add(chunk.id)
        if chunk.usage:
            usage = chunk.usage.model_dump()
        for choice in chunk.choices:
            delta = choice.delta
            texts[choice.index] = texts.get(choice.index, "") + (delta.content or "") + (
                (delta.model_extra or {}).get("reasoning_content") or "")
            if delta.role:
                roles[choice.index] = roles.get(choice.index, 0) + 1
            if choice.finish_reason:
                reasons[choice.index] = choice.finish_reason
    return {"texts": texts, "reasons": reasons, "roles": roles, "ids": len(ids), "usage": usage}

def whole_text(choice):
    message = choice.message
    return (message.content or "") + ((message.model_extra or {}).get("reasoning_content") or "")

whole = client.chat.completions.create(**plain)
out["whole"] = {"text": whole_text(whole.choices[0]), "reason": whole.choices[0].finish_reason,
                "usage": whole.usage.model_dump(), "object": whole.object, "id": whole.id, "model": whole.model}
out["again"] = whole_text(client.chat.completions.create(**plain).choices[0])
out["stream"] = text_of(client.chat.completions.create(**plain, stream=True, stream_options={"include_usage": True}))
out["no_usage"] = text_of(client.chat.completions.create(**plain, stream=True))["usage"]

three = client.chat.completions.create(**plain, n=3)
out["three"] = [whole_text(choice) for choice in three.choices]
out["three_stream"] = text_of(client.chat.completions.create(**plain, n=3, stream=True))
out["alone"] = []
for k in range(3):
    alone = client.chat.completions.create(**(plain | {"seed": 7 + k}))
    out["alone"].append(whole_text(alone.choices[0]))

scored = client.chat.completions.create(**(plain | {"logprobs": True, "top_logprobs": 3}))
content = scored.choices[0].logprobs.content
out["logprobs"] = {"count": len(content), "top": [len(item.top_logprobs) for item in content],
                   "largest": max(item.logprob for item in content),
                   "bytes": bytes(b for item in content for b in (item.bytes or [])).decode("utf-8", "replace")}

tools = [{"type": "function", "function": {"name": "get_weather", "description": "Weather of a city", "parameters": {
    "type": "object", "properties": {"city": {"enum": ["Oslo", "Rome"]}, "days": {"type": "integer", "minimum": 1, "maximum": 7}},
    "required": ["city", "days"], "additionalProperties": False}}}]
calling = dict(model="tiny", messages=ask, max_tokens=200, seed=3, tools=tools, parallel_tool_calls=False,
               extra_body=quick)
called = client.chat.completions.create(**calling, tool_choice="required").choices[0]
out["required"] = {"reason": called.finish_reason, "content": called.message.content,
                   "calls": [[c.id, c.type, c.function.name, c.function.arguments] for c in called.message.tool_calls or []]}
named = client.chat.completions.create(**calling, tool_choice={"type": "function", "function": {"name": "get_weather"}}).choices[0]
out["named"] = [c.function.name for c in named.message.tool_calls or []]
pieces, first = {}, {}
for chunk in client.chat.completions.create(**calling, tool_choice="required", stream=True):
    for choice in chunk.choices:
        for call in choice.delta.tool_calls or []:
            pieces[call.index] = pieces.get(call.index, "") + (call.function.arguments or "")
            if call.id:
                first[call.index] = [call.id, call.function.name]
        if choice.finish_reason:
            out["tool_stream_reason"] = choice.finish_reason
out["tool_stream"] = [[*first[i], pieces[i]] for i in sorted(first)]
followed = client.chat.completions.create(model="tiny", max_tokens=4, messages=ask + [
    {"role": "assistant", "content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": {
        "name": "get_weather", "arguments": "{\"city\": \"Oslo\", \"days\": 1}"}}]},
    {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}], tools=tools)
out["followed"] = followed.choices[0].finish_reason

class Point(BaseModel):
    x: int
    kind: str
parse = getattr(client.chat.completions, "parse", None) or client.beta.chat.completions.parse
schema = {"type": "object", "properties": {"x": {"type": "integer", "minimum": 0, "maximum": 99},
          "kind": {"enum": ["a", "b"]}, "tags": {"type": "array", "items": {"type": "boolean"}, "maxItems": 3}},
          "required": ["x", "kind", "tags"], "additionalProperties": False}
out["structured"] = []
for seed in range(4):
    answer = client.chat.completions.create(model="tiny", messages=ask, max_tokens=300, seed=seed, extra_body=quick, response_format={
        "type": "json_schema", "json_schema": {"name": "point", "schema": schema, "strict": True}})
    text = answer.choices[0].message.content
    jsonschema.validate(json.loads(text), schema)
    out["structured"].append(answer.choices[0].finish_reason)
Kind = type("Kind", (BaseModel,), {"__annotations__": {"ok": bool}})
parsed = parse(model="tiny", messages=ask, max_tokens=100, seed=1, response_format=Kind, extra_body=quick)
out["parsed"] = isinstance(parsed.choices[0].message.parsed, Kind)
done = client.completions.create(model="tiny", prompt="Once upon", max_tokens=12, seed=5, echo=True, logprobs=2)
out["completion"] = {"text": done.choices[0].text, "object": done.object, "first": done.choices[0].logprobs.token_logprobs[0],
                     "count": len(done.choices[0].logprobs.tokens), "usage": done.usage.model_dump()}
two = client.completions.create(model="tiny", prompt=["a", [98, 99]], max_tokens=3, n=2, seed=5)
out["completion_indices"] = [choice.index for choice in two.choices]
out["completion_stream"] = "".join(c.text for chunk in client.completions.create(
    model="tiny", prompt="Once upon", max_tokens=12, seed=5, stream=True) for c in chunk.choices)
stops = client.chat.completions.create(**(plain | {"stop": [out["whole"]["text"][3:5]]})).choices[0]
out["stopped"] = [whole_text(stops), stops.finish_reason]

async def many():
    async with openai.AsyncOpenAI(base_url=sys.argv[1], api_key="unused") as other:
        answers = await asyncio.gather(*(other.chat.completions.create(**plain) for _ in range(6)))
        return [whole_text(answer.choices[0]) for answer in answers]
out["many"] = asyncio.run(many())
errors = {}
def attempt(name, **fields):
    try:
        client.chat.completions.create(**(plain | fields))
        errors[name] = None
    except openai.APIStatusError as error:
        errors[name] = [type(error).__name__, error.status_code, error.code, error.param]
attempt("model", model="nope")
attempt("temperature", temperature=3)
attempt("role", messages=[{"role": "wizard", "content": "x"}])
attempt("image", messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/y.png"}}]}])
attempt("schema", response_format={"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": {
    "type": "object", "properties": {"a": {"not": {"type": "string"}}}}}})
attempt("long", messages=[{"role": "user", "content": "word " * 5000}])
out["errors"] = errors
print(json.dumps(out))
"""

NODE_CLIENT = r"""
import OpenAI from "openai";
const client = new OpenAI({ baseURL: process.argv[2], apiKey: "unused", maxRetries: 0 });
const plain = { model: "tiny", messages: [{ role: "user", content: "Hello" }], max_tokens: 24, seed: 9 };
const text = (m) => (m.content ?? "") + (m.reasoning_content ?? "");
const whole = await client.chat.completions.create(plain);
let streamed = "", reason = null, chunks = 0;
for await (const chunk of await client.chat.completions.create({ ...plain, stream: true })) {
  streamed += text(chunk.choices[0].delta);
  reason = chunk.choices[0].finish_reason ?? reason;
  chunks += 1;
}
const runner = client.chat.completions.stream({ ...plain, messages: [{ role: "user", content: "Hello" }] });
const final = await runner.finalChatCompletion();
const aborted = await client.chat.completions.create({ ...plain, max_tokens: 2000, stream: true });
for await (const chunk of aborted) { aborted.controller.abort(); break; }
let error = null;
try {
  await client.chat.completions.create({ ...plain, n: 1000 });
} catch (caught) {
  error = [caught.constructor.name, caught.status, caught.param];
}
console.log(JSON.stringify({ whole: text(whole.choices[0].message), streamed, reason, chunks,
  final: text(final.choices[0].message), error }));
"""


class Chat(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        catalog = Path(cls.folder.name) / "models.yaml"
        catalog.write_text("models:\n  - name: tiny\n    hf_repo_id: test/chat-tiny\n"
                           "    handler: app.models.text_chat.TextChatModel\n    supports_structured_outputs: true\n"
                           f"    path: {ROOT / 'tests/models/chat-tiny'}\n")
        cls.server = Server(BINARY, {"MODEL_CONFIG_PATH": str(catalog), "MODELS": "tiny"})
        cls.base = f"http://127.0.0.1:{cls.server.port}/v1"

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        cls.folder.cleanup()

    def test_python(self):
        python = ensure(WORK / "openai-chat-python", [OPENAI_PYTHON, JSONSCHEMA])
        out = json.loads(subprocess.check_output([python, "-c", PYTHON_CLIENT, self.base], text=True, timeout=240))
        whole = out["whole"]
        self.assertEqual(whole["object"], "chat.completion")
        self.assertRegex(whole["id"], "^chatcmpl-")
        self.assertEqual(whole["model"], "tiny")
        self.assertIn(whole["reason"], ("stop", "length"))
        self.assertEqual(out["again"], whole["text"], "the same seed gives the same words")
        self.assertEqual(out["stream"]["texts"]["0"], whole["text"])
        self.assertEqual(out["stream"]["reasons"]["0"], whole["reason"])
        self.assertEqual(out["stream"]["roles"], {"0": 1})
        self.assertEqual(out["stream"]["ids"], 1)
        usage = out["stream"]["usage"]
        for key in ("prompt_tokens", "completion_tokens", "total_tokens"):
            self.assertEqual(usage[key], whole["usage"][key], key)
        self.assertGreaterEqual(usage["prompt_tokens_details"]["cached_tokens"], 32, "the second time its blocks are there")
        self.assertIsNone(out["no_usage"])
        # n choices are those of as many seeds, streamed or not, alone or in company.
        self.assertEqual(out["three"], out["alone"])
        self.assertEqual([out["three_stream"]["texts"][str(k)] for k in range(3)], out["alone"])
        self.assertEqual(out["many"], [whole["text"]] * 6)
        self.assertEqual(out["logprobs"]["count"], whole["usage"]["completion_tokens"])
        self.assertTrue(all(count == 3 for count in out["logprobs"]["top"]))
        self.assertLessEqual(out["logprobs"]["largest"], 0)
        # Tools: a required call is a call, its arguments fit the schema, streamed or not.
        required = out["required"]
        self.assertEqual(required["reason"], "tool_calls")
        self.assertEqual(len(required["calls"]), 1)
        self.assertRegex(required["calls"][0][0], "^call_")
        self.assertEqual(required["calls"][0][1:3], ["function", "get_weather"])
        arguments = json.loads(required["calls"][0][3])
        self.assertIn(arguments["city"], ("Oslo", "Rome"))
        self.assertIn(arguments["days"], range(1, 8))
        self.assertEqual(out["named"], ["get_weather"])
        self.assertEqual(out["tool_stream_reason"], "tool_calls")
        self.assertEqual(out["tool_stream"][0][1:], ["get_weather", required["calls"][0][3]])
        self.assertIn(out["followed"], ("stop", "length"))
        self.assertEqual(out["structured"], ["stop"] * 4)
        self.assertTrue(out["parsed"])
        done = out["completion"]
        self.assertEqual(done["object"], "text_completion")
        self.assertTrue(done["text"].startswith("Once upon"))
        self.assertIsNone(done["first"])
        self.assertEqual(done["count"], done["usage"]["total_tokens"])
        self.assertEqual(out["completion_indices"], [0, 1, 2, 3])
        self.assertEqual("Once upon" + out["completion_stream"], done["text"])
        self.assertEqual(out["stopped"], [whole["text"][:whole["text"].index(whole["text"][3:5])], "stop"])
        errors = out["errors"]
        self.assertEqual(errors["model"], ["NotFoundError", 404, "model_not_found", "model"])
        self.assertEqual(errors["temperature"][:2] + errors["temperature"][3:], ["BadRequestError", 400, "temperature"])
        self.assertEqual(errors["role"][3], "messages[0].role")
        self.assertEqual(errors["image"][3], "messages[0].content[0].type")
        self.assertEqual(errors["schema"][:2], ["BadRequestError", 400])
        self.assertIn("properties.a.not", errors["schema"][3])
        self.assertEqual(errors["long"][:3], ["BadRequestError", 400, "context_length_exceeded"])

    def test_node(self):
        folder = WORK / "openai-node"
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "node_modules" / "openai").exists():
            subprocess.check_call(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), OPENAI_NODE], timeout=300)
        (folder / "chat.mjs").write_text(NODE_CLIENT)
        out = json.loads(subprocess.check_output(["node", str(folder / "chat.mjs"), self.base], text=True, timeout=120))
        self.assertEqual(out["streamed"], out["whole"])
        self.assertEqual(out["final"], out["whole"])
        self.assertIn(out["reason"], ("stop", "length"))
        self.assertGreater(out["chunks"], 2)
        self.assertEqual(out["error"], ["BadRequestError", 400, "n"])


if __name__ == "__main__":
    BINARY, WORK = str(Path(sys.argv[1]).resolve()), Path(sys.argv[2]).resolve()
    del sys.argv[1:3]
    unittest.main(verbosity=2)
