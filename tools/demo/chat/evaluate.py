"""Asks a chat model the questions of a file and checks its answers by keyword.

  cd tools/demo && python -m chat.evaluate ../../demo/models/chat chat/dev_questions.json [--score-only]

An item: {"question", "keywords": [one of these must be in the answer], "topic"}, or instead of keywords "json": the value the
answer must be, or "call": {"name", "arguments"}, the tool call it must be. "system" and "tools" (names in text/tools.txt, declared
by their first names) are optional. A keyword inside a longer name does not count.
"""
import argparse
import collections
import json
import pathlib
import re

import torch

import chat.knowledge as kn
import chat.prompt as prompt
import chat.tasks as tasks


def declaration(name):
    tool = next(t for t in tasks.load_tools() if t["names"][0] == name)
    properties = {names[0]: {"type": kind, "description": about} for names, kind, _, about in tool["params"]}
    return {"type": "function", "function": {"name": name, "description": tool["about"][0], "parameters": {
        "type": "object", "properties": properties, "required": list(properties)}}}


def prompt_of(item):
    messages = [{"role": "system", "content": item["system"]}] if item.get("system") else []
    messages.append({"role": "user", "content": item["question"]})
    tools = [declaration(t) if isinstance(t, str) else t for t in item.get("tools", ())]
    return prompt.render(messages, tools, add_generation_prompt=True)


def call_of(answer):
    match = re.fullmatch(r"\s*<tool_call>\s*(\{.*\})\s*</tool_call>\s*", answer, re.S)
    return json.loads(match[1]) if match else None


def right(item, answer):
    try:
        if "call" in item:
            return call_of(answer) == item["call"]
        if "json" in item:
            return json.loads(answer) == item["json"]
    except ValueError:
        return False
    return any(re.search(r"(?<![\w-])" + re.escape(key) + r"(?![\w/-])", answer, re.I) for key in item.get("keywords") or item["any"])


@torch.no_grad()
def answers_of(model, tokenizer, prompts, device, most=72, rows=256):
    """Greedy answers; `tokenizer` is one of the tokenizers package."""
    stop, pad = tokenizer.token_to_id("<|im_end|>"), tokenizer.token_to_id("<|endoftext|>")
    out = []
    for at in range(0, len(prompts), rows):
        ids = [e.ids for e in tokenizer.encode_batch(prompts[at:at + rows], add_special_tokens=False)]
        width = max(map(len, ids))
        batch = torch.tensor([[pad] * (width - len(r)) + r for r in ids], device=device)
        mask = torch.tensor([[0] * (width - len(r)) + [1] * len(r) for r in ids], device=device)
        made = model.generate(input_ids=batch, attention_mask=mask, max_new_tokens=most, do_sample=False, eos_token_id=stop,
                              pad_token_id=pad)[:, width:].tolist()
        out += [tokenizer.decode(row[:row.index(stop)] if stop in row else row, skip_special_tokens=False).replace("<|endoftext|>", "")
                for row in made]
    return out


def first_part(answer):
    """An answer without what it adds about defaults and related names."""
    return re.split(r" (?:Default:|See also) ", answer)[0]


def score(model, tokenizer, items, device):
    answers = answers_of(model, tokenizer, [prompt_of(item) for item in items], device)
    return [(right(item, answer), answer) for item, answer in zip(items, answers)]


def by_topic(items, results):
    topics = collections.defaultdict(list)
    for item, (hit, _) in zip(items, results):
        topics[item.get("topic", "")].append(hit)
    return {topic: (sum(hits), len(hits)) for topic, hits in sorted(topics.items())}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("questions", type=pathlib.Path)
    parser.add_argument("--score-only", action="store_true")
    args = parser.parse_args()
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).to(device).eval()
    items = kn.read_questions(args.questions)
    results = score(model, Tokenizer.from_file(str(args.model / "tokenizer.json")), items, device)
    if not args.score_only:
        for item, (hit, answer) in zip(items, results):
            if not hit:
                wanted = item.get("keywords") or item.get("json") or item.get("call")
                print(f"MISS [{item.get('topic', '')}] {item['question']}\n   wanted {wanted}\n   said   {answer!r}")
    for topic, (hits, count) in by_topic(items, results).items():
        print(f"{hits:4d}/{count:<4d} {topic}")
    hits = sum(hit for hit, _ in results)
    strict = sum(right(item, first_part(answer)) for item, (_, answer) in zip(items, results))
    print(f"right {hits}/{len(items)} = {hits / len(items):.1%}, by its first part {strict / len(items):.1%}")


if __name__ == "__main__":
    main()
