#!/usr/bin/env python3
"""Tiny random decoders that judge texts, with the logits that Hugging Face's own code computes from them.

    python make_rerankers.py [--out tests/golden/rerankers]

qwen3-yes-no: a Qwen3ForCausalLM asked as Qwen3-Reranker's model card asks it; each case has query, document, ids and the logits of
"no" and "yes" at the last position. qwen3-labels: a Qwen3ForSequenceClassification; each case has text, ids and logits. All in f32,
one sequence at a time: no padding anywhere.
"""
import argparse
import json
import pathlib
import shutil

import safetensors.torch
import torch
import transformers
from make_encoders import TEXTS, decoder_shape, randomise_decoder, write_json
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM, Qwen3ForSequenceClassification

# From https://huggingface.co/Qwen/Qwen3-Reranker-0.6B, "Transformers Usage".
PREFIX = ("<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. "
          "Note that the answer can only be \"yes\" or \"no\".<|im_end|>\n<|im_start|>user\n")
SUFFIX = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"
PAIRS = [("capital of China", "The capital of China is Beijing."), ("fix a tap", "The train leaves at nine."), ("a", ""),
         ("a document that is cut", "word after word after word " * 60), ("one two three", "four five six seven eight nine ten " * 4), ("gravity", "Gravity is a force that attracts two bodies.")]
TOKENS_MAX = 400


def byte_bpe(size):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    text = [PREFIX, SUFFIX, INSTRUCTION, "yes", "no"] * 20 + [f"{a} {b}" for a, b in PAIRS] + TEXTS
    tokenizer.train_from_iterator(text, trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]))
    assert tokenizer.token_to_id("yes") is not None and tokenizer.token_to_id("no") is not None
    return tokenizer


def publish(folder, model, tokenizer):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tensors = {k: v.to(torch.bfloat16).contiguous() for k, v in model.state_dict().items() if k != "lm_head.weight"}
    safetensors.torch.save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    text = json.loads(model.config.to_json_string())
    for key in ("transformers_version", "dtype", "_name_or_path"):
        text.pop(key, None)
    write_json(folder / "config.json", text | {"architectures": [type(model).__name__]})
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": TOKENS_MAX,
                                                  "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"})


def round_to_bf16(model):
    for parameter in model.parameters():
        parameter.data = parameter.data.to(torch.bfloat16).float()


def make_config(vocab, **extra):
    shape = decoder_shape(vocab_size=vocab, max_position_embeddings=TOKENS_MAX, num_hidden_layers=2)
    config = Qwen3Config(**shape, pad_token_id=0, **extra)
    config._attn_implementation = "eager"
    return config


def make_yes_no(out, tokenizer, made_with):
    model = Qwen3ForCausalLM(make_config(tokenizer.get_vocab_size(), tie_word_embeddings=True)).eval()
    randomise_decoder(model, 400)
    model.model.embed_tokens.weight.data *= 0.15  # tied to the output: scores that are neither 0 nor 1
    round_to_bf16(model)
    publish(out / "qwen3-yes-no", model, tokenizer)
    hf = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    prefix = hf.encode(PREFIX, add_special_tokens=False)
    suffix = hf.encode(SUFFIX, add_special_tokens=False)
    columns = [hf.convert_tokens_to_ids("no"), hf.convert_tokens_to_ids("yes")]
    cases = []
    for query, document in PAIRS:
        pair = f"<Instruct>: {INSTRUCTION}\n<Query>: {query}\n<Document>: {document}"
        middle = hf([pair], padding=False, truncation="longest_first", return_attention_mask=False,
                    max_length=TOKENS_MAX - len(prefix) - len(suffix))["input_ids"][0]
        ids = prefix + middle + suffix
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, -1, columns]
        score = torch.nn.functional.log_softmax(logits, dim=0)[1].exp().item()
        cases.append({"query": query, "document": document, "ids": ids, "logits": logits.tolist(), "score": score})
    write_json(out / "qwen3-yes-no/expected.json", {"cases": cases, "made_with": made_with})
    print("qwen3-yes-no", [round(case["score"], 3) for case in cases])


def make_labels(out, tokenizer, made_with):
    labels = {0: "low", 1: "middle", 2: "high"}
    model = Qwen3ForSequenceClassification(make_config(tokenizer.get_vocab_size(), id2label=labels,
                                                       label2id={v: k for k, v in labels.items()})).eval()
    randomise_decoder(model, 401)
    torch.nn.init.normal_(model.score.weight, std=0.3, generator=torch.Generator().manual_seed(402))
    round_to_bf16(model)
    publish(out / "qwen3-labels", model, tokenizer)
    cases = []
    for text in [text for text in TEXTS if text]:
        ids = tokenizer.encode(text).ids
        with torch.no_grad():
            cases.append({"text": text, "ids": ids, "logits": model(torch.tensor([ids])).logits[0].tolist()})
    write_json(out / "qwen3-labels/expected.json", {"labels": list(labels.values()), "cases": cases, "made_with": made_with})
    print("qwen3-labels", [round(x, 3) for x in cases[0]["logits"]])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parents[2] / "tests/golden/rerankers")
    args = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = byte_bpe(420)
    made_with = {"torch": torch.__version__, "transformers": transformers.__version__}
    make_yes_no(args.out, tokenizer, made_with)
    make_labels(args.out, tokenizer, made_with)


if __name__ == "__main__":
    main()
