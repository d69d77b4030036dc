#!/usr/bin/env python3
"""The speed of the `tokenizers` package and of ours on the same texts, one thread each.

    bench_tokenizers.py --bench BUILD/benchmarks/tokenizer_bench [--seconds 3] FILE...
    bench_tokenizers.py --train-large FILE

Three sets of texts: English sentences made of common words, the mixed lines of tools/golden/text_lines.py, and
paragraphs of the documentation that lies on this machine. Prints MB/s of both programs and the ratio, by processor
time. --train-large trains a byte-level tokenizer.json in Qwen's style with 150,000 tokens on this machine's files,
for want of a published one. Wants the PyPI package tokenizers.
"""

import argparse
import glob
import json
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


def local_files(patterns):
    files = [file for pattern in patterns for file in glob.glob(pattern, recursive=True) if os.path.isfile(file)]
    files.sort()
    random.Random(1).shuffle(files)
    for file in files:
        try:
            with open(file, encoding="utf-8") as opened:
                yield opened.read(200_000)
        except (OSError, UnicodeDecodeError):
            pass


def paragraphs(count):
    """Prose of manuals and licences: paragraphs in one line each."""
    found = []
    for text in local_files(("/usr/share/perl/**/*.pod", "/usr/share/common-licenses/*", "/usr/share/doc/**/*.txt")):
        found += [" ".join(part.split()) for part in text.split("\n\n") if len(part) > 150 and not part.startswith(" ")]
    random.Random(2).shuffle(found)
    return found[:count]


def train_large(path, characters=60_000_000):
    import make_tokenizers as make
    from tokenizers import trainers

    def texts():
        left = characters
        for text in local_files(("/usr/share/doc/**/*", os.path.dirname(os.__file__) + "/**/*.py", "/usr/include/**/*.h", "/usr/share/perl/**/*.pod",
                                 "/usr/share/i18n/locales/*")):
            left -= len(text)
            if left < 0:
                return
            yield text

    data = make.qwen2(900, 100)
    empty = dict(data, post_processor=None, added_tokens=[], model=dict(data["model"], vocab={}, merges=[]))
    tokenizer = Tokenizer.from_str(json.dumps(empty))
    tokenizer.train_from_iterator(texts(), trainers.BpeTrainer(vocab_size=150_000, special_tokens=[], show_progress=False, initial_alphabet=make.BYTES))
    trained = json.loads(tokenizer.to_str())["model"]
    data["added_tokens"] = []
    data["model"].update(vocab=trained["vocab"], merges=trained["merges"])
    make.add_specials(data, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    with open(path, "w") as file:
        json.dump(data, file, ensure_ascii=False)
    print("%s: %d tokens, %d merges" % (path, len(trained["vocab"]), len(trained["merges"])))


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
    parser.add_argument("--bench")
    parser.add_argument("--train-large")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()
    if options.train_large:
        return train_large(options.train_large)
    sets = {"paragraphs": paragraphs(8000), "english": list(english(4000)), "mixed": [line.replace("\n", " ") for line in lines(4000, 3)]}
    for name, texts in sets.items():
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write("\n".join(texts) + "\n")
            file.flush()
            for path in options.files:
                out = subprocess.run([options.bench, "--texts", file.name, "--seconds", str(options.seconds), path], check=True,
                                     stdout=subprocess.PIPE, text=True).stdout
                ids, offsets = (float(rate) for rate in re.findall(r"best +([0-9.]+)", out))
                load = re.search(r"load +([0-9]+) ms", out).group(1)
                reference = theirs(path, texts, options.seconds)
                print("%-10s %-40s ours %6.1f MB/s ids, %6.1f with offsets; tokenizers %5.2f MB/s; %.1fx, %.1fx; load %s ms" % (
                    name, path[-40:], ids, offsets, reference, ids / reference, offsets / reference, load), flush=True)


if __name__ == "__main__":
    main()
