#!/usr/bin/env python3
"""Trains the small sentence encoder of demo/models/embed from the lexicon in this folder alone.

  python tools/demo/train_embed.py --seed 1 --out demo/models/embed

1. The lexicon (tools/demo/lexicon, written by hand) is rendered into text; the WordPiece
   vocabulary is built from it (embed_vocab.py).
2. Masked-language-model steps tie words to each other.
3. Contrastive steps (multiple negatives ranking in both directions): a batch holds pairs of
   wordings of the same meaning, taken in runs of neighbouring groups, so that every pair meets
   hard negatives of its own topic; a decoy for each pair keeps a word of it in another sentence.
   Groups with much the same words never count as each other's negatives.
4. Every --eval-every steps the running mean of the weights, rounded to bf16, is scored on
   dev_queries.json; the best one is written.

Sentences of the development queries and of --held-out files are dropped from all training text.
A CUDA device is used when there is one; the text is the same everywhere, the weights are then
only equal up to the arithmetic of the device.
"""
import argparse
import json
import math
import multiprocessing
import os
import pathlib
import time

import numpy as np
import torch
import torch.nn.functional as F
from transformers import BertConfig, BertModel

import embed_batches
import embed_export
import embed_lexicon
import embed_vocab
from eval_embed import rank

HERE = pathlib.Path(__file__).resolve().parent
REPO = HERE.parent.parent
PAD, CLS, SEP, MASK = 0, 2, 3, 4


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=pathlib.Path, default=REPO / "demo/models/embed")
    parser.add_argument("--held-out", type=pathlib.Path, action="append",
                        default=[REPO / "tests/golden/embed_queries.json"],
                        help="query files whose sentences may not be in the training text")
    parser.add_argument("--vocab", type=int, default=8200)
    parser.add_argument("--hidden", type=int, default=280)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--heads", type=int, default=5)
    parser.add_argument("--inter", type=int, default=560)
    parser.add_argument("--mlm-steps", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=6500)
    parser.add_argument("--batch", type=int, default=1024, help="pairs a contrastive step")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--temperature", type=float, default=0.05)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--word-drop", type=float, default=0.12, help="share of input tokens masked")
    parser.add_argument("--eval-every", type=int, default=250)
    parser.add_argument("--max-seconds", type=float, default=0,
                        help="let the learning rate reach its end by this time (0: no limit)")
    parser.add_argument("--workers", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--vocab-lines", type=int, default=30000)
    return parser.parse_args()


def banned_sentences(paths):
    banned = set()
    for path in paths:
        if path.exists():
            for item in json.loads(path.read_text(encoding="utf-8")):
                for text in [item["query"], *item["candidates"]]:
                    # Very short ones ('ferns') are words, not sentences.
                    if len(text.split()) > 2:
                        banned.add(embed_lexicon.normal_form(text))
    return frozenset(banned)


def token_rows(tokenizer, texts, limit):
    rows = [e.ids[:limit - 1] + [SEP] if len(e.ids) > limit else e.ids for e in tokenizer.encode_batch(texts)]
    width = (max(map(len, rows)) + 3) // 4 * 4  # few different shapes
    out = np.full((len(rows), width), PAD, dtype=np.int16)
    for row, ids in zip(out, rows):
        row[:len(ids)] = ids
    return out


class Source:
    """Renders and tokenises batch `step` of a stage; copied into each worker process."""

    def __init__(self, corpus, tokenizer, args):
        self.corpus, self.tokenizer, self.args = corpus, tokenizer, args

    def ids(self, texts, limit):
        return token_rows(self.tokenizer, texts, limit)

    def mlm(self, step):
        rng = embed_batches.rng_of(self.args.seed, "mlm", step)
        return self.ids(self.corpus.mlm_lines(rng, 1024), 48), 0, None

    def pairs(self, step):
        """Token rows of the left sides, the right sides and the decoys; count of pairs; clashes."""
        rng = embed_batches.rng_of(self.args.seed, "pairs", step)
        if step % 12 == 11:  # long inputs keep all 512 positions meaningful
            limit = rng.choice((128, 256, 512))
            items = self.corpus.long_pairs(rng, max(2, self.args.batch * 16 // limit), limit * 2 // 3)
        else:
            limit, items = 40, self.corpus.pairs(rng, self.args.batch)
        texts = [a for _, a, _ in items] + [b for _, _, b in items] + self.corpus.decoys(rng, items, len(items) * 3 // 4)
        clashes = self.corpus.clashes([key for key, _, _ in items])
        return self.ids(texts, limit), len(items), np.array(clashes, dtype=np.int16).reshape(-1, 2)

    def __call__(self, job):
        return getattr(self, job[0])(job[1])


_source = None


def _call(job):
    return _source(job)


def stream(source, jobs, workers):
    """Batches in order, made ahead of time by `workers` processes."""
    global _source
    _source = source
    if workers < 2:
        yield from map(source, jobs)
        return
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        yield from pool.imap(_call, jobs, chunksize=2)


def embed(model, ids, offset=0):
    """Unit rows. `offset` shifts the positions, so that late ones are trained by short texts too."""
    mask = (ids != PAD)
    positions = torch.arange(ids.shape[1], device=ids.device)[None] + offset
    hidden = model(input_ids=ids, attention_mask=mask.long(), position_ids=positions).last_hidden_state
    weight = mask.unsqueeze(-1).float()
    return F.normalize((hidden.float() * weight).sum(1) / weight.sum(1), dim=-1)


def embed_by_length(model, ids, offset=0, parts=6):
    """As embed(), rows of like length together: most of a batch would be padding."""
    lengths = (ids != PAD).sum(1)
    order = lengths.argsort()
    rows = [embed(model, ids[part, :(int(lengths[part[-1]]) + 3) // 4 * 4], offset) for part in order.chunk(parts)]
    return torch.cat(rows)[order.argsort()]


def contrastive_loss(a, b, clashes, temperature):
    """Rows of `b` past the pairs are decoys: wrong candidates for every row of `a`."""
    scores = a @ b.T / temperature
    same = torch.zeros_like(scores, dtype=torch.bool)
    same[clashes[:, 0], clashes[:, 1]] = True
    scores = scores.masked_fill(same, -1e4)
    target = torch.arange(len(a), device=a.device)
    return (F.cross_entropy(scores, target) + F.cross_entropy(scores[:, :len(a)].T, target)) / 2


def mlm_loss(model, ids, vocab_size, generator):
    draw = torch.rand(ids.shape, device=ids.device, generator=generator)
    chosen = (ids > MASK) & (draw < 0.2)
    shown = torch.where(chosen & (draw < 0.17), torch.full_like(ids, MASK), ids)
    hidden = model(input_ids=shown, attention_mask=(ids != PAD).long()).last_hidden_state[chosen]
    logits = hidden @ model.embeddings.word_embeddings.weight.T
    return F.cross_entropy(logits.float(), ids[chosen])


def drop_words(ids, share, generator):
    draw = torch.rand(ids.shape, device=ids.device, generator=generator)
    return torch.where((ids > MASK) & (draw < share), torch.full_like(ids, MASK), ids)


class RunningMean:
    def __init__(self, model, decay=0.998):
        self.decay, self.values = decay, {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def add(self, model):
        pairs = [(self.values[k], v) for k, v in model.state_dict().items() if v.is_floating_point()]
        torch._foreach_lerp_([p[0] for p in pairs], [p[1] for p in pairs], 1 - self.decay)

    def rounded_copy(self, config):
        copy = BertModel(config, add_pooling_layer=False)
        copy.load_state_dict({k: v.to(torch.bfloat16).float() if v.dtype.is_floating_point else v
                              for k, v in self.values.items()})
        return copy.eval()


def dev_score(model, tokenizer, items, device):
    model = model.to(device)

    def vectors_of(texts):
        rows = [e.ids for e in tokenizer.encode_batch(texts)]
        width = max(map(len, rows))
        ids = torch.tensor([r + [PAD] * (width - len(r)) for r in rows], device=device)
        with torch.no_grad():
            return embed(model, ids).cpu()

    results = rank(vectors_of, items)
    return (sum(r[0] for r in results) / len(results),
            sum(min(r[1], 0.1) for r in results) / len(results))


def main():
    args = parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the worker processes are the parallelism
    torch.manual_seed(args.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    start = time.time()
    dev_path = HERE / "dev_queries.json"
    dev = json.loads(dev_path.read_text(encoding="utf-8"))
    lex = embed_lexicon.load()
    corpus = embed_batches.Corpus(lex, banned_sentences([dev_path, *args.held_out]))
    print("lexicon:", corpus.counts(), flush=True)

    lines = corpus.mlm_lines(embed_batches.rng_of(args.seed, "vocab", 0), args.vocab_lines)
    vocab, missing = embed_vocab.build(lex, lines, args.vocab)
    tokenizer = embed_vocab.tokenizer_of(vocab)
    print(f"vocabulary: {len(vocab)} pieces, {missing} lexicon words not whole, "
          f"{time.time() - start:.0f} s", flush=True)

    config = BertConfig(
        vocab_size=len(vocab), hidden_size=args.hidden, num_hidden_layers=args.layers,
        num_attention_heads=args.heads, intermediate_size=args.inter, max_position_embeddings=512,
        hidden_dropout_prob=args.dropout, attention_probs_dropout_prob=args.dropout,
        attn_implementation="eager")  # sdpa prepares a kernel anew for each new width
    model = BertModel(config, add_pooling_layer=False).to(device).train()
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters on {device}", flush=True)
    source = Source(corpus, tokenizer, args)
    generator = torch.Generator(device=device).manual_seed(args.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.01, betas=(0.9, 0.98),
                                  fused=device == "cuda")

    def step(loss, share):
        warm = min(1.0, share / 0.03)
        for group in optimizer.param_groups:
            group["lr"] = args.lr * warm * (0.02 + 0.98 * (1 + math.cos(math.pi * share)) / 2)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    jobs = [("mlm", n) for n in range(args.mlm_steps)] + [("pairs", n) for n in range(args.steps)]
    batches = stream(source, jobs, args.workers)
    for n in range(args.mlm_steps):
        ids = torch.from_numpy(next(batches)[0]).to(device).long()
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            loss = mlm_loss(model, ids, len(vocab), generator)
        step(loss, (n + 1) / args.mlm_steps * 0.7)  # ends at a warm rate: contrastive goes on
        if n % 500 == 0 or n + 1 == args.mlm_steps:
            print(f"mlm {n} loss {loss.item():.3f} {time.time() - start:.0f} s", flush=True)

    average, best, shown = RunningMean(model), None, 0.0
    began = time.time() - start
    for n in range(args.steps):
        ids, count, clashes = next(batches)
        ids, clashes = (torch.from_numpy(x).to(device).long() for x in (ids, clashes))
        room = 512 - ids.shape[1]
        offset = int(torch.randint(room + 1, (1,))) if n % 6 == 0 and room else 0
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            rows = embed_by_length(model, drop_words(ids, args.word_drop, generator), offset).float()
        va, vb = rows[:count], rows[count:]
        loss = contrastive_loss(va, vb, clashes, args.temperature)
        share = (n + 1) / args.steps
        if args.max_seconds:
            share = max(share, (time.time() - start - began) / (args.max_seconds - began))
        last = share >= 1
        step(loss, min(share, 1.0))
        average.add(model)
        shown = loss.item() if n % 12 == 0 else shown
        if (n + 1) % args.eval_every == 0 or last:
            candidate = average.rounded_copy(config)
            score = dev_score(candidate, tokenizer, dev, device)
            print(f"step {n + 1} loss {shown:.3f} dev top-1 {score[0]:.3f} margin {score[1]:.4f} "
                  f"{time.time() - start:.0f} s", flush=True)
            if best is None or score > best[0]:
                best = (score, n + 1)
                size = embed_export.export(args.out, candidate, tokenizer)
        if last:
            break
    print(f"best step {best[1]}: dev top-1 {best[0][0]:.3f}; wrote {args.out}, {size} bytes")


if __name__ == "__main__":
    main()
