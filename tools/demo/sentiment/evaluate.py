#!/usr/bin/env python3
"""Prints how often a sentiment classifier is right, for each label; never a text.

  evaluate.py MODEL_FOLDER SENTENCES.json     [{"text": "...", "label": "positive"}, ...]

Reads the folder with plain transformers, so that the mark does not depend on the training script.
"""
import argparse
import collections
import json
import pathlib

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("sentences", type=pathlib.Path)
    args = parser.parse_args()
    items = json.loads(args.sentences.read_text(encoding="utf-8"))
    model = AutoModelForSequenceClassification.from_pretrained(args.model, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    batch = tokenizer([it["text"] for it in items], padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        found = [model.config.id2label[i] for i in model(**batch).logits.argmax(1).tolist()]
    pairs = collections.Counter((it["label"], label) for it, label in zip(items, found))
    for (label, got), count in sorted(pairs.items()):
        print(f"{count:4d}  {label} taken for {got}" if label != got else f"{count:4d}  {label}")
    right = sum(n for (label, got), n in pairs.items() if label == got)
    print(f"right {right}/{len(items)} = {right / len(items):.1%}")


if __name__ == "__main__":
    main()
