#!/usr/bin/env python3
"""Cohere's SDK for Python, unmodified: both versions of its API rerank and agree.

usage: test_rerank_clients.py SIS_BINARY WORK_FOLDER     (packages are installed below WORK_FOLDER)

The model is random (tests/golden/classifiers): its answers mean nothing, its formats must be right.
"""
import json
import subprocess
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "system"))
sys.path.insert(0, str(HERE))
from python_venv import ensure  # noqa: E402
from sis_server import ROOT, Server  # noqa: E402

PACKAGES = ["cohere==7.3.1"]
DOCUMENTS = ["one two three", "zebra", "four"]

CLIENT = r"""
import json, sys
import cohere
base, documents = sys.argv[1], json.loads(sys.argv[2])
ask = dict(model="ranker", query="one two", documents=documents)
out = {}
v2 = cohere.ClientV2(api_key="unused", base_url=base)
out["v2"] = [[item.index, item.relevance_score] for item in v2.rerank(**ask, top_n=2).results]
v1 = cohere.Client(api_key="unused", base_url=base)
out["v1"] = [[item.index, item.relevance_score, item.document.text] for item in v1.rerank(**ask, return_documents=True).results]
out["v1_short"] = [item.document is None for item in v1.rerank(**ask, return_documents=False).results]
for name, error in {"unknown": dict(ask, model="nope"), "none": dict(ask, documents=[])}.items():
    try:
        v2.rerank(**error)
    except cohere.core.api_error.ApiError as failure:
        out[name] = failure.status_code
print(json.dumps(out))
"""


class RerankClients(unittest.TestCase):
    def test_answers_parse_and_agree(self):
        settings = {"MODEL_CONFIG_PATH": str(ROOT / "tests/http/scores/models.yaml"), "MODELS": "ranker"}
        with Server(BINARY, settings) as server:
            python = ensure(WORK / "rerank-python", PACKAGES)
            out = json.loads(subprocess.check_output(
                [python, "-c", CLIENT, f"http://127.0.0.1:{server.port}", json.dumps(DOCUMENTS)], text=True, timeout=120))
        scores = [score for _, score, _ in out["v1"]]
        self.assertEqual(scores, sorted(scores, reverse=True))
        self.assertEqual([text for _, _, text in out["v1"]], [DOCUMENTS[index] for index, _, _ in out["v1"]])
        self.assertEqual(out["v2"], [item[:2] for item in out["v1"]][:2])
        self.assertEqual(out["v1_short"], [True] * 3)
        self.assertEqual((out["unknown"], out["none"]), (404, 400))


if __name__ == "__main__":
    BINARY, WORK = str(Path(sys.argv[1]).resolve()), Path(sys.argv[2]).resolve()
    unittest.main(argv=sys.argv[:1])
