#!/usr/bin/env python3
"""Classification and rerank routes of a whole process: numbers as transformers gave them, batches, counters, disconnects.

usage: test_scores.py SIS_BINARY
"""
import json
import math
import random
import socket
import sys
import threading
import time
import unittest

from sis_server import JSON, ROOT, Server

CLASSIFIERS = ROOT / "tests/golden/classifiers"
BINARY = None


def expected(name):
    return json.loads((ROOT / "tests/golden" / name / "expected.json").read_text())


def softmax(logits):
    powers = [math.exp(x - max(logits)) for x in logits]
    return [x / sum(powers) for x in powers]


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


class Scores(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(BINARY, {"MODEL_CONFIG_PATH": str(ROOT / "tests/http/scores/models.yaml"), "DTYPE": "f32",
                                     "MODELS": "sentiment,topics,ranker,yes-no", "EMBEDDING_BATCH_WINDOW_MAX_SIZE": "8",
                                     "RERANK_MAX_TOKENS": "0"})

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def post(self, path, body, status=200):
        got, _, text = self.server.request("POST", path, json.dumps(body), JSON)
        self.assertEqual(got, status, text)
        return json.loads(text)

    def assert_close(self, got, want, tolerance=1e-4):
        self.assertEqual(len(got), len(want))
        for a, b in zip(got, want):
            self.assertAlmostEqual(a, b, delta=tolerance)

    # Softmax over labels, on every route that classifies.
    def test_single_label(self):
        golden = expected("classifiers/bert-sentiment")
        cases = [case for case in golden["cases"] if "pair" not in case and case["text"].strip()]
        texts = [case["text"] for case in cases]
        batch = self.post("/predict_batch", {"texts": texts})["predictions"]
        vllm = [item for text in texts for item in self.post("/v1/classify", {"model": "sentiment", "input": text})["data"]]
        tei = self.post("/predict", {"inputs": [[text] for text in texts], "truncate": True})
        for case, prediction, item, labels in zip(cases, batch, vllm, tei):
            want = softmax(case["logits"])
            best = want.index(max(want))
            self.assertEqual(prediction["text"], case["text"])
            self.assertEqual(prediction["sentiment"], golden["labels"][best])
            self.assertAlmostEqual(prediction["confidence"], want[best], delta=1e-4)
            self.assertEqual(item["label"], golden["labels"][best])
            self.assert_close(item["probs"], want)
            self.assert_close([label["score"] for label in labels], sorted(want, reverse=True))
            single = self.post("/predict", {"text": case["text"]})
            self.assertEqual(single, prediction)

    # Every label by itself; logits when asked for.
    def test_multi_label(self):
        golden = expected("classifiers/bert-topics")
        case = golden["cases"][1]
        data = self.post("/classify", {"model": "topics", "input": case["text"]})["data"][0]
        self.assert_close(data["probs"], [sigmoid(x) for x in case["logits"]])
        raw = self.post("/classify", {"model": "topics", "input": case["text"], "raw_scores": True})["data"][0]
        self.assertEqual({item["label"]: round(item["score"], 3) for item in raw},
                         {label: round(x, 3) for label, x in zip(golden["labels"], case["logits"])})

    def test_pairs(self):
        golden = expected("classifiers/bert-sentiment")
        for case in (case for case in golden["cases"] if "pair" in case):
            labels = self.post("/predict", {"inputs": [case["text"], case["pair"]], "model": "sentiment", "truncate": True})
            self.assert_close([label["score"] for label in labels], sorted(softmax(case["logits"]), reverse=True))

    # The four dialects give the same order of the same numbers.
    def test_rerank(self):
        golden = expected("classifiers/xlmr-rerank")
        cases = [case for case in golden["cases"] if "pair" in case and case["text"]]
        for case in cases:
            query, documents = case["text"], [case["pair"], "zebra", case["pair"], "one"]
            own = self.post("/v1/rerank", {"model": "ranker", "query": query, "documents": documents})["results"]
            scores = [item["relevance_score"] for item in own]
            self.assertEqual(scores, sorted(scores, reverse=True))
            by_index = {item["index"]: item for item in own}
            self.assertAlmostEqual(by_index[0]["relevance_score"], case["logits"][0], delta=1e-3)
            self.assertEqual(by_index[0]["document"], case["pair"])
            self.assertEqual(by_index[0]["relevance_score"], by_index[2]["relevance_score"])
            order = [item["index"] for item in own]
            self.assertLess(order.index(0), order.index(2))
            jina = self.post("/rerank", {"model": "ranker", "query": query, "documents": documents, "top_n": 3})["results"]
            self.assertEqual([item["index"] for item in jina], order[:3])
            self.assert_close([item["relevance_score"] for item in jina], [sigmoid(x) for x in scores[:3]])
            self.assertEqual(jina[0]["document"], {"text": documents[order[0]]})
            tei = self.post("/rerank", {"model": "ranker", "query": query, "texts": documents, "raw_scores": True,
                                        "truncate": True})
            self.assertEqual([item["index"] for item in tei], order)
            self.assert_close([item["score"] for item in tei], scores)
            score = self.post("/v1/score", {"model": "ranker", "text_1": query, "text_2": documents})["data"]
            self.assert_close([score[i]["score"] for i in order], [sigmoid(x) for x in scores])

    def test_yes_or_no(self):
        for case in expected("rerankers/qwen3-yes-no")["cases"]:
            answer = self.post("/rerank", {"model": "yes-no", "query": case["query"], "documents": [case["document"]]})
            self.assertAlmostEqual(answer["results"][0]["relevance_score"], case["score"], delta=1e-3)
            self.assertEqual(answer["usage"]["total_tokens"], len(case["ids"]))

    # Forty distinct texts are one pass over the device, whatever the window of texts is; asked again, none.
    def test_a_batch_is_one_pass(self):
        texts = [f"one batch {i}" for i in range(40)]
        before = self.server.metric("embedding_batch_size_count", model="sentiment")
        first = self.post("/predict_batch", {"texts": texts})
        self.assertEqual(self.server.metric("embedding_batch_size_count", model="sentiment"), before + 1)
        self.assertEqual(self.post("/predict_batch", {"texts": texts}), first)
        self.assertEqual(self.server.metric("embedding_batch_size_count", model="sentiment"), before + 1)

    def test_requests_are_counted_once(self):
        def counts():
            return [self.server.metric("rerank_requests_total", model="ranker", status="200"),
                    self.server.metric("rerank_requests_total", model="unknown"),
                    self.server.metric("classification_requests_total", model="sentiment", status="200"),
                    self.server.metric("classification_requests_total", model="unknown"),
                    self.server.metric("inference_requests_total")]

        before = counts()
        self.post("/v1/rerank", {"model": "ranker", "query": "a", "documents": ["b"]})
        self.post("/v1/rerank", {"model": "nope", "query": "a", "documents": ["b"]}, 404)
        self.post("/predict", {"text": "counted"})
        self.post("/predict", {"text": "counted", "model": "nope"}, 404)
        self.assertEqual([after - old for after, old in zip(counts(), before)], [1, 1, 1, 1, 4])

    # A client that goes away takes its request along: 499, once, and the others are answered.
    def test_disconnect(self):
        def gone():
            try:
                return self.server.metric("classification_requests_total", model="sentiment", status="499")
            except KeyError:
                return 0

        before, answered, stop = gone(), [], threading.Event()

        def others():
            number = 0
            while not stop.is_set():
                number += 1
                answered.append(len(self.post("/predict_batch", {"texts": [f"other {number} {i}" for i in range(50)]})["predictions"]))

        thread = threading.Thread(target=others)
        thread.start()
        # The moment between reading and answering comes sooner or later, by the machine; so do those who leave.
        attempts, rng, end = 0, random.Random(3), time.monotonic() + 60
        while gone() == before and time.monotonic() < end:
            attempts += 1
            body = json.dumps({"texts": [f"gone {attempts} {i} " + "word " * 60 for i in range(100)]}).encode()
            with socket.create_connection(("127.0.0.1", self.server.port)) as client:
                client.sendall(b"POST /predict_batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
                               + str(len(body)).encode() + b"\r\n\r\n" + body)
                time.sleep(0.0005 * 100 ** rng.random())
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        stop.set()
        thread.join()
        self.assertGreater(gone(), before)
        self.assertEqual(set(answered), {50})


if __name__ == "__main__":
    BINARY = sys.argv.pop(1)
    unittest.main()
