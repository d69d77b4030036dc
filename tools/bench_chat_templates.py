#!/usr/bin/env python3
"""The time jinja2 (as transformers sets it up) and ours take to render the same conversation, one thread each.

    bench_chat_templates.py --bench BUILD/benchmarks/chat_template_bench [--rounds 1000] [--seed 17] [FILE ...]

Two conversations of 20 messages are made: plain, and with tools, calls and results. FILEs are templates; without them
those of tests/golden/chat_template that take both. Rounds of jinja2 lie on both sides of ours, so that a slow minute hits
both. Prints the median and the 99th percentile of both by processor time, and their ratio. Wants transformers and jinja2.
"""

import argparse
import json
import os
import random
import re
import subprocess
import tempfile
import time

from transformers.utils import chat_template_utils

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DEFAULT = ["chatml", "deepseek_r1", "llama3_1", "llama3_2", "mistral_v3", "qwen2_5", "qwen3", "qwen3_vl"]
WORDS = "the river weather question because it's 2024 London always between answers of model children in".split()


def words(rng):
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(10, 100)))


def plain(rng):
    messages = [{"role": "system", "content": words(rng)}]
    for i in range(19):
        messages.append({"role": "assistant" if i % 2 else "user", "content": words(rng)})
    return {"messages": messages, "tools": None}


def with_tools(rng):
    parameters = {"type": "object", "properties": {"city": {"type": "string", "description": words(rng)}, "days": {"type": "integer"}},
                  "required": ["city"]}
    tools = [{"type": "function", "function": {"name": name, "description": words(rng), "parameters": parameters}}
             for name in ("get_weather", "get_forecast", "get_history")]
    messages = [{"role": "user", "content": words(rng)}]
    while len(messages) < 17:
        messages += [
            {"role": "assistant", "content": "", "tool_calls": [{"id": "abcdefgh1", "type": "function", "function": {
                "name": "get_weather", "arguments": {"city": "London", "days": 3}}}]},
            {"role": "tool", "tool_call_id": "abcdefgh1", "name": "get_weather", "content": words(rng)},
            {"role": "assistant", "content": words(rng)},
            {"role": "user", "content": words(rng)}]
    messages += [{"role": "assistant", "content": words(rng)}, {"role": "user", "content": words(rng)}, {"role": "assistant", "content": words(rng)}]
    return {"messages": messages, "tools": tools}


def as_taken(context, source):
    """A copy for this template: some join a call's arguments to text, which then have to be text."""
    given = json.loads(json.dumps(context))
    for message in given["messages"] if "['arguments'] +" in source else []:
        for call in message.get("tool_calls", []):
            call["function"]["arguments"] = json.dumps(call["function"]["arguments"])
    return given


def theirs(compiled, context, rounds):
    times, size = [], 0
    for _ in range(rounds):
        begin = time.thread_time_ns()
        prompt = compiled.render(**context)
        times.append((time.thread_time_ns() - begin) / 1e3)
        size = len(prompt.encode())
    return times, size


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", required=True)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()
    files = options.files or [os.path.join(ROOT, "tests", "golden", "chat_template", name + ".jinja") for name in DEFAULT]
    print("seed %d, %d rounds each" % (options.seed, options.rounds))
    told = False
    for kind, make in (("plain", plain), ("tools", with_tools)):
        context = dict(make(random.Random(options.seed)), documents=None, add_generation_prompt=True, bos_token="<s>", eos_token="</s>")
        for path in files:
            with open(path, encoding="utf-8") as file:
                source = file.read()
            given = as_taken(context, source)
            compiled = chat_template_utils._compile_jinja_template(source)
            before, size = theirs(compiled, given, options.rounds // 2)
            with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
                json.dump(given, file)
                file.flush()
                out = subprocess.run([options.bench, "--rounds", str(options.rounds), "--context", file.name, path], check=True,
                                     stdout=subprocess.PIPE, text=True).stdout
                head = out.splitlines()[0].replace(file.name, "conversations of 20 messages")
            after, _ = theirs(compiled, given, options.rounds - options.rounds // 2)
            p50, p99, size_ours = re.search(r"p50 +([0-9.]+) us +p99 +([0-9.]+) us .* prompt (\d+) bytes", out).groups()
            if int(size_ours) != size:
                raise SystemExit("%s: ours made %s bytes, jinja2 %d" % (path, size_ours, size))
            if not told:
                print(head)
                told = True
            times = sorted(before + after)
            median = times[len(times) // 2]
            print("%-5s %-22s %6d bytes  ours p50 %6.1f us p99 %6.1f us; jinja2 p50 %7.1f us p99 %7.1f us; %.1fx" % (
                kind, os.path.basename(path), size, float(p50), float(p99), median, times[len(times) * 99 // 100], median / float(p50)), flush=True)


if __name__ == "__main__":
    main()
