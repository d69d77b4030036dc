"""Writes the model as a Hugging Face folder with bf16 weights."""
import json
import pathlib

import torch
from safetensors.torch import save_file

import chat.vocab as vocab
from chat.prompt import TEMPLATE


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def config_of(tokenizer, shape):
    """config.json; `shape`: hidden, layers, heads, kv_heads, head_dim, inter, positions."""
    return {
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "torch_dtype": "bfloat16",
        "attention_bias": False, "attention_dropout": 0.0,
        "bos_token_id": tokenizer.token_to_id(vocab.END), "eos_token_id": tokenizer.token_to_id(vocab.STOP),
        "pad_token_id": tokenizer.token_to_id(vocab.END), "head_dim": shape["head_dim"], "hidden_act": "silu",
        "hidden_size": shape["hidden"], "initializer_range": 0.02, "intermediate_size": shape["inter"],
        "max_position_embeddings": shape["positions"], "max_window_layers": shape["layers"],
        "num_attention_heads": shape["heads"], "num_hidden_layers": shape["layers"], "num_key_value_heads": shape["kv_heads"],
        "rms_norm_eps": 1e-6, "rope_scaling": None, "rope_theta": 10000.0, "sliding_window": None,
        "tie_word_embeddings": True, "use_cache": True, "use_sliding_window": False,
        "vocab_size": tokenizer.get_vocab_size()}


def write_tokenizer(folder, tokenizer, positions):
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    added = {str(tokenizer.token_to_id(t)): {"content": t, "lstrip": False, "normalized": False, "rstrip": False,
                                             "single_word": False, "special": t not in vocab.PLAIN}
             for t in (vocab.END, vocab.START, vocab.STOP, *vocab.PLAIN)}
    write_json(folder / "tokenizer_config.json", {
        "add_bos_token": False, "add_prefix_space": False, "added_tokens_decoder": added,
        "additional_special_tokens": [vocab.START, vocab.STOP], "bos_token": None, "chat_template": TEMPLATE,
        "clean_up_tokenization_spaces": False, "eos_token": vocab.STOP, "errors": "replace", "model_max_length": positions,
        "pad_token": vocab.END, "split_special_tokens": False, "tokenizer_class": "PreTrainedTokenizerFast", "unk_token": None})


def write_weights(folder, state):
    weights = {name: t.detach().to("cpu", torch.bfloat16).contiguous() for name, t in state.items() if name != "lm_head.weight"}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def export(folder, state, tokenizer, config):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    stop = [config["eos_token_id"], config["pad_token_id"]]
    write_json(folder / "generation_config.json", {
        "bos_token_id": config["bos_token_id"], "pad_token_id": config["pad_token_id"], "eos_token_id": stop, "do_sample": False})
    write_tokenizer(folder, tokenizer, config["max_position_embeddings"])
    write_weights(folder, state)
    return (folder / "model.safetensors").stat().st_size
