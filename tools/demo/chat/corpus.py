"""Training conversations: mixes knowledge, small talk, unknown things, tools and JSON. Everything follows from the given rng."""
import dataclasses
import re

import chat.knowledge as kn
import chat.phrases as ph
import chat.tasks as tasks
import embed_batches
import embed_lexicon

MIX = {"knowledge": 0.52, "dialogue": 0.13, "tools": 0.12, "json": 0.08, "unknown": 0.08, "smalltalk": 0.045, "copy": 0.025}
COMPUTING = ("comput", "work", "media")  # everyday topics too near to ours


@dataclasses.dataclass
class Conversation:
    messages: list
    tools: list = None
    drop: bool = True  # words of its questions may be hidden: nothing has to be copied from them


def intents():
    out = []
    for line in ph.lines_of(ph.TEXT / "smalltalk.txt"):
        asks, _, answers = line.partition(" = ")
        out.append((ph.cells(asks), ph.cells(answers)))
    return out


class Corpus:
    def __init__(self, held_out=()):
        self.guard = kn.Guard(held_out)
        self.entries = kn.load()
        self.asker = kn.Asker(self.guard)
        self.weights = [(1 + e.count()) ** 0.5 * (1.6 if e.kind in ("setting", "route", "metric") and not e.family else 1.0)
                        for e in self.entries]
        self.intents = intents()
        self.unknown = [cell for line in ph.lines_of(ph.TEXT / "unknown.txt") for cell in ph.cells(line)]
        self.refusals = list(ph.lines_of(ph.TEXT / "refusals.txt"))
        self.systems = list(ph.lines_of(ph.TEXT / "systems.txt"))
        lexicon = embed_lexicon.load()
        files = sorted((embed_lexicon.ROOT / "situations").glob("*.txt"))
        self.everyday = [w for path in files if not any(part in path.stem for part in COMPUTING)
                         for line in embed_lexicon.data_lines(path) for w in embed_lexicon.cells_of(line, "|") if len(w.split()) > 2]
        self.render = embed_batches.Renderer(lexicon, frozenset())
        names = {kind: [e.name for e in self.entries if e.kind == kind] for kind in ("setting", "metric")}
        self.values = tasks.Values(names)
        self.tool_tasks = tasks.ToolTasks(self.values)
        self.json_tasks = tasks.JsonTasks(self.values, self.asker, self.entries)
        self.family = {}
        for entry in self.entries:
            if entry.family:
                self.family.setdefault(entry.family, []).append(entry)

    def counts(self):
        return {"entries": len(self.entries), "phrasings": sum(e.count() for e in self.entries), "frames": sum(map(len, self.asker.frames.values())),
                "small talk": sum(len(a) for a, _ in self.intents), "unknown": len(self.unknown), "everyday": len(self.everyday),
                "tools": len(self.tool_tasks.tools)}

    def pick(self, rng):
        return rng.choices(self.entries, self.weights)[0]

    def ask_known(self, rng):
        entry = self.pick(rng)
        return self.asker(entry, rng), kn.answer(entry, rng)

    def ask_unknown(self, rng):
        if rng.random() < 0.6:
            text = ph.expand(rng.choice(self.unknown), rng)
            if rng.random() < 0.2:
                text = self.asker.frame("q", "*", rng).replace("{s}", text)
            text = ph.cased(ph.punctuated(ph.noisy(text, rng), rng, text.split()[0] in kn.QUESTION_WORDS), rng)
        else:
            text = ph.cased(self.render(rng.choice(self.everyday), rng), rng)
        return text, rng.choice(self.refusals)

    def ask_smalltalk(self, rng):
        asks, answers = rng.choice(self.intents)
        name = {"name": self.values("name", rng)}
        text = ph.expand(rng.choice(asks), rng, name)
        return ph.cased(ph.punctuated(text, rng, text.split()[0] in kn.QUESTION_WORDS), rng), ph.expand(rng.choice(answers), rng, name)

    def follow_up(self, entry, rng):
        """A short question that only makes sense after one about `entry`, and its answer; or None."""
        draw = rng.random()
        if entry.family and draw < 0.6:
            other = rng.choice(self.family[entry.family])
            ask = rng.choice(("and for {}", "what about {}", "and {}", "the same for {}", "and how about {}", "same question for {}"))
            text = ask.replace("{}", ph.expand("{cap_" + other.capability.lower() + "}", rng))
            return ph.cased(ph.punctuated(text, rng, True), rng), kn.answer(other, rng), other
        if entry.default and draw < 0.8:
            text = rng.choice(("what is the default", "and by default", "default", "what is its default value", "what is it if i set nothing",
                               "which value does it have by default", "how high is it by default"))
            return ph.cased(ph.punctuated(text, rng, True), rng), f"The default of {entry.name} is {entry.default}.", entry
        return None

    def dialogue(self, rng, turns):
        messages, entry = [], None
        while len(messages) < 2 * turns:
            step = self.follow_up(entry, rng) if entry and rng.random() < 0.35 else None
            if step:
                question, answer, entry = step
            elif rng.random() < 0.8:
                entry = self.pick(rng)
                question, answer = self.asker(entry, rng), kn.answer(entry, rng)
            else:
                question, answer = rng.choice((self.ask_smalltalk, self.ask_unknown))(rng)
                entry = None
            messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        return messages

    def conversation(self, rng, turns=None):
        kind = "dialogue" if turns else rng.choices(list(MIX), list(MIX.values()))[0]
        tools, drop, system = None, True, None
        if kind == "tools":
            messages, tools = self.tool_tasks(rng, lambda r: self.ask_known(r) if r.random() < 0.7 else self.ask_unknown(r))
            drop = False
        elif kind == "json":
            system, question, value = self.json_tasks(rng)
            messages, drop = [{"role": "user", "content": question}, {"role": "assistant", "content": tasks.json.dumps(value, ensure_ascii=False)}], False
        elif kind == "dialogue":
            messages = self.dialogue(rng, turns or rng.choice((2, 2, 3, 4)))
        else:
            makers = {"knowledge": self.ask_known, "unknown": self.ask_unknown, "smalltalk": self.ask_smalltalk,
                      "copy": lambda r: tasks.copying(r, self.values)}
            question, answer = makers[kind](rng)
            messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            drop = kind != "copy" and not re.search(r"name|call me|i am|i'm", question, re.I)
        if system is None and rng.random() < 0.45:
            system = rng.choice(self.systems)
        if system:
            messages = [{"role": "system", "content": system}] + messages
        return Conversation(messages, tools, drop)
