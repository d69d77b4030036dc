"""Random conversations as apply_chat_template takes them, likely and unlikely ones; shared by tests."""

SPECIAL_TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
TEXTS = ["Hello", "", "  padded \n", "Wie geht's? Ünïcödé", "\U0001F600\u200d\U0001F467 文字", "<tool_response>x</tool_response>", "a\nb\n\nc",
         "<think>\nhm\n</think>\n\nYes", "{\"x\": 1}", "quote ' and \" and \\", "\u00a0nbsp\u2028", "{{ not a tag }}", "long " * 20]
NUMBERS = [0, 1, -3, 2.5, 1e22, 1e-7, True, False, None, 12345678901234567890]


def text(rng):
    return rng.choice(TEXTS)


def value(rng, depth=0):
    pick = rng.random()
    if depth > 2 or pick < 0.5:
        return rng.choice([text(rng), rng.choice(NUMBERS)])
    if pick < 0.7:
        return [value(rng, depth + 1) for _ in range(rng.randrange(3))]
    return {rng.choice(["a", "b", "größe", "items", "name"]): value(rng, depth + 1) for _ in range(rng.randrange(4))}


def tool(rng):
    return {"type": "function", "function": {"name": rng.choice(["get_weather", "sum"]), "description": text(rng), "parameters": {
        "type": "object", "properties": {rng.choice(["city", "x"]): {"type": "string", "description": text(rng)}}, "required": ["x"]}}}


def content(rng):
    pick = rng.random()
    if pick < 0.8:
        return text(rng)
    if pick < 0.93:
        return [rng.choice([{"type": "text", "text": text(rng)}, {"type": "image"}, {"type": "image_url", "image_url": {"url": "x"}}])
                for _ in range(rng.randrange(4))]
    return value(rng)


def message(rng, role):
    made = {"role": role}
    if rng.random() < 0.96:
        made["content"] = content(rng)
    if role == "assistant" and rng.random() < 0.3:
        call = {"name": rng.choice(["get_weather", "sum"]), "arguments": rng.choice([{"x": value(rng)}, {}, "{\"x\": 1}"])}
        made["tool_calls"] = [rng.choice([{"id": "abcdefgh1", "type": "function", "function": call}, call])] * rng.choice([1, 1, 1, 2])
        made["content"] = rng.choice([None, "", text(rng)])
    if role == "assistant" and rng.random() < 0.25:
        made[rng.choice(["reasoning_content", "thinking", "reasoning"])] = rng.choice([text(rng), None])
    if role == "tool":
        made.update({"tool_call_id": "abcdefgh1", "name": "sum"})
    return made


def roles(rng):
    if rng.random() < 0.15:
        return [rng.choice(["user", "assistant", "system", "tool", "other"]) for _ in range(rng.randrange(1, 6))]
    made = ["system"] if rng.random() < 0.5 else []
    for _ in range(rng.randrange(1, 4)):
        made += ["user", "assistant"]
        if rng.random() < 0.2:
            made += ["tool"] * rng.randrange(1, 3) + ["assistant"]
    return made[:-1] if rng.random() < 0.6 else made


def job(rng):
    messages = [message(rng, role) for role in roles(rng)]
    made = {"messages": messages, "special_tokens": SPECIAL_TOKENS, "add_generation_prompt": rng.random() < 0.5, "variables": {}}
    if rng.random() < 0.3:
        made["tools"] = [tool(rng) for _ in range(rng.randrange(3))]
    if rng.random() < 0.2:
        made["documents"] = [{"title": text(rng), "text": text(rng)} for _ in range(rng.randrange(3))]
    if rng.random() < 0.3:
        made["variables"]["enable_thinking"] = rng.random() < 0.5
    if rng.random() < 0.1:
        made["variables"][rng.choice(["tools_in_user_message", "add_vision_id", "date_string", "eos_token"])] = rng.choice([False, True, "x"])
    if rng.random() < 0.12:
        made["continue_final_message"] = rng.choice(["content", "content", "thinking", "reasoning_content"])
        made["add_generation_prompt"] = rng.random() < 0.1
    return made
