"""Random conversations as apply_chat_template takes them, for tests.

job(rng, style) makes one: most fit what the template of that style takes (roles in order, calls with their results,
parts where they are understood), one in five is odd in any way.
"""
from dataclasses import dataclass, field

SPECIAL_TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
TEXTS = ["Hello", "", "  padded \n", "Wie geht's? Ünïcödé", "\U0001F600\u200d\U0001F467 文字", "<tool_response>x</tool_response>", "a\nb\n\nc",
         "<think>\nhm\n</think>\n\nYes", "{\"x\": 1}", "quote ' and \" and \\", "\u00a0nbsp\u2028", "{{ not a tag }}", "long " * 20]
NUMBERS = [0, 1, -3, 2.5, 1e22, 1e-7, True, False, None, 12345678901234567890]
FITTING = 0.8  # share of conversations
CONTINUED = 0.2  # of those that end with the assistant


@dataclass(frozen=True)
class Style:
    """What a template takes."""
    system: bool = True
    tools: bool = False  # the tools, calls of them and their results
    calls_max: int = 2
    arguments: tuple = ("object",)  # "object" or "text"
    bare_calls: bool = False  # {"name", "arguments"} without "function" around it, too
    parts: tuple = ()  # kinds of parts that a content may be a list of
    images_bar_system: bool = False
    results: tuple = ("text",)  # "text" or "object"
    reasoning: bool = False
    documents: bool = False
    needs: tuple = ()  # of "tools" and "documents", what it does not go without
    system_tools: bool = False  # the tools are a text of the system message
    variables: dict = field(default_factory=dict)  # name: values


VISION = {"add_vision_id": (True, False)}
THINKING = {"enable_thinking": (True, False)}
LLAMA = {"date_string": ("1 Jan 2025",), "tools_in_user_message": (True, False)}
STYLES = {
    "chatml": Style(),
    "command_r": Style(),
    "command_r.rag": Style(documents=True, needs=("documents",), variables={"citation_mode": ("fast", "accurate", "off")}),
    "command_r.tool_use": Style(tools=True, needs=("tools",), results=("text", "object")),
    "deepseek_r1": Style(tools=True, arguments=("text",)),
    "gemma2": Style(system=False),
    "gemma3": Style(parts=("text", "image")),
    "llama3_1": Style(tools=True, calls_max=1, results=("text", "object"), variables=LLAMA),
    "llama3_2": Style(tools=True, calls_max=1, results=("text", "object"), parts=("text", "image"), images_bar_system=True, variables=LLAMA),
    "mistral_nemo": Style(tools=True, arguments=("object", "text"), results=("text", "object")),
    "mistral_v3": Style(tools=True, arguments=("object", "text"), results=("text", "object")),
    "phi3": Style(),
    "phi4": Style(),
    "phi4_mini": Style(system_tools=True),
    "qwen2_5": Style(tools=True, arguments=("object", "text"), bare_calls=True),
    "qwen2_vl": Style(parts=("text", "image", "video"), variables=VISION),
    "qwen3": Style(tools=True, arguments=("object", "text"), bare_calls=True, reasoning=True, variables=THINKING),
    "qwen3_vl": Style(tools=True, arguments=("object", "text"), bare_calls=True, reasoning=True, parts=("text", "image", "video"), variables=VISION),
    "smol_generation": Style(reasoning=True, parts=("text", "image"), documents=True, variables={**VISION, **THINKING}),
}


def text(rng):
    return rng.choice(TEXTS)


def value(rng, depth=0):
    pick = rng.random()
    if depth > 2 or pick < 0.5:
        return rng.choice([text(rng), rng.choice(NUMBERS)])
    if pick < 0.7:
        return [value(rng, depth + 1) for _ in range(rng.randrange(3))]
    return {rng.choice(["a", "b", "größe", "items", "name"]): value(rng, depth + 1) for _ in range(rng.randrange(4))}


def schema(rng, depth=0):
    kind = rng.choice(["string", "number", "integer", "boolean", "array", "object", "union"] if depth < 2 else ["string", "number"])
    made = {"type": kind}
    if kind == "array":
        made["items"] = schema(rng, depth + 1)
    if kind == "object":
        made["additionalProperties"] = schema(rng, depth + 1)
    if kind == "union":
        made["type"] = ["string", "null"]
    if rng.random() < 0.8:
        made["description"] = text(rng)
    if rng.random() < 0.1:
        made["enum"] = [value(rng, 2) for _ in range(3)]
    return made


def tool(rng):
    names = rng.sample(["city", "x", "größe", "items"], rng.randrange(1, 4))
    return {"type": "function", "function": {"name": rng.choice(["get_weather", "sum"]), "description": text(rng), "parameters": {
        "type": "object", "properties": {name: schema(rng) for name in names}, "required": names[:rng.randrange(3)]}}}


def part(rng, kind):
    if kind == "text":
        return {"type": "text", "text": text(rng)}
    return rng.choice([{"type": kind}, {"type": kind, kind: "file"}])


def call(rng, style):
    arguments = {rng.choice(["x", "city"]): value(rng) for _ in range(rng.randrange(3))}
    if rng.choice(style.arguments) == "text":
        arguments = rng.choice(["{\"x\": 1}", "{}", "{\"city\": \"Köln\"}"])
    function = {"name": rng.choice(["get_weather", "sum"]), "arguments": arguments}
    return function if style.bare_calls and rng.random() < 0.3 else {"id": rng.choice(["abcdefgh1", "Z23456789"]), "type": "function", "function": function}


def fitting(rng, style):
    """What the template takes."""
    with_parts = bool(style.parts) and rng.random() < 0.6
    with_tools = style.tools and rng.random() < 0.6

    def content():
        if with_parts and rng.random() < 0.6:
            return [part(rng, rng.choice(style.parts)) for _ in range(rng.randrange(1, 4))]
        return text(rng)

    messages = []
    if style.system and rng.random() < 0.5 and not (with_parts and style.images_bar_system):
        messages.append({"role": "system", "content": [part(rng, "text")] if with_parts and rng.random() < 0.3 else text(rng)})
        if style.system_tools and rng.random() < 0.5:
            messages[-1]["tools"] = text(rng)
    for _ in range(rng.randrange(1, 4)):
        messages.append({"role": "user", "content": content()})
        for _ in range(rng.choice([0, 1, 1, 2]) if with_tools else 0):
            calls = [call(rng, style) for _ in range(rng.randrange(1, style.calls_max + 1))]
            messages.append({"role": "assistant", "tool_calls": calls})
            if rng.random() < 0.6:
                messages[-1]["content"] = rng.choice([None, "", text(rng)])
            for one in calls:
                result = {"temperature": value(rng)} if rng.choice(style.results) == "object" else text(rng)
                messages.append({"role": "tool", "tool_call_id": one.get("id", "abcdefgh1"), "name": "sum", "content": result})
        messages.append({"role": "assistant", "content": text(rng)})
        if with_parts and rng.random() < 0.3:
            messages[-1]["content"] = [part(rng, "text") for _ in range(rng.randrange(1, 3))]
        if style.reasoning and rng.random() < 0.4:
            messages[-1][rng.choice(["reasoning_content", "thinking", "reasoning"])] = text(rng)
    if rng.random() < 0.5:
        while messages[-1]["role"] == "assistant":
            messages.pop()
    made = {"messages": messages, "variables": {}}
    if with_tools or "tools" in style.needs or style.tools and rng.random() < 0.2:
        made["tools"] = [tool(rng) for _ in range(rng.randrange(1, 3))]
    if "documents" in style.needs or style.documents and rng.random() < 0.8:
        made["documents"] = [{"title": text(rng), "text": text(rng)} for _ in range(rng.randrange(3))]
    for name, values in style.variables.items():
        if rng.random() < 0.4:
            made["variables"][name] = rng.choice(values)
    return made


def odd_content(rng):
    pick = rng.random()
    if pick < 0.8:
        return text(rng)
    if pick < 0.93:
        return [rng.choice([{"type": "text", "text": text(rng)}] * 3 + [{"type": "image"}, {"type": "image_url", "image_url": {"url": "x"}}, "a text", "word", 5])
                for _ in range(rng.randrange(4))]
    return value(rng)


def odd_message(rng, role):
    made = {"role": role}
    if rng.random() < 0.96:
        made["content"] = odd_content(rng)
    if role == "assistant" and rng.random() < 0.3:
        function = {"name": rng.choice(["get_weather", "sum"]), "arguments": rng.choice([{"x": value(rng)}, {}, "{\"x\": 1}"])}
        made["tool_calls"] = [rng.choice([{"id": "abcdefgh1", "type": "function", "function": function}, function])] * rng.choice([1, 1, 1, 2])
        made["content"] = rng.choice([None, "", text(rng)])
    if role == "assistant" and rng.random() < 0.25:
        made[rng.choice(["reasoning_content", "thinking", "reasoning"])] = rng.choice([text(rng), None])
    if role == "tool":
        made.update({"tool_call_id": rng.choice(["abcdefgh1", "abcdefgh1", "short", 7]), "name": "sum"})
    if role == "system" and rng.random() < 0.2:
        made["tools"] = text(rng)
    return made


def odd_roles(rng):
    if rng.random() < 0.3:
        return [rng.choice(["user", "assistant", "system", "tool", "other"]) for _ in range(rng.randrange(1, 6))]
    made = ["system"] if rng.random() < 0.5 else []
    for _ in range(rng.randrange(1, 4)):
        made += ["user", "assistant"]
        if rng.random() < 0.2:
            made += ["tool"] * rng.randrange(1, 3) + ["assistant"]
    return made[:-1] if rng.random() < 0.6 else made


def odd(rng):
    made = {"messages": [odd_message(rng, role) for role in odd_roles(rng)], "variables": {}}
    if rng.random() < 0.3:
        made["tools"] = [rng.choice([tool(rng), {"name": "bare"}]) for _ in range(rng.randrange(3))]
    if rng.random() < 0.2:
        made["documents"] = [{"title": text(rng), "text": text(rng)} for _ in range(rng.randrange(3))]
    if rng.random() < 0.3:
        made["variables"]["enable_thinking"] = rng.random() < 0.5
    if rng.random() < 0.1:
        made["variables"][rng.choice(["tools_in_user_message", "add_vision_id", "date_string", "eos_token"])] = rng.choice([False, True, "x"])
    return made


def job(rng, style):
    made = fitting(rng, style) if rng.random() < FITTING else odd(rng)
    made["special_tokens"] = SPECIAL_TOKENS
    made["add_generation_prompt"] = rng.random() < 0.5
    last = made["messages"][-1]
    if last["role"] == "assistant" and rng.random() < CONTINUED:
        reasoned = [name for name in ("reasoning_content", "thinking", "reasoning") if last.get(name)]
        made["continue_final_message"] = rng.choice(reasoned) if reasoned and rng.random() < 0.5 else "content"
        made["add_generation_prompt"] = rng.random() < 0.1
    return made
