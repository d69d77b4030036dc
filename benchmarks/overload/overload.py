#!/usr/bin/env python3
"""What a server does when more is asked than it can do: goodput, refusals, kept deadlines and memory from half its capacity
to four times it.

    overload.py SIS [--what embeddings,chat] [--seconds 8] [--loads 0.5,1,2,4] [--svg FILE] [--json FILE] [--mock] [--smoke]

Starts `SIS serve` with the demo models (or with mocks, whose device time does not depend on what else the machine does),
finds its capacity with a closed loop of `SIS bench`, then offers multiples of it in an open loop (Poisson arrivals) to the same process. Statuses, latencies and refusal times are those the server logs for
each request, from the moment its request line was read; the bench's own figures stand beside them. Goodput is answers with
status 200 within the deadline. Standard library only.
"""
import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "tests" / "system"))
from sis_server import Server  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parent))
import plot  # noqa: E402

# Models that only pass time: with these the figures are those of the way in, whatever the machine does beside it.
MOCK = {"MOCK": "1", "MOCK_EMBED_US_PER_BATCH": "2000", "MOCK_EMBED_US_PER_TOKEN": "10", "MOCK_PREFILL_US_PER_TOKEN": "100",
        "MOCK_DECODE_US_PER_STEP": "5000", "MOCK_DECODE_US_PER_ROW": "500", "MOCK_JITTER": "0.1"}
# The server computes on one thread: on a small machine the generator needs the other core. Caches are off or never hit.
COMMON = {"CPU_THREADS": "1", "EMBEDDING_CACHE_SIZE": "0", "EMBEDDING_MAX_QUEUE_SIZE": "512", "EMBEDDING_BATCH_QUEUE_SIZE": "512",
          "CHAT_MAX_QUEUE_SIZE": "512", "CHAT_BATCH_QUEUE_SIZE": "512", "CHAT_QUEUE_MAX_WAIT_MS": "0", "LOG_LEVEL": "INFO"}
KINDS = {
    "embeddings": {"model": "embed", "event": "embedding_request", "deadline": 1.0, "closed": 24, "open": 4096,
                   "settings": {"EMBEDDING_GENERATE_TIMEOUT_SEC": "1"},
                   "bench": ["embeddings", "--lengths", "128", "--batch", "4", "--distinct"]},
    "chat": {"model": "chat", "event": "chat_request", "deadline": 3.0, "closed": 16, "open": 4096,
             "settings": {"CHAT_GENERATE_TIMEOUT_SEC": "3"},
             "bench": ["chat", "--prompt-tokens", "24", "--max-tokens", "48", "--ignore-eos", "--distinct", "--temperature", "0"]},
}


def quantile(values, fraction):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))] if ordered else None


def rss_mb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024


def bench(binary, server, model, kind, seconds, *load):
    command = [binary, *kind["bench"], "--base-url", f"http://127.0.0.1:{server.port}", "--models", model, "--duration", f"{seconds}s", "--json", "-",
               "--no-progress", *load]
    command.insert(1, "bench")
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=seconds + 120, check=False)
    try:
        return json.loads(done.stdout)["runs"][0]
    except (ValueError, KeyError, IndexError):
        sys.exit(f"{' '.join(command)}: {done.returncode} {done.stderr[-2000:]}")


def requests_logged(server, event, since):
    """The log lines of requests behind line `since`, once no more arrive."""
    seen = -1
    while seen != len(server.log):
        seen = len(server.log)
        time.sleep(0.3)
    lines = [json.loads(line) for line in server.log[since:] if f'"{event}"' in line]
    return [line for line in lines if line.get("message") == event]


def measure(binary, name, seconds, loads, mock):
    kind = KINDS[name]
    model = ("mock-" if mock else "demo/") + kind["model"]
    with Server(binary, {**COMMON, **kind["settings"], **(MOCK if mock else {"MODELS": model})}) as server:
        pid = server.process.pid
        bench(binary, server, model, kind, max(1.0, seconds / 4), "--concurrency", "4")  # page faults, first batches
        before = len(server.log)
        run = bench(binary, server, model, kind, seconds, "--concurrency", str(kind["closed"]))
        requests_logged(server, kind["event"], before)  # until its last lines are there
        capacity = run["requests_per_s"]  # answers within the sending time, by that time
        if capacity <= 0:
            sys.exit(f"{name} ({model}): the closed loop had no answer in time: {run.get('verdict_reason', run.get('verdict'))}")
        print(f"\n{name} ({model}): capacity {capacity:.1f} requests/s ({kind['closed']} at a time), deadline {kind['deadline']:g} s, "
              f"{rss_mb(pid):.0f} MiB")
        print("  load  offered/s  goodput/s  of capacity  refused/s  refusal p50/p99 ms   kept   late  answer p50/p99 ms   RSS MiB")
        rows = []
        for load in loads:
            before = len(server.log)
            run = bench(binary, server, model, kind, seconds, "--rate", f"{capacity * load:.2f}", "--arrivals", "poisson", "--concurrency",
                        str(kind["open"]))
            lines = requests_logged(server, kind["event"], before)
            limit_ms = kind["deadline"] * 1000
            good = [line["latency_ms"] for line in lines if line["status"] == 200 and line["latency_ms"] <= limit_ms]
            late = sum(1 for line in lines if line["status"] == 504 or line["status"] == 200 and line["latency_ms"] > limit_ms)
            refused = [line["latency_ms"] for line in lines if line["status"] == 429]
            other = sum(1 for line in lines if line["status"] not in (200, 429, 504))
            row = {"load": load, "offered_per_s": len(lines) / seconds, "goodput_per_s": len(good) / seconds,
                   "goodput_of_capacity": len(good) / seconds / capacity, "refused_per_s": len(refused) / seconds,
                   "refusal_p50_ms": quantile(refused, .5), "refusal_p99_ms": quantile(refused, .99),
                   "kept": len(good) / max(1, len(good) + late), "late": late, "other": other, "answer_p50_ms": quantile(good, .5),
                   "answer_p99_ms": quantile(good, .99), "rss_mib": rss_mb(pid), "bench_verdict": run.get("verdict"), "requests": len(lines)}
            rows.append(row)
            show = lambda a, b: "-" if a is None else f"{a:.2f}/{b:.2f}"  # noqa: E731
            print(f"  {load:4g}  {row['offered_per_s']:9.1f}  {row['goodput_per_s']:9.1f}  {100 * row['goodput_of_capacity']:10.1f}%"
                  f"  {row['refused_per_s']:9.1f}  {show(row['refusal_p50_ms'], row['refusal_p99_ms']):>18}  {100 * row['kept']:5.1f}%  {late:5d}"
                  f"  {show(row['answer_p50_ms'], row['answer_p99_ms']):>17}  {row['rss_mib']:8.0f}", flush=True)
        return {"what": f"{name} ({model})", "capacity_per_s": capacity, "deadline_s": kind["deadline"], "bench": " ".join(kind["bench"]), "rows": rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--what", default="embeddings,chat")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--loads", default="0.5,1,2,4")
    parser.add_argument("--svg")
    parser.add_argument("--json")
    parser.add_argument("--mock", action="store_true")
    parser.add_argument("--smoke", action="store_true", help="a second per load; fails where nothing is answered or refused")
    options = parser.parse_args()
    if options.smoke:
        # So much that it is too much even where the machine was busy while the capacity was found; a mock's is found too small,
        # since in a second few of its chats come to their end.
        options.seconds, options.loads = 1.0, "0.5,40" if options.mock else "0.5,12"
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # a connection for each request that waits, on both sides
    binary = str(Path(options.binary).resolve())
    loads = [float(load) for load in options.loads.split(",")]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True,
                            check=False).stdout.strip()
    machine = f"{os.cpu_count()} CPUs, {platform.machine()}, load {os.getloadavg()[0]:.1f}, commit {commit}"
    print(f"overload: {machine}, {options.seconds:g} s per load")
    results = [measure(binary, name, options.seconds, loads, options.mock) for name in options.what.split(",")]
    if options.json:
        Path(options.json).write_text(json.dumps({"machine": machine, "results": results}, indent=1) + "\n", encoding="utf-8")
    if options.svg:
        Path(options.svg).write_text(plot.svg(results, machine), encoding="utf-8")
    if options.smoke:
        for result in results:
            if not any(row["goodput_per_s"] > 0 for row in result["rows"]):
                sys.exit(f"{result['what']}: nothing was answered in time")
            if not result["rows"][-1]["refused_per_s"] > 0:
                sys.exit(f"{result['what']}: nothing was refused at {result['rows'][-1]['load']:g} times the capacity: {result['rows'][-1]}")
            if any(row["other"] for row in result["rows"]):
                sys.exit(f"{result['what']}: statuses other than 200, 429 and 504: {result['rows']}")
    peak = {result["what"]: max(row["goodput_per_s"] for row in result["rows"]) for result in results}
    for result in results:
        last = result["rows"][-1]
        print(f"{result['what']}: goodput at {last['load']:g}x is {100 * last['goodput_per_s'] / max(1e-9, peak[result['what']]):.1f} % of its "
              f"peak, memory {last['rss_mib'] - result['rows'][0]['rss_mib']:+.0f} MiB over the run")


if __name__ == "__main__":
    main()
