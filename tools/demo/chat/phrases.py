"""The little language of the files in text/: wordings with alternatives and slots, and how they are varied.

  wording | wording          several wordings in one line
  [a/b/c]                    one of a, b, c; an empty one is allowed: [/the]
  {slot}                     one of the slot's phrases (words.txt, values/*.txt, or given by the caller)

words.txt  'chat: chat completions, conversations'   a slot of that name
           '~ raise, increase, bump up'              phrases that may stand for each other in any question
values/    NAME.txt, one value a line                slots of real-world values, {city}
"""
import functools
import pathlib
import random
import re

TEXT = pathlib.Path(__file__).resolve().parent / "text"
INNERMOST = re.compile(r"\[([^\[\]{}]*)\]|\{([a-z_0-9]+)\}")
KEYS = {row[i]: (row[i - 1:i] + row[i + 1:i + 2]) for row in ("qwertyuiop", "asdfghjkl", "zxcvbnm") for i in range(len(row))}


def lines_of(path):
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line.rstrip()


def cells(text, mark="|"):
    return [cell.strip() for cell in text.split(mark) if cell.strip()]


@functools.cache
def words():
    """(slots: name -> phrases, synonyms: first word -> [(phrase as words, phrases it may become)])."""
    slots, synonyms = {}, {}
    for line in lines_of(TEXT / "words.txt"):
        if line.startswith("~"):
            group = cells(line[1:], ",")
            for phrase in group:
                parts = phrase.split()
                others = [other for other in group if other != phrase]
                synonyms.setdefault(parts[0], []).append((parts, others))
        else:
            name, _, phrases = line.partition(":")
            slots.setdefault(name.strip(), []).extend(cells(phrases, ","))
    for path in sorted((TEXT / "values").glob("*.txt")):
        slots[path.stem] = list(lines_of(path))
    for group in synonyms.values():
        group.sort(key=lambda item: -len(item[0]))
    return slots, synonyms


def expand(wording, rng, given=None):
    """One reading of a wording. `given` fixes slots by name."""
    slots = words()[0]
    while True:
        match = INNERMOST.search(wording)
        if not match:
            return " ".join(wording.split())
        if match[2] is None:
            put = rng.choice(match[1].split("/"))
        else:
            put = given[match[2]] if given and match[2] in given else rng.choice(slots[match[2]])
        wording = wording[:match.start()] + put + wording[match.end():]


def bare(word):
    return word.strip(".,?!:;()'\"").lower()


def swap_words(text, rng, share):
    """Puts other phrases of the same meaning in, each with the chance `share`."""
    synonyms, parts, out, i = words()[1], text.split(), [], 0
    while i < len(parts):
        for phrase, others in synonyms.get(bare(parts[i]), ()):
            end = i + len(phrase)
            if rng.random() < share and [bare(w) for w in parts[i:end]] == phrase:
                tail = re.search(r"[.,?!:;]*$", parts[end - 1])[0]
                out.append(rng.choice(others) + tail)
                i = end
                break
        else:
            out.append(parts[i])
            i += 1
    return " ".join(out)


def misspell(word, rng):
    at, draw = rng.randrange(1, len(word) - 1), rng.random()
    if draw < 0.35:
        return word[:at] + word[at + 1:]
    if draw < 0.65:
        return word[:at] + word[at + 1] + word[at] + word[at + 2:]
    if draw < 0.8:
        return word[:at] + word[at] + word[at:]
    return word[:at] + (rng.choice(KEYS[word[at]]) if word[at] in KEYS else word[at]) + word[at + 1:]


def noisy(text, rng, typos=0.02, lost=0.03):
    """Misspells and loses a word here and there; names in capitals, paths and numbers stay as they are."""
    out = []
    for word in text.split():
        draw = rng.random()
        if draw < typos and len(word) > 4 and word.isalpha() and word.islower():
            word = misspell(word, rng)
        elif draw < typos + lost and word in ("the", "a", "an", "of", "to", "is", "do", "i", "my", "for", "that", "can",
                                              "does", "in", "are", "be"):
            continue
        out.append(word)
    return " ".join(out) or text


def cased(text, rng):
    """As people type: mostly a capital first or none at all, now and then shouting."""
    draw = rng.random()
    text = re.sub(r"\bi\b", "I", text) if draw < 0.6 else text
    if draw < 0.5:
        return text[:1].upper() + text[1:]
    if draw > 0.99 and "/" not in text:
        return text.upper()
    return text.lower() if draw > 0.9 and "_" not in text else text


def punctuated(text, rng, question):
    if text[-1:] in ".?!":
        return text
    draw = rng.random()
    if question:
        return text + ("?" if draw < 0.62 else "??" if draw > 0.98 else "." if draw > 0.96 else "")
    return text + ("." if draw < 0.35 else "?" if draw < 0.5 else "!" if draw > 0.985 else "")


def rng_of(seed, stream, step):
    return random.Random(f"{seed}/{stream}/{step}")
