"""Writes the trained encoder as a sentence-transformers folder with bf16 weights."""
import json
import pathlib

import torch
from safetensors.torch import save_file


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def export(folder, model, tokenizer):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = model.config
    write_json(folder / "config.json", {
        "architectures": ["BertModel"], "model_type": "bert", "dtype": "bfloat16",
        "attention_probs_dropout_prob": 0.0, "hidden_act": "gelu", "hidden_dropout_prob": 0.0,
        "hidden_size": config.hidden_size, "initializer_range": 0.02,
        "intermediate_size": config.intermediate_size, "layer_norm_eps": 1e-12,
        "max_position_embeddings": config.max_position_embeddings,
        "num_attention_heads": config.num_attention_heads,
        "num_hidden_layers": config.num_hidden_layers, "pad_token_id": 0,
        "position_embedding_type": "absolute", "type_vocab_size": 2,
        "use_cache": False, "vocab_size": config.vocab_size})
    weights = {name: t.detach().to("cpu", torch.bfloat16).contiguous()
               for name, t in model.state_dict().items() if "position_ids" not in name}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    vocab = tokenizer.get_vocab()
    (folder / "vocab.txt").write_text("".join(w + "\n" for w in sorted(vocab, key=vocab.get)),
                                      encoding="utf-8")
    marks = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]",
             "cls_token": "[CLS]", "mask_token": "[MASK]"}
    write_json(folder / "special_tokens_map.json", marks)
    write_json(folder / "tokenizer_config.json", {
        **marks, "tokenizer_class": "BertTokenizer", "do_lower_case": True,
        "tokenize_chinese_chars": True, "strip_accents": None, "model_max_length": 512,
        "clean_up_tokenization_spaces": True})
    kinds = "sentence_transformers.models."
    write_json(folder / "modules.json", [
        {"idx": 0, "name": "0", "path": "", "type": kinds + "Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": kinds + "Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": kinds + "Normalize"}])
    write_json(folder / "1_Pooling" / "config.json", {
        "word_embedding_dimension": config.hidden_size, "pooling_mode_cls_token": False,
        "pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False})
    (folder / "2_Normalize").mkdir(exist_ok=True)
    (folder / "2_Normalize" / ".gitkeep").write_text("")  # git keeps no empty folder
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 512, "do_lower_case": False})
    write_json(folder / "config_sentence_transformers.json", {
        "prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine"})
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
