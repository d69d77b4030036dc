#!/usr/bin/env python3
"""Teaches one small encoder what several of them know together.

  distill_embed.py TEACHER_FOLDER... --out FOLDER [--seed N --steps N ...]

The teachers are encoders of train_embed.py with different seeds. For every batch of generated text
their unit vectors are put side by side, and the student learns the similarities that gives:

  loss = KL( softmax(teacher similarities / T) || softmax(student similarities / T) )

over each left side against all right sides and decoys, both ways. It starts from the first teacher
(or from --start), whose vocabulary and shape it takes over. The development set only picks the step that is kept.
"""
import argparse
import json
import math
import multiprocessing
import os
import pathlib
import time

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

import embed_batches
import embed_export
import embed_lexicon
import train_embed
from train_embed import (HERE, RunningMean, banned_sentences, dev_score, drop_words, embed_by_length, stream,
                         token_rows)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("teachers", type=pathlib.Path, nargs="+")
    parser.add_argument("--start", type=pathlib.Path, help="encoder to start from, instead of the first teacher")
    parser.add_argument("--out", type=pathlib.Path, default=train_embed.REPO / "demo/models/embed")
    parser.add_argument("--held-out", type=pathlib.Path, action="append",
                        default=[train_embed.REPO / "tests/golden/embed_queries.json"],
                        help="sentences that must not be trained on")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=1024, help="pairs a step")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--temperature", type=float, default=0.05)
    parser.add_argument("--word-drop", type=float, default=0.05)
    parser.add_argument("--eval-every", type=int, default=250)
    parser.add_argument("--max-seconds", type=float, default=0,
                        help="anneal to the end within this time (then the result depends on the machine)")
    parser.add_argument("--workers", type=int, default=multiprocessing.cpu_count())
    return parser.parse_args()


class Source:
    """Makes a batch: its texts as ids of every teacher's tokenizer."""

    def __init__(self, corpus, tokenizers, args):
        self.corpus, self.tokenizers, self.args = corpus, tokenizers, args

    def __call__(self, n):
        rng = embed_batches.rng_of(self.args.seed, "distill", n)
        if n % 12 == 11:
            limit = rng.choice((64, 128, 256, 510))
            items = self.corpus.long_pairs(rng, max(2, self.args.batch * 16 // limit), limit * 2 // 3)
        else:
            limit, items = 40, self.corpus.pairs(rng, self.args.batch)
        texts = [a for _, a, _ in items] + [b for _, _, b in items]
        texts += self.corpus.decoys(rng, items, len(items) * 3 // 4)
        return [token_rows(tok, texts, limit) for tok in self.tokenizers], len(items)


def divergence(student, teacher, temperature):
    return F.kl_div(F.log_softmax(student / temperature, dim=1), F.log_softmax(teacher / temperature, dim=1),
                    log_target=True, reduction="batchmean")


def main():
    args = parse_args()
    torch.manual_seed(args.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    start = time.time()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the worker processes are the parallelism
    dev_path = HERE / "dev_queries.json"
    dev = json.loads(dev_path.read_text(encoding="utf-8"))
    corpus = embed_batches.Corpus(embed_lexicon.load(), banned_sentences([dev_path, *args.held_out]))
    tokenizers = [Tokenizer.from_file(str(t / "tokenizer.json")) for t in args.teachers]
    for tokenizer in tokenizers:
        tokenizer.no_padding()
        tokenizer.no_truncation()
    teachers = [BertModel.from_pretrained(t, add_pooling_layer=False, attn_implementation="eager",
                                          dtype=torch.float32).to(device).eval() for t in args.teachers]
    config = BertConfig.from_pretrained(args.teachers[0], attn_implementation="eager")
    student = BertModel(config, add_pooling_layer=False)
    first = BertModel.from_pretrained(args.start, add_pooling_layer=False) if args.start else teachers[0]
    student.load_state_dict(first.state_dict())
    student.to(device).train()
    optimizer = torch.optim.AdamW(student.parameters(), lr=args.lr, weight_decay=0.01, betas=(0.9, 0.98),
                                  fused=device == "cuda")
    generator = torch.Generator(device=device).manual_seed(args.seed)
    print(f"{len(teachers)} teachers, {sum(p.numel() for p in student.parameters()) / 1e6:.2f} M parameters on "
          f"{device}, {time.time() - start:.0f} s", flush=True)

    average, best, began = RunningMean(student), None, 0.0
    for n, (ids, count) in enumerate(stream(Source(corpus, tokenizers, args), range(args.steps), args.workers)):
        began = began or time.time()
        share = (n + 1) / args.steps
        if args.max_seconds:
            share = min(1.0, max(share, (time.time() - began) / args.max_seconds))
        for group in optimizer.param_groups:
            group["lr"] = args.lr * min(1.0, share / 0.03) * (0.02 + 0.98 * (1 + math.cos(math.pi * share)) / 2)
        ids = [torch.from_numpy(x).to(device).long() for x in ids]
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            with torch.no_grad():
                known = torch.cat([embed_by_length(t, x).float() for t, x in zip(teachers, ids)], 1) / math.sqrt(len(teachers))
            rows = embed_by_length(student, drop_words(ids[0], args.word_drop, generator)).float()
        wanted, got = known[:count] @ known[count:].T, rows[:count] @ rows[count:].T
        loss = (divergence(got, wanted, args.temperature) +
                divergence(got[:, :count].T, wanted[:, :count].T, args.temperature)) / 2
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        average.add(student)
        if (n + 1) % args.eval_every == 0 or share >= 1:
            candidate = average.rounded_copy(config)
            score = dev_score(candidate, tokenizers[0], dev, device)
            print(f"step {n + 1} loss {loss.item():.4f} dev top-1 {score[0]:.3f} margin {score[1]:.4f} "
                  f"{time.time() - start:.0f} s", flush=True)
            if best is None or score >= best[0]:
                best = (score, n + 1)
                size = embed_export.export(args.out, candidate, tokenizers[0])
        if share >= 1:
            break
    print(f"best step {best[1]}: dev top-1 {best[0][0]:.3f}; wrote {args.out}, {size} bytes")


if __name__ == "__main__":
    main()
