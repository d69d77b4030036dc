"""The tokenizer: byte-level BPE in Qwen's manner, trained on our own conversations."""
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
END, START, STOP = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
PLAIN = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")  # shown in answers, so not special


def train(texts, size):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    marks = 3 + len(PLAIN)
    trainer = trainers.BpeTrainer(vocab_size=size - marks, min_frequency=3, show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in (END, START, STOP)])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in PLAIN])
    return tokenizer


def plain_text(prompt):
    """A rendered conversation as it is cut up before BPE: marks are not part of it."""
    for mark in (END, START, STOP, *PLAIN):
        prompt = prompt.replace(mark, "\n")
    return prompt
