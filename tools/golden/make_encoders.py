#!/usr/bin/env python3
"""Tiny random encoder checkpoints with what Hugging Face's own code computes from them.

    python make_encoders.py [--out tests/golden/encoders] [--only NAME ...]

Each folder is a checkpoint as it would be published (config.json, safetensors, tokenizer.json, the files of
sentence-transformers where named) plus expected.json and expected.safetensors; README.md there tells the format.
Wants torch, transformers, sentence-transformers, tokenizers and safetensors; their versions go into the output.
Weights are drawn wide (std 0.15-0.25, norm weights around 1, all biases random), so that a wrong or missing
term moves the result far beyond rounding.
"""
import argparse
import json
import pathlib
import random
import shutil

import numpy as np
import safetensors
import safetensors.torch
import sentence_transformers
import tokenizers
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (BertConfig, BertForMaskedLM, BertModel, Gemma3TextConfig, Gemma3TextModel, Qwen3Config,
                          Qwen3Model, XLMRobertaConfig, XLMRobertaModel)

TEXTS = [
    "a",
    "The quick brown fox jumps over the lazy dog.",
    "How do I renew my passport?",
    "Zürich, café & 42 naïve words!",
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen",
    "",
]
WORDS = ("the a of to and in is it you that he was for on are with as his they be at one have this two from or "
         "three how do i my over quick brown fox dog four five six").split()
ENDINGS = "ing ed er ly tion ment ness al ive port new une".split()


def word_piece(size):
    """BERT's tokenizer over single characters, a few words and endings."""
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + list("0123456789")
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + list(".,!?&'\"-:;()") + letters
    vocab += ["##" + c for c in letters] + [w for w in WORDS if len(w) > 1] + ["##" + e for e in ENDINGS]
    vocab += [f"[unused{i}]" for i in range(size - len(vocab))]
    assert len(vocab) == size, (len(vocab), size)
    tokenizer = Tokenizer(models.WordPiece({t: i for i, t in enumerate(vocab)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    special = dict(unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")
    return tokenizer, special, "BertTokenizerFast"


def unigram(size):
    """XLM-RoBERTa's tokenizer in small: Unigram behind NFKC and Metaspace."""
    rng = random.Random(7)
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + [chr(c) for c in range(ord("A"), ord("Z") + 1)]
    pieces = ["\u2581"] + letters + list("0123456789.,!?&'-éüï") + ["\u2581" + w for w in WORDS] + ENDINGS
    pieces = list(dict.fromkeys(pieces))
    vocab = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    vocab += [(p, -2.0 - 2.0 * rng.random() - (4.0 if len(p) == 1 else 0.0)) for p in pieces]
    vocab += [(f"<extra{i}>", -20.0) for i in range(size - 1 - len(vocab))] + [("<mask>", 0.0)]
    assert len(vocab) == size, (len(vocab), size)
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(tokenizers.Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    tokenizer.decoder = decoders.Metaspace(replacement="\u2581", prepend_scheme="always")
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    special = dict(bos_token="<s>", cls_token="<s>", pad_token="<pad>", eos_token="</s>", sep_token="</s>",
                   unk_token="<unk>", mask_token="<mask>")
    return tokenizer, special, "XLMRobertaTokenizerFast"


def shape(**changes):
    base = dict(vocab_size=160, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
                max_position_embeddings=40, type_vocab_size=2, hidden_act="gelu")
    return base | changes


def decoder_shape(**changes):
    base = dict(vocab_size=160, hidden_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                head_dim=16, intermediate_size=96, max_position_embeddings=80)
    return base | changes


# pooling None is a plain repository: nothing but config.json, weights and tokenizer; mean and length 1 are its rule.
CHECKPOINTS = [
    dict(name="bert-1layer", shape=shape(hidden_size=48, num_attention_heads=3, intermediate_size=96), states=True,
         about="one layer, three heads, bare tensor names with the pooler, plain repository"),
    dict(name="bert-odd", shape=shape(vocab_size=211, hidden_size=60, num_attention_heads=5, intermediate_size=100,
                                      num_hidden_layers=2),
         pooling="mean", normalise=True, about="head size 12, no width a multiple of 16"),
    dict(name="bert-gelu-new", shape=shape(hidden_act="gelu_new", num_hidden_layers=2), pooling="cls", normalise=False,
         names="masked-lm", about="tanh GELU; saved with its masked-LM head: bert. prefix and tensors nobody needs"),
    dict(name="bert-relu", shape=shape(hidden_act="relu", num_hidden_layers=2), names="old-norms", pooler=False,
         about="ReLU; LayerNorm.gamma and .beta as early checkpoints have them, no pooler, plain repository"),
    dict(name="bert-long", shape=shape(max_position_embeddings=512, num_hidden_layers=2), pooling="mean",
         normalise=True, about="sequences up to 512 tokens"),
    dict(name="bert-deep", shape=shape(num_hidden_layers=6, num_attention_heads=4), pooling="mean", normalise=True,
         about="six layers: rounding adds up"),
    dict(name="bert-outliers", shape=shape(hidden_size=64, num_attention_heads=4, intermediate_size=128,
                                           num_hidden_layers=3),
         pooling="mean", normalise=True, loud=True, stored=torch.bfloat16,
         about="three channels 20 to 50 times as loud as the rest inside the network: what int8 must survive"),
    dict(name="bert-f16", shape=shape(), pooling="mean", normalise=True, stored=torch.float16, about="stored as f16"),
    dict(name="bert-sharded", shape=shape(num_hidden_layers=2), pooling="mean", normalise=True, shards=2,
         about="two shards and an index"),
    dict(name="xlmr", shape=shape(vocab_size=190, max_position_embeddings=130, type_vocab_size=1, num_hidden_layers=2),
         family="xlm-roberta", pooling="cls", normalise=True, names="roberta-prefix", states=True,
         about="positions start at pad + 1, one token type, roberta. prefix, Unigram tokenizer"),
    dict(name="xlmr-bf16", shape=shape(vocab_size=190, max_position_embeddings=42, type_vocab_size=1,
                                       num_hidden_layers=2),
         family="xlm-roberta", stored=torch.bfloat16, about="stored as bf16, bare names, plain repository"),
    dict(name="pool-max", shape=shape(), pooling="max", normalise=False, about="max pooling, no Normalize module"),
    dict(name="pool-last", shape=shape(), pooling="lasttoken", normalise=True, about="last-token pooling"),
    dict(name="pool-mean-sqrt-len", shape=shape(), pooling="mean_sqrt_len_tokens", normalise=False,
         about="sum over the root of the length, no Normalize module"),
    dict(name="pool-mean-raw", shape=shape(), pooling="mean", normalise=False, about="mean pooling, not normalised"),
    dict(name="dense", shape=shape(), pooling="mean", normalise=True, dense=[(20, "Tanh", True), (24, "Identity", False)],
         about="two Dense modules after pooling: tanh with bias, then identity without"),
    dict(name="prompts", shape=shape(), pooling="mean", normalise=True,
         prompts={"query": "how do i: ", "document": "the "}, default_prompt="document",
         about="prompts and a default prompt in config_sentence_transformers.json"),
    dict(name="qwen3-embedding", family="qwen3", stored=torch.bfloat16, pooling="lasttoken", normalise=True, states=True,
         shape=decoder_shape(num_hidden_layers=3, tie_word_embeddings=True),
         prompts={"query": "how do i: "}, about="a decoder as encoder: causal, last token, bare tensor names"),
    dict(name="gemma3-embedding", family="gemma3_text", pooling="mean", normalise=True, states=True,
         shape=decoder_shape(use_bidirectional_attention=True, sliding_window=16, head_dim=32, num_hidden_layers=3,
                             query_pre_attn_scalar=24,
                             layer_types=["sliding_attention", "full_attention", "sliding_attention"]),
         dense=[(48, "Identity", False), (32, "Identity", False)],
         about="a decoder as encoder: both ways, windows, two Dense modules"),
]
DECODERS = {"qwen3": (Qwen3Config, Qwen3Model), "gemma3_text": (Gemma3TextConfig, Gemma3TextModel)}


def randomise(model, seed, loud):
    generator = torch.Generator().manual_seed(seed)
    normal = lambda p, mean, std: p.data.copy_(mean + std * torch.randn(p.shape, generator=generator))
    for name, p in model.named_parameters():
        if "LayerNorm.weight" in name:
            normal(p, 1.0, 0.2)
        elif p.dim() == 1:
            normal(p, 0.0, 0.2)
        elif "embeddings" in name:
            normal(p, 0.0, 0.25)
        else:
            normal(p, 0.0, 0.15 if loud else 0.2)
    if not loud:
        return
    # As in trained models: a few channels stay loud from layer to layer, and what reads them has learned to
    # listen softly. The last norm is ordinary, or three channels would be the whole answer.
    channels, gains = torch.tensor([3, 17, 42]), torch.tensor([20.0, 35.0, 50.0])
    layers = model.encoder.layer
    for i, layer in enumerate(layers):
        norms = [layer.attention.output.LayerNorm] + ([layer.output.LayerNorm] if i + 1 < len(layers) else [])
        for norm in norms:
            norm.weight.data[channels] = gains
        readers = [layer.intermediate.dense]
        if i > 0:
            readers += [layer.attention.self.query, layer.attention.self.key, layer.attention.self.value]
        for linear in readers:
            linear.weight.data[:, channels] *= 0.1


def randomise_decoder(model, seed):
    generator = torch.Generator().manual_seed(seed)
    gemma = model.config.model_type == "gemma3_text"  # whose norms scale by 1 + weight, and embeddings by sqrt(hidden)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        if "norm" in name:
            p.data.copy_((0.0 if gemma else 1.0) + 0.2 * noise)
        elif "embed_tokens" in name:
            p.data.copy_(noise * (0.15 if gemma else 1.0))
        else:
            p.data.copy_(noise / p.shape[1] ** 0.5)


def build_decoder(spec):
    config_class, model_class = DECODERS[spec["family"]]
    config = config_class(**spec["shape"], pad_token_id=0, bos_token_id=2, eos_token_id=3)
    config._attn_implementation = "eager"
    model = model_class(config).eval()
    randomise_decoder(model, spec["seed"])
    if "stored" in spec:
        for p in model.parameters():
            p.data.copy_(p.data.to(spec["stored"]).float())
    return model


def build_model(spec):
    if spec.get("family") in DECODERS:
        return build_decoder(spec)
    config_class, model_class = ((XLMRobertaConfig, XLMRobertaModel) if spec.get("family") == "xlm-roberta"
                                 else (BertConfig, BertModel))
    extra = dict(pad_token_id=1, bos_token_id=0, eos_token_id=2) if config_class is XLMRobertaConfig else dict(pad_token_id=0)
    config = config_class(**spec["shape"], **extra, layer_norm_eps=1e-5 if config_class is XLMRobertaConfig else 1e-12,
                          hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    config._attn_implementation = "eager"
    model = model_class(config, add_pooling_layer=spec.get("pooler", True)).eval()
    randomise(model, spec["seed"], spec.get("loud", False))
    # Expected values follow from the stored numbers, so rounding to the stored type comes first.
    if "stored" in spec:
        for p in model.parameters():
            p.data.copy_(p.data.to(spec["stored"]).float())
    return model


def tensors_to_store(spec, model):
    tensors = {k: v.clone() for k, v in model.state_dict().items() if "position_ids" not in k}
    names = spec.get("names")
    if names == "masked-lm":
        torch.manual_seed(spec["seed"])
        head = BertForMaskedLM(model.config).state_dict()
        tensors = {"bert." + k: v for k, v in tensors.items()}
        tensors |= {k: v.clone() for k, v in head.items() if k.startswith("cls.") and "decoder" not in k}
    elif names == "roberta-prefix":
        tensors = {"roberta." + k: v for k, v in tensors.items()}
    elif names == "old-norms":
        tensors = {k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v
                   for k, v in tensors.items()}
    return {k: v.to(spec.get("stored", torch.float32)).contiguous() for k, v in tensors.items()}


def write_json(path, value, indent=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=indent, ensure_ascii=False) + "\n")


def write_weights(spec, folder, tensors):
    metadata = {"format": "pt"}
    shards = spec.get("shards", 1)
    if shards == 1:
        safetensors.torch.save_file(tensors, folder / "model.safetensors", metadata)
        return
    names, weight_map = sorted(tensors), {}
    for shard in range(shards):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        part = names[shard::shards]
        safetensors.torch.save_file({n: tensors[n] for n in part}, folder / file, metadata)
        weight_map |= {n: file for n in part}
    total = sum(t.numel() * t.element_size() for t in tensors.values())
    write_json(folder / "model.safetensors.index.json",
               {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))})


def write_modules(spec, folder, tokens_max):
    """The files of sentence-transformers, as its releases before 5 wrote them and published repositories have them."""
    kinds = [("Transformer", "")]
    hidden = spec["shape"]["hidden_size"]
    kinds.append(("Pooling", "1_Pooling"))
    flags = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
             "weightedmean": "weightedmean_tokens", "lasttoken": "lasttoken"}
    write_json(folder / "1_Pooling/config.json",
               {"word_embedding_dimension": hidden} |
               {f"pooling_mode_{flag}": mode == spec["pooling"] for mode, flag in flags.items()} |
               {"include_prompt": True})
    width = hidden
    generator = torch.Generator().manual_seed(spec["seed"] + 1000)
    for out, activation, bias in spec.get("dense", []):
        path = f"{len(kinds)}_Dense"
        write_json(folder / path / "config.json",
                   {"in_features": width, "out_features": out, "bias": bias,
                    "activation_function": f"torch.nn.modules.{'activation' if activation == 'Tanh' else 'linear'}.{activation}"})
        tensors = {"linear.weight": 0.3 * torch.randn(out, width, generator=generator)}
        if bias:
            tensors["linear.bias"] = 0.3 * torch.randn(out, generator=generator)
        safetensors.torch.save_file(tensors, folder / path / "model.safetensors")
        kinds.append(("Dense", path))
        width = out
    if spec["normalise"]:
        path = f"{len(kinds)}_Normalize"
        kinds.append(("Normalize", path))
    write_json(folder / "modules.json", [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(kinds)])
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": tokens_max, "do_lower_case": False})
    write_json(folder / "config_sentence_transformers.json",
               {"__version__": {"sentence_transformers": "3.0.0"}, "prompts": spec.get("prompts", {}),
                "default_prompt_name": spec.get("default_prompt"), "similarity_fn_name": "cosine"})


def published_config(spec, model):
    config = json.loads(model.config.to_json_string(use_diff=False))
    if spec.get("family") in DECODERS:
        drop = ("transformers_version", "dtype", "_name_or_path", "chunk_size_feed_forward", "id2label", "label2id")
        return {k: v for k, v in config.items() if k not in drop and v is not None} | {
            "architectures": [type(model).__name__]}
    keep = list(shape()) + ["model_type", "pad_token_id", "layer_norm_eps", "hidden_dropout_prob",
                            "attention_probs_dropout_prob", "initializer_range"]
    config = {k: v for k, v in config.items() if k in keep}
    config |= {"architectures": [type(model).__name__], "position_embedding_type": "absolute",
               "torch_dtype": str(spec.get("stored", torch.float32)).removeprefix("torch.")}
    return config


def write_checkpoint(spec, folder, model):
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    roberta = spec.get("family") == "xlm-roberta"
    tokens_max = spec["shape"]["max_position_embeddings"] - (2 if roberta else 0)
    write_json(folder / "config.json", dict(sorted(published_config(spec, model).items())))
    write_weights(spec, folder, tensors_to_store(spec, model))
    tokenizer, special, tokenizer_class = (unigram if roberta else word_piece)(spec["shape"]["vocab_size"])
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    write_json(folder / "tokenizer_config.json", special | {"tokenizer_class": tokenizer_class, "model_max_length": tokens_max})
    if spec.get("pooling"):
        write_modules(spec, folder, tokens_max)
    return tokenizer, tokens_max


def token_lists(spec, tokens_max):
    """Ids out of thin air: neither padding (position counting of the RoBERTas skips it) nor order matters."""
    rng = random.Random(spec["seed"])
    draw = lambda n: [rng.randrange(2, spec["shape"]["vocab_size"]) for _ in range(n)]
    mixed = sorted({2, 3, 7, 8, 9, 15, 16, 17, 31, 33, tokens_max // 2, tokens_max - 1} & set(range(1, tokens_max)))
    rng.shuffle(mixed)
    if tokens_max > 300:
        mixed += [127, 129, 257]
    return {"one_token": [draw(1), draw(1)], "longest": [draw(tokens_max)], "mixed": [draw(n) for n in mixed],
            "same_token": [[5] * 9]}


@torch.no_grad()
def states_of(model, ids):
    t = torch.tensor([ids])
    types = {} if model.config.model_type in DECODERS else {"token_type_ids": torch.zeros_like(t)}
    return model(input_ids=t, attention_mask=torch.ones_like(t), **types).last_hidden_state


@torch.no_grad()
def embed_ids(spec, model, sentence_model, ids):
    states = states_of(model, ids)
    if sentence_model is None:
        return torch.nn.functional.normalize(states.mean(dim=1), dim=1)[0]
    features = {"token_embeddings": states, "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}
    for module in list(sentence_model)[1:]:
        features = module(features)
    return features["sentence_embedding"][0]


def load_back(spec, folder, model):
    """The folder as Hugging Face's code reads it, which must be the model it was written from."""
    sentence_model = None
    if spec.get("pooling"):
        sentence_model = sentence_transformers.SentenceTransformer(
            str(folder), device="cpu", model_kwargs={"attn_implementation": "eager", "dtype": torch.float32})
        loaded = sentence_model[0].auto_model
    else:
        loaded = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32)
    ids = [5, 6, 7, 8]
    difference = (states_of(loaded.eval(), ids) - states_of(model, ids)).abs().max().item()
    assert difference < 1e-6, (spec["name"], difference)
    return sentence_model


def write_expected(spec, folder, model, tokenizer, tokens_max, sentence_model):
    cases, tensors = [], {}
    rule = {"pooling": spec.get("pooling") or "mean", "normalise": spec.get("normalise", True)}

    def add(name, lists, **more):
        tensors[name] = torch.stack([embed_ids(spec, model, sentence_model, ids) for ids in lists])
        cases.append({"name": name} | more | rule | {"file": "expected.safetensors", "ids": lists})

    lists = token_lists(spec, tokens_max)
    for name, ids in lists.items():
        add(name, ids)
    tokenizer.enable_truncation(tokens_max)
    encode = lambda texts: [tokenizer.encode(t).ids for t in texts]
    prompts = spec.get("prompts", {})
    default = prompts.get(spec.get("default_prompt"), "")
    long_text = " ".join(TEXTS * (1 + tokens_max // 20))
    texts = TEXTS + [long_text]
    add("texts", encode([default + t for t in texts]), texts=texts)
    for name, prompt in prompts.items():
        add("prompt_" + name, encode([prompt + t for t in TEXTS]), texts=TEXTS, prompt_name=name)
    if sentence_model is not None:  # the whole way of sentence-transformers, one text at a time: no padding anywhere
        for case in cases:
            if "texts" not in case:
                continue
            whole = np.stack([sentence_model.encode(t, prompt_name=case.get("prompt_name")) for t in case["texts"]])
            difference = np.abs(whole - tensors[case["name"]].numpy()).max()
            assert difference < 2e-6, (spec["name"], case["name"], difference)
    if spec.get("states"):
        tensors["mixed.last_hidden_state"] = torch.cat([states_of(model, ids)[0] for ids in lists["mixed"]])
        next(c for c in cases if c["name"] == "mixed")["last_hidden_state"] = "mixed.last_hidden_state"
    safetensors.torch.save_file({k: v.float().contiguous() for k, v in tensors.items()}, folder / "expected.safetensors")
    versions = {m.__name__: m.__version__ for m in (torch, transformers, sentence_transformers, tokenizers, safetensors)}
    head = json.dumps({"about": spec["about"], "made_with": versions, "tokens_max": tokens_max}, ensure_ascii=False, indent=1)
    lines = ",\n  ".join(json.dumps(c, ensure_ascii=False) for c in cases)
    (folder / "expected.json").write_text(f'{head[:-2]},\n "cases": [\n  {lines}\n ]\n}}\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parents[2] / "tests/golden/encoders")
    parser.add_argument("--only", nargs="*", help="names of checkpoints")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for i, spec in enumerate(CHECKPOINTS):
        spec["seed"] = 100 + i
        if options.only and spec["name"] not in options.only:
            continue
        folder = options.out / spec["name"]
        model = build_model(spec)
        tokenizer, tokens_max = write_checkpoint(spec, folder, model)
        write_expected(spec, folder, model, tokenizer, tokens_max, load_back(spec, folder, model))
        size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
        print(f"{spec['name']:20} {size / 1024:7.0f} KiB  {spec['about']}")


if __name__ == "__main__":
    main()
