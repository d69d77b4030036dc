#!/usr/bin/env python3
"""Tiny random sequence classifiers with the logits that Hugging Face's own code computes from them.

    python make_classifiers.py [--out tests/golden/classifiers] [--only NAME ...]

Each folder is a checkpoint as it would be published plus expected.json: "labels", "multi_label", and "cases", each with
text, maybe pair, ids, types and logits (f32, one sequence at a time: no padding anywhere). Built from the pieces of
make_encoders.py; weights are drawn wide, as there.
"""
import argparse
import json
import pathlib
import shutil

import safetensors.torch
import torch
import transformers
from make_encoders import TEXTS, randomise, shape, unigram, word_piece, write_json
from transformers import (BertConfig, BertForSequenceClassification, XLMRobertaConfig,
                          XLMRobertaForSequenceClassification)

PAIRS = [("how do i", "The quick brown fox jumps over the lazy dog."), ("a", "a"), ("", "one two"),
         ("one two three", "four five six seven eight nine ten eleven twelve")]
CHECKPOINTS = [
    dict(name="bert-sentiment", shape=shape(num_hidden_layers=2, max_position_embeddings=80), labels=["negative", "neutral", "positive"],
         about="three labels, one of them true"),
    dict(name="bert-topics", shape=shape(hidden_size=48, num_attention_heads=3, max_position_embeddings=80), labels=["a", "b", "c", "d"],
         problem="multi_label_classification", about="every label by itself"),
    dict(name="xlmr-rerank", family="xlm-roberta",
         shape=shape(vocab_size=190, max_position_embeddings=82, type_vocab_size=1, num_hidden_layers=2),
         labels=["LABEL_0"], about="one output for a pair, as bge-reranker has it"),
]


def make(spec, out, seed):
    folder = out / spec["name"]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    roberta = spec.get("family") == "xlm-roberta"
    config_class, model_class = ((XLMRobertaConfig, XLMRobertaForSequenceClassification) if roberta
                                 else (BertConfig, BertForSequenceClassification))
    labels = dict(enumerate(spec["labels"]))
    extra = dict(pad_token_id=1, bos_token_id=0, eos_token_id=2) if roberta else dict(pad_token_id=0)
    config = config_class(**spec["shape"], **extra, id2label=labels, label2id={v: k for k, v in labels.items()},
                          problem_type=spec.get("problem"), layer_norm_eps=1e-5 if roberta else 1e-12)
    config._attn_implementation = "eager"
    model = model_class(config).eval()
    randomise(model, seed, False)
    safetensors.torch.save_file({k: v.contiguous() for k, v in model.state_dict().items() if "position_ids" not in k},
                                folder / "model.safetensors", {"format": "pt"})
    text = json.loads(config.to_json_string())
    for key in ("transformers_version", "dtype", "_name_or_path"):
        text.pop(key, None)
    write_json(folder / "config.json", text | {"architectures": [model_class.__name__]})
    tokenizer, special, tokenizer_class = (unigram if roberta else word_piece)(spec["shape"]["vocab_size"])
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    tokens_max = spec["shape"]["max_position_embeddings"] - (2 if roberta else 0)
    write_json(folder / "tokenizer_config.json", special | {"tokenizer_class": tokenizer_class,
                                                            "model_max_length": tokens_max})
    cases = []
    for first, second in [(t, None) for t in TEXTS] + PAIRS:
        encoding = tokenizer.encode(first) if second is None else tokenizer.encode(first, second)
        ids, types = torch.tensor([encoding.ids]), torch.tensor([encoding.type_ids])
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), token_type_ids=types).logits[0]
        case = {"text": first, "ids": encoding.ids, "types": encoding.type_ids, "logits": logits.tolist()}
        cases.append(case if second is None else case | {"pair": second})
    write_json(folder / "expected.json", {
        "about": spec["about"], "labels": spec["labels"],
        "multi_label": spec.get("problem") == "multi_label_classification", "cases": cases,
        "made_with": {"torch": torch.__version__, "transformers": transformers.__version__, "seed": seed}})
    print(spec["name"], [round(x, 3) for x in cases[1]["logits"]])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parents[2] / "tests/golden/classifiers")
    parser.add_argument("--only", nargs="*", help="names of checkpoints")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for seed, spec in enumerate(CHECKPOINTS, start=300):
        if not args.only or spec["name"] in args.only:
            make(spec, args.out, seed)


if __name__ == "__main__":
    main()
