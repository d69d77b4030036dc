#!/usr/bin/env python3
"""Writes tests/golden/chat_template/expected.jsonl: conversations and the prompts transformers makes of them.

    make_chat_templates.py [--each 4]        run with a Python that has transformers and jinja2
"""
import argparse
import json
import os
import random
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "interop"))
from chat_template_diff import GOLDEN, apply, attempt, reference  # noqa: E402
from chat_conversations import STYLES, job  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--each", type=int, default=4)
    each = parser.parse_args().each
    tokenizer, _ = reference()
    with open(os.path.join(GOLDEN, "expected.jsonl"), "w", encoding="utf-8") as out:
        for name in sorted(os.listdir(GOLDEN)):
            if not name.endswith(".jinja"):
                continue
            with open(os.path.join(GOLDEN, name), encoding="utf-8") as file:
                source = file.read()
            rng, kept = random.Random(name), 0
            while kept < each:
                one = job(rng, STYLES[name.removesuffix(".jinja")])
                want = attempt(lambda: apply(tokenizer, one, source))
                if want[0] == "ok":
                    kept += 1
                    out.write(json.dumps(dict(one, file=name, want=want[1])) + "\n")


if __name__ == "__main__":
    main()
