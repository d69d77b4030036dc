#!/usr/bin/env python3
"""Random-weight encoder checkpoints of any size, for benchmarks and memory tests: nothing in them means anything.

    python make_random_checkpoint.py OUT                            # bge-m3's shape, bf16, 1.14 GB
    python make_random_checkpoint.py OUT --preset minilm-l6 --dtype f32
    python make_random_checkpoint.py OUT --layers 2 --hidden 256 --heads 4 --intermediate 1024 --vocab 5000

Writes a Hugging Face folder: config.json, model.safetensors, tokenizer.json, tokenizer_config.json, and the files of
sentence-transformers (pooling, Normalize). Matrices are normal with --std, norm weights 1, norm biases and biases 0;
the same seed gives the same bytes. The tokenizer is small and valid: Unigram for xlm-roberta, WordPiece for bert, over
printable ASCII and a few hundred words or those of --words FILE (one per line); its ids are the first of the vocabulary.

Wants Python 3.9 and numpy, nothing else.
"""
import argparse
import json
import pathlib
import statistics
import struct
import sys
import time

import numpy as np

PRESETS = {
    # family, layers, hidden, heads, intermediate, vocab, positions, types, pooling
    "bge-m3": ("xlm-roberta", 24, 1024, 16, 4096, 250002, 8194, 1, "cls"),
    "bge-base": ("bert", 12, 768, 12, 3072, 30522, 512, 2, "cls"),
    "bge-small": ("bert", 12, 384, 12, 1536, 30522, 512, 2, "cls"),
    "minilm-l6": ("bert", 6, 384, 12, 1536, 30522, 512, 2, "mean"),
    "tiny": ("bert", 2, 64, 4, 128, 2000, 128, 2, "mean"),
}
FIELDS = ("family", "layers", "hidden", "heads", "intermediate", "vocab", "positions", "types", "pooling")
POOLING_FLAGS = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "last": "lasttoken"}
CHUNK = 1 << 23  # values written at a time

WORDS = """
the of and to in a is that for it was on are as with he they at be this from i have or by one had not but what all
were when we there can an your which their said if do will each about how up out them then she many some so these
would other into has more her two like him see time could no make than first been its who now people my made over did
down only way find use may water long little very after words called just where most know get through back much before
go good new write our used me man too any day same right look think also around another came come work three word must
because does part even place well such here take why things help put years different away again off went old number
great tell men say small every found still between name should home big give air line set own under read last never us
left end along while might next sound below saw something thought both few those always looked show large often
together asked house world going want school important until form food keep children feet land side without boy once
animals life enough took sometimes four head above kind began almost live page got earth need far hand high year mother
light parts country father let night following picture being study second eyes soon times story boys since white days
ever paper hard near sentence better best across during today others however sure means knew try told young miles sun
ways thing whole hear example heard several change answer room sea against top turned learn point city play toward five
using himself usually money seen car morning given system server model token request batch query document search data
file code memory network user test result error value key list table index cache thread queue
""".split()
ENDINGS = "s ed ing er ers ly es tion al ment ness able ity ive ous est".split()


def matrices_and_vectors(shape):
    """Name and shape of every tensor, in the order of the forward pass."""
    hidden, intermediate = shape["hidden"], shape["intermediate"]
    yield "embeddings.word_embeddings.weight", [shape["vocab"], hidden]
    yield "embeddings.position_embeddings.weight", [shape["positions"], hidden]
    yield "embeddings.token_type_embeddings.weight", [shape["types"], hidden]
    norms = lambda name: [(name + ".weight", [hidden]), (name + ".bias", [hidden])]
    linear = lambda name, out, in_: [(name + ".weight", [out, in_]), (name + ".bias", [out])]
    yield from norms("embeddings.LayerNorm")
    for i in range(shape["layers"]):
        at = f"encoder.layer.{i}."
        for part in ("query", "key", "value"):
            yield from linear(at + "attention.self." + part, hidden, hidden)
        yield from linear(at + "attention.output.dense", hidden, hidden)
        yield from norms(at + "attention.output.LayerNorm")
        yield from linear(at + "intermediate.dense", intermediate, hidden)
        yield from linear(at + "output.dense", hidden, intermediate)
        yield from norms(at + "output.LayerNorm")


def stored(values, dtype):
    """f32 values as the bytes of `dtype`; bf16 is the upper half of f32, rounded to nearest even."""
    values = np.asarray(values, np.float32)
    if dtype == "f32":
        return values
    if dtype == "f16":
        return values.astype(np.float16)
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def write_safetensors(path, tensors, dtype, std, seed):
    """u64 header length, JSON header, data; returns the bytes written."""
    width, name = {"f32": (4, "F32"), "f16": (2, "F16"), "bf16": (2, "BF16")}[dtype]
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for tensor, dims in tensors:
        end = offset + int(np.prod(dims, dtype=np.int64)) * width
        header[tensor] = {"dtype": name, "shape": dims, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % 64)  # data starts on a cache line

    # A normal variate is its quantile function at a uniform one; 2^16 quantiles are finer than bf16 itself, and
    # looking them up is many times as fast as drawing normals.
    normal = statistics.NormalDist(0.0, std)
    quantiles = stored([normal.inv_cdf((i + 0.5) / 65536) for i in range(65536)], dtype)
    one, zero = stored([1.0], dtype), stored([0.0], dtype)
    rng = np.random.Generator(np.random.SFC64(seed))
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor, dims in tensors:
            count = int(np.prod(dims, dtype=np.int64))
            if len(dims) == 1:
                file.write(np.repeat(one if tensor.lower().endswith("norm.weight") else zero, count).tobytes())
                continue
            for begin in range(0, count, CHUNK):
                size = min(CHUNK, count - begin)
                picks = np.frombuffer(rng.bytes(2 * size), np.uint16)
                file.write(quantiles[picks].data)
    return 8 + len(text) + offset


def special_token(index, text, lstrip=False):
    return {"id": index, "content": text, "single_word": False, "lstrip": lstrip, "rstrip": False,
            "normalized": False, "special": True}


def template(first, first_id, last, last_id):
    piece = lambda text: {"SpecialToken": {"id": text, "type_id": 0}}
    sequence = lambda name: {"Sequence": {"id": name, "type_id": 0}}
    return {"type": "TemplateProcessing", "single": [piece(first), sequence("A"), piece(last)],
            "pair": [piece(first), sequence("A"), piece(last), sequence("B"), piece(last)],
            "special_tokens": {t: {"id": t, "ids": [i], "tokens": [t]} for t, i in ((first, first_id), (last, last_id))}}


def unigram(words, vocab_max):
    characters = [chr(c) for c in range(33, 127)]
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "\u2581", *characters, *("\u2581" + w for w in words), *ENDINGS]
    pieces = list(dict.fromkeys(pieces))[:vocab_max - 1] + ["<mask>"]
    # Zipf by rank for words; single characters only where nothing longer fits.
    score = lambda rank, piece: 0.0 if rank < 4 or piece == "<mask>" else (
        -12.0 if len(piece) == 1 else -4.0 - float(np.log(rank)) / 2)
    special = {t: pieces.index(t) for t in ("<s>", "<pad>", "</s>", "<unk>", "<mask>")}
    metaspace = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [special_token(i, t, t == "<mask>") for t, i in special.items()],
        "normalizer": {"type": "NFKC"}, "pre_tokenizer": metaspace,
        "post_processor": template("<s>", special["<s>"], "</s>", special["</s>"]), "decoder": metaspace,
        "model": {"type": "Unigram", "unk_id": special["<unk>"], "byte_fallback": False,
                  "vocab": [[p, round(score(i, p), 4)] for i, p in enumerate(pieces)]}}
    names = dict(bos_token="<s>", cls_token="<s>", eos_token="</s>", sep_token="</s>", unk_token="<unk>",
                 pad_token="<pad>", mask_token="<mask>")
    return tokenizer, names | {"tokenizer_class": "XLMRobertaTokenizerFast"}


def word_piece(words, vocab_max):
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    characters = [chr(c) for c in range(33, 127) if not chr(c).isupper()]
    pieces = [*special, *characters, *("##" + c for c in characters if c.isalnum()), *("##" + e for e in ENDINGS), *words]
    pieces = list(dict.fromkeys(pieces))[:vocab_max]
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [special_token(i, t) for i, t in enumerate(special)],
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                       "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": template("[CLS]", 2, "[SEP]", 3),
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": {p: i for i, p in enumerate(pieces)}}}
    names = dict(unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")
    return tokenizer, names | {"tokenizer_class": "BertTokenizerFast"}


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def write_checkpoint(folder, shape, dtype, std, seed, words, normalise):
    roberta = shape["family"] == "xlm-roberta"
    tokens_max = shape["positions"] - (2 if roberta else 0)
    write_json(folder / "config.json", {
        "architectures": ["XLMRobertaModel" if roberta else "BertModel"], "model_type": shape["family"],
        "vocab_size": shape["vocab"], "hidden_size": shape["hidden"], "num_hidden_layers": shape["layers"],
        "num_attention_heads": shape["heads"], "intermediate_size": shape["intermediate"], "hidden_act": "gelu",
        "max_position_embeddings": shape["positions"], "type_vocab_size": shape["types"],
        "layer_norm_eps": 1e-5 if roberta else 1e-12, "pad_token_id": 1 if roberta else 0,
        "position_embedding_type": "absolute", "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
        "torch_dtype": {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}[dtype]}
        | ({"bos_token_id": 0, "eos_token_id": 2} if roberta else {}))
    tokenizer, names = (unigram if roberta else word_piece)(words, shape["vocab"])
    write_json(folder / "tokenizer.json", tokenizer)
    write_json(folder / "tokenizer_config.json", names | {"model_max_length": tokens_max})
    kinds = [("Transformer", ""), ("Pooling", "1_Pooling")] + ([("Normalize", "2_Normalize")] if normalise else [])
    write_json(folder / "modules.json", [{"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
                                         for i, (kind, path) in enumerate(kinds)])
    write_json(folder / "1_Pooling/config.json", {"word_embedding_dimension": shape["hidden"]} | {
        f"pooling_mode_{flag}": mode == shape["pooling"] for mode, flag in POOLING_FLAGS.items()})
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": tokens_max, "do_lower_case": False})
    return write_safetensors(folder / "model.safetensors", list(matrices_and_vectors(shape)), dtype, std, seed)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=pathlib.Path, help="folder to write; files of the same names are replaced")
    parser.add_argument("--preset", choices=PRESETS, default="bge-m3", help="shape to start from (default: %(default)s)")
    parser.add_argument("--family", choices=("bert", "xlm-roberta"))
    for field in ("layers", "hidden", "heads", "intermediate", "vocab", "positions", "types"):
        parser.add_argument("--" + field, type=int)
    parser.add_argument("--pooling", choices=POOLING_FLAGS)
    parser.add_argument("--no-normalise", action="store_true", help="no Normalize module")
    parser.add_argument("--dtype", choices=("bf16", "f16", "f32"), default="bf16")
    parser.add_argument("--std", type=float, default=0.02)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--words", type=argparse.FileType(encoding="utf-8"), help="words of the tokenizer, one per line")
    options = parser.parse_args()

    shape = dict(zip(FIELDS, PRESETS[options.preset]))
    shape |= {f: getattr(options, f) for f in FIELDS if getattr(options, f) is not None}
    words = [w for w in options.words.read().split() if w] if options.words else WORDS
    wrong = [f for f in FIELDS if isinstance(shape[f], int) and shape[f] < 1]
    if wrong:
        parser.error(f"--{wrong[0]}: want at least 1, got {shape[wrong[0]]}")
    if shape["hidden"] % shape["heads"]:
        parser.error(f"--hidden {shape['hidden']} is no multiple of --heads {shape['heads']}")
    if shape["vocab"] < 200:
        parser.error(f"--vocab: want at least 200, for the tokenizer's characters, got {shape['vocab']}")
    if shape["family"] == "xlm-roberta" and shape["positions"] < 3:
        parser.error(f"--positions: want at least 3, the first two are never used, got {shape['positions']}")
    if not options.std > 0:
        parser.error(f"--std: want a number above 0, got {options.std}")

    start = time.monotonic()
    size = write_checkpoint(options.out, shape, options.dtype, options.std, options.seed, words, not options.no_normalise)
    print(f"{options.out}: {size / 1e9:.3f} GB of weights in {time.monotonic() - start:.1f} s, seed {options.seed}", file=sys.stderr)


if __name__ == "__main__":
    main()
