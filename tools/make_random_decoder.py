#!/usr/bin/env python3
"""Random-weight decoder checkpoints in the shapes of published ones, for benchmarks: nothing in them means anything.

    python make_random_decoder.py OUT                       # Qwen3-0.6B's shape, bf16, 1.19 GB
    python make_random_decoder.py OUT --preset llama-1b
    python make_random_decoder.py OUT --preset tiny --dtype f32

Writes a Hugging Face folder: config.json, generation_config.json, model.safetensors, tokenizer.json (one token per
byte, ChatML's marks, and made-up words that are only ever decoded) and tokenizer_config.json with a chat template. Matrices are normal with --std, norms 1,
biases 0; the same seed gives the same bytes. Wants Python 3.9 and numpy, nothing else.
"""
import argparse
import pathlib
import sys
import time

from make_random_checkpoint import special_token, write_json, write_safetensors

PRESETS = {
    # family, layers, hidden, heads, key heads, head size, intermediate, vocab, positions, tied head
    "qwen3-0.6b": ("qwen3", 28, 1024, 16, 8, 128, 3072, 151936, 40960, True),
    "qwen3-1.7b": ("qwen3", 28, 2048, 16, 8, 128, 6144, 151936, 40960, True),
    "qwen3-4b": ("qwen3", 36, 2560, 32, 8, 128, 9728, 151936, 40960, True),
    "llama-1b": ("llama", 16, 2048, 32, 8, 64, 8192, 128256, 131072, True),
    "llama-3b": ("llama", 28, 3072, 24, 8, 128, 8192, 128256, 131072, True),
    "tiny": ("qwen3", 2, 64, 4, 2, 16, 128, 259, 2048, True),
}
FIELDS = ("family", "layers", "hidden", "heads", "kv_heads", "head_dim", "intermediate", "vocab", "positions", "tied")
MARKS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = ("{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
            "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")


def tensors(shape):
    """Name and shape of every tensor, in the order of the forward pass."""
    hidden, wide = shape["hidden"], shape["intermediate"]
    queries, keys = shape["heads"] * shape["head_dim"], shape["kv_heads"] * shape["head_dim"]
    yield "model.embed_tokens.weight", [shape["vocab"], hidden]
    for i in range(shape["layers"]):
        at = f"model.layers.{i}."
        yield at + "input_layernorm.weight", [hidden]
        yield at + "self_attn.q_proj.weight", [queries, hidden]
        yield at + "self_attn.k_proj.weight", [keys, hidden]
        yield at + "self_attn.v_proj.weight", [keys, hidden]
        if shape["family"] == "qwen3":
            yield at + "self_attn.q_norm.weight", [shape["head_dim"]]
            yield at + "self_attn.k_norm.weight", [shape["head_dim"]]
        yield at + "self_attn.o_proj.weight", [hidden, queries]
        yield at + "post_attention_layernorm.weight", [hidden]
        yield at + "mlp.gate_proj.weight", [wide, hidden]
        yield at + "mlp.up_proj.weight", [wide, hidden]
        yield at + "mlp.down_proj.weight", [hidden, wide]
    yield "model.norm.weight", [hidden]
    if not shape["tied"]:
        yield "lm_head.weight", [shape["vocab"], hidden]


def byte_characters():
    """The printable stand-ins of byte-level tokenizers, by byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    table = {b: chr(b) for b in plain} | {b: chr(256 + i) for i, b in enumerate(others)}
    return [table[b] for b in range(256)]


def filler_words(count):
    """Texts for ids that a real vocabulary would have: decoded, but never made from text, as nothing merges to them."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    for i in range(count):
        word = "".join(letters[i // 26 ** k % 26] for k in range(4))
        yield "\u0120" + word  # a space in front


def tokenizer(vocab_size):
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    vocab = {c: i for i, c in enumerate(byte_characters())}
    first = 256 + len(MARKS)
    vocab |= {word: first + i for i, word in enumerate(filler_words(max(0, vocab_size - first)))}
    return {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [special_token(256 + i, mark) for i, mark in enumerate(MARKS)],
            "normalizer": None, "pre_tokenizer": byte_level, "post_processor": None, "decoder": byte_level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "",
                      "end_of_word_suffix": "", "fuse_unk": False, "byte_fallback": False, "vocab": vocab, "merges": []}}


def write_checkpoint(folder, shape, dtype, std, seed):
    rope = {"rope_theta": 1000000.0, "rope_scaling": None}
    if shape["family"] == "llama":
        rope = {"rope_theta": 500000.0,
                "rope_scaling": {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0,
                                 "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}}
    write_json(folder / "config.json", {
        "architectures": [{"qwen3": "Qwen3ForCausalLM", "llama": "LlamaForCausalLM"}[shape["family"]]],
        "model_type": shape["family"], "vocab_size": shape["vocab"], "hidden_size": shape["hidden"],
        "num_hidden_layers": shape["layers"], "num_attention_heads": shape["heads"],
        "num_key_value_heads": shape["kv_heads"], "head_dim": shape["head_dim"],
        "intermediate_size": shape["intermediate"], "hidden_act": "silu",
        "max_position_embeddings": shape["positions"], "rms_norm_eps": 1e-6, "attention_bias": False,
        "tie_word_embeddings": shape["tied"], "eos_token_id": 258,
        "torch_dtype": {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}[dtype]} | rope)
    write_json(folder / "generation_config.json", {"eos_token_id": [258, 256]})
    write_json(folder / "tokenizer.json", tokenizer(shape["vocab"]))
    write_json(folder / "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>",
        "model_max_length": shape["positions"], "chat_template": TEMPLATE})
    return write_safetensors(folder / "model.safetensors", list(tensors(shape)), dtype, std, seed)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=pathlib.Path, help="folder to write; files of the same names are replaced")
    parser.add_argument("--preset", choices=PRESETS, default="qwen3-0.6b", help="shape (default: %(default)s)")
    parser.add_argument("--layers", type=int, help="instead of the preset's")
    parser.add_argument("--dtype", choices=("bf16", "f16", "f32"), default="bf16")
    parser.add_argument("--std", type=float, default=0.02)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    shape = dict(zip(FIELDS, PRESETS[options.preset]))
    if options.layers is not None:
        shape["layers"] = options.layers
    if shape["layers"] < 1:
        parser.error(f"--layers: want at least 1, got {shape['layers']}")
    if not options.std > 0:
        parser.error(f"--std: want a number above 0, got {options.std}")
    start = time.monotonic()
    size = write_checkpoint(options.out, shape, options.dtype, options.std, options.seed)
    print(f"{options.out}: {size / 1e9:.3f} GB of weights in {time.monotonic() - start:.1f} s, seed {options.seed}",
          file=sys.stderr)


if __name__ == "__main__":
    main()
