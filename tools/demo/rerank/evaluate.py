#!/usr/bin/env python3
"""Prints nDCG@10 and top-1 of a cross-encoder on query files, beside the embedding model's.

  evaluate.py MODEL_FOLDER QUERIES.json... [--embed FOLDER]

QUERIES.json as eval_embed.py reads it: one right candidate of 20 for each query, so that
nDCG@10 is the mean of 1 / log2(1 + its place), 0 past the tenth place. Reads both folders with plain transformers.
"""
import argparse
import json
import math
import pathlib
import sys

import torch
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from eval_embed import encode, rank


def marks(places):
    return (sum(1 / math.log2(1 + p) for p in places if p <= 10) / len(places),
            sum(p == 1 for p in places) / len(places))


def cross_places(folder, items):
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    places = []
    for it in items:
        batch = tokenizer([it["query"]] * len(it["candidates"]), it["candidates"], padding=True, truncation=True,
                          max_length=512, return_tensors="pt")
        with torch.no_grad():
            logits = model(**batch).logits[:, 0]
        places.append(int((logits > logits[it["answer"]]).sum()) + 1)
    return places


def embed_places(folder, items):
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    results = rank(lambda texts: encode(model, tokenizer, texts), items)
    return [order.index(it["answer"]) + 1 for it, (_, _, order, _) in zip(items, results)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("queries", type=pathlib.Path, nargs="+")
    parser.add_argument("--embed", type=pathlib.Path)
    args = parser.parse_args()
    for path in args.queries:
        items = json.loads(path.read_text(encoding="utf-8"))
        rows = [(args.model, cross_places(args.model, items))]
        if args.embed:
            rows.append((args.embed, embed_places(args.embed, items)))
        for folder, places in rows:
            print("%s: %s: nDCG@10 %.4f, top-1 %.1f %%" % (path.name, folder, marks(places)[0], 100 * marks(places)[1]))


if __name__ == "__main__":
    main()
