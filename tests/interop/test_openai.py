#!/usr/bin/env python3
"""The official OpenAI SDKs for Python and Node, unmodified: default mode (base64) and floats give the same vectors.

usage: test_openai.py SIS_BINARY WORK_FOLDER     (packages are installed below WORK_FOLDER)
"""
import json
import struct
import subprocess
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "system"))
sys.path.insert(0, str(HERE))
from python_venv import ensure  # noqa: E402
from sis_server import Server  # noqa: E402

OPENAI_PYTHON = "openai==3.54.0"
OPENAI_NODE = "openai@7.57.0"
TEXTS = ["hello world", "how do I fix a leaking tap", "日本語のテキスト 🎉", "x " * 700]

PYTHON_CLIENT = """
import asyncio, json, sys
import openai
client = openai.OpenAI(base_url=sys.argv[1], api_key="unused", max_retries=0)
texts = json.loads(sys.argv[2])
out = {}
default = client.embeddings.create(model="demo/embed", input=texts)
floats = client.embeddings.create(model="demo/embed", input=texts, encoding_format="float")
out["default"] = [item.embedding for item in default.data]
out["float"] = [item.embedding for item in floats.data]
out["usage"] = default.usage.prompt_tokens
raw = client.embeddings.with_raw_response.create(model="demo/embed", input="raw")
out["request_id"] = raw.headers["x-request-id"]
async def later():
    async with openai.AsyncOpenAI(base_url=sys.argv[1], api_key="unused") as other:
        answer = await other.embeddings.create(model="demo/embed", input=texts[0])
        return answer.data[0].embedding
out["async"] = asyncio.run(later())
out["models"] = [model.id for model in client.models.list()]
out["model"] = client.models.retrieve("demo/embed").id
errors = {}
def attempt(name, **fields):
    try:
        client.embeddings.create(**fields)
        errors[name] = None
    except openai.APIStatusError as error:
        errors[name] = [type(error).__name__, error.status_code, error.code, error.param, error.body["message"]]
attempt("unknown", model="nope", input="x")
attempt("empty", model="demo/embed", input=[])
attempt("dimensions", model="demo/embed", input="x", dimensions=3)
out["errors"] = errors
print(json.dumps(out))
"""

NODE_CLIENT = """
import OpenAI from "openai";
const [base, texts] = [process.argv[2], JSON.parse(process.argv[3])];
const client = new OpenAI({ baseURL: base, apiKey: "unused", maxRetries: 0 });
const byDefault = await client.embeddings.create({ model: "demo/embed", input: texts });
const floats = await client.embeddings.create({ model: "demo/embed", input: texts, encoding_format: "float" });
let error = null;
try {
  await client.embeddings.create({ model: "nope", input: "x" });
} catch (caught) {
  error = [caught.constructor.name, caught.status, caught.code, caught.param];
}
console.log(JSON.stringify({
  default: byDefault.data.map((item) => Array.from(item.embedding)),
  float: floats.data.map((item) => item.embedding),
  error,
}));
"""


class Sdks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(BINARY)
        cls.base = f"http://127.0.0.1:{cls.server.port}/v1"

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def check_vectors(self, out):
        self.assertEqual(len(out["default"]), len(TEXTS))
        for default, floats in zip(out["default"], out["float"]):
            self.assertGreater(len(default), 8)
            # Decimal digits are the shortest that read back as the same f32; the other way carries the f32 itself.
            self.assertEqual([struct.pack("<f", x) for x in default], [struct.pack("<f", x) for x in floats])
            self.assertAlmostEqual(sum(x * x for x in default), 1.0, places=4)

    def test_python(self):
        python = ensure(WORK / "openai-python", [OPENAI_PYTHON])
        out = json.loads(subprocess.check_output([python, "-c", PYTHON_CLIENT, self.base, json.dumps(TEXTS)], text=True, timeout=120))
        self.check_vectors(out)
        self.assertEqual(out["async"], out["default"][0])
        self.assertGreater(out["usage"], 10)
        self.assertRegex(out["request_id"], "[0-9a-f]{32}")
        self.assertEqual(out["models"][:2], ["demo/embed", "demo/chat"])
        self.assertEqual(out["model"], "demo/embed")
        self.assertEqual(out["errors"]["unknown"][:4], ["NotFoundError", 404, "model_not_found", "model"])
        self.assertEqual(out["errors"]["empty"][:2], ["BadRequestError", 400])
        self.assertEqual(out["errors"]["dimensions"][3], "dimensions")

    def test_node(self):
        folder = WORK / "openai-node"
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "node_modules" / "openai").exists():
            subprocess.check_call(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), OPENAI_NODE], timeout=300)
        (folder / "client.mjs").write_text(NODE_CLIENT)
        out = json.loads(subprocess.check_output(["node", str(folder / "client.mjs"), self.base, json.dumps(TEXTS)], text=True, timeout=120))
        self.check_vectors(out)
        self.assertEqual(out["error"], ["NotFoundError", 404, "model_not_found", "model"])


if __name__ == "__main__":
    BINARY, WORK = str(Path(sys.argv[1]).resolve()), Path(sys.argv[2]).resolve()
    del sys.argv[1:3]
    unittest.main(verbosity=2)
