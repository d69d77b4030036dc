#!/usr/bin/env python3
"""Writes sis-selftest.json into a checkpoint folder: what transformers makes of texts and conversations.

  make_selftest.py FOLDER [--texts FILE] [--conversations FILE] [--print]

The server compares its own tokenizer and chat template with the file when it loads the folder
(SELFTEST=strict refuses a model that differs). --texts adds one text a line, --conversations one
JSON object a line ({"messages": [...], "tools": [...], ...}). Wants the `transformers` package.
"""
import argparse
import copy
import datetime
import json
import os
import pathlib
import sys

TEXTS = [
    "", " ", "a", "Hello, world!", "hello world", "  two  spaces  inside ", "\ttab\nand newline\r\n", "trailing space ",
    "It's what we're used to; they'd say I'll, you've, HE'S.", "CamelCase snake_case kebab-case ALLCAPS", "3.14159, 1,000,000 and 2024-02-29",
    "x = foo[\"bar\"](1, 2) // comment", "def f(a: int = 3) -> str:\n    return f\"{a:>4}\"", "https://example.org/a/b?c=d&e=%20f#g",
    "Stra\u00dfe, na\u00efve caf\u00e9, \u0130stanbul, \u01c6", "cafe\u0301 n\u0303", "\u0420\u0443\u0441\u0441\u043a\u0438\u0439 \u0442\u0435\u043a\u0441\u0442", "\u0395\u03bb\u03bb\u03b7\u03bd\u03b9\u03ba\u03ac \u03ba\u03b5\u03af\u03bc\u03b5\u03bd\u03b1",
    "\u4e2d\u6587\u5206\u8bcd\u6d4b\u8bd5\uff0c\u5168\u89d2\uff21\uff22\uff23\uff01", "\u65e5\u672c\u8a9e\u306e\u30c6\u30b9\u30c8\u3067\u3059\u3002\uff76\uff80\uff76\uff85", "\ud55c\uad6d\uc5b4 \ud14c\uc2a4\ud2b8", "\u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u0661\u0662\u0663", "\u05e2\u05d1\u05e8\u05d9\u05ea", "\u0939\u093f\u0928\u094d\u0926\u0940 \u0915\u094d\u0937", "\u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22",
    "\U0001f44d\U0001f3fd \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea \u2764\ufe0f", "\U0001d4d5\U0001d4ea\U0001d4f7\U0001d4ec\U0001d4ee \U00020bb7\u91ce\u5bb6", "\u200bzero\u200dwidth\ufeff", "soft\u00adhyphen and\u00a0nbsp\u3000wide",
    "\u0000nul \u0001\u0007\u001b[0m \u007f", "\ufffd \ue000 \U0010ffff", "e" * 300, "ab" * 200, " " * 64 + "x", "\n" * 12 + "y", "!?.,;:" * 20, "a-b-c " * 40, "12345678901234567890",
    "The quick brown fox jumps over the lazy dog. " * 8,
]
TOOL = {"type": "function", "function": {"name": "get_weather", "description": "Weather of a city", "parameters": {
    "type": "object", "properties": {"city": {"type": "string", "description": "Name of the city"}}, "required": ["city"]}}}
USER, ANSWER = {"role": "user", "content": "What is the weather in Paris?"}, {"role": "assistant", "content": "I do not know."}
SYSTEM = {"role": "system", "content": "You are brief."}
CALL = {"role": "assistant", "content": "", "tool_calls": [
    {"id": "call00001", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Paris"}}}]}
CONVERSATIONS = [
    {"messages": [USER], "add_generation_prompt": True}, {"messages": [USER]}, {"messages": [SYSTEM, USER], "add_generation_prompt": True},
    {"messages": [USER, ANSWER, USER], "add_generation_prompt": True}, {"messages": [SYSTEM, USER, ANSWER, USER, ANSWER]},
    {"messages": [USER, ANSWER], "continue_final_message": True}, {"messages": [{"role": "user", "content": "\u4f60\u597d \U0001f44b\n <b>&amp;</b> {{ x }}  "}], "add_generation_prompt": True},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "Describe this."}]}], "add_generation_prompt": True},
    {"messages": [USER], "tools": [TOOL], "add_generation_prompt": True}, {"messages": [SYSTEM, USER], "tools": [TOOL], "add_generation_prompt": True},
    {"messages": [USER, CALL, {"role": "tool", "tool_call_id": "call00001", "name": "get_weather", "content": "{\"degrees\": 21}"}], "tools": [TOOL], "add_generation_prompt": True},
    {"messages": [USER, {"role": "assistant", "content": "<think>\nhm\n</think>\n\nRain."}, USER], "add_generation_prompt": True},
    {"messages": [USER], "add_generation_prompt": True, "variables": {"enable_thinking": False}}, {"messages": [ANSWER, ANSWER], "add_generation_prompt": True},
    {"messages": [{"role": "somebody", "content": "x"}]},
]


def special_tokens(tokenizer):
    names = list(dict.fromkeys(str(t) for t in tokenizer.added_tokens_decoder.values()))
    return [" ".join(["a", *names[:12], "b"]), "".join(names[:6]), *(f"word{n}word {n} " for n in names[:4])]


def byte_offsets(text, offsets):
    starts = [0]
    for c in text:
        starts.append(starts[-1] + len(c.encode()))
    return [starts[at] for pair in offsets for at in pair]


def text_items(tokenizer, texts):
    items = []
    for text in texts:
        encoding = tokenizer(text, return_offsets_mapping=True)
        ids = encoding["input_ids"]
        items.append({"text": text, "ids": ids, "offsets": byte_offsets(text, encoding["offset_mapping"]),
                      "ids_plain": tokenizer.encode(text, add_special_tokens=False),
                      "decoded": tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)})
    return items


def conversation_items(tokenizer, conversations):
    items = []
    for item in conversations:
        item = copy.deepcopy(item)
        try:
            item["prompt"] = tokenizer.apply_chat_template(
                copy.deepcopy(item["messages"]), tools=item.get("tools"), documents=item.get("documents"),
                add_generation_prompt=item.get("add_generation_prompt", False),
                continue_final_message=item.get("continue_final_message", False), tokenize=False, **item.get("variables", {}))
        except Exception as error:  # templates refuse with exceptions of many kinds
            item["error"] = True
            print(f"refused: {json.dumps(item['messages'])[:80]}: {str(error)[:80]}", file=sys.stderr)
        items.append(item)
    return items


def write(folder, extra_texts=(), extra_conversations=(), to_stdout=False):
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import tokenizers
    import transformers
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if not tokenizer.is_fast:
        raise SystemExit(f"{folder}: transformers has no fast tokenizer for it to compare with")
    texts = [*TEXTS, *special_tokens(tokenizer), *extra_texts]
    conversations = [*(CONVERSATIONS if tokenizer.chat_template else []), *extra_conversations]
    now = datetime.datetime.now()  # templates may print the date
    document = {"made_with": {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__},
                "now": [now.year, now.month, now.day, now.hour, now.minute, now.second],
                "texts": text_items(tokenizer, texts),
                "pairs": [{"first": a, "second": b, "ids": tokenizer.encode(a, b)} for a, b in
                          (("a question", "an answer"), ("\u4e2d\u6587", "b " * 40), ("", "x"))],
                "conversations": conversation_items(tokenizer, conversations)}
    lines = ["{"]
    for i, (key, value) in enumerate(document.items()):
        end = "," if i + 1 < len(document) else ""
        if isinstance(value, list) and key != "now":
            rows = ",\n".join("  " + json.dumps(row, separators=(",", ":")) for row in value)
            lines.append(f"{json.dumps(key)}: [\n{rows}\n]{end}" if rows else f"{json.dumps(key)}: []{end}")
        else:
            lines.append(f"{json.dumps(key)}: {json.dumps(value)}{end}")
    text = "\n".join(lines) + "\n}\n"
    if to_stdout:
        sys.stdout.write(text)
        return
    path = pathlib.Path(folder) / "sis-selftest.json"
    temporary = path.with_suffix(".part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
    print(f"{path}: {len(document['texts'])} texts, {len(document['conversations'])} conversations")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--texts", type=pathlib.Path)
    parser.add_argument("--conversations", type=pathlib.Path)
    parser.add_argument("--print", action="store_true", help="to stdout instead of the folder")
    args = parser.parse_args()
    texts = args.texts.read_text(encoding="utf-8").splitlines() if args.texts else []
    conversations = [json.loads(line) for line in args.conversations.read_text(encoding="utf-8").splitlines()
                     if line.strip()] if args.conversations else []
    write(args.folder, texts, conversations, args.print)


if __name__ == "__main__":
    main()
