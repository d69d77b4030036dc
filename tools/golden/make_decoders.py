#!/usr/bin/env python3
"""Tiny random decoder checkpoints with what Hugging Face's own code computes from them.

    python make_decoders.py [--out tests/golden/decoders] [--only NAME ...]

Each folder holds config.json and safetensors as they would be published, and
  expected.json         "cases": [{"name", "ids"}] and "greedy": {"prompt", "tokens"} (64 tokens, no end)
  expected.safetensors  logits [tokens, vocab] f32 of each case
Weights are drawn wide and norm weights around 1, so that a wrong or missing term moves the result far beyond
rounding, and so that the greedy choice is never close: the prompt is drawn until it is not. Configurations are
written as the published repositories have them, some in the older style (rope_scaling, rope_theta,
sliding_window_pattern), some in the newer (rope_parameters, layer_types).
Wants torch, transformers, safetensors; their versions go into the output.
"""
import argparse
import json
import pathlib
import shutil

import safetensors.torch
import torch
import transformers
from transformers import (Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM, MistralConfig,
                          MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM)

LENGTHS = (1, 5, 33, 70)
GREEDY_TOKENS = 64
MARGIN_MIN = 2e-3  # between the two best logits, of logits that are a few units wide


def shape(**changes):
    base = dict(vocab_size=160, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                intermediate_size=96, max_position_embeddings=256, rms_norm_eps=1e-6, tie_word_embeddings=False,
                bos_token_id=1, eos_token_id=2, pad_token_id=0)
    return base | changes


# `old`: keys of the older style that replace rope_parameters and layer_types in config.json.
CHECKPOINTS = [
    dict(name="llama", family="llama", shape=shape(), old=dict(rope_theta=10000.0), stored=torch.bfloat16,
         about="two heads per key head, untied head, bf16"),
    dict(name="llama3-rope", family="llama",
         shape=shape(rope_parameters=dict(rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0,
                                          high_freq_factor=4.0, original_max_position_embeddings=64)),
         old=dict(rope_theta=500.0, rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0,
                                                      high_freq_factor=4.0, original_max_position_embeddings=64)),
         about="Llama 3.1's rope scaling in the older style"),
    dict(name="llama-bias", family="llama",
         shape=shape(hidden_size=60, num_attention_heads=5, num_key_value_heads=1, head_dim=24, intermediate_size=100,
                     vocab_size=211, attention_bias=True, mlp_bias=True,
                     rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=4.0)),
         about="all biases, one key head, odd widths, linear rope scaling"),
    dict(name="mistral-window", family="mistral", shape=shape(sliding_window=16, head_dim=32),
         old=dict(rope_theta=10000.0), about="every layer looks back 16 positions"),
    dict(name="qwen2", family="qwen2",
         shape=shape(tie_word_embeddings=True, use_sliding_window=True, sliding_window=12, max_window_layers=1,
                     num_hidden_layers=3, rope_parameters=dict(rope_type="default", rope_theta=1000000.0)),
         old=dict(rope_theta=1000000.0), stored=torch.float16,
         about="biases on q, k and v, tied head, windows from the second layer on, f16"),
    dict(name="qwen3", family="qwen3", shape=shape(head_dim=32, tie_word_embeddings=True,
                                               rope_parameters=dict(rope_type="default", rope_theta=1000000.0)),
         old=dict(rope_theta=1000000.0, rope_scaling=None), stored=torch.bfloat16,
         about="norms of queries and keys, heads wider than hidden / heads, tied head, bf16"),
    dict(name="qwen3-odd", family="qwen3",
         shape=shape(hidden_size=60, num_attention_heads=5, num_key_value_heads=5, head_dim=12, intermediate_size=100,
                     vocab_size=211, num_hidden_layers=6),
         shards=2, about="six layers, no width a multiple of 16, two shards and an index"),
    dict(name="qwen3-yarn", family="qwen3",
         shape=shape(head_dim=32, rope_parameters=dict(rope_type="yarn", rope_theta=10000.0, factor=4.0,
                                                       original_max_position_embeddings=64)),
         about="yarn rope scaling"),
    dict(name="gemma3", family="gemma3_text",
         shape=shape(num_hidden_layers=4, head_dim=32, sliding_window=12, sliding_window_pattern=2,
                     query_pre_attn_scalar=40, tie_word_embeddings=True,
                     rope_parameters=dict(full_attention=dict(rope_type="linear", factor=8.0, rope_theta=1000000.0),
                                          sliding_attention=dict(rope_type="default", rope_theta=10000.0))),
         old=dict(rope_theta=1000000.0, rope_local_base_freq=10000.0, sliding_window_pattern=2,
                  rope_scaling=dict(rope_type="linear", factor=8.0)),
         stored=torch.bfloat16, about="four norms a layer, windows with their own rope, older style"),
    dict(name="gemma3-nested", family="gemma3_text",
         shape=shape(head_dim=64, num_key_value_heads=1, sliding_window=9, tie_word_embeddings=True,
                     layer_types=["sliding_attention", "full_attention"]),
         nested=True, about="one key head; inside a checkpoint that also sees: text_config, deeper tensor names"),
    dict(name="qwen3-fp8", family="qwen3", stored=torch.bfloat16, fp8=True,
         shape=shape(hidden_size=144, head_dim=32, num_hidden_layers=1, intermediate_size=160, tie_word_embeddings=True),
         about="matrices in fp8 with a scale for every 128 x 128 block, as the ...-FP8 repositories have them"),
]
FP8_BLOCK = 128
CLASSES = {"llama": (LlamaConfig, LlamaForCausalLM), "mistral": (MistralConfig, MistralForCausalLM),
           "qwen2": (Qwen2Config, Qwen2ForCausalLM), "qwen3": (Qwen3Config, Qwen3ForCausalLM),
           "gemma3_text": (Gemma3TextConfig, Gemma3ForCausalLM)}


def randomise(model, generator, norm_centre):
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if "norm" in name:
                weight.copy_(norm_centre + 0.2 * noise)
            elif weight.dim() == 1:
                weight.copy_(0.3 * noise)
            elif "embed_tokens" in name:
                # A tied head that hears its own input loudest says it over and over.
                gemma = model.config.model_type == "gemma3_text"  # scales it up by sqrt(hidden)
                weight.copy_(noise * (0.05 if gemma else 0.2 if model.config.tie_word_embeddings else 1.0))
            else:
                weight.copy_(1.3 * noise / weight.shape[1] ** 0.5)


def is_fp8(spec, name):
    return spec.get("fp8", False) and name.endswith("proj.weight")


def to_fp8(weight):
    """The matrix in e4m3 and the scales of its blocks: weight = fp8 * scale."""
    rows, cols = (-(-size // FP8_BLOCK) for size in weight.shape)
    scales, stored = torch.empty(rows, cols), torch.empty(weight.shape, dtype=torch.float8_e4m3fn)
    for r in range(rows):
        for c in range(cols):
            block = (slice(r * FP8_BLOCK, (r + 1) * FP8_BLOCK), slice(c * FP8_BLOCK, (c + 1) * FP8_BLOCK))
            scales[r, c] = weight[block].abs().max() / 448
            stored[block] = (weight[block] / scales[r, c]).to(torch.float8_e4m3fn)
    return stored, scales


def from_fp8(stored, scales):
    spread = scales.repeat_interleave(FP8_BLOCK, 0).repeat_interleave(FP8_BLOCK, 1)
    return stored.float() * spread[:stored.shape[0], :stored.shape[1]]


def greedy(model, generator, vocab):
    """A prompt whose next 64 greedy tokens are never a close call."""
    for _ in range(1000):
        prompt = torch.randint(3, vocab, (1, 9), generator=generator)
        ids, past, tokens = prompt, None, []
        with torch.no_grad():
            while len(tokens) < GREEDY_TOKENS:
                out = model(ids, past_key_values=past, use_cache=True)
                best, past = out.logits[0, -1].topk(2), out.past_key_values
                if best.values[0] - best.values[1] < MARGIN_MIN:
                    break
                tokens.append(best.indices[0].item())
                ids = best.indices[:1].view(1, 1)
        if len(tokens) == GREEDY_TOKENS and len(set(tokens)) >= 5:  # not one word over and over
            return {"prompt": prompt[0].tolist(), "tokens": tokens}
    raise SystemExit("no clear prompt found")


def publish(folder, spec, config, model):
    state = {name: tensor.to(spec.get("stored", torch.float32)).contiguous()
             for name, tensor in model.state_dict().items()
             if not (config.tie_word_embeddings and name == "lm_head.weight")}
    for name in [name for name in state if is_fp8(spec, name)]:
        # Already rounded to what these numbers give, so they come out the same again.
        state[name], state[name + "_scale_inv"] = to_fp8(model.state_dict()[name])
    text = json.loads(config.to_json_string())
    if spec.get("fp8"):
        text["quantization_config"] = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic",
                                       "weight_block_size": [FP8_BLOCK, FP8_BLOCK]}
    for key in ("transformers_version", "dtype", "architectures", "_name_or_path"):
        text.pop(key, None)
    if "old" in spec:
        for key in ("rope_parameters", "layer_types", "_sliding_window_pattern"):
            text.pop(key, None)
        text |= spec["old"]
    if spec.get("nested"):
        text = {"model_type": "gemma3", "text_config": text, "vision_config": {"model_type": "siglip_vision_model"}}
        state = {"language_model." + name: tensor for name, tensor in state.items()}
        state["vision_tower.vision_model.post_layernorm.weight"] = torch.ones(8)
    (folder / "config.json").write_text(json.dumps(text, indent=2, sort_keys=True) + "\n")
    if spec.get("shards", 1) == 1:
        safetensors.torch.save_file(state, folder / "model.safetensors", {"format": "pt"})
        return
    names, files = sorted(state), {}
    for i, name in enumerate(names):
        files[name] = f"model-{i * spec['shards'] // len(names) + 1:05}-of-{spec['shards']:05}.safetensors"
    for file in sorted(set(files.values())):
        safetensors.torch.save_file({n: t for n, t in state.items() if files[n] == file}, folder / file,
                                    {"format": "pt"})
    total = sum(t.numel() * t.element_size() for t in state.values())
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": total}, "weight_map": files}, indent=1) + "\n")


def make(spec, out, seed):
    folder = out / spec["name"]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config_class, model_class = CLASSES[spec["family"]]
    config = config_class(**spec["shape"])
    config._attn_implementation = "eager"
    generator = torch.Generator().manual_seed(seed)
    model = model_class(config).eval().float()
    randomise(model, generator, 0.0 if spec["family"] == "gemma3_text" else 1.0)
    if "stored" in spec:
        for weight in model.parameters():  # the weights alone: rope's frequencies are a buffer and stay f32
            weight.data.copy_(weight.data.to(spec["stored"]))
    for name, weight in model.named_parameters():
        if is_fp8(spec, name):
            weight.data.copy_(from_fp8(*to_fp8(weight.data)))
    cases, logits = [], {}
    for length in LENGTHS:
        ids = torch.randint(0, config.vocab_size, (1, length), generator=generator)
        with torch.no_grad():
            logits[f"tokens-{length}"] = model(ids, use_cache=False).logits[0].contiguous()
        cases.append({"name": f"tokens-{length}", "ids": ids[0].tolist()})
    expected = {"about": spec["about"], "cases": cases, "greedy": greedy(model, generator, config.vocab_size),
                "made_with": {"torch": torch.__version__, "transformers": transformers.__version__, "seed": seed}}
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")
    safetensors.torch.save_file(logits, folder / "expected.safetensors")
    publish(folder, spec, config, model)
    spread = logits["tokens-70"].std().item()
    print(f"{spec['name']}: logits' standard deviation {spread:.2f}, {sum(f.stat().st_size for f in folder.iterdir())} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parents[2] / "tests/golden/decoders")
    parser.add_argument("--only", nargs="*", help="names of checkpoints")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for seed, spec in enumerate(CHECKPOINTS, start=1):
        if not args.only or spec["name"] in args.only:
            make(spec, args.out, seed)


if __name__ == "__main__":
    main()
