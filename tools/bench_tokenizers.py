#!/usr/bin/env python3
"""The speed of the `tokenizers` package and of ours on the same texts, one thread each.

    bench_tokenizers.py --bench BUILD/benchmarks/tokenizer_bench [--seconds 3] FILE...

Two sets of texts are made: English sentences, and the mixed lines of tools/golden/text_lines.py. Prints MB/s
of both programs and the ratio, by processor time. Wants the PyPI package tokenizers.
"""

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import time

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden"))
from text_lines import ENGLISH, lines  # noqa: E402

from tokenizers import Tokenizer  # noqa: E402


def english(count):
    rng = random.Random(7)
    for _ in range(count):
        sentences = []
        for _ in range(rng.randint(1, 8)):
            words = [rng.choice(ENGLISH) for _ in range(rng.randint(4, 18))]
            sentences.append(" ".join(words).capitalize() + rng.choice(".?!"))
        yield " ".join(sentences)


def theirs(path, texts, seconds):
    tokenizer = Tokenizer.from_file(path)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    size = sum(len(text.encode()) for text in texts)
    best, begin = 0, time.time()
    while True:
        start = time.thread_time()
        for text in texts:
            tokenizer.encode(text)
        best = max(best, size / 1e6 / (time.thread_time() - start))
        if time.time() - begin > seconds:
            return best


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", required=True)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    sets = {"english": list(english(4000)), "mixed": [line.replace("\n", " ") for line in lines(4000, 3)]}
    for name, texts in sets.items():
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write("\n".join(texts) + "\n")
            file.flush()
            for path in options.files:
                out = subprocess.run([options.bench, "--texts", file.name, "--seconds", str(options.seconds), path], check=True,
                                     stdout=subprocess.PIPE, text=True).stdout
                ids, offsets = (float(rate) for rate in re.findall(r"best +([0-9.]+)", out))
                reference = theirs(path, texts, options.seconds)
                print("%-8s %-40s ours %6.1f MB/s ids, %6.1f with offsets; tokenizers %5.2f MB/s; %.1fx, %.1fx" % (
                    name, path[-40:], ids, offsets, reference, ids / reference, offsets / reference), flush=True)


if __name__ == "__main__":
    main()
