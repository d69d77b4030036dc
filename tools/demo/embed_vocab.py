"""Builds the WordPiece tokenizer from the generated text alone.

Whole words come first: every word of the lexicon's word lists, then the words of the rendered
text by frequency. Single characters and frequent word endings (from a small WordPiece training run
on the same text) let any other word be spelled from pieces.
"""
import collections
import re

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CHARS = "abcdefghijklmnopqrstuvwxyz0123456789"
MARKS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
ENDINGS = """s ing ed er ers ly es est y ness less ful able ment tion ings ty al ic ish en ize ise ized ised or ist
ists man men ier iest ies 's work box time day room bag light line book ball less ful ally ity ous ive ation""".split()


def tokenizer_of(vocab):
    tok = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    tok.add_special_tokens(SPECIALS)
    tok.normalizer = normalizers.BertNormalizer(lowercase=True)
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tok.decoder = decoders.WordPiece(prefix="##")
    tok.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])])
    return tok


def learned_pieces(lines, size):
    tok = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tok.normalizer = normalizers.BertNormalizer(lowercase=True)
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tok.train_from_iterator(lines, trainers.WordPieceTrainer(
        vocab_size=size, special_tokens=SPECIALS, show_progress=False))
    pieces = tok.get_vocab()
    return [p for p in sorted(pieces, key=pieces.get) if p.startswith("##") and len(p) > 3]


def build(lex, lines, size):
    counts = collections.Counter(w for line in lines for w in re.findall(r"[a-z]+|[0-9]+", line))
    listed = collections.Counter()
    lists = lex.fields + [words for _, words in lex.synonyms] + lex.definitions
    lists += [names for objects, _ in lex.patterns for names in objects]
    for words in lists + [g for groups in lex.situations for g in groups]:
        for text in words:
            listed.update(re.findall(r"[a-z]+", text))
    pieces = [*CHARS, *MARKS, *("##" + c for c in CHARS), *("##" + e for e in ENDINGS)]
    pieces += learned_pieces(lines, 600)
    entries = list(dict.fromkeys(SPECIALS + pieces))
    # A regular inflection of a listed word is spelled as word + ending, unless it is frequent.
    def plain_inflection(word):
        return any(word.endswith(e) and word[:-len(e)] in listed for e in ("s", "ing", "ed", "er", "ly"))
    rank = {w: (counts[w] if plain_inflection(w) else 8 * counts[w] + 400) for w in listed}
    rank.update({w: n for w, n in counts.items() if w not in listed})
    taken = set(entries)
    for word in sorted(rank, key=lambda w: (-rank[w], w)):
        if len(entries) >= size:
            break
        if word not in taken:
            entries.append(word)
    missing = sum(1 for w in listed if w not in set(entries) and not plain_inflection(w))
    return {entry: i for i, entry in enumerate(entries)}, missing
