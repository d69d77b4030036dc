#!/usr/bin/env python3
"""Compares our chat templates with jinja2 and transformers: the same text, or an error in both.

    chat_template_diff.py --program render_lines [--conversations 300] [--expressions 4000] [--seed 1] [--show 5]
                          [--folders 100] [--install FOLDER] [--only NAME]

Each template of tests/golden/chat_template renders CONVERSATIONS generated conversations through
apply_chat_template: most as the template takes them, some odd in any way, some continued. FOLDERS checkpoint folders
with templates and special tokens in all the places they may lie are loaded by both sides. Then EXPRESSIONS small
random templates over operators, filters, tests, methods and statements. What raise_exception says and what is said
of undefined values must be the same, too; other errors need only be errors. With --install the packages are first put
into a virtual environment in FOLDER, which then runs this. Ends with status 1 on any difference.
"""

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from datetime import datetime as real_datetime

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools", "golden"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from chat_conversations import SPECIAL_TOKENS, STYLES, job  # noqa: E402
from chat_template_expressions import CONTEXT, template  # noqa: E402
from chat_template_folders import folder_job, write_folder  # noqa: E402

PACKAGES = ["transformers==5.23.0", "jinja2==3.1.6"]
GOLDEN = os.path.join(ROOT, "tests", "golden", "chat_template")
# What ours refuses by design; the original may do it.
REFUSED = ("not supported", "beyond 64 bits", "too long", "is above", "nested deeper", "too deeply", "too many steps",
           "reaches too far", "a formatted time")
# Addresses, also upper-cased or taken apart, and a kind of text we do not have.
UNCOMPARABLE = re.compile(r" .t 0x|g-e-n-e-r-a-t-o-r|markup\(", re.IGNORECASE)
ESCAPED = re.compile(r"\|(e|escape|safe)\b.* is (not )?escaped")
SECONDS_MAX = 2  # for one template of the original
WORDED = ("TemplateError: ", "UndefinedError: ")  # errors whose words are compared: raise_exception's, undefined values
PLACE = re.compile(r"^chat template(, line \d+)?: ")


class FixedDatetime(real_datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2025, 3, 9, 8, 7, 6, 5)


def reference():
    """A tokenizer of the original with nothing in it but its special tokens, and its template compiler."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast
    from transformers.utils import chat_template_utils
    chat_template_utils.datetime = FixedDatetime
    words = {token: i for i, token in enumerate(SPECIAL_TOKENS.values())}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="<unk>")), **SPECIAL_TOKENS)
    return tokenizer, chat_template_utils._compile_jinja_template


def ours(program, jobs):
    text = "".join(json.dumps(one) + "\n" for one in jobs)
    done = subprocess.run([program], input=text.encode(), stdout=subprocess.PIPE, timeout=600)
    answers = [json.loads(line) for line in done.stdout.decode().split("\n") if line]
    if done.returncode != 0 or len(answers) != len(jobs):
        raise SystemExit("%s ended with %d after %d of %d answers; next was\n%s" % (
            program, done.returncode, len(answers), len(jobs), json.dumps(jobs[min(len(answers), len(jobs) - 1)])[:2000]))
    return answers


def too_slow(signum, frame):
    raise TimeoutError("the original takes too long")


def attempt(render):
    signal.signal(signal.SIGALRM, too_slow)
    signal.alarm(SECONDS_MAX)
    try:
        text = render()
        text.encode()
        return ["ok", text]
    except TimeoutError as e:
        return ["slow", str(e)]
    except Exception as e:  # noqa: BLE001
        return ["error", "%s: %s" % (type(e).__name__, e)]
    finally:
        signal.alarm(0)


def refused(message):
    return any(mark in message for mark in REFUSED)


def same_error(ours, theirs):
    for kind in WORDED:
        if theirs.startswith(kind):
            return PLACE.sub("", ours) == theirs[len(kind):] or refused(ours)
    return True


def compare(name, jobs, found, wanted, show, again=None):
    """`again` renders a job of the original once more, elsewhere in memory: an answer that changes holds an address."""
    bad, counts = 0, Counter()
    for one, a, b in zip(jobs, found, wanted):
        if b[0] == "slow" or UNCOMPARABLE.search(b[1]) or ESCAPED.search(one.get("template", "")):
            counts["not comparable"] += 1
        elif a[0] == "error" and b[0] == "ok" and refused(a[1]):
            counts["refused"] += 1
        elif a[0] != b[0] or not (same_error(a[1], b[1]) if a[0] == "error" else a[1] == b[1]):
            if again is not None and again(one) != b:
                counts["not comparable"] += 1
                continue
            bad += 1
            if bad <= show:
                shown = one["template"] if name == "expressions" else json.dumps({k: v for k, v in one.items() if k != "template"})
                print("  %s: %s\n    want %r\n    have %r" % (name, shown, b, a))
        else:
            counts[b[0]] += 1
            counts["continued ok"] += b[0] == "ok" and "continue_final_message" in one
    print("%-24s %6d compared, %d different; %s" % (name, len(jobs), bad, ", ".join("%d %s" % (n, what) for what, n in sorted(counts.items()) if n)), flush=True)
    return bad


def apply(tokenizer, one, chat_template=None):
    one = json.loads(json.dumps(one))
    return tokenizer.apply_chat_template(
        one["messages"], tools=one.get("tools"), documents=one.get("documents"), chat_template=chat_template, tokenize=False,
        add_generation_prompt=one["add_generation_prompt"], continue_final_message=one.get("continue_final_message", False),
        **one["variables"])


def check_template(options, tokenizer, path):
    with open(path, encoding="utf-8") as file:
        source = file.read()
    name = os.path.basename(path)
    rng = random.Random("%d %s" % (options.seed, name))
    style = STYLES[name.removesuffix(".jinja")]
    jobs = [dict(job(rng, style), template=source) for _ in range(options.conversations)]
    wanted = [attempt(lambda one=one: apply(tokenizer, one, source)) for one in jobs]
    return compare(name, jobs, ours(options.program, jobs), wanted, options.show)


def check_folders(options):
    from transformers import AutoTokenizer
    rng = random.Random("%d folders" % options.seed)
    jobs, wanted = [], []
    with tempfile.TemporaryDirectory() as root:
        for i in range(options.folders):
            folder = os.path.join(root, str(i))
            contents = write_folder(rng, folder, GOLDEN)
            try:
                tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            except Exception as e:  # noqa: BLE001
                raise SystemExit("the original cannot load %s: %s" % (json.dumps(contents), e))
            for _ in range(5):
                one = dict(folder_job(rng), folder=folder)
                if not isinstance(tokenizer.chat_template, dict) or one.get("template_name") not in tokenizer.chat_template:
                    one.pop("template_name", None)  # the original would take an unknown name for a template
                jobs.append(one)
                wanted.append(attempt(lambda one=one, tokenizer=tokenizer: apply(tokenizer, one, one.get("template_name"))))
        found = ours(options.program, jobs)
    return compare("folders", jobs, found, wanted, options.show)


def check_expressions(options, compiled):
    rng = random.Random(options.seed)
    jobs = [{"template": template(rng), "context": CONTEXT} for _ in range(options.expressions)]

    def render(one):
        return attempt(lambda: compiled(one["template"]).render(**json.loads(json.dumps(CONTEXT))))

    def elsewhere(one):
        ballast = [(i for i in ()) for _ in range(10000)]
        return render(one) if ballast else None

    wanted = [render(one) for one in jobs]
    return compare("expressions", jobs, ours(options.program, jobs), wanted, options.show, elsewhere)


def main():
    os.environ.update({"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"})
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", required=True)
    parser.add_argument("--conversations", type=int, default=300)
    parser.add_argument("--expressions", type=int, default=4000)
    parser.add_argument("--folders", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=5)
    parser.add_argument("--install")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    if options.install:
        from python_venv import ensure
        python = ensure(options.install, PACKAGES)
        arguments = [a for i, a in enumerate(sys.argv[1:]) if a != "--install" and sys.argv[i] != "--install"]
        sys.exit(subprocess.call([python, os.path.abspath(__file__), *arguments]))
    tokenizer, compiled = reference()
    bad = 0
    for name in sorted(os.listdir(GOLDEN)):
        if name.endswith(".jinja") and options.only in name:
            bad += check_template(options, tokenizer, os.path.join(GOLDEN, name))
    if options.only in "folders":
        bad += check_folders(options)
    if options.only in "expressions":
        bad += check_expressions(options, compiled)
    print("chat_template_diff: seed %d, %d different" % (options.seed, bad))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
