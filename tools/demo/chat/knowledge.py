"""Reads text/knowledge/*.txt: what the help desk knows, and how people ask for it.

  @setting                      kind of the entries that follow: setting, route, metric, command, flag, field, status, advice
  = MAX_QUEUE_SIZE              an entry; further names it goes by after ' | '
  + MAX_QUEUE_SIZE              further phrases for an entry of another file (or a whole family: + {CAP}_MAX_QUEUE_SIZE)
  = {CAP}_MAX_QUEUE_SIZE        one entry for each capability in the 'for' line; {cap} in its questions are that capability's
  for CHAT VISION               phrases, <cap> in its answers its name ({cap} in a name: in small letters)
  d 64                          the default, added to every answer
  a MAX_QUEUE_SIZE bounds ...   an answer; some entries have several
  n requests that may wait      noun phrases, put into frames.txt's 'n' frames of the kind ('which setting sets {s}')
  v limit how many wait         verb phrases, for the 'v' frames ('how do i {b}', '{g}')
  q how many can wait | ...     whole questions or complaints

Wordings are split by ' | ' and written in the language of phrases.py.
"""
import json
import re
import sys
from dataclasses import dataclass, field

import chat.phrases as ph
from embed_lexicon import ing

KINDS = ("setting", "route", "metric", "command", "flag", "field", "status", "advice")
CAPABILITIES = {"CHAT": "chat", "EMBEDDING": "embedding", "VISION": "vision", "AUDIO": "audio",
                "OPENAI_PROXY": "OpenAI proxy", "VLLM_PROXY": "vLLM proxy"}
SPECIAL = {"flag": 1, "field": 1, "metric": 0.8, "command": 0.7, "route": 0.65}  # share of frames that name the kind
CODES = {"400", "401", "404", "408", "413", "429", "431", "499", "500", "503", "504", "8000", "0", "1"}
QUESTION_WORDS = set("""how what when where which who whose why is are am do does did can could should would will was were has
have may must""".split())


@dataclass
class Entry:
    name: str
    kind: str
    others: list = field(default_factory=list)  # further names
    default: str = ""
    see: str = ""                               # related name
    capability: str = ""
    family: str = ""                            # entries of one family differ in the capability
    answers: list = field(default_factory=list)
    phrases: dict = field(default_factory=lambda: {"n": [], "v": [], "q": []})
    group: str = ""                             # file it came from

    def slots(self):
        return {"cap": "{cap_" + self.capability.lower() + "}"} if self.capability else None

    def count(self):
        return sum(map(len, self.phrases.values()))


def parse(path, additions):
    """Entries of a file; what it adds to other files' entries goes into `additions`, [(name, phrases)]."""
    kind, drafts, phrases = "setting", [], None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        mark, _, rest = line.partition(" ")
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("@"):
            kind = line[1:].strip()
        elif mark == "=":
            names = ph.cells(rest)
            drafts.append((Entry(names[0], kind, names[1:], group=path.stem), []))
            phrases = drafts[-1][0].phrases
        elif mark == "+":
            phrases = {"n": [], "v": [], "q": []}
            additions.append((rest.strip(), phrases))
        elif mark == "for":
            drafts[-1][1].extend(rest.split())
        elif mark == "d":
            drafts[-1][0].default = rest.strip()
        elif mark == "a":
            drafts[-1][0].answers.append(rest.strip())
        elif mark in ("n", "v", "q"):
            phrases[mark].extend(ph.cells(rest))
        else:
            raise SystemExit(f"{path.name}:{number}: want a line that starts with @, =, for, d, a, n, v or q, found: {line}")
        if kind not in KINDS:
            raise SystemExit(f"{path.name}:{number}: unknown kind {kind}")
    for entry, capabilities in drafts:
        if not entry.answers or not entry.count():
            raise SystemExit(f"{path.name}: {entry.name} has no answer or no question")
        if not capabilities:
            yield entry
        for cap in capabilities:
            put = lambda text: text.replace("{CAP}", cap).replace("{cap}", cap.lower()).replace("<cap>", CAPABILITIES[cap])
            yield Entry(put(entry.name), entry.kind, [put(o) for o in entry.others], default=put(entry.default), capability=cap,
                        family=entry.name, answers=[put(a) for a in entry.answers], phrases=dict(entry.phrases), group=entry.group)


def load():
    additions, seen = [], set()
    entries = [entry for path in sorted((ph.TEXT / "knowledge").glob("*.txt")) for entry in parse(path, additions)]
    for entry in entries:
        if entry.name in seen:
            raise SystemExit(f"{entry.name} is written twice")
        seen.add(entry.name)
    for line in ph.lines_of(ph.TEXT / "see_also.txt"):
        name, _, other = line.partition(": ")
        found = [entry for entry in entries if name in (entry.name, entry.family)]
        for entry in found:
            entry.see = other.strip().replace("{CAP}", entry.capability).replace("{cap}", entry.capability.lower())
            if entry.see not in seen:
                raise SystemExit(f"see_also.txt: {entry.see} of {name} is no entry")
        if not found:
            raise SystemExit(f"see_also.txt: no entry {name}")
    for name, phrases in additions:
        found = [entry for entry in entries if name in (entry.name, entry.family)]
        if not found:
            raise SystemExit(f"+ {name}: no such entry")
        for entry in found:
            for tag, wordings in phrases.items():
                entry.phrases[tag] = entry.phrases[tag] + wordings
    return entries


def load_frames():
    """(tag, kind) -> frames; kind '*' serves all."""
    frames, now = {}, []
    for line in ph.lines_of(ph.TEXT / "frames.txt"):
        if line.startswith("@"):
            tag, *kinds = line[1:].split()
            now = [frames.setdefault((tag, kind), []) for kind in kinds]
        else:
            for rows in now:
                rows.extend(ph.cells(line))
    return frames


class Asker:
    """Makes questions for entries."""

    def __init__(self, guard=None, plain=0.15, swap=0.25):
        self.frames, self.guard, self.plain, self.swap = load_frames(), guard or (lambda text: False), plain, swap

    def frame(self, tag, kind, rng):
        special, common = self.frames.get((tag, kind), []), self.frames.get((tag, "*"), [])
        return rng.choice(special if special and (not common or rng.random() < SPECIAL.get(kind, 0.6)) else common)

    def raw(self, entry, rng):
        """A question before noise, and whether it is one."""
        if rng.random() < 0.06:
            name = rng.choice([entry.name, *entry.others])
            forms = [name, name, name.lower()] + ["--" + name.lower().replace("_", "-")] * (entry.kind == "setting" and "-" not in name)
            name = rng.choice(forms)
            return self.frame("name", entry.kind, rng).replace("{s}", name), True
        tags = [tag for tag in "nvq" for _ in range(len(entry.phrases[tag]) * (2 if tag == "q" else 1))]
        tag, kind_needed = rng.choice(tags), SPECIAL.get(entry.kind) == 1
        text = ph.expand(rng.choice(entry.phrases[tag]), rng, entry.slots())
        if tag == "n" and (kind_needed or rng.random() > self.plain):
            text = ph.expand(self.frame("n", entry.kind, rng).replace("{s}", text), rng, entry.slots())
        elif tag == "v":
            text = self.frame("v", entry.kind, rng).replace("{b}", text).replace("{g}", ing(text))
            text = ph.expand(text, rng, entry.slots())
        elif tag == "q" and rng.random() < 0.25:
            text = ph.expand(self.frame("q", entry.kind, rng).replace("{s}", text), rng, entry.slots())
        if entry.kind not in ("status", "flag"):  # '400 because of 50 texts': the 50 may be any number, the 400 not
            text = re.sub(r"(?<![\w/.=-])\d{1,6}(?![\w/.=-])", lambda m: m[0] if m[0] in CODES or rng.random() < 0.4 else
                          str(rng.choice((rng.randint(2, 99), rng.randint(10, 999), rng.randint(1, 99) * 100))), text)
        return text, text.split()[0] in QUESTION_WORDS

    def __call__(self, entry, rng):
        for _ in range(12):
            text, question = self.raw(entry, rng)
            if rng.random() < 0.75:
                text = ph.swap_words(text, rng, self.swap)
            if self.guard(text):
                continue
            if rng.random() < 0.5:
                text = ph.noisy(text, rng)
            return ph.cased(ph.punctuated(text, rng, question), rng)
        return f"What is {entry.name}?"


def answer(entry, rng=None):
    text = rng.choice(entry.answers) if rng else entry.answers[0]
    if entry.default:
        text += f" Default: {entry.default}."
    if entry.see and entry.see not in text:
        text += f" See also {entry.see}."
    return text


STOP = set("""a an the of to in on at for from with by and or but not no is are was be been am do does did how what when where
which who why i you he she it we they my your our this that there can could should would will may must if as so too very all
than then have has had get got me please""".split())


def stems(text):
    cut = lambda w: re.sub(r"(ing|es|s|ed|er|ly)$", "", w) if len(w) > 4 else w
    return frozenset(cut(w) for w in re.findall(r"[a-z0-9_/]+", text.lower()) if w not in STOP)


class Guard:
    """True for texts too near to a held-out question: most content words in common, both ways."""

    def __init__(self, questions, share=0.8):
        self.share, self.rows, self.index = share, [stems(q) for q in questions], {}
        self.exact = {normal_form(q) for q in questions}
        for i, row in enumerate(self.rows):
            for word in row:
                self.index.setdefault(word, []).append(i)

    def __call__(self, text):
        if normal_form(text) in self.exact:
            return True
        mine, counts = stems(text), {}
        for word in mine:
            for i in self.index.get(word, ()):
                counts[i] = counts.get(i, 0) + 1
        return any(len(self.rows[i]) > 2 and n >= self.share * len(self.rows[i] | mine) for i, n in counts.items())


def normal_form(text):
    return " ".join(re.findall(r"[a-z0-9_/]+", text.lower()))


def read_questions(path):
    """[{question, keywords, ...}] of a held-out or development file."""
    items = json.loads(path.read_text(encoding="utf-8"))
    items = items if isinstance(items, list) else next(value for value in items.values() if isinstance(value, list))
    for item in items:
        if "question" not in item:
            item["question"] = next((item[k] for k in ("query", "prompt", "user", "q") if k in item), None)
        if item["question"] is None and "messages" in item:
            item["question"] = next((m["content"] for m in reversed(item["messages"]) if m["role"] == "user"), None)
        if not isinstance(item["question"], str):
            raise SystemExit(f"{path}: an item without 'question': {json.dumps(item)[:200]}")
    return items


if __name__ == "__main__":
    import random
    rng, entries, asker = random.Random(int(sys.argv[1]) if len(sys.argv) > 1 else 1), load(), Asker()
    print(len(entries), "entries,", sum(e.count() for e in entries), "phrases")
    for entry in rng.sample(entries, 25):
        print(f"{entry.name:40s} {asker(entry, rng)}")
