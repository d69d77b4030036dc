#!/usr/bin/env python3
"""Trains the small sentiment classifier of demo/models/sentiment on sentences that corpus.py draws.

  train_sentiment.py [--out FOLDER] [--seed N --steps N ...] [--teachers FOLDER ...]

1. The vocabulary: the words of drawn text, then frequent words of the embedding model's, so that a word the
   patterns never say still has a meaning; pieces spell the rest.
2. Word embeddings start as the embedding model's, on their main directions; the layers start at random.
3. Every step sees new text, a third of it of each label. The mean of the weights, rounded to bf16, that is
   best on patterns kept out of training is written.
4. With --teachers, larger models that this script trained before, most of the loss is to answer as their mean does. They
   judge --pool texts ahead, a quarter of them without a label: two sentences of different labels in one.

Sentences of --held-out are never drawn. Some five minutes on one CPU core for each model.
"""
import argparse
import collections
import json
import math
import pathlib
import re
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import BertConfig, BertForSequenceClassification

import corpus
import embed_vocab
from embed_export import write_json

REPO = HERE.parent.parent.parent
PAD, CLS, SEP, MASK = 0, 2, 3, 4


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=pathlib.Path, default=REPO / "demo/models/sentiment")
    parser.add_argument("--embed", type=pathlib.Path, default=REPO / "demo/models/embed", help="where word meanings start")
    parser.add_argument("--held-out", type=pathlib.Path, default=REPO / "tests/golden/sentiment_sentences.json",
                        help="sentences that may not be in the training text")
    parser.add_argument("--vocab", type=int, default=5400)
    parser.add_argument("--hidden", type=int, default=96)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--inter", type=int, default=192)
    parser.add_argument("--positions", type=int, default=256)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=60, help="texts a step, a third of each label")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--words-pace", type=float, default=0.3,
                        help="share of the rate for word embeddings: words of like meaning stay together")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--word-drop", type=float, default=0.06, help="share of input tokens masked")
    parser.add_argument("--smoothing", type=float, default=0.05)
    parser.add_argument("--eval-every", type=int, default=200)
    parser.add_argument("--teachers", type=pathlib.Path, nargs="*", default=[], help="folders of trained models")
    parser.add_argument("--teacher-share", type=float, default=0.7, help="of the loss, where there are teachers")
    parser.add_argument("--pool", type=int, default=80000, help="texts the teachers judge")
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


def build_tokenizer(source, args):
    rng = corpus.rng_of(args.seed, "vocab", 0)
    counts = collections.Counter()
    for n in range(20000):
        counts.update(re.findall(r"[a-z]+|[0-9]+", source.draw(corpus.LABELS[n % 3], rng).lower()))
    for items in source.lists.values():  # rare items count, too
        for item in items:
            counts.update(re.findall(r"[a-z]+", item))
    known = Tokenizer.from_file(str(args.embed / "tokenizer.json")).get_vocab()
    pieces = [*embed_vocab.SPECIALS, *embed_vocab.CHARS, *embed_vocab.MARKS, *("##" + c for c in embed_vocab.CHARS),
              *("##" + e for e in embed_vocab.ENDINGS), "##un", "##ably", "##ibly", "##ingly", "##edly", "##ously", "##fully"]
    words = sorted((w for w in counts if len(w) > 1), key=lambda w: (-counts[w], w))
    words += sorted((w for w in known if re.fullmatch(r"[a-z]{2,}", w)), key=known.get)
    entries = list(dict.fromkeys(pieces + words))[:args.vocab]
    drawn = sum(1 for w in counts if w in set(entries))
    print(f"vocabulary: {len(entries)} pieces, {drawn} of {len(counts)} drawn words", flush=True)
    return embed_vocab.tokenizer_of({entry: i for i, entry in enumerate(entries)})


def start_model(tokenizer, args):
    vocab = tokenizer.get_vocab()
    config = BertConfig(
        vocab_size=len(vocab), hidden_size=args.hidden, num_hidden_layers=args.layers, num_attention_heads=args.heads,
        intermediate_size=args.inter, max_position_embeddings=args.positions, hidden_dropout_prob=args.dropout,
        attention_probs_dropout_prob=0.0, num_labels=len(corpus.LABELS), pad_token_id=PAD)
    model = BertForSequenceClassification(config)
    teacher = Tokenizer.from_file(str(args.embed / "tokenizer.json"))
    words = load_file(args.embed / "model.safetensors")["embeddings.word_embeddings.weight"].float()
    words = words - words.mean(0)
    words = words @ torch.linalg.svd(words, full_matrices=False).Vh[:args.hidden].T
    words = words * (0.05 / words.std())
    with torch.no_grad():
        for entry, i in vocab.items():
            ids = teacher.encode(entry.removeprefix("##"), add_special_tokens=False).ids
            if ids:
                model.bert.embeddings.word_embeddings.weight[i] = words[ids].mean(0)
    return model


def rows_of(tokenizer, texts, limit, device="cpu"):
    rows = [e.ids if len(e.ids) <= limit else e.ids[:limit - 1] + [SEP] for e in tokenizer.encode_batch(texts)]
    width = max(map(len, rows))
    return torch.tensor([r + [PAD] * (width - len(r)) for r in rows]).to(device)


def texts_of(source, rng, step, args):
    """(text, label, None) of one step, shortest first."""
    texts = []
    for n in range(args.batch):
        label = n % 3
        text = source.draw(corpus.LABELS[label], rng)
        if step % 60 == 59 and n < args.batch // 3:  # long ones keep all positions meaningful
            text = " ".join(source.draw(corpus.LABELS[label], rng) for _ in range(20))
        texts.append((text, label, None))
    return sorted(texts, key=lambda item: len(item[0]))


def mixture(source, rng):
    """Two sentences of different labels: only teachers can judge them."""
    first, second = rng.sample(corpus.LABELS, 2)
    joint = rng.choice((" ", " but ", ", but ", ", yet ", " and ", " although ", ", then "))
    return source.draw(first, rng).rstrip(".!") + joint + source.draw(second, rng), None


def parts_of(texts):
    """Texts of like length need little padding."""
    third = (len(texts) + 2) // 3
    return [texts[at:at + third] for at in range(0, len(texts), third)]


class Teachers:
    """The mean answer of several models, each with a tokenizer of its own."""

    def __init__(self, folders, device):
        self.device = device
        self.models = [BertForSequenceClassification.from_pretrained(f, dtype=torch.float32).eval().to(device) for f in folders]
        self.tokenizers = [Tokenizer.from_file(str(f / "tokenizer.json")) for f in folders]

    def shares(self, texts, limit, batch=256):
        """[texts, labels], on the CPU."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        out = torch.zeros(len(texts), len(corpus.LABELS))
        with torch.no_grad():
            for at in range(0, len(order), batch):
                part = order[at:at + batch]
                for model, tokenizer in zip(self.models, self.tokenizers):
                    rows = rows_of(tokenizer, [texts[i] for i in part], limit, self.device)
                    out[part] += F.softmax(logits_of(model, rows), -1).cpu()
        return out / len(self.models)


def judged_pool(source, teachers, args):
    """(text, label or None, shares) for --pool texts."""
    texts = []
    for n in range(args.pool):
        rng = corpus.rng_of(args.seed, "pool", n)
        texts.append(mixture(source, rng) if n % 4 == 3 else (source.draw(corpus.LABELS[n % 3], rng), n % 3))
        if n % 300 == 0:  # long ones keep all positions meaningful
            texts[-1] = (" ".join(source.draw(corpus.LABELS[n % 3], rng) for _ in range(20)), n % 3)
    shares = teachers.shares([text for text, _ in texts], args.positions)
    return [(text, label, share) for (text, label), share in zip(texts, shares)]


def loss_of(logits, texts, args):
    labels = torch.tensor([-100 if label is None else label for _, label, _ in texts]).to(logits.device)
    hard = F.cross_entropy(logits, labels, label_smoothing=args.smoothing) if (labels >= 0).any() else logits.sum() * 0
    if texts[0][2] is None:
        return hard
    soft = F.cross_entropy(logits, torch.stack([share for _, _, share in texts]).to(logits.device))
    return (1 - args.teacher_share) * hard + args.teacher_share * soft


def logits_of(model, ids):
    return model(input_ids=ids, attention_mask=(ids != PAD).long()).logits


def accuracy(model, tokenizer, items, limit):
    with torch.no_grad():
        logits = torch.cat([logits_of(model, rows_of(tokenizer, [t for t, _ in items[at:at + 64]], limit, model.device))
                            for at in range(0, len(items), 64)])
    return (logits.argmax(1).cpu() == torch.tensor([label for _, label in items])).float().mean().item()


def export(folder, model, tokenizer):
    folder.mkdir(parents=True, exist_ok=True)
    config = model.config
    write_json(folder / "config.json", {
        "architectures": ["BertForSequenceClassification"], "model_type": "bert", "dtype": "bfloat16",
        "attention_probs_dropout_prob": 0.0, "classifier_dropout": 0.0, "hidden_act": "gelu", "hidden_dropout_prob": 0.0,
        "hidden_size": config.hidden_size, "id2label": {str(i): label for i, label in enumerate(corpus.LABELS)},
        "initializer_range": 0.02, "intermediate_size": config.intermediate_size,
        "label2id": {label: i for i, label in enumerate(corpus.LABELS)}, "layer_norm_eps": 1e-12,
        "max_position_embeddings": config.max_position_embeddings, "num_attention_heads": config.num_attention_heads,
        "num_hidden_layers": config.num_hidden_layers, "pad_token_id": PAD, "position_embedding_type": "absolute",
        "problem_type": "single_label_classification", "type_vocab_size": 2, "use_cache": False,
        "vocab_size": config.vocab_size})
    save_file({name: t.detach().cpu().to(torch.bfloat16).contiguous() for name, t in model.state_dict().items()
               if "position_ids" not in name}, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    marks = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]"}
    write_json(folder / "special_tokens_map.json", marks)
    write_json(folder / "tokenizer_config.json", {
        **marks, "tokenizer_class": "BertTokenizer", "do_lower_case": True, "tokenize_chinese_chars": True,
        "strip_accents": None, "model_max_length": config.max_position_embeddings, "clean_up_tokenization_spaces": True})
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def main():
    args = parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)  # so that the same seed gives the same model
    start = time.time()
    held_out = json.loads(args.held_out.read_text(encoding="utf-8"))
    source = corpus.Corpus(frozenset(corpus.normal_form(item["text"]) for item in held_out))
    print("corpus:", source.counts(), flush=True)
    tokenizer = build_tokenizer(source, args)
    rng = corpus.rng_of(0, "dev", 0)  # the same for every seed
    dev = [(source.draw(corpus.LABELS[n % 3], rng, dev=True), n % 3) for n in range(900)]
    model = start_model(tokenizer, args).train().to(args.device)
    pool = None
    if args.teachers:
        teachers = Teachers(args.teachers, args.device)
        found = teachers.shares([t for t, _ in dev], args.positions).argmax(1)
        mark = (found == torch.tensor([label for _, label in dev])).float().mean().item()
        print(f"{len(args.teachers)} teachers together: dev {mark:.3f}", flush=True)
        pool = judged_pool(source, teachers, args)
        print(f"{len(pool)} texts judged, {time.time() - start:.0f} s", flush=True)
    average = {k: v.detach().clone() for k, v in model.state_dict().items()}
    words = model.bert.embeddings.word_embeddings.weight
    groups = [{"params": [words], "pace": args.words_pace},
              {"params": [p for p in model.parameters() if p is not words], "pace": 1.0}]
    optimizer = torch.optim.AdamW(groups, lr=args.lr, weight_decay=0.01, betas=(0.9, 0.98))
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters, {time.time() - start:.0f} s", flush=True)

    best = None
    for n in range(args.steps):
        share = (n + 1) / args.steps
        for group in optimizer.param_groups:
            group["lr"] = args.lr * group["pace"] * min(1.0, share / 0.04) * (0.02 + 0.98 * (1 + math.cos(math.pi * share)) / 2)
        optimizer.zero_grad(set_to_none=True)
        rng = corpus.rng_of(args.seed, "train", n)
        texts = texts_of(source, rng, n, args) if pool is None else sorted(rng.sample(pool, args.batch), key=lambda item: len(item[0]))
        for part in parts_of(texts):
            ids = rows_of(tokenizer, [text for text, _, _ in part], args.positions, args.device)
            shown = torch.where((ids > MASK) & (torch.rand(ids.shape, device=ids.device) < args.word_drop), MASK, ids)
            loss = loss_of(logits_of(model, shown), part, args)
            (loss / 3).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            for name, value in model.state_dict().items():
                if value.is_floating_point():
                    average[name].lerp_(value, 1 - min(0.995, (n + 1) / (n + 20)))
        if (n + 1) % args.eval_every == 0 or n + 1 == args.steps:
            candidate = BertForSequenceClassification(model.config)
            candidate.load_state_dict({k: v.to(torch.bfloat16).float() if v.is_floating_point() else v
                                       for k, v in average.items()})
            candidate.to(args.device)
            score = accuracy(candidate.eval(), tokenizer, dev, args.positions)
            print(f"step {n + 1} loss {loss.item():.3f} dev {score:.3f} {time.time() - start:.0f} s", flush=True)
            if best is None or score >= best[0]:
                best = (score, n + 1)
                size = export(args.out, candidate, tokenizer)
    print(f"best step {best[1]}: dev {best[0]:.3f}; wrote {args.out}, {size} bytes")


if __name__ == "__main__":
    main()
