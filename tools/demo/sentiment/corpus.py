"""Draws labelled sentences from the word lists and patterns in text/.

text/*.txt but the three pattern files hold lists, 'name = item, item, ...'; 'name+' and 'name-' are the two sides
of one list. A pattern or an item may hold
  {name}         one item of the list
  {+name}        one item of the side of the label, {-name} one of the other side
  {D.name}       a list of the sentence's subject: food, film, product, ...
  <good|bad>     by label;  [a|b]  either
polar.txt gives positive and negative sentences, neutral.txt neutral ones, sentences*.txt whole sentences with
their label. One pattern or whole sentence of twelve, by its hash, is kept out of training and makes the development
set, whole sentences two thirds of it.
"""
import hashlib
import pathlib
import random
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import embed_lexicon

ROOT = pathlib.Path(__file__).resolve().parent / "text"
LABELS = ("negative", "neutral", "positive")
PATTERN_FILES = ("polar.txt", "neutral.txt")
WHOLE_SHARE = 0.7  # of drawn sentences
DEPTH_MAX = 6


def lines_of(path):
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line


def load_lists():
    lists, name = {}, None
    for path in sorted(ROOT.glob("*.txt")):
        if path.name in PATTERN_FILES or path.name.startswith("sentences"):
            continue
        for line in lines_of(path):
            head = re.match(r"([A-Za-z0-9.]+[+-]?) = ", line)
            if head:
                name = head[1]
                if name in lists:
                    raise SystemExit(f"{path.name}: the list {name} is there twice")
                lists[name] = []
                line = line[head.end():]
            lists[name] += [item.strip() for item in line.split(",") if item.strip()]
    return lists


def synonyms():
    """Word -> words that may stand for it, from the embedding model's lexicon."""
    lexicon, out = embed_lexicon.load(), {}
    for _, words in lexicon.synonyms:
        words = [w for w in words if w.isalpha() and w not in embed_lexicon.AMBIGUOUS]
        for word in words:
            others = [w for w in words if w != word]
            if others:
                out.setdefault(word, []).extend(others)
    return out


def held_back(pattern):
    return hashlib.sha256(pattern.encode()).digest()[0] % 12 == 0


def normal_form(text):
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


class Corpus:
    def __init__(self, banned=frozenset()):
        """`banned`: normal forms of sentences that are never drawn."""
        self.lists, self.banned = load_lists(), banned
        self.subjects = sorted({name.split(".")[0] for name in self.lists if "." in name})
        polar, neutral = (sorted(set(lines_of(ROOT / f))) for f in PATTERN_FILES)
        # A line that stands more than once counts more often.
        weights = {f: list(lines_of(ROOT / f)) for f in PATTERN_FILES}
        self.polar = {part: [p for p in weights["polar.txt"] if held_back(p) == part] for part in (False, True)}
        self.neutral = {part: [p for p in weights["neutral.txt"] if held_back(p) == part] for part in (False, True)}
        self.synonyms = synonyms()
        self.whole = {(label, dev): [] for label in LABELS for dev in (False, True)}
        for path in sorted(ROOT.glob("sentences*.txt")):
            for line in lines_of(path):
                label, _, text = line.partition(": ")
                self.whole[LABELS[{"-": 0, "0": 1, "+": 2}[label]], held_back(text)].append(text)
        self.patterns = len(polar) + len(neutral)

    def counts(self):
        words = {w for items in self.lists.values() for item in items for w in re.findall(r"[a-z']+", item)}
        return {"patterns": self.patterns, "lists": len(self.lists), "items": sum(map(len, self.lists.values())),
                "sentences": sum(map(len, self.whole.values())), "words": len(words)}

    def expand(self, text, side, subject, rng, depth=0):
        text = re.sub(r"<([^|>]*)\|([^>]*)>", lambda m: m[1] if side == "+" else m[2], text).replace("  ", " ")
        text = re.sub(r"\[([^\]]*)\]", lambda m: rng.choice(m[1].split("|")), text)

        def item(match):
            sign, name = match[1], match[2].replace("D.", subject + ".", 1)
            if sign:
                name += side if sign == "+" else "+-"[side == "+"]
            choice = rng.choice(self.lists[name])
            return self.expand(choice, side, subject, rng, depth + 1) if depth < DEPTH_MAX else choice
        return re.sub(r"\{([+-]?)([A-Za-z0-9.]+[+-]?)\}", item, text)

    def sentence(self, label, rng, dev=False):
        whole = self.whole[label, dev]
        if rng.random() < WHOLE_SHARE:
            text = self.expand(rng.choice(whole), "+", rng.choice(self.subjects), rng)
        elif label == "neutral":
            text = self.expand(rng.choice(self.neutral[dev]), "+", rng.choice(self.subjects), rng)
        else:
            text = self.expand(rng.choice(self.polar[dev]), "+" if label == "positive" else "-",
                               rng.choice(self.subjects), rng)
        return re.sub(r"\ba ([aeiou])", r"an \1", text)

    def review(self, label, rng, dev=False):
        """A sentence or a few: others of the same label, facts around it, small words, marks at the end."""
        parts = [self.sentence(label, rng, dev)]
        draw = rng.random()
        if draw < 0.16:
            parts.append(self.sentence(label, rng, dev))
        elif draw < 0.24:
            fact = self.expand("{D.fact}", "+", rng.choice(self.subjects), rng)
            parts.insert(rng.randrange(2), fact)
        elif draw < 0.27 and label != "neutral":
            parts += [self.sentence(label, rng, dev) for _ in range(2)]
        if rng.random() < 0.08:
            parts[0] = self.expand("{opener}, ", "+", "", rng) + parts[0]
        if rng.random() < 0.08:
            parts[-1] = parts[-1] + self.expand(" {closer}", "+", "", rng)
        marks = {"negative": "....!!", "neutral": ".....", "positive": "...!!!"}[label]
        ends = ["" if rng.random() < 0.2 else ("?" if re.match(QUESTION, p) else rng.choice(marks)) for p in parts]
        text = " ".join(p if p[-1] in "?!" else p + e for p, e in zip(parts, ends))
        if len(parts) == 2 and rng.random() < 0.4:
            text = rng.choice((", ", " and ", " - ", "; ")).join(p.rstrip("?!") for p in parts) + ends[1]
        return self.noisy(text, rng)

    def noisy(self, text, rng):
        if rng.random() < 0.5:
            text = re.sub(CONTRACTED, lambda m: ("ca" if m[1] == "can" else "wo" if m[1] == "will" else m[1]) + "n't", text)
        if rng.random() < 0.04:
            text = text.replace("'", "")
        words = text.split()
        for i, word in enumerate(words):
            draw = rng.random()
            if draw < 0.004 and len(word) > 5 and word.isalpha():
                at = rng.randrange(1, len(word) - 2)
                words[i] = word[:at] + word[at + 1] + word[at] + word[at + 2:]
            elif draw < 0.05 and word in SWAPS:
                words[i] = rng.choice(SWAPS[word])
            elif draw < 0.06 and word in self.synonyms:
                words[i] = rng.choice(self.synonyms[word])
        return " ".join(w for w in words if w)

    def draw(self, label, rng, dev=False):
        for _ in range(8):
            text = self.review(label, rng, dev)
            if normal_form(text) not in self.banned:
                return text
        raise SystemExit(f"{label}: eight banned sentences in a row; the held-out set is too near to the patterns")


QUESTION = r"(what|where|when|who|how (much|many|long|do|can|big|old|far|often|about)|which|can|could|do|does|did|is|are|was|has|have) "
CONTRACTED = r"\b(is|was|are|were|do|does|did|has|have|had|would|could|should|will|can) ?not\b"
SWAPS = {"is": ["'s", "is"], "very": ["really", "so", "extremely"], "i": ["we", "i"], "really": ["very", "truly"],
         "the": ["this", "that", "my", ""], "this": ["the", "that"], "was": ["is", "was"], "and": ["&", "and", "plus"], "you": ["u", "you"]}


def rng_of(seed, stream, step):
    return random.Random(f"{seed}/{stream}/{step}")
