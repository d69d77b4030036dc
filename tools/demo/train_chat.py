#!/usr/bin/env python3
"""Trains the small chat model of demo/models/chat from the text in tools/demo/chat alone.

  python tools/demo/train_chat.py --steps 16000 --max-seconds 480   # one GPU, about eight minutes of training
  python tools/demo/train_chat.py --smoke --out /tmp/chat           # a few steps on a CPU: does everything run?
  python tools/make_selftest.py demo/models/chat                    # afterwards: what the server compares with at load

1. chat/text (written by hand) is read; corpus.py makes conversations of it: questions about the server in many wordings, dialogues,
   small talk, things it does not know, JSON answers, tool calls, copying. The BPE vocabulary is learned from such conversations.
2. Worker processes make, tokenise and pack them into rows; conversations in a row do not see each other (block mask).
3. Qwen3ForCausalLM learns them: loss on answers, a little on questions; words of questions are hidden at random, so that no
   single word decides; dropout, AdamW, cosine, bf16.
4. Every --eval-every steps the running mean of the weights, rounded to bf16, answers chat/dev_questions.json greedily; the best is
   written with a model card.

Questions near those of the development set or of --held-out files are dropped from all training text. --max-seconds lets the
learning rate reach its end in time (then the result depends on the machine); without it the run is --steps long.
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
from tokenizers import Tokenizer
from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

import chat.corpus as corpus_of
import chat.evaluate as evaluate
import chat.export as export
import chat.knowledge as kn
import chat.phrases as ph
import chat.prompt as prompt
import chat.vocab as vocab
from train_embed import stream

HERE = pathlib.Path(__file__).resolve().parent
REPO = HERE.parent.parent
SILENT, QUESTION, ANSWER = 0, 1, 2  # what a token counts in the loss


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=pathlib.Path, default=REPO / "demo/models/chat")
    parser.add_argument("--held-out", type=pathlib.Path, action="append", default=[REPO / "tests/golden/chat_questions.json"],
                        help="question files that may not be trained on")
    parser.add_argument("--vocab", type=int, default=4096)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--kv-heads", type=int, default=2)
    parser.add_argument("--head-dim", type=int, default=64)
    parser.add_argument("--inter", type=int, default=704)
    parser.add_argument("--positions", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=9000)
    parser.add_argument("--rows", type=int, default=96, help="rows a step")
    parser.add_argument("--row-tokens", type=int, default=512)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--weight-decay", type=float, default=0.1)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--word-drop", type=float, default=0.15, help="share of question tokens hidden, in half of the questions")
    parser.add_argument("--question-weight", type=float, default=0.1, help="loss weight of question tokens")
    parser.add_argument("--eval-every", type=int, default=500)
    parser.add_argument("--max-seconds", type=float, default=0, help="anneal to the end within this time (0: no limit)")
    parser.add_argument("--workers", type=int, default=max(1, multiprocessing.cpu_count() - 1))
    parser.add_argument("--vocab-texts", type=int, default=60000)
    parser.add_argument("--smoke", action="store_true", help="a few steps of tiny batches")
    args = parser.parse_args()
    if args.smoke:
        args.steps, args.eval_every, args.rows, args.row_tokens, args.positions = 6, 6, 2, 256, 512
        args.vocab_texts, args.workers = 3000, 1
        torch.set_num_threads(1)
    return args


class Source:
    """Makes packed batch `n`; copied into each worker process."""

    def __init__(self, corpus, tokenizer, args):
        self.corpus, self.tokenizer, self.args = corpus, tokenizer, args
        self.stop, self.pad = tokenizer.token_to_id(vocab.STOP), tokenizer.token_to_id(vocab.END)
        self.heads = {kind: tokenizer.encode(f"{vocab.START}{role}\n").ids
                      for kind, role in ((QUESTION, "user"), (ANSWER, "assistant"))}

    def tokens(self, conversation, rng):
        """(ids, ids as shown to the model, loss kinds). A turn's own head is silent, its end mark counts."""
        ids = self.tokenizer.encode(prompt.render(conversation.messages, conversation.tools)).ids
        kinds, shown, now, i = [SILENT] * len(ids), list(ids), SILENT, 0
        hide = self.args.word_drop if conversation.drop and rng.random() < 0.5 else 0.0
        while i < len(ids):
            head = next(((kind, h) for kind, h in self.heads.items() if ids[i:i + len(h)] == h), None)
            if head:
                now, i = head[0], i + len(head[1])
                continue
            kinds[i] = now
            if ids[i] == self.stop:
                now = SILENT
            elif now == QUESTION and hide and rng.random() < hide:
                shown[i] = self.pad
            i += 1
        return ids, shown, kinds

    def __call__(self, n):
        """Arrays [rows, tokens]: ids, shown, loss kinds, segment (-1: padding), position."""
        rng = ph.rng_of(self.args.seed, "batch", n)
        long = n % 10 == 9  # so that all positions are learned
        width = self.args.positions if long else self.args.row_tokens
        rows = max(1, self.args.rows * self.args.row_tokens // width)
        ids, shown = np.full((rows, width), self.pad, np.int16), np.full((rows, width), self.pad, np.int16)
        kinds, segments, positions = np.zeros((rows, width), np.uint8), np.full((rows, width), -1, np.int16), np.zeros((rows, width), np.int16)
        for row in range(rows):
            at, segment, misses = 0, 0, 0
            while misses < 3 and width - at > 24 and segment < 100:
                turns = rng.randint(3, 14) if long and rng.random() < 0.3 else None
                a, b, c = self.tokens(self.corpus.conversation(rng, turns), rng)
                if len(a) > width - at:
                    misses += 1
                    continue
                end = at + len(a)
                ids[row, at:end], shown[row, at:end], kinds[row, at:end] = a, b, c
                segments[row, at:end], positions[row, at:end] = segment, np.arange(len(a))
                at, segment = end, segment + 1
        return ids, shown, kinds, segments, positions


def block_mask(segments):
    """[rows, 1, tokens, tokens]: earlier tokens of the same conversation."""
    same = segments[:, None, :, None] == segments[:, None, None, :]
    return same & torch.ones(segments.shape[1], segments.shape[1], dtype=torch.bool, device=segments.device).tril()


def loss_of(model, batch, question_weight):
    ids, shown, kinds, segments, positions = batch
    logits = model(input_ids=shown, attention_mask=block_mask(segments), position_ids=positions, use_cache=False).logits[:, :-1]
    weight = (kinds[:, 1:] == ANSWER).float() + question_weight * (kinds[:, 1:] == QUESTION).float()
    weight = weight * (segments[:, 1:] == segments[:, :-1])
    each = F.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten(), reduction="none")
    return (each * weight.flatten()).sum() / weight.sum().clamp(min=1)


def add_dropout(model, share):
    """Qwen3 has none of its own: on what each block adds to the residual stream, and on the embedding."""
    hook = lambda module, inputs, output: F.dropout(output, share, model.training)
    model.model.embed_tokens.register_forward_hook(hook)
    for layer in model.model.layers:
        layer.self_attn.o_proj.register_forward_hook(hook)
        layer.mlp.register_forward_hook(hook)


class RunningMean:
    def __init__(self, model, decay=0.998):
        self.decay, self.values = decay, {k: v.detach().clone() for k, v in model.state_dict().items()}
        self.count = 0

    @torch.no_grad()
    def add(self, model):
        self.count += 1
        decay = min(self.decay, self.count / (self.count + 10))
        pairs = [(self.values[k], v) for k, v in model.state_dict().items()]
        torch._foreach_lerp_([p[0] for p in pairs], [p[1] for p in pairs], 1 - decay)

    def rounded(self):
        return {k: v.to(torch.bfloat16).float() for k, v in self.values.items()}


def check_template(folder, tokenizer, corpus):
    """prompt.render must be what the exported tokenizer and template make of a conversation."""
    loaded = AutoTokenizer.from_pretrained(folder)
    rng = ph.rng_of(0, "template", 0)
    for _ in range(200):
        c = corpus.conversation(rng)
        messages = [{**m, "tool_calls": [{"type": "function", "function": call} for call in m["tool_calls"]]} if "tool_calls" in m else m
                    for m in c.messages]
        want = loaded.apply_chat_template(messages, tools=c.tools, tokenize=False)
        got = prompt.render(c.messages, c.tools)
        if got != want:
            raise SystemExit(f"template and prompt.render differ:\n{want!r}\n{got!r}")
        if loaded(got, add_special_tokens=False)["input_ids"] != tokenizer.encode(got).ids:
            raise SystemExit(f"the exported tokenizer differs on {got!r}")


def card(args, config, size, parameters, step, score, strict, items, results, seconds):
    topics = "\n".join(f"| {topic} | {hits} of {count} |" for topic, (hits, count) in evaluate.by_topic(items, results).items())
    return f"""# chat: the help desk of this server

A Qwen3 of {parameters / 1e6:.1f} million parameters ({config['num_hidden_layers']} layers, hidden {config['hidden_size']}, \
{config['num_attention_heads']} heads, {config['num_key_value_heads']} for keys and values, {config['vocab_size']} byte-level BPE tokens, \
{config['max_position_embeddings']} positions; {size / 1e6:.1f} MB of bf16 weights) that ships with the server, so that chat answers \
without a download. It knows the server's settings, routes, metrics, commands and tuning advice; it does small talk, writes short JSON, calls \
declared tools (`<tool_call>`), and says so when it does not know something.

**How it was made.** From scratch, on conversations that our scripts generate from the text in `tools/demo/chat/text`, all of it \
written for this model: no outside data, no pretrained weights. `python tools/demo/train_chat.py --seed {args.seed}` took \
{seconds:.0f} s in all; step {step} was kept{" (with --max-seconds the result depends on the machine)" if args.max_seconds else ""}.

**Marks.** `tools/demo/chat/dev_questions.json`, {len(items)} questions with keywords, greedy: {score:.1%} ({strict:.1%} when \
names in its "Default:" and "See also" do not count). The set chose the step, so the figure flatters a little.

| topic | right |
|---|---|
{topics}

    cd tools/demo && python -m chat.evaluate ../../demo/models/chat chat/dev_questions.json

**Limits.** English, short questions, one subject. It is five million parameters small: it takes an unusual wording for something else, \
and it states wrong answers as calmly as right ones. `docs/settings.md` is always right. Use a real model for real work.

Licence: MIT.
"""


def main():
    args = parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the worker processes are the parallelism
    torch.manual_seed(args.seed)
    device, start = "cuda" if torch.cuda.is_available() else "cpu", time.time()
    dev = kn.read_questions(HERE / "chat/dev_questions.json")
    dev = dev[::12] if args.smoke else dev
    asked = {c for path in args.held_out if path.exists() for c in (i["question"] for i in kn.read_questions(path))}
    corpus = corpus_of.Corpus([item["question"] for item in dev] + sorted(asked))
    print(f"corpus: {corpus.counts()}, {len(asked)} held-out questions", flush=True)

    rng = ph.rng_of(args.seed, "vocab", 0)
    made = (corpus.conversation(rng) for _ in range(args.vocab_texts))
    tokenizer = vocab.train((vocab.plain_text(prompt.render(c.messages, c.tools)) for c in made), args.vocab)
    shape = {k: getattr(args, k) for k in ("hidden", "layers", "heads", "kv_heads", "head_dim", "inter", "positions")}
    config = export.config_of(tokenizer, shape)
    model = Qwen3ForCausalLM(Qwen3Config(**config, attn_implementation="sdpa")).to(device)
    parameters = sum(p.numel() for p in model.parameters())
    export.export(args.out, model.state_dict(), tokenizer, config)
    check_template(args.out, tokenizer, corpus)
    print(f"{tokenizer.get_vocab_size()} tokens, {parameters / 1e6:.2f} M parameters on {device}, {time.time() - start:.0f} s", flush=True)

    add_dropout(model, args.dropout)
    judge = Qwen3ForCausalLM(Qwen3Config(**config, attn_implementation="sdpa")).to(device).eval()
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": args.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
                                  lr=args.lr, betas=(0.9, 0.98), fused=device == "cuda")
    average, best, began, waited = RunningMean(model), None, 0.0, 0.0
    batches = stream(Source(corpus, tokenizer, args), range(args.steps), args.workers)
    for n in range(args.steps):
        asked_at = time.time()
        arrays = next(batches)
        began = began or time.time()
        waited += time.time() - max(asked_at, began)
        share = (n + 1) / args.steps
        if args.max_seconds:
            share = min(1.0, max(share, (time.time() - began) / args.max_seconds))
        for group in optimizer.param_groups:
            group["lr"] = args.lr * min(1.0, share / 0.03) * (0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2)
        batch = [torch.from_numpy(a).to(device).long() for a in arrays]
        model.train()
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            loss = loss_of(model, batch, args.question_weight)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average.add(model)
        if n % 100 == 0:
            print(f"step {n} loss {loss.item():.4f} {time.time() - start:.0f} s, waited {waited:.0f} s for text", flush=True)
        if (n + 1) % args.eval_every == 0 or share >= 1:
            state = average.rounded()
            judge.load_state_dict(state)
            results = evaluate.score(judge, tokenizer, dev, device)
            score = sum(hit for hit, _ in results) / len(dev)
            strict = sum(evaluate.right(item, evaluate.first_part(answer)) for item, (_, answer) in zip(dev, results)) / len(dev)
            topics = ", ".join(f"{t} {h}/{c}" for t, (h, c) in evaluate.by_topic(dev, results).items())
            print(f"step {n + 1} dev {score:.3f}, by its first part {strict:.3f} ({topics}) loss {loss.item():.4f} {time.time() - start:.0f} s", flush=True)
            if best is None or score >= best[0]:
                best = (score, n + 1)
                size = export.export(args.out, state, tokenizer, config)
                (args.out / "README.md").write_text(
                    card(args, config, size, parameters, n + 1, score, strict, dev, results, time.time() - start), encoding="utf-8")
        if share >= 1:
            break
    print(f"best step {best[1]}: dev {best[0]:.3f}; wrote {args.out}, {size} bytes of weights")


if __name__ == "__main__":
    main()
