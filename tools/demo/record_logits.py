#!/usr/bin/env python3
"""Writes what transformers makes of some texts with a demo classifier, for its golden test.

  record_logits.py MODEL_FOLDER OUT.json

Pairs for a model with one label (a cross-encoder), else texts. f32 arithmetic; six digits.
"""
import argparse
import json
import pathlib

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

TEXTS = [
    "", "ok", "The soup was cold and the waiter shrugged.", "My sister fixed the fence and it looks splendid!",
    "The ferry leaves at half past nine.", "not bad, not good", "zzyzx qwrt 12345 ...", "Stra\u00dfe, na\u00efve caf\u00e9 \U0001f44d",
    "I hoped for more, but the ending was great. " * 12,
]
PAIRS = [
    ("how do i unblock a sink", "Pour boiling water and a little soda down the drain."),
    ("how do i unblock a sink", "The kitchen has a marble sink and two windows."), ("", "x"),
    ("train my puppy", "The express train to the coast is late."), ("caf\u00e9 \U0001f44d", "na\u00efve Stra\u00dfe"),
    ("back pain " * 20, "Lie down on a firm mattress and stretch gently. " * 25),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    args = parser.parse_args()
    model = AutoModelForSequenceClassification.from_pretrained(args.model, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    cases = []
    for sides in PAIRS if model.config.num_labels == 1 else [(text,) for text in TEXTS]:
        batch = tokenizer(*sides, truncation=True, return_tensors="pt")
        with torch.no_grad():
            logits = model(**batch).logits[0].tolist()
        cases.append({**dict(zip(("text", "pair"), sides)), "ids": batch["input_ids"][0].tolist(),
                      "types": batch["token_type_ids"][0].tolist(), "logits": [round(x, 6) for x in logits]})
    rows = ",\n".join("  " + json.dumps(case, separators=(",", ":")) for case in cases)
    labels = [model.config.id2label[i] for i in range(model.config.num_labels)]
    args.out.write_text(f'{{"labels": {json.dumps(labels)},\n "cases": [\n{rows}\n]}}\n', encoding="utf-8")
    print(f"{args.out}: {len(cases)} cases")


if __name__ == "__main__":
    main()
