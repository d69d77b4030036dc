#!/usr/bin/env python3
"""Ranks the candidates of each query by cosine and prints how often the right one is first.

  eval_embed.py MODEL_FOLDER QUERIES.json [--score-only]

QUERIES.json: [{"query": "...", "candidates": ["..."], "answer": index, "topic": "..."}].
Reads the folder with plain transformers (mean pooling, normalise), so that the mark does not
depend on any code of the training script. --score-only hides the misses.
"""
import argparse
import collections
import json
import pathlib

import torch
from transformers import AutoModel, AutoTokenizer


def encode(model, tokenizer, texts, batch=256):
    out = []
    for start in range(0, len(texts), batch):
        enc = tokenizer(texts[start:start + batch], padding=True, truncation=True,
                        max_length=512, return_tensors="pt")
        with torch.no_grad():
            hidden = model(**enc).last_hidden_state
        mask = enc["attention_mask"].unsqueeze(-1).float()
        mean = (hidden * mask).sum(1) / mask.sum(1)
        out.append(torch.nn.functional.normalize(mean, dim=-1))
    return torch.cat(out)


def rank(vectors_of, items):
    """vectors_of(list of texts) -> unit rows. Returns one row per item: (hit, margin, order)."""
    texts = list(dict.fromkeys(t for it in items for t in [it["query"], *it["candidates"]]))
    row = {text: i for i, text in enumerate(texts)}
    vectors = vectors_of(texts)
    results = []
    for it in items:
        cand = vectors[[row[c] for c in it["candidates"]]]
        scores = cand @ vectors[row[it["query"]]]
        order = scores.argsort(descending=True).tolist()
        right = scores[it["answer"]].item()
        best_wrong = max(s for i, s in enumerate(scores.tolist()) if i != it["answer"])
        results.append((order[0] == it["answer"], right - best_wrong, order, scores.tolist()))
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("queries", type=pathlib.Path)
    parser.add_argument("--score-only", action="store_true")
    args = parser.parse_args()
    items = json.loads(args.queries.read_text(encoding="utf-8"))
    model = AutoModel.from_pretrained(args.model, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    results = rank(lambda texts: encode(model, tokenizer, texts), items)

    if not args.score_only:
        for it, (hit, _, order, scores) in zip(items, results):
            if not hit:
                top, right = order[0], it["answer"]
                print(f"MISS [{it.get('topic', '')}] {it['query']}\n"
                      f"   first  {scores[top]:.3f} {it['candidates'][top]}\n"
                      f"   wanted {scores[right]:.3f} {it['candidates'][right]}"
                      f" (place {order.index(right) + 1})")
    by_topic = collections.defaultdict(list)
    for it, result in zip(items, results):
        by_topic[it.get("topic", "")].append(result[0])
    for topic, hits in sorted(by_topic.items()):
        print(f"{sum(hits):4d}/{len(hits):<4d} {topic}")
    hits = sum(r[0] for r in results)
    print(f"top-1 {hits}/{len(items)} = {hits / len(items):.1%}")


if __name__ == "__main__":
    main()
