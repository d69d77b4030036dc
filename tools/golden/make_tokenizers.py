"""Small tokenizers in the styles of published checkpoints, trained on generated text.

    make_tokenizers.py golden tests/golden/tokenizer   the committed files: tokenizer.json and sis-selftest.json
    make_tokenizers.py selftests tests/golden/tokenizer   only their sis-selftest.json (wants transformers)
    make_tokenizers.py cases FILE                      src/infer/text/tokenizer/tokenizer_cases.h, one or two
                                                       texts for each element
    make_tokenizers.py full DIR                        DIR/<style>.json for the differential test: larger
                                                       vocabularies, the whole nmt_nfkc character map, and
                                                       variants that reach every supported element

Wants the PyPI packages tokenizers and sentencepiece.
"""

import base64
import copy
import io
import json
import os
import re
import sys
import tempfile

import sentencepiece
import tokenizers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import make_selftest  # noqa: E402
from make_selftest import byte_offsets  # noqa: E402
from text_lines import lines  # noqa: E402

META = "\u2581"


# --- protobuf, just enough to read sentencepiece's model without the protobuf package ---

def _varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 128:
            return value, at


def _fields(data):
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
        elif kind == 2:
            size, at = _varint(data, at)
            value, at = data[at:at + size], at + size
        else:
            size = {5: 4, 1: 8}[kind]
            value, at = data[at:at + size], at + size
        yield key >> 3, value


def _field(data, number):
    return next(value for key, value in _fields(data) if key == number)


def nmt_nfkc_map(only=None):
    """SentencePiece's compiled nmt_nfkc map, whole or only the rules whose characters satisfy `only`."""
    # A model trained with the rule carries the whole map.
    writer = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a b c d e f"] * 20), model_writer=writer, vocab_size=12, hard_vocab_limit=False,
        normalization_rule_name="nmt_nfkc", minloglevel=3)
    spec = _field(writer.getvalue(), 3)
    whole = _field(spec, 2)
    if only is None:
        return whole
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "rules.tsv")
        with open(path, "w") as file:
            for source, target in _decompile(whole):
                if all(only(ord(c)) for c in source):
                    file.write(" ".join("%X" % ord(c) for c in source) + "\t" + " ".join("%X" % ord(c) for c in target) + "\n")
        return _field(sentencepiece.SentencePieceNormalizer(rule_tsv=path).serialized_normalizer_spec(), 2)


def _decompile(charsmap):
    """All (source, target) of a compiled map, by walking its trie (Darts-clone units)."""
    size = int.from_bytes(charsmap[:4], "little")
    units = [int.from_bytes(charsmap[i:i + 4], "little") for i in range(4, 4 + size, 4)]
    targets = charsmap[4 + size:]
    offset = lambda unit: (unit >> 10) << ((unit & 512) >> 6)
    out = []
    stack = [(offset(units[0]), b"")]
    while stack:
        node, key = stack.pop()
        for byte in range(1, 256):
            at = node ^ byte
            if at >= len(units) or units[at] & 0x800000FF != byte:
                continue
            child = at ^ offset(units[at])
            if units[at] >> 8 & 1:
                begin = units[child] & 0x7FFFFFFF
                out.append(((key + bytes([byte])).decode(), targets[begin:targets.index(b"\0", begin)].decode()))
            stack.append((child, key + bytes([byte])))
    return out


# --- the styles ---

def corpus(count):
    return [line.replace("\n", " ") for line in lines(count, seed=99)]


def special(content, id, **flags):
    return dict({"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
                 "normalized": False, "special": True}, **flags)


def bert(vocab_size, count, lowercase):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(corpus(count), trainers.WordPieceTrainer(
        vocab_size=vocab_size, special_tokens=names, show_progress=False, limit_alphabet=vocab_size // 3))
    data = json.loads(tokenizer.to_str())
    data["post_processor"] = template("[CLS]", 2, "[SEP]", 3, second_sep=False, second_type=1)
    data["decoder"] = {"type": "WordPiece", "prefix": "##", "cleanup": True}
    return data


def template(cls, cls_id, sep, sep_id, second_sep, second_type):
    def token(name, kind):
        return {"SpecialToken": {"id": name, "type_id": kind}}

    def sequence(name, kind):
        return {"Sequence": {"id": name, "type_id": kind}}

    pair = [token(cls, 0), sequence("A", 0), token(sep, 0)] + ([token(sep, 0)] if second_sep else [])
    return {"type": "TemplateProcessing", "single": [token(cls, 0), sequence("A", 0), token(sep, 0)],
            "pair": pair + [sequence("B", second_type), token(sep, second_type)],
            "special_tokens": {name: {"id": name, "ids": [id], "tokens": [name]} for name, id in ((cls, cls_id), (sep, sep_id))}}


def xlmr(vocab_size, count, charsmap):
    writer = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(line for line in corpus(count) if line.strip()), model_writer=writer, vocab_size=vocab_size,
        hard_vocab_limit=False, model_type="unigram", normalization_rule_name="nmt_nfkc", character_coverage=0.995,
        max_sentence_length=1 << 20, num_threads=1, minloglevel=3)
    pieces = []
    for number, value in _fields(writer.getvalue()):
        if number == 1:
            import struct
            pieces.append([_field(value, 1).decode(), struct.unpack("<f", _field(value, 2))[0]])
    vocab = [["<s>", 0.0], ["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0]] + pieces[3:]
    mask = len(vocab)
    return {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [special("<s>", 0), special("<pad>", 1), special("</s>", 2), special("<unk>", 3),
                             special("<mask>", mask, lstrip=True)],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(charsmap).decode()},
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]},
            "pre_tokenizer": {"type": "Metaspace", "replacement": META, "prepend_scheme": "always", "split": True},
            "post_processor": template("<s>", 0, "</s>", 2, second_sep=True, second_type=0),
            "decoder": {"type": "Metaspace", "replacement": META, "prepend_scheme": "always", "split": True},
            "model": {"type": "Unigram", "unk_id": 3, "vocab": vocab, "byte_fallback": False}}


GPT2_SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3_SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2_SPLIT = LLAMA3_SPLIT.replace(r"\p{N}{1,3}", r"\p{N}")
QWEN_MARKS_SPLIT = QWEN2_SPLIT.replace(r"?\p{L}+", r"?[\p{L}\p{M}]+").replace(r"[^\s\p{L}\p{N}]", r"[^\s\p{L}\p{M}\p{N}]")
O200K_SPLIT = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
DEEPSEEK_SPLIT = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
                  r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": invert}


def byte_level(add_prefix_space=False, trim_offsets=True, use_regex=True):
    return {"type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": trim_offsets, "use_regex": use_regex}


def trained_bpe(vocab_size, count, base, alphabet, **model):
    """`base` without a model, with one of `vocab_size` tokens trained on the corpus."""
    empty = dict({"type": "BPE", "vocab": {}, "merges": []}, **model)
    start = dict({"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": None,
                  "post_processor": None, "decoder": None}, **base, model=empty)
    tokenizer = Tokenizer.from_str(json.dumps(dict(start, post_processor=None)))
    tokenizer.train_from_iterator(corpus(count), trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=[], show_progress=False, initial_alphabet=alphabet, limit_alphabet=vocab_size // 2))
    trained = json.loads(tokenizer.to_str())["model"]
    start["model"] = dict(empty, vocab=trained["vocab"], merges=trained["merges"])
    return start


def add_specials(data, names, **flags):
    vocab = data["model"]["vocab"]
    first = len(vocab)
    data["added_tokens"] += [special(name, vocab.get(name, first + i), **flags) for i, name in enumerate(names)]
    return {name: first + i for i, name in enumerate(names)}


BYTES = pre_tokenizers.ByteLevel.alphabet()


def gpt2(vocab_size, count):
    data = trained_bpe(vocab_size, count, {"pre_tokenizer": byte_level(), "decoder": byte_level()}, BYTES,
                       dropout=None, unk_token=None, continuing_subword_prefix="", end_of_word_suffix="", fuse_unk=False)
    data["model"]["merges"] = [pair if isinstance(pair, str) else " ".join(pair) for pair in data["model"]["merges"]]
    data["post_processor"] = byte_level(trim_offsets=False)
    add_specials(data, ["<|endoftext|>"])
    return data


def llama3(vocab_size, count):
    data = trained_bpe(vocab_size, count, {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [split(LLAMA3_SPLIT), byte_level(use_regex=False)]},
                                           "decoder": byte_level()}, BYTES,
                       dropout=None, unk_token=None, continuing_subword_prefix=None, end_of_word_suffix=None, fuse_unk=False,
                       byte_fallback=False, ignore_merges=True)
    # Whole words that no merges lead to, which ignore_merges finds.
    for word in ("internationalisation", "\u0120hyperparameters", "\u0120\u00c3\u00bcber", "\u00e6\u0139\u00a5"):
        data["model"]["vocab"].setdefault(word, len(data["model"]["vocab"]))
    ids = add_specials(data, ["<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|start_header_id|>",
                              "<|end_header_id|>", "<|eot_id|>"])
    begin = "<|begin_of_text|>"
    token = {"SpecialToken": {"id": begin, "type_id": 0}}
    data["post_processor"] = {"type": "Sequence", "processors": [byte_level(add_prefix_space=True, trim_offsets=False), {
        "type": "TemplateProcessing", "single": [token, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [token, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": begin, "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {begin: {"id": begin, "ids": [ids[begin]], "tokens": [begin]}}}]}
    return data


def qwen2(vocab_size, count):
    data = trained_bpe(vocab_size, count, {
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split(QWEN2_SPLIT), byte_level(trim_offsets=False, use_regex=False)]},
        "decoder": byte_level(trim_offsets=False, use_regex=False)}, BYTES,
        dropout=None, unk_token=None, continuing_subword_prefix="", end_of_word_suffix="", fuse_unk=False, byte_fallback=False, ignore_merges=False)
    data["post_processor"] = byte_level(trim_offsets=False, use_regex=False)
    add_specials(data, ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>",
                        "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"])
    for i, name in enumerate(("<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|file_sep|>", "<tool_response>", "<think>", "</think>")):
        data["added_tokens"].append(special(name, len(data["model"]["vocab"]) + 14 + i, special=False))
    return data


def gemma(vocab_size, count):
    base = {"normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": META},
            "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False},
            "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": META}, "content": " "},
                                                         {"type": "ByteFallback"}, {"type": "Fuse"}]}}
    # Trained with pieces that begin with marks, so that no token reaches over them.
    training = dict(base, normalizer=None, pre_tokenizer={"type": "Metaspace", "replacement": META, "prepend_scheme": "never", "split": True})
    data = trained_bpe(vocab_size, count, training, [META],
                       dropout=None, unk_token="<unk>", continuing_subword_prefix=None, end_of_word_suffix=None, fuse_unk=True, byte_fallback=True,
                       ignore_merges=False)
    data.update(base)
    names = ["<pad>", "<eos>", "<bos>", "<unk>"] + ["<0x%02X>" % byte for byte in range(256)] + ["\n", "\n\n", "\t", META * 2, META * 3, META * 4]
    old = data["model"]["vocab"]
    vocab = {name: id for id, name in enumerate(names)}
    for token in old:
        vocab.setdefault(token, len(vocab))
    data["model"]["vocab"] = vocab
    data["model"]["merges"] = [[META, META], [META * 2, META], [META * 2, META * 2]] + data["model"]["merges"]
    data["added_tokens"] = [special(name, vocab[name]) for name in names[:4]]
    data["added_tokens"] += [special(name, vocab[name], special=False) for name in names[260:]]
    data["added_tokens"] += [special("<start_of_turn>", len(vocab)), special("<end_of_turn>", len(vocab) + 1)]
    data["post_processor"] = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<bos>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                              "pair": [{"SpecialToken": {"id": "<bos>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                                       {"SpecialToken": {"id": "<bos>", "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}],
                              "special_tokens": {"<bos>": {"id": "<bos>", "ids": [2], "tokens": ["<bos>"]}}}
    return data


def whisper(vocab_size, count):
    data = trained_bpe(vocab_size, count, {"pre_tokenizer": byte_level(), "decoder": byte_level()}, BYTES,
                       dropout=None, unk_token="", continuing_subword_prefix="", end_of_word_suffix="", fuse_unk=False)
    ids = add_specials(data, ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|zh|>", "<|translate|>", "<|transcribe|>",
                              "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"])
    for i in range(20):
        data["added_tokens"].append(special("<|%.2f|>" % (i * 0.02), len(data["model"]["vocab"]) + 11 + i, special=False))
    names = ["<|startoftranscript|>", "<|notimestamps|>", "<|endoftext|>"]
    first = [{"SpecialToken": {"id": name, "type_id": 0}} for name in names[:2]]
    last = {"SpecialToken": {"id": names[2], "type_id": 0}}
    data["post_processor"] = {"type": "TemplateProcessing", "single": first + [{"Sequence": {"id": "A", "type_id": 0}}, last],
                              "pair": first + [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}, dict(last)],
                              "special_tokens": {name: {"id": name, "ids": [ids[name]], "tokens": [name]} for name in names}}
    return data


BPE_STYLES = {"gpt2": gpt2, "llama3": llama3, "qwen2": qwen2, "gemma": gemma, "whisper": whisper}


def bpe_variants(styles, make):
    """make(name, base, **parts) for the elements of BPE that the styles do not reach."""
    def sequence(key, *parts):
        return {"type": "Sequence", key: list(parts)}

    def model(base, **parts):
        return dict(copy.deepcopy(base["model"]), **parts)

    base, plain, words = styles["qwen2"], styles["gemma"], styles["bert-cased"]
    raw = byte_level(use_regex=False)
    for name, pattern in (("o200k", O200K_SPLIT), ("qwen-marks", QWEN_MARKS_SPLIT), ("deepseek", DEEPSEEK_SPLIT), ("odd", r"\w+|\p{P}+|[^\p{L}\s]+|\h{2}|\s")):
        make("split-" + name, with_added(base), normalizer=None, pre_tokenizer=sequence("pretokenizers", split(pattern), raw))
    make("deepseek", base, normalizer=sequence("normalizers"), pre_tokenizer=sequence(
        "pretokenizers", split(r"\p{N}{1,3}"), split("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"), split(DEEPSEEK_SPLIT), raw))
    make("split-inverted", base, pre_tokenizer=sequence("pretokenizers", split(LLAMA3_SPLIT, "Removed", True), raw))
    for behavior in ("Removed", "MergedWithPrevious", "Contiguous"):
        make("split-known-" + behavior, base, pre_tokenizer=sequence("pretokenizers", split(LLAMA3_SPLIT, behavior), raw))
    for prefix in (True, False):
        for trim in (True, False):
            level = byte_level(add_prefix_space=prefix, trim_offsets=trim)
            make("byte-level-%s-%s" % (prefix, trim), with_added(styles["gpt2"]), pre_tokenizer=level, post_processor=level, decoder=level)
            make("roberta-bpe-%s-%s" % (prefix, trim), with_added(styles["gpt2"]), pre_tokenizer=level, decoder=level,
                 post_processor={"type": "RobertaProcessing", "sep": ["b", 65], "cls": ["a", 64], "trim_offsets": trim, "add_prefix_space": prefix})
    make("byte-level-digits", base, pre_tokenizer=sequence("pretokenizers", {"type": "Digits", "individual_digits": True}, byte_level()))
    make("byte-level-normalizer", with_added(base), normalizer=sequence("normalizers", {"type": "NFC"}, {"type": "ByteLevel"}),
         pre_tokenizer=split(LLAMA3_SPLIT), post_processor=None)
    make("byte-level-not-last", base, pre_tokenizer=sequence("pretokenizers", byte_level(), {"type": "Digits", "individual_digits": True}))
    make("gemma-no-split", with_added(plain), pre_tokenizer=None)
    make("llama2", with_added(plain), pre_tokenizer=None, normalizer=sequence(
        "normalizers", {"type": "Prepend", "prepend": META}, {"type": "Replace", "pattern": {"String": " "}, "content": META}),
        decoder=sequence("decoders", {"type": "Replace", "pattern": {"String": META}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
                         {"type": "Strip", "content": " ", "start": 1, "stop": 0}))
    make("mistral", plain, normalizer=None, pre_tokenizer={"type": "Metaspace", "replacement": META, "prepend_scheme": "first", "split": False},
         decoder=sequence("decoders", {"type": "Replace", "pattern": {"String": META}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
                          {"type": "Strip", "content": " ", "start": 1, "stop": 0}))
    white = {"type": "Whitespace"}
    for fuse in (True, False):
        make("bpe-unknown-%s" % fuse, plain, normalizer=None, pre_tokenizer=white, model=model(plain, byte_fallback=False, fuse_unk=fuse))
    some = model(plain)
    for byte in (0xC3, 0xE4, 0x9F, 0xF0):
        del some["vocab"]["<0x%02X>" % byte]
    some["vocab"] = {token: i for i, token in enumerate(some["vocab"])}
    make("bpe-some-bytes", plain, added_tokens=[], post_processor=None, model=dict(some, fuse_unk=False))
    make("bpe-some-bytes-fused", plain, added_tokens=[], post_processor=None, pre_tokenizer=None, model=some)
    make("bpe-lost", plain, normalizer=None, pre_tokenizer=white, model=model(plain, byte_fallback=False, unk_token=None))
    make("bpe-lost-unsplit", plain, pre_tokenizer=None, model=model(plain, byte_fallback=False, unk_token=None))
    make("bpe-ignore-merges", plain, model=model(plain, ignore_merges=True))
    # Merges over marks, so that texts cannot be cut there.
    over = model(plain)
    for left, right in (("e", META + "t"), ("s", META), ("n", META * 2)):
        if right not in over["vocab"]:
            over["vocab"][right] = len(over["vocab"]) + 100
        over["vocab"].setdefault(left + right, len(over["vocab"]) + 100)
        over["merges"] = over["merges"] + [[left, right]] if right != META else [[left, right]] + over["merges"]
    make("bpe-over-marks", plain, added_tokens=[], pre_tokenizer=None, model=over)
    for prefix, suffix in (("##", ""), ("", "</w>"), ("@@", "</w>")):
        name = "bpe-affixes-%d%d" % (bool(prefix), bool(suffix))
        affixes = {key: value for key, value in (("continuing_subword_prefix", prefix), ("end_of_word_suffix", suffix)) if value}
        tokenizer = Tokenizer(models.BPE(unk_token="[UNK]", **affixes))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        tokenizer.train_from_iterator(corpus(4000), trainers.BpeTrainer(
            vocab_size=3000, special_tokens=["[UNK]"], show_progress=False, limit_alphabet=400, **affixes))
        data = json.loads(tokenizer.to_str())
        data["decoder"] = {"type": "BPEDecoder", "suffix": suffix or "</w>"}
        make(name, data)
    clip = Tokenizer(models.BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>"))
    clip.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(tokenizers.Regex("\\s+"), " "), normalizers.Lowercase()])
    pattern = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    clip.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(tokenizers.Regex(pattern), "removed", invert=True),
                                                  pre_tokenizers.ByteLevel(add_prefix_space=False)])
    clip.train_from_iterator(corpus(4000), trainers.BpeTrainer(
        vocab_size=3000, special_tokens=["<|startoftext|>", "<|endoftext|>"], show_progress=False, initial_alphabet=BYTES, end_of_word_suffix="</w>"))
    data = json.loads(clip.to_str())
    data["decoder"] = byte_level()
    data["post_processor"] = {"type": "RobertaProcessing", "sep": ["<|endoftext|>", 1], "cls": ["<|startoftext|>", 0], "trim_offsets": False, "add_prefix_space": False}
    make("clip", data)
    vocab = {token.replace("##", ""): 0 for token in words["model"]["vocab"]}
    make("word-level", words, normalizer=None, pre_tokenizer={"type": "Whitespace"}, decoder=None,
         model={"type": "WordLevel", "vocab": {token: i for i, token in enumerate(vocab)}, "unk_token": "[UNK]"})
    untyped = {"vocab": out_vocab(base), "merges": base["model"]["merges"]}
    make("bpe-untyped", base, model=dict({key: value for key, value in base["model"].items() if key != "type"}, **untyped))


def out_vocab(data):
    return dict(data["model"]["vocab"])


ADDED = [("[ENT]", {}), ("newword", {}), ("NewWord", {"normalized": False}), ("<special>", {"special": True, "normalized": False}),
         ("na\u00efve", {"lstrip": True, "rstrip": True}), ("Stra\u00dfe", {"single_word": True}), ("the", {"single_word": True, "rstrip": True}),
         ("ing", {"normalized": False, "single_word": True, "lstrip": True}), ("<|endoftext|>", {"special": True, "normalized": True})]


def with_added(data):
    data = copy.deepcopy(data)
    for content, flags in ADDED:
        data["added_tokens"].append(special(content, 0, **dict({"special": False, "normalized": True}, **flags)))
    return data


def variants(styles):
    """Name -> tokenizer.json, for the elements that the plain styles do not reach."""
    out = dict(styles)
    uncased, cased, roberta = styles["bert-uncased"], styles["bert-cased"], styles["xlmr"]
    precompiled = roberta["normalizer"]["normalizers"][0]

    def make(name, base, **parts):
        data = copy.deepcopy(base)
        data.update(copy.deepcopy(parts))
        out[name] = data

    def sequence(key, *parts):
        return {"type": "Sequence", key: list(parts)}

    def metaspace(scheme, split=True):
        return {"type": "Metaspace", "replacement": META, "prepend_scheme": scheme, "split": split}

    out["bert-added"] = with_added(uncased)
    out["cased-added"] = with_added(cased)
    out["xlmr-added"] = with_added(roberta)
    for flags in range(16):
        make("bert-flags-%d" % flags, uncased if flags % 3 else with_added(uncased),
             normalizer={"type": "BertNormalizer", "clean_text": bool(flags & 1), "handle_chinese_chars": bool(flags & 2),
                         "strip_accents": (None, True, False)[flags % 3], "lowercase": bool(flags & 8)})
    white = {"type": "WhitespaceSplit"}
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        make("form-" + form.lower(), cased, normalizer={"type": form})
        make("form-added-" + form.lower(), with_added(roberta), normalizer={"type": form})
        make("form-strip-" + form.lower(), cased, pre_tokenizer={"type": "Whitespace"}, normalizer=sequence(
            "normalizers", {"type": form}, {"type": "StripAccents"}, {"type": "Lowercase"}, {"type": "Strip", "strip_left": True, "strip_right": True}))
    make("nmt", roberta, normalizer=sequence("normalizers", {"type": "Nmt"}, {"type": "NFKC"}))
    make("xlmr-real", roberta, normalizer=precompiled, pre_tokenizer=sequence("pretokenizers", white, metaspace("always")))
    make("xlmr-real-added", with_added(roberta), normalizer=precompiled, pre_tokenizer=sequence("pretokenizers", white, metaspace("always")))
    for scheme in ("always", "first", "never"):
        for split in (True, False):
            make("metaspace-%s-%s" % (scheme, split), with_added(roberta), pre_tokenizer=metaspace(scheme, split),
                 normalizer=precompiled if split else sequence("normalizers", {"type": "Strip", "strip_left": True, "strip_right": False}, precompiled))
    make("metaspace-old", roberta, pre_tokenizer={"type": "Metaspace", "replacement": META, "add_prefix_space": True, "str_rep": META})
    make("llama-style", with_added(roberta), pre_tokenizer=None, normalizer=sequence(
        "normalizers", {"type": "Prepend", "prepend": META}, {"type": "Replace", "pattern": {"String": " "}, "content": META}),
        decoder=sequence("decoders", {"type": "Replace", "pattern": {"String": META}, "content": " "}, {"type": "ByteFallback"},
                         {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}))
    fallback = copy.deepcopy(out["llama-style"])
    fallback["model"]["byte_fallback"] = True
    fallback["model"]["vocab"] += [["<0x%02X>" % byte, -20.0] for byte in range(256)]
    out["byte-fallback"] = fallback
    make("byte-fallback-roberta", fallback, post_processor={"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0],
                                                             "trim_offsets": True, "add_prefix_space": False})
    for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        make("punctuation-" + behavior, cased, pre_tokenizer=sequence("pretokenizers", white, {"type": "Punctuation", "behavior": behavior}))
        make("split-" + behavior, cased, normalizer=None, pre_tokenizer=sequence(
            "pretokenizers", {"type": "Split", "pattern": {"Regex": "[0-9]+|\\s+"}, "behavior": behavior, "invert": False},
            {"type": "Split", "pattern": {"String": "e"}, "behavior": behavior, "invert": behavior == "Removed"}))
    for individual in (True, False):
        make("digits-%s" % individual, cased, pre_tokenizer=sequence("pretokenizers", {"type": "Digits", "individual_digits": individual}, white))
    make("delimiter", cased, pre_tokenizer={"type": "CharDelimiterSplit", "delimiter": " "})
    out["delimiter"]["pre_tokenizer"]["type"] = "Delimiter"
    del out["delimiter"]  # the library reads this one only without a type
    make("no-parts", cased, normalizer=None, pre_tokenizer=None, post_processor=None, decoder=None)
    make("bert-processing", uncased, post_processor={"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]})
    for trim in (True, False):
        for prefix in (True, False):
            make("roberta-%s-%s" % (trim, prefix), with_added(roberta), normalizer=None, pre_tokenizer={"type": "Whitespace"} if prefix else None,
                 post_processor={"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": trim, "add_prefix_space": prefix})
    make("sequence-processor", roberta, post_processor=sequence(
        "processors", {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}, roberta["post_processor"]))
    make("replace-regex", cased, normalizer=sequence(
        "normalizers", {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "}, {"type": "Replace", "pattern": {"String": "e"}, "content": "\u00e9\u00e8"},
        {"type": "Replace", "pattern": {"Regex": "[aou]{2,}"}, "content": ""}, {"type": "Lowercase"}))
    bpe_variants(styles, make)
    short = copy.deepcopy(uncased)
    short["model"]["max_input_chars_per_word"] = 8
    out["short-words"] = short
    return out


# --- output ---

def write_golden(folder):
    small = nmt_nfkc_map(lambda c: c < 0x250 or 0x300 <= c < 0x370 or 0x1E00 <= c < 0x1E40 or 0x2000 <= c < 0x2140 or 0x3040 <= c < 0x3100
                         or 0xFB00 <= c < 0xFB07 or 0xFF00 <= c < 0xFFE0)
    styles = {"bert-uncased": bert(1200, 3000, True), "bert-cased": bert(1200, 3000, False), "xlmr": xlmr(1200, 3000, small)}
    styles.update({name: make(900, 3000) for name, make in BPE_STYLES.items()})
    for style, data in styles.items():
        os.makedirs(os.path.join(folder, style), exist_ok=True)
        data = with_added(data) if style == "bert-cased" else data
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        with open(os.path.join(folder, style, "tokenizer.json"), "w") as file:
            file.write(text + "\n")
    write_selftests(folder)


# The template and the special tokens it is given, for the styles of chat models.
CHAT = {"llama3": ("llama3_1", "<|begin_of_text|>", "<|eot_id|>"), "qwen2": ("qwen2_5", None, "<|im_end|>"),
        "gemma": ("gemma3", "<bos>", "<eos>")}


def write_selftests(folder):
    """sis-selftest.json beside every tokenizer.json, as users make it for their checkpoints."""
    short = [line for line in lines(1000, seed=5) if len(line) <= 120][:120]
    for style in sorted(os.listdir(folder)):
        config = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
        if style in CHAT:
            name, bos, eos = CHAT[style]
            with open(os.path.join(folder, "..", "chat_template", name + ".jinja"), encoding="utf-8") as file:
                config.update({"chat_template": file.read(), "eos_token": eos, **({"bos_token": bos} if bos else {})})
        with open(os.path.join(folder, style, "tokenizer_config.json"), "w") as file:
            file.write(json.dumps(config, indent=1) + "\n")
        make_selftest.write(os.path.join(folder, style), short)


def write_full(folder):
    os.makedirs(folder, exist_ok=True)
    styles = {"bert-uncased": bert(8000, 20000, True), "bert-cased": bert(8000, 20000, False), "xlmr": xlmr(8000, 20000, nmt_nfkc_map())}
    styles.update({name: make(8000, 20000) for name, make in BPE_STYLES.items()})
    for name, data in variants(styles).items():
        with open(os.path.join(folder, name + ".json"), "w") as file:
            json.dump(data, file, ensure_ascii=False)


# --- one small case per element, for the unit test ---

WORDS = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 12,
         "vocab": {token: id for id, token in enumerate(
             "[UNK] [CLS] [SEP] [MASK] a b c d e ab abc ##a ##b ##c ##bc ##d , . ! - 1 2 ##1 ##2 uber u ##ber ##\u00fc \u4e2d \u6587 e\u0301 \u00e9 ##\u0301 "
             "strasse \u00df ##\u00df i ##\u0307 \u1100 ##\u1161 ##\u11a8 \uac00 3 ##3 ' s t".split(" "))}}
PIECES = {"type": "Unigram", "unk_id": 0, "byte_fallback": False, "vocab": [
    ["<unk>", 0.0], ["<s>", 0.0], ["</s>", 0.0], [META, -3.0], ["a", -4.5], ["b", -4.25], ["ab", -5.5], ["abc", -7.75], [META + "a", -5.0], [META + "ab", -6.5],
    ["c", -5.125], ["bc", -6.0], ["\u00e9", -6.5], ["e", -4.0], ["1", -7.0], [META + META, -6.5], ["de", -30.0], ["\u30ab", -5.0], ["fi", -5.0]]}


def cases():
    """(name, tokenizer.json, texts or pairs, EncodeOptions)."""
    def words(name, texts, max=0, specials=True, **parts):
        base = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
                "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": None, "decoder": None, "model": WORDS}
        return name, dict(base, **parts), texts, max, specials

    def pieces(name, texts, max=0, specials=True, **parts):
        base = {"pre_tokenizer": {"type": "Metaspace", "replacement": META, "prepend_scheme": "always", "split": True}, "model": PIECES}
        return words(name, texts, max, specials, **dict(base, **parts))

    def bert(**flags):
        return {"normalizer": dict({"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
                                    "lowercase": True}, **flags)}

    def added(content, **flags):
        return special(content, 0, **dict({"special": False, "normalized": True}, **flags))

    def sequence(key, *parts):
        return {"type": "Sequence", key: list(parts)}

    def metaspace(**flags):
        return dict({"type": "Metaspace", "replacement": META, "prepend_scheme": "always", "split": True}, **flags)

    white = {"type": "WhitespaceSplit"}
    bert_post = {"type": "BertProcessing", "cls": ["[CLS]", 1], "sep": ["[SEP]", 2]}
    roberta_post = {"type": "RobertaProcessing", "cls": ["<s>", 1], "sep": ["</s>", 2], "trim_offsets": True, "add_prefix_space": True}
    charsmap = base64.b64encode(nmt_nfkc_map(lambda c: c in (0x0D, 0x0A, 0xA0, 0x65, 0x301, 0xFB01, 0xFF76, 0xFF9E, 0x200D, 0x2460))).decode()
    fallback = dict(PIECES, byte_fallback=True, vocab=PIECES["vocab"] + [["<0x%02X>" % byte, -20.0] for byte in (0xC3, 0xBC, 0xC4)])
    yield words("WordPieceLongestFirst", ["abc abcbc ab", "abcx abcabcabcabc", "", " "])
    yield words("BertNormalizer", ["ABC \u00dcber  a\u0000b\tc\u00a0d", "a\u4e2d\u6587b e\u0301 \u00e9 \uac01", "\u0130 \u00adab\ufffd"], **bert())
    yield words("BertNormalizerKeepsAccents", ["ABC \u00e9 e\u0301 \u0130"], **bert(strip_accents=False))
    yield words("BertNormalizerReorders", ["a\u302e\u0301\u0323b a\U0001d165\u0323 \u00e9\u302ec"], **bert())
    yield words("BertNormalizerOff", ["ABC a\tb \u4e2d"], **bert(clean_text=False, handle_chinese_chars=False, lowercase=False))
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        yield words(form, ["e\u0301 \u00e9 \uac01 a\u0323\u0301b", "\u2460\u2461 \u1100\u1161 \u0958"], normalizer={"type": form})
    yield words("LowercaseStripAccents", ["ABC \u0130e\u0301"], normalizer=sequence("normalizers", {"type": "Lowercase"}, {"type": "StripAccents"}))
    yield words("Strip", ["\u2003 ab \u00e9\n"], pre_tokenizer=None, normalizer={"type": "Strip", "strip_left": True, "strip_right": True})
    yield words("ReplaceString", ["xxabxx x"], normalizer={"type": "Replace", "pattern": {"String": "xx"}, "content": "a \u00e9"})
    yield words("ReplaceRegex", ["a   b \u00e9\u00e9\u00e9c"], normalizer=sequence(
        "normalizers", {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "-"}, {"type": "Replace", "pattern": {"Regex": "\u00e9+"}, "content": ""}))
    yield words("Prepend", ["ab", ""], normalizer={"type": "Prepend", "prepend": "ab"})
    yield words("Whitespace", ["ab,!c a\u0301b  1-2"], pre_tokenizer={"type": "Whitespace"})
    yield words("WhitespaceSplit", ["ab,!c\u2003a"], pre_tokenizer=white)
    for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        yield words("Punctuation" + behavior, ["a,b--c!", ",,a"], pre_tokenizer={"type": "Punctuation", "behavior": behavior})
    yield words("DigitsIndividual", ["a12b\u0663"], pre_tokenizer={"type": "Digits", "individual_digits": True})
    yield words("DigitsTogether", ["a12b\u0663"], pre_tokenizer={"type": "Digits", "individual_digits": False})
    yield words("SplitRegex", ["a12b3"], pre_tokenizer={"type": "Split", "pattern": {"Regex": "[0-9]+"}, "behavior": "Removed", "invert": False})
    yield words("SplitInverted", ["a12b3"], pre_tokenizer={"type": "Split", "pattern": {"Regex": "[0-9]+"}, "behavior": "Removed", "invert": True})
    yield words("BertProcessing", ["a b c d"], max=5, post_processor=bert_post)
    yield words("BertProcessingPairs", [["a b c d", "a b"], ["a", "a b c d e"], ["a b c d e", "a b c d"]], max=8, post_processor=bert_post)
    yield words("BertProcessingOddPairs", [["a b c d e", "a b c d"], ["a b c d", "a b c d e"]], max=8, post_processor=bert_post)
    yield words("Template", ["a b", ["a", "b c"]], post_processor=template("[CLS]", 1, "[SEP]", 2, second_sep=False, second_type=1))
    yield words("TemplateWithoutSpecials", ["a b", ["a", "b c"]], specials=False, post_processor=template("[CLS]", 1, "[SEP]", 2, second_sep=False, second_type=1))
    yield words("NoPostProcessorPairs", [["a b", "c"]])
    yield words("AddedSpecial", ["a[SEP]b [SEP] [sep]", "[MASK] a [MASK]"], added_tokens=[special("[SEP]", 2), special("[MASK]", 3, lstrip=True, rstrip=True)], **bert())
    yield words("AddedSingleWord", ["new anew newa \u00e9new new", "new_ new1 new-"], added_tokens=[added("new", single_word=True)])
    yield words("AddedNormalized", ["NEW New new", "XY xy"], added_tokens=[added("New"), added("xy", normalized=False)], **bert())
    yield words("AddedLongest", ["newer new newest"], added_tokens=[added("new"), added("newer"), added("newest word")])
    yield words("AddedSpaces", ["a  b   c"], added_tokens=[added("  ", rstrip=True), added("b", lstrip=True)])
    yield pieces("Unigram", ["abc ab  a", "aabcbc", "xyz a", "\u00e9x"])
    yield pieces("UnigramJoinsUnknown", ["dedede", "xx<unk>yy"])
    yield pieces("UnigramByteFallback", ["a\u00fcb", "\u0100"], model=fallback)
    yield pieces("MetaspaceFirst", ["ab<s>ab ab", "<s>ab"], pre_tokenizer=metaspace(prepend_scheme="first"), added_tokens=[special("<s>", 1)])
    yield pieces("MetaspaceFirstStripped", [" ab"], pre_tokenizer=metaspace(prepend_scheme="first"), normalizer={"type": "Strip", "strip_left": True, "strip_right": False})
    yield pieces("MetaspaceNever", ["ab ab"], pre_tokenizer=metaspace(prepend_scheme="never"))
    yield pieces("MetaspaceUnsplit", ["ab ab  \u2581a"], pre_tokenizer=metaspace(split=False))
    yield pieces("Precompiled", ["a\r\nb\u00a0c", "e\u0301\ufb01\ufb01\u0301 \uff76\uff9ea \u2460\u200da"], normalizer={"type": "Precompiled", "precompiled_charsmap": charsmap})
    yield pieces("RobertaProcessing", ["ab  a b", ["ab", "b"]], post_processor=roberta_post, pre_tokenizer=None)
    yield pieces("ByteLevelThenTemplate", [" a b "], pre_tokenizer=None, post_processor=sequence(
        "processors", {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        template("<s>", 1, "</s>", 2, second_sep=True, second_type=0)))

    def pairs(name, texts, tokens, merges, pre_tokenizer=None, flags={}, **parts):
        model = dict({"type": "BPE", "vocab": {token: id for id, token in enumerate(tokens)}, "merges": merges}, **flags)
        return words(name, texts, **dict({"pre_tokenizer": pre_tokenizer, "model": model}, **parts))

    letters = list("abcd .,'s1") + [META, "\u0120", "\u00c3", "\u00a9", "\u00e9", "<unk>"]
    level = letters + ["ab", "abc", "\u0120ab", "\u00c3\u00a9", "bc", "'s", "cd"]
    level_merges = ["b c", "a b", "\u0120 ab", "ab c", "\u00c3 \u00a9", "' s", "c d"]
    texts = ["abc abcd  ab", "ab's \u00e9a\n1", " ab"]
    for prefix in (True, False):
        for trim in (True, False):
            yield pairs("ByteLevel%s%s" % ("Prefix" * prefix, "Trim" * trim), texts, level, level_merges, byte_level(prefix, trim),
                        post_processor=byte_level(prefix, trim))
    yield pairs("ByteLevelNoRegex", texts, level, level_merges, byte_level(use_regex=False))
    yield pairs("ByteLevelNormalizer", texts, level, level_merges, {"type": "Whitespace"}, normalizer={"type": "ByteLevel"})
    yield pairs("IgnoreMerges", ["abcd bc", "cab"], letters + ["ab", "bc", "abcd", "ca"], [["b", "c"], ["a", "b"]], {"type": "Whitespace"}, {"ignore_merges": True})
    yield pairs("RepeatedMerge", ["abc"], letters + ["ab", "bc"], [["a", "b"], ["b", "c"], ["a", "b"]])
    yield pairs("FuseUnknown", ["axyb", "xxa xx"], letters, [], None, {"unk_token": "<unk>", "fuse_unk": True})
    yield pairs("SeparateUnknown", ["axyb", "xxa xx"], letters, [], None, {"unk_token": "<unk>", "fuse_unk": False})
    yield pairs("LostCharacters", ["axyb", "a\u4e2db"], letters + ["ab"], ["a b"])
    yield pairs("BpeByteFallback", ["a\u00fcb", "a\u4e2db", "\u4e2d\u00fca"], letters + ["<0xC3>", "<0xBC>"], [], None,
                {"unk_token": "<unk>", "byte_fallback": True, "fuse_unk": True})
    yield pairs("Marks", ["a  ab a", "  ", "\u2581 a"], letters + [META * 2, META + "a", "ab"], [[META, META], [META, "a"], ["a", "b"]], None,
                {"unk_token": "<unk>"}, normalizer={"type": "Replace", "pattern": {"String": " "}, "content": META})
    yield pairs("MarksInside", ["a  ab a", "ab a"], letters + [META + "a", "b" + META, "b" + META + "a"], [["b", META], [META, "a"], ["b" + META, "a"]], None,
                {"unk_token": "<unk>"}, normalizer={"type": "Replace", "pattern": {"String": " "}, "content": META})
    yield pairs("Affixes", ["abc ab a b", "abx xab"], ["<unk>", "a", "##b", "##c</w>", "##b</w>", "a</w>", "ab", "abc</w>", "ab</w>"],
                ["a ##b", "ab ##c</w>", "a ##b</w>"], {"type": "Whitespace"},
                {"unk_token": "<unk>", "continuing_subword_prefix": "##", "end_of_word_suffix": "</w>"})
    yield words("WordLevel", ["ab xy ab", ""], pre_tokenizer={"type": "Whitespace"},
                model={"type": "WordLevel", "vocab": {"ab": 0, "<unk>": 1}, "unk_token": "<unk>"})


def write_cases(path):
    def literal(text):
        return json.dumps(text, ensure_ascii=True)

    def escaped(text):
        return '"' + "".join(chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else "\\%03o" % b for b in text.encode()) + '"'

    rows = []
    for name, data, texts, limit, specials in cases():
        tokenizer = Tokenizer.from_str(json.dumps(data))
        if limit:
            tokenizer.enable_truncation(limit)
        for text in texts:
            pair = isinstance(text, list)
            encoding = tokenizer.encode(*text, add_special_tokens=specials) if pair else tokenizer.encode(text, add_special_tokens=specials)
            offsets = []
            for span, which in zip(encoding.offsets, encoding.sequence_ids):
                source = (text[which or 0] if pair else text)
                offsets += byte_offsets(source, [span]) if which is not None or not specials else list(span)
            first, second = text if pair else (text, None)
            rows.append("    {%s, kJson%s, %s, %s, %d, %s,\n     {%s},\n     {%s},\n     {%s}}," % (
                literal(name), name, escaped_view(first, escaped), "std::nullopt" if second is None else escaped_view(second, escaped), limit,
                "true" if specials else "false", ", ".join(map(str, encoding.ids)), ", ".join(map(str, encoding.type_ids)), ", ".join(map(str, offsets))))
    with open(path, "w") as file:
        file.write("// What the tokenizers library %s makes of small texts; made by tools/golden/make_tokenizers.py cases.\n" % tokenizers.__version__)
        file.write("#pragma once\n\n#include <cstdint>\n#include <optional>\n#include <string_view>\n#include <vector>\n\nnamespace sis::text {\n\n")
        file.write("struct TokenizerCase {\n  std::string_view name, json, first;\n  std::optional<std::string_view> second;\n"
                   "  int32_t tokens_max;\n  bool add_special_tokens;\n  std::vector<int32_t> ids, type_ids, offsets;  // offsets: begin, end, begin, ...\n};\n\n")
        file.write("// clang-format off\n")
        file.write("inline constexpr std::string_view kWords = R\"json(%s)json\";\n" % json.dumps(WORDS, separators=(",", ":")))
        file.write("inline constexpr std::string_view kPieces = R\"json(%s)json\";\n" % json.dumps(PIECES, separators=(",", ":")))
        for name, data, _, _, _ in cases():
            data = {key: "@WORDS" if value is WORDS else "@PIECES" if value is PIECES else value for key, value in data.items() if value not in (None, [])}
            file.write("inline constexpr std::string_view kJson%s = R\"json(%s)json\";\n" % (name, json.dumps(data, separators=(",", ":"))))
        file.write("\ninline const std::vector<TokenizerCase> kTokenizerCases = {\n" + "\n".join(rows) + "\n};\n// clang-format on\n\n}  // namespace sis::text\n")


def escaped_view(text, escaped):
    return "std::string_view(%s, %d)" % (escaped(text), len(text.encode()))


if __name__ == "__main__":
    modes = {"golden": write_golden, "selftests": write_selftests, "cases": write_cases, "full": write_full}
    if len(sys.argv) != 3 or sys.argv[1] not in modes:
        sys.exit(__doc__)
    modes[sys.argv[1]](sys.argv[2])
