#!/usr/bin/env python3
"""Sends many requests to `sis serve --mock` and says how its memory drifts after warm-up. Standard library only.

usage: soak.py SIS_BINARY [--requests 1000000] [--concurrency 16] [--chat-share 0.2]

The load comes from `sis bench`, in rounds of embeddings and chats; the server's resident memory is read after each
round. The first fifth of the rounds is warm-up. Prints one line a round and the drift of the rest: the slope of a
straight line through its points, in KiB per 1000 requests and in all. Ends with 1 when requests failed or the drift
over the whole run exceeds --drift-mib.
"""
import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def resident_kib(pid):
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0])


def start_server(binary):
    folder = tempfile.mkdtemp()
    environment = {**os.environ, "PORT": "0", "HOST": "127.0.0.1", "EMBEDDING_CACHE_SIZE": "0", "LOG_LEVEL": "WARNING",
                   "CHAT_BATCH_QUEUE_SIZE": "1024", "EMBEDDING_BATCH_QUEUE_SIZE": "1024", "CHAT_QUEUE_MAX_WAIT_MS": "0"}
    process = subprocess.Popen([binary, "serve", "--mock"], cwd=folder, env=environment,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        found = re.search(r"sis \S+ on https?://\S+?:(\d+)", line)
        if found:
            return process, int(found.group(1))
    sys.exit("soak: the server did not start")


def bench(binary, kind, port, requests, concurrency):
    """Returns how many requests succeeded."""
    flags = ["--base-url", f"http://127.0.0.1:{port}", "--n-requests", str(requests), "--concurrency", str(concurrency)]
    flags += ["--model-name", "mock-chat", "--max-tokens", "8"] if kind == "chat" else ["--model-name", "mock-embed"]
    run = subprocess.run([binary, "bench", kind, *flags, "--distinct", "--lengths", "8", "--no-progress", "--json", "-"],
                         capture_output=True, text=True)
    found = re.search(r'"successes":\s*(\d+)', run.stdout)
    if not found:
        sys.exit(f"soak: sis bench {kind} said nothing of successes:\n{run.stdout}\n{run.stderr}")
    return int(found.group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--chat-share", type=float, default=0.2)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--drift-mib", type=float, default=16)
    options = parser.parse_args()
    binary = str(Path(options.binary).resolve())
    print(f"soak: {options.requests} requests, {options.concurrency} at a time, {options.chat_share:.0%} chats, "
          f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores")
    server, port = start_server(binary)
    points, failed, sent = [], 0, 0
    begin = time.monotonic()
    try:
        for number in range(options.rounds):
            share = options.requests // options.rounds
            chats = int(share * options.chat_share)
            for kind, count in (("embeddings", share - chats), ("chat", chats)):
                if count:
                    failed += count - bench(binary, kind, port, count, options.concurrency)
            sent += share
            points.append((sent, resident_kib(server.pid)))
            print(f"round {number + 1}: {sent} requests, {points[-1][1] / 1024:.1f} MiB, {failed} failed, "
                  f"{sent / (time.monotonic() - begin):.0f} requests/s", flush=True)
    finally:
        server.terminate()
        server.wait(30)
    kept = points[len(points) // 5:]
    mean_x = sum(x for x, _ in kept) / len(kept)
    mean_y = sum(y for _, y in kept) / len(kept)
    spread = sum((x - mean_x) ** 2 for x, _ in kept)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in kept) / spread if spread else 0
    drift_mib = slope * (kept[-1][0] - kept[0][0]) / 1024
    print(f"after warm-up: {slope * 1000:.2f} KiB per 1000 requests, {drift_mib:.2f} MiB over "
          f"{kept[-1][0] - kept[0][0]} requests; {failed} failed")
    return 1 if failed or drift_mib > options.drift_mib else 0


if __name__ == "__main__":
    sys.exit(main())
