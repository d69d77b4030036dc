"""Conversations that are not knowledge: tool calls, JSON answers, copying. All arguments are drawn at random.

text/tools.txt tells its own format. Values are often made-up words, so that arguments can only be right when copied.
"""
import functools
import json
import re

import chat.phrases as ph

SYLLABLES = """ba be bi bo bu da de di do du fa fe fi fo ga ge go ha he hi ka ke ki ko ku la le li lo lu ma me mi mo mu na ne ni no
nu pa pe pi po ra re ri ro ru sa se si so su ta te ti to tu va ve vi vo wa we wi ya yo za ze zo bra cro dri fle gra klo pre sta tri
sho chi tho""".split()
ENDS = ["", "", "", "n", "r", "s", "l", "t", "m", "k", "x", "ck", "ton", "burg", "ville", "dale", "port", "ford", "berg", "stad"]
VERBS = "open close start stop move paint count clean fold sort mark check lock order ship print scan draw build".split()
KEYS = """name city age color price id title count size date kind unit weight owner status level code room team score rank shape
email phone street country year month day quantity brand""".split()


def made_word(rng):
    return "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(1, 3))) + rng.choice(ENDS)


def letters(rng, low=3, high=8):
    return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(low, high)))


def number(rng):
    return rng.choice((rng.randint(0, 20), rng.randint(0, 99), rng.randint(0, 999), rng.randint(0, 99999)))


class Values:
    """One value of a kind; `names` holds the known settings and metrics."""

    def __init__(self, names):
        self.slots, self.names = ph.words()[0], names

    def __call__(self, kind, rng):
        s = self.slots
        if kind == "number":
            return number(rng)
        if kind == "city":
            return rng.choice(s["city"]) if rng.random() < 0.65 else made_word(rng).capitalize()
        if kind == "name":
            return rng.choice(s["name"]) if rng.random() < 0.7 else made_word(rng).capitalize()
        if kind == "query":
            if rng.random() < 0.5:
                return rng.choice(s["topic"])
            pools = (s["noun"], s["color"], s["animal"], s["food"], s["city"], s["software"])
            words = [rng.choice(rng.choice(pools)) if rng.random() < 0.8 else made_word(rng) for _ in range(rng.randint(1, 3))]
            return " ".join(words)
        if kind == "setting":
            return rng.choice(self.names["setting"]) if rng.random() < 0.85 else "_".join(
                made_word(rng) for _ in range(rng.randint(1, 3))).upper()
        if kind == "metric":
            return rng.choice(self.names["metric"])
        if kind == "value":
            return str(rng.choice((number(rng), number(rng), rng.choice(("on", "off", "true", "false", "auto", "cpu", "int8", "redis")),
                                   made_word(rng))))
        if kind == "email":
            return f"{made_word(rng)}@{made_word(rng)}.{rng.choice(('com', 'org', 'net', 'io'))}"
        if kind == "ticker":
            return letters(rng, 2, 5).upper()
        if kind == "phrase":
            words = [rng.choice(s[rng.choice(("noun", "noun", "color", "animal", "food"))]) for _ in range(rng.randint(1, 3))]
            return rng.choice(("buy {}", "the {}", "call about {}", "{}", "i like {}", "good morning {}", "see the {}")).format(" ".join(words))
        if kind == "title":
            return " ".join(made_word(rng).capitalize() for _ in range(rng.randint(1, 2)))
        if kind == "file":
            return rng.choice(("", "/data/", "/etc/", "docs/", "/tmp/", "src/")) + made_word(rng) + rng.choice((".txt", ".json", ".md", ".log", ".yaml"))
        if kind == "model":
            return rng.choice((f"{made_word(rng).capitalize()}/{made_word(rng)}-{number(rng)}", "BAAI/bge-m3", "Qwen/Qwen3-4B", made_word(rng)))
        if kind == "currency":
            return rng.choice(("euros", "pounds", "yen", "francs", "rupees", "pesos", "crowns", "EUR", "GBP", "JPY"))
        if kind == "word":
            return made_word(rng)
        return rng.choice(s[kind])


@functools.cache
def load_tools():
    tools = []
    for line in ph.lines_of(ph.TEXT / "tools.txt"):
        mark, _, rest = line.partition(" ")
        if mark == "=":
            tools.append({"names": ph.cells(rest), "about": [], "params": [], "asks": [], "results": []})
        elif mark == "d":
            tools[-1]["about"] = ph.cells(rest)
        elif mark == "p":
            names, _, spec = rest.partition(":")
            kind_type, kind, about = spec.strip().split(" ", 2)
            tools[-1]["params"].append((ph.cells(names), kind_type, kind, about))
        elif mark == "q":
            tools[-1]["asks"] += ph.cells(rest)
        elif mark == "r":
            tools[-1]["results"].append(tuple(part.strip() for part in rest.split(" = ", 1)))
        else:
            raise SystemExit(f"tools.txt: {line}")
    return tools


def put(template, values):
    """Fills {name} for the names in `values`; other braces stay."""
    return re.sub(r"\{([a-z]+)\}", lambda m: str(values[m[1]]) if m[1] in values else m[0], template)


class ToolTasks:
    def __init__(self, values):
        self.values, self.tools = values, load_tools()

    def declare(self, tool, rng):
        """(name, parameter names, declaration as a request carries it)."""
        name = tool["names"][0] if rng.random() < 0.6 else rng.choice(tool["names"])
        params = [names[0] if rng.random() < 0.6 else rng.choice(names) for names, *_ in tool["params"]]
        properties = {}
        for param, (_, kind, _, about) in zip(params, tool["params"]):
            properties[param] = {"type": kind, "description": about} if rng.random() < 0.6 else {"type": kind}
        function = {"name": name, "description": rng.choice(tool["about"]),
                    "parameters": {"type": "object", "properties": properties, "required": params}}
        if rng.random() < 0.15:
            del function["description"]
        return name, params, {"type": "function", "function": function}

    def invented(self, rng):
        """A tool nobody has seen before, and a question for it."""
        verb, noun = rng.choice(VERBS), rng.choice(self.values.slots["noun"])
        param = rng.choice(KEYS)
        kind = rng.choice(("number", "word", "city", "query", "name"))
        asks = [f"{verb} the {noun} {{{param}}}", f"{verb} {noun} with {param} {{{param}}}", f"please {verb} the {noun} with the {param} {{{param}}}",
                f"i want to {verb} a {noun}, {param} {{{param}}}", f"{verb} the {noun}. the {param} is {{{param}}}"]
        return {"names": [f"{verb}_{noun}"], "about": [f"{verb.capitalize()} the {noun}.", f"{verb.capitalize()} a {noun}"],
                "params": [([param], "integer" if kind == "number" else "string", kind, f"The {param}")], "asks": asks,
                "results": [('{"ok": true}', "Done."), ("ok", "Done.")]}

    def __call__(self, rng, ask_other):
        """(messages, tools). `ask_other(rng)` gives a (question, answer) that needs no tool."""
        tools = rng.sample(self.tools, rng.randint(1, 4))
        if rng.random() < 0.25:
            tools[rng.randrange(len(tools))] = self.invented(rng)
        declared = [self.declare(tool, rng) for tool in tools]
        used, offered = set(), []
        for tool, entry in zip(tools, declared):
            if entry[0] not in used:
                used.add(entry[0])
                offered.append((tool, entry))
        messages = []
        for _ in range(1 if rng.random() < 0.75 else 2):
            if rng.random() < 0.15:
                question, answer = ask_other(rng)
                messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
                continue
            tool, (name, params, _) = rng.choice(offered)
            values = {names[0]: self.values(kind, rng) for names, _, kind, _ in tool["params"]}
            question = ph.swap_words(put(rng.choice(tool["asks"]), {k: "\x00" + k for k in values}), rng, 0.1)
            question = ph.cased(question, rng) if rng.random() < 0.9 else question
            question = re.sub("\x00([a-z]+)", lambda m: str(values[m[1].lower()]), question, flags=re.I)
            question = ph.punctuated(question, rng, question.lower().startswith(("what", "how", "is", "do", "will", "can", "could", "where")))
            frame = rng.choice(("{}", "{}", "{}", "{}", "Hi, {}", "Please: {}", "{} Thanks."))
            arguments = {param: values[names[0]] for param, (names, *_) in zip(params, tool["params"])}
            messages += [{"role": "user", "content": frame.replace("{}", question)},
                         {"role": "assistant", "content": "", "tool_calls": [{"name": name, "arguments": arguments}]}]
            if rng.random() < 0.4:
                extra = {**values, "t": rng.randint(-9, 39), "n": number(rng), "sky": rng.choice(self.values.slots["sky"]),
                         "item": self.values("query", rng), "clock": f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}",
                         "code": letters(rng, 2, 2).upper() + str(rng.randint(10, 999)), "title": self.values("title", rng)}
                result, answer = rng.choice(tool["results"])
                messages += [{"role": "tool", "content": put(result, extra)}, {"role": "assistant", "content": put(answer, extra)}]
            else:
                break
        return messages, [declaration for _, (_, _, declaration) in offered]


class JsonTasks:
    """Questions whose answer is one short JSON value."""

    def __init__(self, values, asker, entries):
        self.values, self.asker = values, asker
        self.entries = [e for e in entries if e.kind in ("setting", "route", "metric")]

    def __call__(self, rng):
        makers = (self.known, self.known, self.known, self.person, self.pairs, self.pairs, self.listing, self.said, self.sums)
        ask, value = rng.choice(makers)(rng)
        text = ph.punctuated(ask, rng, False)
        frame = rng.choice(("{} Answer in JSON.", "{} Reply with JSON only.", "{} JSON please.", "{} Give me JSON.", "{} Respond as a JSON object.",
                            "Answer as JSON: {}", "In JSON: {}", "{} (as JSON)", "{} Return a JSON object."))
        hint = ""
        if rng.random() < 0.6:
            keys = list(value)
            hint = " " + rng.choice(("Use the keys {}.", "Keys: {}.", "with the keys {}", "The keys are {}.", "Fields: {}.")).format(", ".join(keys))
        system = None
        if rng.random() < 0.35:
            frame = rng.choice(("{}", frame))
            system = rng.choice(("Answer with JSON only.", "You answer in JSON.", "Respond only with a valid JSON object.", "Output JSON only.",
                                 "You must reply with a single JSON object and nothing else.", "Return only JSON, no other text."))
            if rng.random() < 0.5:
                kinds = {bool: "boolean", int: "integer", str: "string", list: "array"}
                schema = {"type": "object", "properties": {k: {"type": kinds[type(v)]} for k, v in value.items()}, "required": list(value)}
                system += rng.choice((" The JSON must follow this schema: ", " Schema: ", "\nJSON schema:\n")) + json.dumps(schema)
                hint = ""
        elif not hint and frame == "{}":
            frame = "{} Answer in JSON."
        return system, frame.replace("{}", text) + hint, value

    def known(self, rng):
        entry = rng.choice(self.entries)
        key = entry.kind if rng.random() < 0.7 else rng.choice(("name", "answer", "result", "id"))
        value = {key: entry.name}
        if entry.default and rng.random() < 0.3:
            value["default"] = entry.default
        return self.asker(entry, rng), value

    def person(self, rng):
        name, age, city, job = self.values("name", rng), rng.randint(1, 99), self.values("city", rng), rng.choice(self.values.slots["job"])
        facts = {"name": name, "age": age, "city": city, "job": job}
        texts = {("name", "age"): ("{name} is {age} years old", "{name} is {age}", "my name is {name} and i am {age}", "{name}, {age} years old"),
                 ("name", "city"): ("{name} lives in {city}", "{name} is from {city}", "i am {name} from {city}"),
                 ("name", "age", "city"): ("{name} is {age} years old and lives in {city}", "{name} from {city} is {age}", "{name}, {age}, {city}"),
                 ("name", "job"): ("{name} works as a {job}", "{name} is a {job}", "i am {name}, a {job}"),
                 ("name", "age", "job"): ("{name} is a {job} and {age} years old", "{name}, {age}, {job}")}
        keys = rng.choice(list(texts))
        text = rng.choice(texts[keys]).format(**facts)
        text = rng.choice(("{}", "extract the data: {}", "extract from this text: {}", "turn this into JSON: {}", "parse: {}", "who is this? {}")).format(text)
        return text, {k: facts[k] for k in keys}

    def pairs(self, rng):
        keys = rng.sample(KEYS, rng.randint(1, 3))
        value = {k: rng.choice((number(rng), self.values("word", rng), self.values("noun", rng), self.values("city", rng))) for k in keys}
        style = rng.choice(("{k} is {v}", "{k}: {v}", "{k}={v}", "the {k} is {v}", "{k} {v}"))
        text = rng.choice((", ", " and ", "; ")).join(style.format(k=k, v=v) for k, v in value.items())
        return rng.choice(("make an object of {}", "{}", "convert to JSON: {}", "write {} as an object", "an object with {}")).format(text), value

    def listing(self, rng):
        pool = rng.choice(("color", "animal", "noun", "city", "food"))
        items = [self.values.slots[pool][rng.randrange(len(self.values.slots[pool]))] for _ in range(rng.randint(2, 4))]
        key = rng.choice(("items", "list", "values", pool + "s"))
        return rng.choice(("put these into a list called {k}: {v}", "make a list {k} of {v}", "{k}: {v}", "an array {k} with {v}")).format(
            k=key, v=", ".join(items)), {key: items}

    def said(self, rng):
        word = rng.choice((made_word(rng), self.values("query", rng)))
        key = rng.choice(KEYS + ["word", "text", "message", "greeting"])
        return rng.choice(("{k} should be {v}", "set {k} to {v}", "say {v} in the field {k}", "an object whose {k} is {v}")).format(k=key, v=word), {key: word}

    def sums(self, rng):
        a, b = rng.randint(0, 9), rng.randint(0, 9)
        return rng.choice(("what is {} plus {}", "add {} and {}", "{} + {}")).format(a, b), {rng.choice(("sum", "result", "answer")): a + b}


def copying(rng, values):
    """(question, answer): says a text back."""
    words = [rng.choice((made_word(rng), values("noun", rng), str(number(rng)), letters(rng), values("city", rng))) for _ in range(rng.randint(1, 6))]
    text = " ".join(words)
    ask = rng.choice(("Repeat: {}", "Say {}", "Repeat after me: {}", "Echo {}", "Copy this: {}", "repeat the words {}", "Write {}", "say exactly: {}"))
    if rng.random() < 0.15 and len(words) > 1:
        return rng.choice(("What is the last word of: {}", "Last word of {}?")).format(text), words[-1].split()[-1]
    return ask.format(text), text
