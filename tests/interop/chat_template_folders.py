"""Random checkpoint folders with chat templates and special tokens, for chat_template_diff.py."""
import json
import os

TOKENS = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"]
WORDS = ["<s>", "</s>", "<|im_end|>", "[PAD]", "<unk>", "é"]
# What a template sees of its tokens and of the request.
ECHO = "".join("{{ %s if %s is defined else '-' }} " % (name, name) for name in TOKENS) + \
    "%s: {%% for m in messages %%}{{ m.role }}={{ m.content }};{%% endfor %%}{{ tools | tojson }}{{ extra_special_tokens }}"


def token(rng, odd=False):
    word = rng.choice(WORDS)
    pick = rng.random()
    if odd and pick < 0.2:
        return None
    if pick < 0.6:
        return word
    made = {"content": word, "lstrip": False, "normalized": False, "rstrip": rng.random() < 0.3, "single_word": False}
    return dict(made, __type="AddedToken") if not odd else made


def tokens(rng, odd=False):
    return {name: token(rng, odd) for name in TOKENS if rng.random() < 0.5}


def source(rng, where, golden):
    if rng.random() < 0.1:
        with open(os.path.join(golden, rng.choice(["command_r.tool_use.jinja", "qwen3.jinja"])), encoding="utf-8") as file:
            return file.read()
    return ECHO % where + rng.choice(["", "", "\n", "\r\n{# end #}\r\n"])


def write(folder, name, text):
    os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
    with open(os.path.join(folder, name), "w", encoding="utf-8", newline="") as file:
        file.write(text)


def write_folder(rng, folder, golden):
    """Fills `folder`; what was written, by file name."""
    words = {word: i for i, word in enumerate(WORDS)}
    contents = {"tokenizer.json": {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
                                   "pre_tokenizer": None, "post_processor": None, "decoder": None,
                                   "model": {"type": "WordLevel", "vocab": words, "unk_token": "<unk>"}}}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 1000, **tokens(rng)}
    if rng.random() < 0.5:
        config["added_tokens_decoder"] = {}
    if rng.random() < 0.2:
        config["image_token"] = "<image>"
    pick = rng.random()
    if pick < 0.35:
        config["chat_template"] = source(rng, "config", golden)
    elif pick < 0.7:
        names = rng.sample(["default", "tool_use", "rag"], rng.randrange(1, 4))
        config["chat_template"] = [{"name": name, "template": source(rng, "config " + name, golden)} for name in names]
    elif pick < 0.75:
        config["chat_template"] = None
    contents["tokenizer_config.json"] = config
    if rng.random() < 0.4:
        contents["special_tokens_map.json"] = tokens(rng, odd=True)
    if rng.random() < 0.3:
        contents["chat_template.jinja"] = source(rng, "file", golden)
    if rng.random() < 0.3:
        for name in rng.sample(["default", "tool_use", "rag", "a.b"], rng.randrange(1, 3)):
            contents["additional_chat_templates/%s.jinja" % name] = source(rng, "additional " + name, golden)
    for name, content in contents.items():
        write(folder, name, content if isinstance(content, str) else json.dumps(content))
    return contents


def folder_job(rng):
    made = {"messages": [{"role": "user", "content": "Hi"}], "add_generation_prompt": rng.random() < 0.5, "variables": {}}
    if rng.random() < 0.5:
        made["tools"] = [] if rng.random() < 0.3 else [{"type": "function", "function": {
            "name": "sum", "description": "Adds.", "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}}}}]
    if rng.random() < 0.2:
        made["template_name"] = rng.choice(["default", "tool_use", "rag", "a.b"])
    if rng.random() < 0.2:
        made["variables"]["eos_token"] = "given"
    return made
