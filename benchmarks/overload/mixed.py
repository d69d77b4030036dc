#!/usr/bin/env python3
"""What kinds of load do to each other on one server: streams of chats, long prompts, bursts of embeddings and long batches of
them, each alone and then all together.

    mixed.py SIS [--mock] [--load 0.7] [--seconds 12] [--smoke] [--json FILE]

Finds the capacity of each kind alone with a closed loop, then offers --load times the shares in KINDS of it in an open
loop (Poisson): each kind alone, then the kinds of each model together (unmixed), then all at once. Prints the 99th percentile of
embeddings' latency, of chats' inter-token latency and so on, and how many times its value alone and unmixed it
becomes. Standard library only.
"""
import argparse
import json
import os
import platform
import subprocess
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "tests" / "system"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
from overload import COMMON, MOCK  # noqa: E402
from sis_server import Server  # noqa: E402

# Share of the load, what `sis bench` sends, how many at a time when the capacity is looked for, the figure that is shown.
KINDS = {
    "chat streams": {"share": .35, "model": "chat", "closed": 8, "figure": "itl_ms",
                     "bench": ["chat", "--prompt-tokens", "24", "--max-tokens", "64", "--ignore-eos", "--distinct", "--temperature", "0"]},
    "long prompts": {"share": .15, "model": "chat", "closed": 4, "figure": "ttft_ms",
                     "bench": ["chat", "--prompt-tokens", "LONG", "--max-tokens", "4", "--ignore-eos", "--distinct", "--temperature", "0"]},
    "embeddings": {"share": .3, "model": "embed", "closed": 16, "figure": "latency_ms",
                   "bench": ["embeddings", "--lengths", "24", "--distinct"]},
    "long batches": {"share": .2, "model": "embed", "closed": 4, "figure": "latency_ms",
                     "bench": ["embeddings", "--lengths", "128", "--batch", "32", "--distinct"]},
}


def command(binary, server, name, options, seconds, *load):
    kind = KINDS[name]
    words = str(450 if options.mock else 350)  # about 2,000 tokens of the mock, 900 of the demo model, whose context is 1024
    return [binary, "bench", *(words if word == "LONG" else word for word in kind["bench"]), "--base-url", f"http://127.0.0.1:{server.port}",
            "--models", ("mock-" if options.mock else "demo/") + kind["model"], "--duration", f"{seconds}s", "--json", "-", "--no-progress", *load]


def run(words, results, name):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    try:
        results[name] = json.loads(done.stdout)["runs"][0]
    except (ValueError, KeyError, IndexError):
        results[name] = None
        print(f"{' '.join(words)}: {done.returncode} {done.stderr[-1000:]}", file=sys.stderr)


def offer(binary, server, names, rates, options):
    results = {}
    threads = [threading.Thread(target=run, args=(command(binary, server, name, options, options.seconds, "--rate", f"{rates[name]:.3f}", "--arrivals",
                                                          "poisson", "--concurrency", "512"), results, name)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if None in results.values():
        sys.exit("a run gave no figures")
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--mock", action="store_true")
    parser.add_argument("--load", type=float, default=0.7)
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--json")
    parser.add_argument("--smoke", action="store_true", help="short; fails where something is not answered")
    options = parser.parse_args()
    if options.smoke:
        options.seconds = 1.5
    binary = str(Path(options.binary).resolve())
    settings = {**COMMON, "CHAT_BATCH_MAX_SIZE": "32", **(MOCK if options.mock else {})}
    with Server(binary, settings) as server:
        rates, found = {}, {}
        for name, kind in KINDS.items():
            run(command(binary, server, name, options, max(1.0, options.seconds / 3), "--concurrency", str(kind["closed"]), "--warmup", "4"), found, name)
            rates[name] = found[name]["requests_per_s"] * kind["share"] * options.load
        alone, unmixed = {}, {}
        for name in KINDS:
            alone.update(offer(binary, server, [name], rates, options))
        for model in ("chat", "embed"):
            unmixed.update(offer(binary, server, [name for name in KINDS if KINDS[name]["model"] == model], rates, options))
        mixed = offer(binary, server, list(KINDS), rates, options)
    print(f"mixed load: {os.cpu_count()} CPUs, {platform.machine()}, load {os.getloadavg()[0]:.1f}, {'mock' if options.mock else 'demo'} models, "
          f"{100 * options.load:g} % of capacity, {options.seconds:g} s each; 99th percentiles in ms")
    print("  kind          capacity/s  offered/s  figure         alone   unmixed     mixed  of alone  of unmixed  failed")
    rows = []
    for name, kind in KINDS.items():
        of = {"alone": alone[name], "unmixed": unmixed[name], "mixed": mixed[name]}
        row = {"kind": name, "capacity_per_s": found[name]["requests_per_s"], "rate_per_s": rates[name], "figure": kind["figure"],
               **{f"{key}_p99_ms": run[kind["figure"]]["p99"] for key, run in of.items()},
               **{f"{key}_p50_ms": run[kind["figure"]]["p50"] for key, run in of.items()}, "failed": sum(run["failures"] for run in of.values())}
        rows.append(row)
        print(f"  {name:<12}  {row['capacity_per_s']:10.1f}  {row['rate_per_s']:9.2f}  {row['figure']:<10}  {row['alone_p99_ms']:8.2f}  {row['unmixed_p99_ms']:8.2f}"
              f"  {row['mixed_p99_ms']:8.2f}  {row['mixed_p99_ms'] / max(1e-9, row['alone_p99_ms']):8.2f}  {row['mixed_p99_ms'] / max(1e-9, row['unmixed_p99_ms']):10.2f}"
              f"  {row['failed']:6d}")
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    if options.smoke and any(row["failed"] for row in rows):
        sys.exit("not everything was answered")


if __name__ == "__main__":
    main()
