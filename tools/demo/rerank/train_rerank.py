#!/usr/bin/env python3
"""Trains the small cross-encoder of demo/models/rerank on the pairs that the embedding model was trained on.

  train_rerank.py [--teacher FOLDER...] [--out FOLDER] [--seed N --steps N ...]

Every batch of generated text (../embed_batches.py) is first ranked by the teachers, encoders of
train_embed.py: a query's candidates are the right text, the wrong ones that the teachers like best
(written decoys among them) and a few at random. The cross-encoder learns which one is right and, with
--teach, how near the teachers find the others:

  loss = (1 - teach) * CE(right one) + teach * KL(softmax(teacher similarities / T) || softmax(logits))
         + 0.1 * BCE(sigmoid(logit), right or wrong), so that a logit above 0 means "fits"

Each batch is used twice, the second time with the sides changed.

Word embeddings start as the first teacher's, on their main directions. The step with the best nDCG on
the development queries is kept.
"""
import argparse
import json
import math
import multiprocessing
import os
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import BertConfig, BertForSequenceClassification, BertModel

import embed_batches
import embed_lexicon
from embed_export import write_json
from train_embed import PAD, REPO, RunningMean, banned_sentences, drop_words, embed_by_length, stream, token_rows

DEV = HERE.parent / "dev_queries.json"


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--teacher", type=pathlib.Path, nargs="+", default=[REPO / "demo/models/embed"],
                        help="encoders with one and the same tokenizer")
    parser.add_argument("--out", type=pathlib.Path, default=REPO / "demo/models/rerank")
    parser.add_argument("--held-out", type=pathlib.Path, action="append",
                        default=[REPO / "tests/golden/embed_queries.json"], help="sentences that must not be trained on")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--inter", type=int, default=256)
    parser.add_argument("--steps", type=int, default=1850)
    parser.add_argument("--batch", type=int, default=1024, help="queries a step")
    parser.add_argument("--hard", type=int, default=5, help="candidates that the teachers like")
    parser.add_argument("--random", type=int, default=2, help="candidates at random")
    parser.add_argument("--teach", type=float, default=0.4)
    parser.add_argument("--temperature", type=float, default=0.05)
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--dropout", type=float, default=0.05)
    parser.add_argument("--word-drop", type=float, default=0.06)
    parser.add_argument("--eval-every", type=int, default=250)
    parser.add_argument("--max-seconds", type=float, default=0,
                        help="let the learning rate reach its end by this time (then the result depends on the machine)")
    parser.add_argument("--workers", type=int, default=multiprocessing.cpu_count())
    return parser.parse_args()


class Source:
    """Batch n: token rows of queries, right texts and decoys; how many queries; clashing pairs of them."""

    def __init__(self, corpus, tokenizer, args):
        self.corpus, self.tokenizer, self.args = corpus, tokenizer, args

    def __call__(self, n):
        rng = embed_batches.rng_of(self.args.seed, "rerank", n)
        limit, items = 40, None
        if n % 12 == 11:  # long inputs keep all 512 positions meaningful
            limit = rng.choice((64, 128, 250))
            items = self.corpus.long_pairs(rng, max(16, self.args.batch * 12 // limit), limit * 2 // 3)
        items = items or self.corpus.pairs(rng, self.args.batch)
        texts = [a for _, a, _ in items] + [b for _, _, b in items]
        texts += self.corpus.decoys(rng, items, len(items) * 3 // 4)
        clashes = self.corpus.clashes([key for key, _, _ in items])
        return token_rows(self.tokenizer, texts, limit), len(items), np.array(clashes, dtype=np.int64).reshape(-1, 2)


def pair_rows(left, right):
    """[CLS] left [SEP] right [SEP] of each two rows: ids and token types."""
    left_len, right_len = (left != PAD).sum(1, keepdim=True), (right != PAD).sum(1, keepdim=True) - 1
    at = torch.arange(int((left_len + right_len).max()), device=left.device).expand(len(left), -1)
    second = (at >= left_len) & (at < left_len + right_len)
    ids = torch.where(second, right.gather(1, (at - left_len + 1).clamp(0, right.shape[1] - 1)),
                      left.gather(1, at.clamp(max=left.shape[1] - 1)))
    return ids.masked_fill(at >= left_len + right_len, PAD), second.long()


def logits_of(model, left, right, word_drop=0.0, generator=None, parts=6):
    """One logit a pair; pairs of like length together, since most of a batch would be padding."""
    lengths = (left != PAD).sum(1) + (right != PAD).sum(1)
    order, out = lengths.argsort(), []
    for part in order.chunk(parts):
        ids, types = pair_rows(left[part], right[part])
        mask = (ids != PAD).long()
        if word_drop:
            ids = drop_words(ids, word_drop, generator)
        out.append(model(input_ids=ids, token_type_ids=types, attention_mask=mask).logits[:, 0])
    return torch.cat(out)[order.argsort()].float()


def candidates(similar, clashes, hard, others):
    """Columns for each row of `similar` (right one on the diagonal) and which of them may count as
    wrong: the right one first, `hard` of the most similar others, some at random."""
    rows = torch.arange(len(similar), device=similar.device)
    wrong = similar.clone()
    wrong[rows, rows] = -2
    wrong[clashes[:, 0], clashes[:, 1]] = -2
    top = wrong.topk(min(3 * hard, wrong.shape[1])).indices
    top = top.gather(1, torch.rand(top.shape, device=top.device).topk(hard).indices)
    chance = torch.rand_like(wrong).topk(others).indices
    columns = torch.cat([rows[:, None], top, chance], 1)
    counts = wrong.gather(1, columns) > -2
    counts[:, 0] = True
    return columns, counts


def loss_of(logits, similar, counts, args):
    """The right one is in column 0; columns that do not count are no candidates."""
    ranked = F.log_softmax(logits.masked_fill(~counts, -1e4), 1)
    wanted = F.log_softmax((similar / args.temperature).masked_fill(~counts, -1e4), 1)
    sign = torch.ones(logits.shape[1], device=logits.device)
    sign[0] = -1
    return ((1 - args.teach) * -ranked[:, 0].mean() +
            args.teach * F.kl_div(ranked, wanted, log_target=True, reduction="batchmean") +
            0.1 * F.softplus(sign * logits).mean())


def dev_ndcg(model, tokenizer, items, device):
    """Mean of 1 / log2(1 + place of the right candidate), 0 past the tenth; and the share of firsts."""
    texts = list(dict.fromkeys(t for it in items for t in [it["query"], *it["candidates"]]))
    row = {text: i for i, text in enumerate(texts)}
    ids = torch.from_numpy(token_rows(tokenizer, texts, 250)).to(device).long()
    left = ids[[row[it["query"]] for it in items for _ in it["candidates"]]]
    right = ids[[row[c] for it in items for c in it["candidates"]]]
    with torch.no_grad():
        logits = logits_of(model.to(device).eval(), left, right).view(len(items), -1)
    answers = torch.tensor([it["answer"] for it in items], device=device)[:, None]
    places = (logits > logits.gather(1, answers)).sum(1) + 1
    gains = torch.where(places <= 10, 1 / torch.log2(1 + places.float()), 0.0)
    return gains.mean().item(), (places == 1).float().mean().item()


def start_model(args, teacher, vocab_size):
    config = BertConfig(
        vocab_size=vocab_size, hidden_size=args.hidden, num_hidden_layers=args.layers, num_attention_heads=args.heads,
        intermediate_size=args.inter, max_position_embeddings=512, hidden_dropout_prob=args.dropout,
        attention_probs_dropout_prob=0.0, num_labels=1, pad_token_id=PAD,
        attn_implementation="eager")  # sdpa prepares a kernel anew for each new width
    model = BertForSequenceClassification(config)
    words = teacher.embeddings.word_embeddings.weight.detach().float().cpu()
    words = words - words.mean(0)
    directions = torch.linalg.svd(words, full_matrices=False).Vh[:args.hidden]
    near = words @ directions.T
    with torch.no_grad():
        model.bert.embeddings.word_embeddings.weight.copy_(near * (0.05 / near.std()))
    return model


class Average(RunningMean):
    def rounded_copy(self, config):
        copy = BertForSequenceClassification(config)
        copy.load_state_dict({k: v.to(torch.bfloat16).float() if v.dtype.is_floating_point else v
                              for k, v in self.values.items()})
        return copy.eval()


def export(folder, model, tokenizer):
    folder.mkdir(parents=True, exist_ok=True)
    config = model.config
    write_json(folder / "config.json", {
        "architectures": ["BertForSequenceClassification"], "model_type": "bert", "dtype": "bfloat16",
        "attention_probs_dropout_prob": 0.0, "classifier_dropout": 0.0, "hidden_act": "gelu", "hidden_dropout_prob": 0.0,
        "hidden_size": config.hidden_size, "id2label": {"0": "relevance"}, "initializer_range": 0.02,
        "intermediate_size": config.intermediate_size, "label2id": {"relevance": 0}, "layer_norm_eps": 1e-12,
        "max_position_embeddings": config.max_position_embeddings, "num_attention_heads": config.num_attention_heads,
        "num_hidden_layers": config.num_hidden_layers, "pad_token_id": PAD, "position_embedding_type": "absolute",
        "type_vocab_size": 2, "use_cache": False, "vocab_size": config.vocab_size,
        "sbert_ce_default_activation_function": "torch.nn.modules.activation.Sigmoid"})
    save_file({name: t.detach().to("cpu", torch.bfloat16).contiguous() for name, t in model.state_dict().items()
               if "position_ids" not in name}, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    marks = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]"}
    write_json(folder / "special_tokens_map.json", marks)
    write_json(folder / "tokenizer_config.json", {
        **marks, "tokenizer_class": "BertTokenizer", "do_lower_case": True, "tokenize_chinese_chars": True,
        "strip_accents": None, "model_max_length": 512, "clean_up_tokenization_spaces": True})
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def main():
    args = parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the worker processes are the parallelism
    torch.manual_seed(args.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    start = time.time()
    dev = json.loads(DEV.read_text(encoding="utf-8"))
    corpus = embed_batches.Corpus(embed_lexicon.load(), banned_sentences([DEV, *args.held_out]))
    tokenizer = Tokenizer.from_file(str(args.teacher[0] / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    teachers = [BertModel.from_pretrained(t, add_pooling_layer=False, attn_implementation="eager",
                                          dtype=torch.float32).to(device).eval()
                for t in args.teacher]
    model = start_model(args, teachers[0], tokenizer.get_vocab_size()).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.01, betas=(0.9, 0.98),
                                  fused=device == "cuda")
    generator = torch.Generator(device=device).manual_seed(args.seed)
    print(f"{len(teachers)} teachers, {sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters on {device}, "
          f"{time.time() - start:.0f} s", flush=True)

    average, best, began = Average(model), None, 0.0
    for n, (ids, count, clashes) in enumerate(stream(Source(corpus, tokenizer, args), range(args.steps), args.workers)):
        began = began or time.time()
        share = (n + 1) / args.steps
        if args.max_seconds:
            share = min(1.0, max(share, (time.time() - began) / args.max_seconds))
        for group in optimizer.param_groups:
            group["lr"] = args.lr * min(1.0, share / 0.04) * (0.02 + 0.98 * (1 + math.cos(math.pi * share)) / 2)
        ids, clashes = (torch.from_numpy(x).to(device).long() for x in (ids, clashes))
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"), torch.no_grad():
            known = torch.cat([embed_by_length(t, ids).float() for t in teachers], 1) / math.sqrt(len(teachers))
        # Then the sides change places: a document looks for its query.
        for asked, offered in ((slice(0, count), slice(count, None)), (slice(count, 2 * count), slice(0, count))):
            similar = (known[asked] @ known[offered].T).float()
            columns, counts = candidates(similar, clashes, args.hard, args.random)
            left, right = ids[asked].repeat_interleave(columns.shape[1], 0), ids[offered][columns.flatten()]
            with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
                logits = logits_of(model, left, right, args.word_drop, generator).view(columns.shape)
            loss = loss_of(logits, similar.gather(1, columns), counts, args)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        average.add(model)
        if (n + 1) % args.eval_every == 0 or share >= 1:
            candidate = average.rounded_copy(model.config)
            score = dev_ndcg(candidate, tokenizer, dev, device)
            print(f"step {n + 1} loss {loss.item():.3f} dev nDCG@10 {score[0]:.4f} top-1 {score[1]:.3f} "
                  f"{time.time() - start:.0f} s", flush=True)
            if best is None or score >= best[0]:
                best = (score, n + 1)
                size = export(args.out, candidate, tokenizer)
        if share >= 1:
            break
    print(f"best step {best[1]}: dev nDCG@10 {best[0][0]:.4f}; wrote {args.out}, {size} bytes")


if __name__ == "__main__":
    main()
