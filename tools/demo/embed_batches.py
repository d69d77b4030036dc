"""Renders training text from the lexicon: pairs of wordings, long documents, lines for MLM.

Everything is drawn from a random.Random that the caller seeds per batch, so batch k of seed s is
the same text on every machine and in any number of worker processes.
"""
import collections
import math
import random
import re

import embed_lexicon as el

VP_FRAMES = """how do i {b}|how do i {b}|how to {b}|how can i {b}|how do you {b}|how should i {b}|{b}|{b}|{g}|{g}|{g}|{g}
what is the best way to {b}|best way to {b}|tips for {g}|tips on {g}|i want to {b}|i need to {b}|i would like to {b}
can you help me {b}|help me {b}|what can i do to {b}|is there a way to {b}|is it possible to {b}|ways to {b}
easy ways to {b}|advice on {g}|a guide to {g}|instructions for {g}|i am trying to {b}|need help {g}|how does one {b}
can i {b}|where can i learn to {b}|please tell me how to {b}|i have no idea how to {b}|a simple way of {g}|steps to {b}
could you explain how to {b}|learn to {b}|learning to {b}|what do i need to {b}|quick tricks for {g}|help with {g}
any ideas on how to {b}|what do i do to {b}|need to {b}|want to {b}|{g} made easy|{g} step by step|{g} for beginners
looking for a way to {b}|do you know how to {b}|it is time to {b}|we have to {b}|you can {b} like this|let us {b}
should i {b}|someone to {b}|things to know about {g}|how would you {b}|methods for {g}""".replace("\n", "|").split("|")
SENTENCE_FRAMES = """{s}|{s}|{s}|{s}|{s}|{s}|{s}|{s}, what can i do|what to do when {s}|what should i do if {s}|{s} help
help, {s}|why is it that {s}|{s} and i do not know why|{s}, any ideas|hello, {s}|it seems that {s}|i think {s}
the problem is that {s}|{s} again|when {s}|{s}, how come|please help, {s}|{s}, what now|unfortunately {s}""".replace("\n", "|").split("|")
NOUN_FRAMES = """{s}|{s}|{s}|{s}|{s}|{s}|{s}|{s}|tips on {s}|advice on {s}|help with {s}|information about {s}|a guide to {s}
all about {s}|question about {s}|looking for {s}|i need {s}|everything about {s}|{s} explained|some thoughts on {s}
how does {s} work|tell me about {s}|ideas for {s}|{s}: what to know""".replace("\n", "|").split("|")
QUESTION_FRAMES = """{s}|{s}|{s}|{s}|{s}|{s}|{s}|can you tell me {s}|do you know {s}|i wonder {s}|hi, {s}|quick question, {s}
{s} please|does anyone know {s}""".replace("\n", "|").split("|")
DEFINITION_FRAMES = """{w} is {d}|{w}|what is {w}|{d}|{d}|{d}|the meaning of {w}|{w} means {d}|what does {w} mean""".split("|")
STOP = set("""a an the of to in on at for from with by and or but not no is are was were be been am do does did how what
when where which who why i you he she it we they my your our his her its their me him us them this that there can
could should would will may must if as so too very much many more most any some all than then have has had get got
into out up off over about after before while best way tips help""".split())
QUESTION_WORDS = set("""how what when where which who whose why is are am do does did can could should would will
was were has have may must""".split())
SUBJECT_WORDS = set("""i my we our he she it they the there someone somebody his her their this that these nobody
a an no every all everything nothing something your you""".split())
FINITE = set("""is are was were am will won't cannot can't can does doesn't do don't did didn't has have had keeps
keep got gets need needs want wants feel feels hurts broke stopped came went would should could makes made lost
found forgot left says said smells looks tastes sounds seems refuses hates loves fell died isn't aren't wasn't
haven't hasn't couldn't takes took costs cost works stays goes""".split())


FRAME_WORDS = set(re.findall(r"[a-z]{2,}", " ".join(
    VP_FRAMES + SENTENCE_FRAMES + NOUN_FRAMES + QUESTION_FRAMES + DEFINITION_FRAMES)))


class Renderer:
    def __init__(self, lex, banned):
        self.lex, self.banned = lex, banned
        self.cache = {}

    def expand(self, wording, rng):
        parts = self.cache.get(wording)
        if parts is None:
            parts = self.cache[wording] = el.split_alternatives(wording)
        if len(parts) == 1 and isinstance(parts[0], str):
            return parts[0]
        text = "".join(p if isinstance(p, str) else rng.choice(p) for p in parts)
        return " ".join(text.split())

    def framed(self, text, rng):
        first, _, rest = text.partition(" ")
        if first == "to" and rest:
            if rest.startswith("not "):
                base, gerund = rest, "not " + el.ing(rest[4:])
            else:
                base, gerund = rest, el.ing(rest)
            return rng.choice(VP_FRAMES).format(b=base, g=gerund)
        words = text.split()
        if first in QUESTION_WORDS:
            return rng.choice(QUESTION_FRAMES).format(s=text)
        if first in SUBJECT_WORDS or first in FINITE:
            if any(w in FINITE for w in words[1:7]) or first in ("i", "we"):
                return rng.choice(SENTENCE_FRAMES).format(s=text)
        return rng.choice(NOUN_FRAMES).format(s=text)

    def noisy(self, text, rng):
        words, lex = text.split(), self.lex
        for i, word in enumerate(words):
            draw = rng.random()
            if draw < 0.11:
                others = lex.substitutes.get(word)
                if others:
                    words[i] = rng.choice(others)
            elif draw < 0.125 and word in lex.misspelt:
                words[i] = rng.choice(lex.misspelt[word])
            elif draw < 0.131 and len(word) > 4:
                at = rng.randrange(1, len(word) - 2)
                words[i] = word[:at] + word[at + 1] + word[at] + word[at + 2:]
            elif draw < 0.155 and word in ("my", "the", "a", "your", "our"):
                words[i] = rng.choice(("my", "the", "a", "your", "our"))
            elif draw < 0.163 and len(words) > 4:
                words[i] = ""
        if rng.random() < 0.05:
            words.insert(rng.randrange(len(words) + 1),
                         rng.choice(("please", "really", "just", "quickly", "at home", "again", "today", "now",
                                     "easily", "myself", "properly", "best", "still", "always")))
        if rng.random() < 0.3:
            words.append(rng.choice((".", "?", "!", ".", "?")))
        return " ".join(w for w in words if w)

    def __call__(self, wording, rng, plain=0.45):
        for _ in range(8):
            text = self.expand(wording, rng)
            if rng.random() > plain or text.startswith("to "):
                text = self.framed(text, rng)
            text = self.noisy(text, rng)
            if el.normal_form(text) not in self.banned:
                return text
        return "something else"


def stems(text):
    cut = lambda w: re.sub(r"(ing|es|s|ed|er|ly)$", "", w) if len(w) > 4 else w
    return frozenset(cut(w) for w in re.findall(r"[a-z]+", text.lower()) if w not in STOP)


class Guard:
    """Tells whether a wording is so near to a test sentence that it must not be trained on: three
    content words or more, and three quarters of all of both sides' are the same."""

    def __init__(self, sentences):
        self.sets = [stems(s) for s in sentences]
        self.places = collections.defaultdict(list)
        for i, words in enumerate(self.sets):
            for word in words:
                self.places[word].append(i)

    def __call__(self, wording):
        words = stems(wording)
        if len(words) < 3:
            return False
        shared = collections.Counter(i for w in words for i in self.places.get(w, ()))
        return any(n >= 0.75 * len(words | self.sets[i]) for i, n in shared.items())


class Corpus:
    """Groups by number, chunks of neighbouring groups, and the batches drawn from them."""

    def __init__(self, lex, banned=frozenset()):
        self.lex, self.render = lex, Renderer(lex, banned)
        guard = Guard(banned)
        def clean(wordings):
            return [w for w in wordings if el.normal_form(w) not in banned and not guard(w)]
        self.files = [[clean(g) for g in groups] for groups in lex.situations]
        # Emptied groups keep their place, so that the dictionary's numbers stay right.
        self.dictionary = [(f, g, words) for f, g, words in lex.dictionary if len(self.files[f][g]) > 1]
        self.hard = {place: decoys for place, decoys in lex.hard.items()
                     if len(self.files[place[0]][place[1]]) == 3}
        self.hard_places = sorted(self.hard)
        self.files = [[g if len(g) > 1 else ["nothing to say", "no words for it"] for g in groups]
                      for groups in self.files]
        self.file_weights = [len(f) for f in self.files]
        self.rivals = self.index_words()
        self.akin = self.index_akin()
        self.family_weights = [math.sqrt(len(o) * len(a)) for o, a in lex.patterns]
        self.pattern_groups = sum(len(o) * len(a) for o, a in lex.patterns)

    def counts(self):
        return {"situation groups": sum(self.file_weights),
                "wordings": sum(len(g) for f in self.files for g in f),
                "pattern groups": self.pattern_groups, "synonym groups": len(self.lex.synonyms),
                "fields": len(self.lex.fields), "definitions": len(self.lex.definitions)}

    def index_words(self):
        """Content word -> [(file, group, wording)], for words that several groups use."""
        index = {}
        for f, groups in enumerate(self.files):
            for g, wordings in enumerate(groups):
                for w, wording in enumerate(wordings):
                    for word in set(re.findall(r"[a-z]+", wording)) - STOP:
                        index.setdefault(word, []).append((f, g, w))
        index = {word: places for word, places in index.items() if len({p[:2] for p in places}) > 3}
        self.rival_words = sorted(index)
        self.rival_weights = [len(index[w]) ** 0.5 for w in self.rival_words]
        return index

    def index_akin(self, least=0.22, least_situations=0.33, twins=0.6):
        """Key -> keys of other groups with much the same words. The lexicon says some things more
        than once; such groups must not be pushed apart, so they are never each other's negatives."""
        bags = {("s", f, g): " ".join(wordings) for f, groups in enumerate(self.files)
                for g, wordings in enumerate(groups)}
        bags.update({("y", i): " ".join(words) for i, (_, words) in enumerate(self.lex.synonyms)})
        bags.update({("f", i): " ".join(words) for i, words in enumerate(self.lex.fields)})
        bags.update({("d", i): " ".join(words) for i, words in enumerate(self.lex.definitions)})
        stem = lambda w: re.sub(r"(ing|es|s|ed|er|ly)$", "", w) if len(w) > 4 else w
        counts = {k: collections.Counter(stem(w) for w in re.findall(r"[a-z]+", text) if w not in STOP)
                  for k, text in bags.items()}
        spread = collections.Counter(w for bag in counts.values() for w in bag)
        places = collections.defaultdict(list)
        for key, bag in counts.items():
            weights = {w: (1 + math.log(n)) * math.log(len(bags) / spread[w]) for w, n in bag.items()}
            norm = math.sqrt(sum(v * v for v in weights.values())) or 1.0
            for word, value in weights.items():
                places[word].append((key, value / norm))
        scores = collections.defaultdict(float)
        for word in sorted(places):
            rows = places[word]
            if 1 < len(rows) < 300:
                for i, (key, value) in enumerate(rows):
                    for other, worth in rows[i + 1:]:
                        scores[key, other] += value * worth
        akin = collections.defaultdict(set)
        self.twins = collections.defaultdict(list)
        for (key, other), score in scores.items():
            if score >= twins and key[0] == other[0] == "s":
                self.twins[key[1:]].append(other[1:])
                self.twins[other[1:]].append(key[1:])
            if score >= (least_situations if key[0] == other[0] == "s" else least):
                akin[key].add(other)
                akin[other].add(key)
        return akin

    def clashes(self, keys):
        """Index pairs (i, j) of a batch that must not be negatives of each other."""
        at = collections.defaultdict(list)
        for i, key in enumerate(keys):
            at[key].append(i)
        return [(i, j) for i, key in enumerate(keys)
                for other in (key, *self.akin.get(key, ())) for j in at.get(other, ()) if i != j]

    @staticmethod
    def content(text):
        return set(re.findall(r"[a-z]+", text)) - STOP

    def far_pair(self, place, rng, first=None):
        """Two wordings of a group (or of it and a twin), mostly ones that share few words."""
        f, g = place
        wordings = self.files[f][g]
        a = rng.choice(wordings) if first is None else first
        others = [w for w in wordings if w != a]
        if place in self.twins and rng.random() < 0.4:
            f, g = rng.choice(self.twins[place])
            others = [w for w in self.files[f][g] if w != a]
        if rng.random() < 0.3:
            return a, rng.choice(others)
        mine = self.content(a)
        overlap = [len(mine & self.content(w)) / (1 + len(self.content(w))) for w in others]
        least = min(overlap)
        return a, rng.choice([w for w, o in zip(others, overlap) if o <= least + 0.1])

    def unshared(self, a, b, rng):
        """Drops some words that both texts have: the rest must carry the meaning."""
        for word in self.content(a) & self.content(b):
            if rng.random() < 0.25:
                left = rng.random() < 0.5
                words = (a if left else b).split()
                if len(words) > 3:
                    kept = " ".join(w for w in words if w.strip(".,?!") != word)
                    a, b = (kept, b) if left else (a, kept)
        return a, b

    def chunk_rivals(self, rng, size=8):
        """Groups whose wordings share one surface word but mean different things."""
        word = rng.choices(self.rival_words, self.rival_weights)[0]
        places = {p[:2]: p for p in rng.sample(self.rivals[word], min(3 * size, len(self.rivals[word])))}
        out = []
        for f, g, w in list(places.values())[:size]:
            wordings = self.files[f][g]
            a, b = self.far_pair((f, g), rng, wordings[w])
            if rng.random() < 0.5:
                a, b = b, a
            out.append((("s", f, g), *self.unshared(self.render(a, rng), self.render(b, rng), rng)))
        return out

    def decoy(self, text, rng):
        """A sentence of another meaning that keeps a word or two of `text`."""
        mine = [w for w in re.findall(r"[a-z]+", text) 
                if w not in STOP and w not in FINITE and w not in FRAME_WORDS]
        f = rng.choices(range(len(self.files)), self.file_weights)[0]
        host = self.render.expand(rng.choice(rng.choice(self.files[f])), rng).split()
        if host[0] == "to":
            host = el.ing(" ".join(host[1:])).split() if rng.random() < 0.6 else host[1:]
        slots = [i for i, w in enumerate(host) if w.strip(",") not in STOP]
        if not mine or not slots:
            return " ".join(host)
        keep = rng.sample(mine, min(len(mine), 2 if rng.random() < 0.3 else 1))
        for word, slot in zip(keep, rng.sample(slots, min(len(slots), len(keep)))):
            if len(host) < 3 and rng.random() < 0.5:
                host.insert(slot, word)
            else:
                host[slot] = word
        return " ".join(host)

    def decoys(self, rng, items, count):
        """Wrong candidates for the pairs in `items`: the written ones first, then made ones."""
        out = [self.render(text, rng) for key, _, _ in items if key[0] == "s"
               for text in self.hard.get(key[1:], ())][:count]
        pairs = [item for item in items if item[0][0] in "sp"] or items
        return out + [self.decoy(rng.choice((a, a, b)), rng)
                      for _, a, b in (pairs[i % len(pairs)] for i in range(count - len(out)))]

    # Each chunk_* returns [(key, text, text)]: pairs near each other in meaning.
    def chunk_situations(self, rng, size=8):
        f = rng.choices(range(len(self.files)), self.file_weights)[0]
        groups = self.files[f]
        start = rng.randrange(max(1, len(groups) - size + 1))
        out = []
        for i in range(start, min(start + size, len(groups))):
            a, b = self.far_pair((f, i), rng)
            out.append((("s", f, i), *self.unshared(self.render(a, rng), self.render(b, rng), rng)))
        return out

    def pattern_text(self, aspect, names, rng):
        return self.render(rng.choice(aspect).replace("{o}", rng.choice(names)), rng)

    def chunk_patterns(self, rng, size=8):
        f = rng.choices(range(len(self.lex.patterns)), self.family_weights)[0]
        objects, aspects = self.lex.patterns[f]
        draw = rng.random()
        if draw < 0.4:  # one object, many aspects
            o = rng.randrange(len(objects))
            cells = [(o, a) for a in rng.sample(range(len(aspects)), min(size, len(aspects)))]
        elif draw < 0.8:  # one aspect, many objects
            a = rng.randrange(len(aspects))
            cells = [(o, a) for o in rng.sample(range(len(objects)), min(size, len(objects)))]
        else:
            cells = [(rng.randrange(len(objects)), rng.randrange(len(aspects))) for _ in range(size)]
        out = []
        for o, a in cells:
            texts = (rng.sample(aspects[a], 2) if len(aspects[a]) > 1 else [aspects[a][0]] * 2)
            names = objects[o] if len(objects[o]) < 2 else rng.sample(objects[o], 2)
            pair = [self.render(t.replace("{o}", n), rng) for t, n in zip(texts, (names[0], names[-1]))]
            out.append((("p", f, o, a), *pair))
        return out

    def inflected(self, kind, words, rng):
        forms = {"v": (lambda w: w, lambda w: w, el.third, el.ing, el.past),
                 "n": (lambda w: w, lambda w: w, el.plural)}.get(kind, (lambda w: w,))
        return rng.choice(forms)(rng.choice(words))

    def chunk_synonyms(self, rng, size=8):
        out = []
        for _ in range(size):
            s = rng.randrange(len(self.lex.synonyms))
            kind, words = self.lex.synonyms[s]
            a, b = rng.sample(words, 2)
            pair = [self.inflected(kind, [w], rng) for w in (a, b)]
            out.append((("y", s), *pair))
        return out

    def chunk_hard(self, rng, size=8):
        """Queries against what they mean; decoys() adds the candidates they must not be taken for."""
        out = []
        for place in rng.sample(self.hard_places, size):
            query, *right = self.files[place[0]][place[1]]
            out.append((("s", *place), self.render(query, rng), self.render(rng.choice(right), rng)))
        return out

    def chunk_dictionary(self, rng, size=8):
        """Words that belong to a situation, against a wording of it."""
        out = []
        for f, g, words in rng.sample(self.dictionary, size):
            some = rng.sample(words, min(len(words), rng.randint(2, 6)))
            out.append((("s", f, g), " ".join(some), self.render(rng.choice(self.files[f][g]), rng)))
        return out

    def chunk_fields(self, rng, size=8):
        out = []
        for _ in range(size):
            f = rng.randrange(len(self.lex.fields))
            words = self.lex.fields[f]
            some = rng.sample(words, min(len(words), rng.randint(2, 7)))
            cut = rng.randint(1, len(some) - 1)
            out.append((("f", f), " ".join(some[:cut]), " ".join(some[cut:])))
        return out

    def chunk_definitions(self, rng, size=8):
        out = []
        start = rng.randrange(len(self.lex.definitions))
        for i in range(start, start + size):
            d = i % len(self.lex.definitions)
            word, *meanings = self.lex.definitions[d]
            meaning = rng.choice(meanings)
            left = rng.choice((word, word, "what is " + word, "the word " + word, "about " + word))
            if len(meanings) > 1 and rng.random() < 0.3:
                left = rng.choice([m for m in meanings if m != meaning])
            out.append((("d", d), self.render.noisy(left, rng), self.render.noisy(meaning, rng)))
        return out

    def pairs(self, rng, count, mix=(0.16, 0.24, 0.10, 0.05, 0.06, 0.04, 0.07, 0.28)):
        makers = (self.chunk_situations, self.chunk_rivals, self.chunk_patterns, self.chunk_synonyms,
                  self.chunk_fields, self.chunk_definitions, self.chunk_dictionary,
                  self.chunk_hard)
        out = []
        while len(out) < count:
            out += rng.choices(makers, mix)[0](rng)
        return out[:count]

    def long_pairs(self, rng, count, words_max):
        """A document of many wordings of a few neighbouring groups, against a short or long other."""
        out = []
        for n in range(count):
            f = rng.choices(range(len(self.files)), self.file_weights)[0]
            groups = self.files[f]
            i = rng.randrange(len(groups))
            near = groups[max(0, i - 2):i + 3]
            sides = []
            for limit in (rng.randint(20, words_max), rng.randint(8, words_max)):
                text = []
                while sum(len(t.split()) for t in text) < limit:
                    source = groups[i] if rng.random() < 0.7 else rng.choice(near)
                    text.append(self.render(rng.choice(source), rng) + " .")
                sides.append(" ".join(text))
            out.append((("s", f, i), *sides))
        return out

    def mlm_lines(self, rng, count):
        out = []
        while len(out) < count:
            draw = rng.random()
            if draw < 0.5:
                groups = self.files[rng.choices(range(len(self.files)), self.file_weights)[0]]
                group = rng.choice(groups)
                some = rng.sample(group, min(len(group), rng.randint(1, 4)))
                out.append(" . ".join(self.render(w, rng) for w in some))
            elif draw < 0.7:
                objects, aspects = rng.choices(self.lex.patterns, self.family_weights)[0]
                names, aspect = rng.choice(objects), rng.choice(aspects)
                out.append(" . ".join(self.pattern_text(aspect, names, rng) for _ in range(2)))
            elif draw < 0.85:
                word, *meanings = rng.choice(self.lex.definitions)
                out.append(f"{word} is {rng.choice(meanings)}")
            elif draw < 0.93:
                words = rng.choice(self.lex.fields)
                out.append(", ".join(rng.sample(words, min(len(words), 9))))
            else:
                kind, words = rng.choice(self.lex.synonyms)
                out.append(" or ".join(rng.sample(words, min(len(words), 4))))
        return out


def rng_of(seed, stream, step):
    return random.Random(f"{seed}/{stream}/{step}")
