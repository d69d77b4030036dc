#!/usr/bin/env python3
"""Compares checkpoints without tokenizer.json with what `transformers` makes of the same files.

    tokenizer_legacy.py --program tokenize_lines [--count 2000] [--seed 1] [--install FOLDER]

Trains small models, writes the files of each family (vocab.json with merges.txt, sentencepiece models), and compares
ids and decoded texts on generated lines. With --install the packages are first put into a virtual environment in
FOLDER. Ends with status 1 on any difference.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "tools", "golden"))
sys.path.insert(0, HERE)

PACKAGES = ["tokenizers==0.23.3", "sentencepiece==0.2.3", "transformers==5.23.0", "protobuf==7.36.2"]
SHOWN = 3


def write(folder, name, content):
    with open(os.path.join(folder, name), "wb" if isinstance(content, bytes) else "w") as file:
        file.write(content if isinstance(content, (bytes, str)) else json.dumps(content, ensure_ascii=False))


def byte_level(folder, config, style, **files):
    data = style
    vocab = dict(data["model"]["vocab"])
    for token in files.pop("vocab", ()):
        vocab[token] = len(vocab)
    write(folder, "vocab.json", vocab)
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in data["model"]["merges"]]
    write(folder, "merges.txt", "#version: 0.2\n" + "\n".join(merges) + "\n")
    write(folder, "tokenizer_config.json", config)
    for name, content in files.items():
        write(folder, name + ".json", content)


def sentencepiece_model(kind, corpus, **options):
    import sentencepiece
    writer = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(line for line in corpus if line.strip()), model_writer=writer, vocab_size=2500, hard_vocab_limit=False,
        model_type=kind, character_coverage=0.995, max_sentence_length=1 << 20, num_threads=1, minloglevel=3, **options)
    return writer.getvalue()


def families(folder):
    """(class name, folder) of each family, written below `folder`."""
    import make_tokenizers as make
    corpus = make.corpus(4000)
    style = make.gpt2(1500, 4000)

    def new(name):
        path = os.path.join(folder, name)
        os.makedirs(path)
        return path

    path = new("gpt2")
    byte_level(path, {"tokenizer_class": "GPT2Tokenizer", "unk_token": "<|endoftext|>"}, style, vocab=["<|endoftext|>"])
    yield "GPT2Tokenizer", path
    path = new("gpt2-bos")
    byte_level(path, {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True, "add_bos_token": True, "bos_token": "<s>"}, style,
               vocab=["<|endoftext|>", "<s>"])
    yield "GPT2Tokenizer", path
    path = new("qwen2")
    decoder = {str(1500 + i): {"content": name, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": special}
               for i, (name, special) in enumerate((("<|endoftext|>", True), ("<|im_start|>", True), ("<|im_end|>", True), ("<tool_call>", False)))}
    byte_level(path, {"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": decoder, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>",
                      "additional_special_tokens": ["<|im_start|>", "<|im_end|>"]}, style)
    yield "Qwen2Tokenizer", path
    path = new("roberta")
    byte_level(path, {"tokenizer_class": "RobertaTokenizer", "mask_token": {"content": "<mask>", "lstrip": True, "rstrip": False, "normalized": True,
                                                                           "single_word": False, "__type": "AddedToken"}},
               style, vocab=["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    yield "RobertaTokenizer", path
    path = new("whisper")
    names = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|transcribe|>", "<|notimestamps|>"]
    byte_level(path, {"tokenizer_class": "WhisperTokenizer", "additional_special_tokens": names[1:]}, style,
               added_tokens={name: 1500 + i for i, name in enumerate(names)})
    yield "WhisperTokenizer", path

    unigram = sentencepiece_model("unigram", corpus, normalization_rule_name="nmt_nfkc")
    path = new("xlmr")
    write(path, "sentencepiece.bpe.model", unigram)
    write(path, "tokenizer_config.json", {"tokenizer_class": "XLMRobertaTokenizer"})
    yield "XLMRobertaTokenizer", path
    path = new("t5")
    write(path, "spiece.model", sentencepiece_model("unigram", corpus, normalization_rule_name="nmt_nfkc", pad_id=0, eos_id=1, unk_id=2, bos_id=-1))
    write(path, "tokenizer_config.json", {"tokenizer_class": "T5Tokenizer"})
    yield "T5Tokenizer", path
    llama = dict(byte_fallback=True, normalization_rule_name="identity", split_digits=True, add_dummy_prefix=True, remove_extra_whitespaces=False)
    path = new("llama")
    write(path, "tokenizer.model", sentencepiece_model("bpe", corpus, **llama))
    write(path, "tokenizer_config.json", {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": False})
    yield "LlamaTokenizer", path
    path = new("llama-legacy")
    write(path, "tokenizer.model", sentencepiece_model("bpe", corpus, **llama))
    write(path, "tokenizer_config.json", {"tokenizer_class": "LlamaTokenizer", "legacy": True, "add_bos_token": False, "add_eos_token": True})
    yield "LlamaTokenizer", path
    path = new("gemma")
    write(path, "tokenizer.model", sentencepiece_model(
        "bpe", corpus, byte_fallback=True, normalization_rule_name="identity", split_digits=True, add_dummy_prefix=False, remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True, pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>",
        user_defined_symbols=["<mask>", "<start_of_turn>", "\n", "\n\n", "\u2581\u2581"]))
    write(path, "tokenizer_config.json", {"tokenizer_class": "GemmaTokenizer", "add_bos_token": True})
    yield "GemmaTokenizer", path


def ours(program, path, arguments, inputs):
    text = "".join(json.dumps(line, ensure_ascii=True) + "\n" for line in inputs)
    out = subprocess.run([program, path, *arguments], input=text.encode(), stdout=subprocess.PIPE, check=True).stdout
    return [json.loads(line) for line in out.decode().split("\n") if line]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--install")
    options = parser.parse_args()
    if options.install:
        from python_venv import ensure
        arguments = [a for i, a in enumerate(sys.argv[1:]) if a != "--install" and sys.argv[i] != "--install"]
        return subprocess.call([ensure(options.install, PACKAGES), os.path.abspath(__file__), *arguments])
    import transformers
    from text_lines import lines
    transformers.logging.set_verbosity_error()
    texts = list(lines(options.count, options.seed))
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, path in families(folder):
            backend = getattr(transformers, name).from_pretrained(path)._tokenizer
            backend.no_truncation()
            backend.no_padding()
            wanted = [[encoding.ids, backend.decode(encoding.ids, skip_special_tokens=True), backend.decode(encoding.ids, skip_special_tokens=False)]
                      for encoding in (backend.encode(text) for text in texts)]
            ids = [answer[0] for answer in ours(options.program, path, ["--no-offsets"], texts)]
            found = [[row, *decoded] for row, decoded in zip(ids, ours(options.program, path, ["--decode"], ids))]
            different = [(text, a, b) for text, a, b in zip(texts, found, wanted) if a != b]
            print("%-16s %6d compared, %d different" % (os.path.basename(path), len(texts), len(different)), flush=True)
            for text, a, b in different[:SHOWN]:
                print("  %r\n    want %r\n    have %r" % (text, b, a))
            bad += len(different) + (len(found) != len(texts))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
