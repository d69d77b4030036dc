"""Reads the hand-written lexicon and turns it into groups of wordings that mean the same.

lexicon/situations/*.txt  one group a line, wordings split by ' | '. Neighbouring lines are near
                          in topic, so they serve as each other's hard negatives.
lexicon/patterns/*.txt    families: objects ('o: tap, faucet') crossed with aspects
                          ('a: my {o} leaks | to fix a leaky {o}'); 'o: @fruit' means every word of
                          the field 'fruit'.
lexicon/synonyms.txt      'v stop, prevent, halt' (v verb, n noun, a adjective, x anything).
lexicon/fields.txt        'plumbing: tap, sink, pipe' words that belong together.
lexicon/dictionary/*.txt  'tap: faucet, sink, ... | wording | wording | wording': words that belong to a
                          word, and one situation it stands for.
lexicon/hard/*.txt        'query | right | right | decoy | decoy | decoy': the decoys share words with the query but
                          mean something else.
lexicon/definitions.txt   'tap = where water comes out of a sink | ...'.
lexicon/misspellings.txt  'definitely: definately, definitly'.

In any wording '[a/b/c]' is one of a, b, c, and a wording that starts with 'to ' is a verb phrase
that the renderer may put in many frames ('how do i ...', '...ing', 'tips to ...').
"""
import collections
import pathlib
import re
from dataclasses import dataclass, field

ROOT = pathlib.Path(__file__).resolve().parent / "lexicon"
IRREGULAR = {  # base: past, participle
    line.split()[0]: line.split()[1:]
    for line in """be was been;begin began begun;bite bit bitten;blow blew blown;break broke broken;
bring brought brought;build built built;burn burnt burnt;buy bought bought;catch caught caught;
choose chose chosen;come came come;cost cost cost;cut cut cut;deal dealt dealt;dig dug dug;
do did done;draw drew drawn;drink drank drunk;drive drove driven;eat ate eaten;fall fell fallen;
feed fed fed;feel felt felt;fight fought fought;find found found;fly flew flown;forget forgot forgotten;
forgive forgave forgiven;freeze froze frozen;get got got;give gave given;go went gone;grow grew grown;
hang hung hung;have had had;hear heard heard;hide hid hidden;hit hit hit;hold held held;hurt hurt hurt;
keep kept kept;know knew known;lay laid laid;lead led led;leave left left;lend lent lent;let let let;
lose lost lost;make made made;mean meant meant;meet met met;pay paid paid;put put put;quit quit quit;
read read read;ride rode ridden;ring rang rung;rise rose risen;run ran run;say said said;see saw seen;
sell sold sold;send sent sent;set set set;sew sewed sewn;shake shook shaken;shine shone shone;
shoot shot shot;show showed shown;shrink shrank shrunk;shut shut shut;sing sang sung;sink sank sunk;
sit sat sat;sleep slept slept;slide slid slid;speak spoke spoken;spend spent spent;spill spilt spilt;
spin spun spun;split split split;spread spread spread;stand stood stood;steal stole stolen;
stick stuck stuck;sting stung stung;swear swore sworn;sweep swept swept;swim swam swum;
swing swung swung;take took taken;teach taught taught;tear tore torn;tell told told;think thought thought;
throw threw thrown;understand understood understood;wake woke woken;wear wore worn;weep wept wept;
win won won;write wrote written""".replace("\n", "").split(";")
}
DOUBLING = set("""stop drop cut put get let sit run swim plan ban grab hug chat clap chop clip dig dip drag
drip fit flip hop jog knit log map mop nap nod pack_ pat pet pin plug pop rip rob rot rub scan shop shut skip
slap slip snap spot step strip swap tap tip trap trim trip wrap zip set hit quit win begin forget admit commit
refer prefer occur control cancel travel label bet beg bid blog clog unclog unplug flop fog gut hem jam mug
nag peg plot rig sag scrub shred sip slam slim snip spin spit split stir stun tag tan thin top tug unwrap wag
whip regret permit submit transfer rebel patrol compel equip kidnap level model outrun reset upset babysit
kid skim mix_ blur star scar shrug squat strum chip crop flap grin grip hum jet jot knot lap lag mob pit prod
quip rap rev rid scrap shed skid slit slot slug smug snag snug span stab stem stub sum sun swat tar throb
vet wed wet""".split())


def ing(verb):
    word, _, rest = verb.partition(" ")
    if word in ("be", "see", "flee", "agree", "dye"):
        form = word + "ing"
    elif word.endswith("ie"):
        form = word[:-2] + "ying"
    elif word.endswith("e") and not word.endswith(("ee", "oe", "ye")):
        form = word[:-1] + "ing"
    else:
        form = word + (word[-1] if word in DOUBLING else "") + "ing"
    return (form + " " + rest).strip()


def past(verb):
    word, _, rest = verb.partition(" ")
    if word in IRREGULAR:
        form = IRREGULAR[word][0]
    elif word.endswith("e"):
        form = word + "d"
    elif word.endswith("y") and word[-2:-1] not in "aeiou":
        form = word[:-1] + "ied"
    else:
        form = word + (word[-1] if word in DOUBLING else "") + "ed"
    return (form + " " + rest).strip()


def plural(noun):
    """Plural of a noun, and third person of a verb's first word."""
    if noun.endswith("s") and not noun.endswith(("ss", "us")):
        return noun  # 'glasses', 'trousers', 'headphones'
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def third(verb):
    word, _, rest = verb.partition(" ")
    form = {"have": "has", "do": "does", "go": "goes", "be": "is"}.get(word) or plural(word)
    return (form + " " + rest).strip()


# Words whose other sense is more common in questions than the one in synonyms.txt.
AMBIGUOUS = set("""can may will like need get make take have do go be work free note right cover well fine light fall
spring date change way mean lie let use want know think say tell give show can't cross mad down poor hard great
good bad kind mine match mark mate post play plan row spot bill sign set well state rest order point close open
show start end stop look call run move turn check help try old new hot cold big small late early back up""".split())


def split_alternatives(wording):
    """'a [b/c] d' -> ['a ', ['b', 'c'], ' d']; plain wordings give a one-item list."""
    parts = re.split(r"\[([^\]]*)\]", wording)
    return [p.split("/") if i % 2 else p for i, p in enumerate(parts) if p or i % 2]


def normal_form(text):
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


@dataclass
class Lexicon:
    situations: list = field(default_factory=list)   # files of groups of wordings
    patterns: list = field(default_factory=list)     # families: (objects, aspects)
    synonyms: list = field(default_factory=list)     # (kind, [words])
    fields: list = field(default_factory=list)       # [words]
    definitions: list = field(default_factory=list)  # [word, definition, ...]
    dictionary: list = field(default_factory=list)   # (file, group) of situations, [words]
    hard: dict = field(default_factory=dict)         # (file, group) of situations -> decoys
    misspelt: dict = field(default_factory=dict)     # word -> wrong spellings
    substitutes: dict = field(default_factory=dict)  # surface form -> surface forms


def data_lines(path):
    for line in path.read_text(encoding="utf-8").splitlines():
        line = line.split("#")[0].strip()
        if line:
            yield line


def cells_of(text, mark):
    return [c.strip() for c in text.split(mark) if c.strip()]


COMMON = set("""what which when where does should from with that this have there their your into about than them they
some would could will must need want much many long good best find make take keep going after before again""".split())


def with_tags(group, spread):
    """One-word wordings beside sentences are tags. A word of few groups ('sunburn') stays as it is;
    words of many groups ('fear', 'home') say too little alone, so they become one title, led by a
    word of the first sentence. `spread` counts the groups a word is in."""
    tags = [w for w in group if " " not in w and spread[w] > 3]
    full = [w for w in group if " " in w]
    if not tags or not full or len(full[0].split()) < 4:
        return group
    lead = [w for w in re.findall(r"[a-z]{4,}", full[0]) if w not in COMMON and w not in tags]
    lead = "[" + "/".join(lead) + "] " if lead else ""
    return [w for w in group if w not in tags] + [lead + " ".join(tags), " ".join(reversed(tags)) + " " + lead]


def load(root=ROOT):
    lex = Lexicon()
    for path in sorted((root / "situations").glob("*.txt")):
        groups = [[c.lower() for c in cells_of(line, "|")] for line in data_lines(path)]
        lex.situations.append([g for g in groups if len(g) > 1])
    for path in sorted((root / "dictionary").glob("*.txt")):
        groups = []
        for line in data_lines(path):
            words, *wordings = cells_of(line.lower(), "|")
            if len(wordings) < 2 or ":" not in words:
                raise SystemExit(f"{path.name}: want 'word: words | wording | wording', got: {line}")
            word, _, others = words.partition(":")
            lex.dictionary.append((len(lex.situations), len(groups), [word.strip(), *cells_of(others, ",")]))
            groups.append(wordings)
        lex.situations.append(groups)
    for path in sorted((root / "hard").glob("*.txt")):
        groups = []
        for line in data_lines(path):
            cells = cells_of(line.lower(), "|")
            if len(cells) != 6:
                raise SystemExit(f"{path.name}: want 'query | right | right | decoy | decoy | decoy', got: {line}")
            lex.hard[len(lex.situations), len(groups)] = cells[3:]
            groups.append(cells[:3])
        lex.situations.append(groups)
    spread = collections.Counter(w for f in lex.situations for g in f
                                 for w in set(" ".join(g).split()))
    lex.situations = [[with_tags(g, spread) for g in f] for f in lex.situations]
    for path in sorted((root / "patterns").glob("*.txt")):
        for line in data_lines(path):
            if line.startswith("="):
                lex.patterns.append(([], []))
            elif line.startswith("o:"):
                lex.patterns[-1][0].append([c.lower() for c in cells_of(line[2:], ",")])
            elif line.startswith("a:"):
                lex.patterns[-1][1].append([c.lower() for c in cells_of(line[2:], "|")])
            else:
                raise SystemExit(f"{path.name}: want '=', 'o:' or 'a:', got: {line}")
    for line in data_lines(root / "synonyms.txt"):
        kind, _, words = line.partition(" ")
        lex.synonyms.append((kind, [w.lower() for w in cells_of(words, ",")]))
    lex.fields += [words for _, _, words in lex.dictionary]
    field_named = {}
    for path in sorted((root / "fields").glob("*.txt")):
        for line in data_lines(path):
            name, _, words = line.partition(":")
            lex.fields.append([w.lower() for w in cells_of(words, ",")])
            field_named[name.strip()] = lex.fields[-1]
    for path in sorted((root / "definitions").glob("*.txt")):
        for line in data_lines(path):
            word, _, rest = line.partition("=")
            lex.definitions.append([word.strip().lower()] +
                                   [c.lower() for c in cells_of(rest, "|")])
    names_of = {w: words for kind, words in lex.synonyms if kind == "n" for w in words}
    for objects, _ in lex.patterns:
        for i, names in reversed(list(enumerate(objects))):
            if names[0].startswith("@"):  # every word of a field, with its synonyms
                words = field_named[names[0][1:]]
                objects[i:i + 1] = [[w] + [n for n in names_of.get(w, []) if n != w] for w in words]
    for line in data_lines(root / "misspellings.txt"):
        word, _, rest = line.partition(":")
        lex.misspelt[word.strip()] = cells_of(rest, ",")
    lex.substitutes = substitutes(lex.synonyms)
    return lex


def substitutes(synonyms):
    """Surface form -> forms that may stand for it. Words in two groups are ambiguous: left out."""
    seen, table = {}, {}
    for _, words in synonyms:
        for word in words:
            seen[word] = seen.get(word, 0) + 1
    forms_of = {"v": [lambda w: w, third, ing, past], "n": [lambda w: w, plural]}
    for kind, words in synonyms:
        for form in forms_of.get(kind, [lambda w: w]):
            for word in words:
                if seen[word] == 1 and " " not in word and word not in AMBIGUOUS:
                    others = [form(w) for w in words if w != word]
                    if form(word) not in table:
                        table[form(word)] = others
    return table
