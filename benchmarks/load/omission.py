#!/usr/bin/env python3
"""What load generators say of a server that stops for one second in every ten.

    omission.py SIS_BINARY TRUTH_SERVER_BINARY [--tools sis,wrk] [--json FILE]

1,000 requests/s are to be sent for 25 s, by 10 users where the tool has users; without the stalls a request takes 5 ms. Someone who
comes at a moment that does not depend on the server meets a stall with a chance of 2 s in 25 s and then waits evenly from 0 to 1 s:
the truth is p99 = 1 s * (0.99 - 0.92) / 0.08 = 875 ms and p99.9 = 987.5 ms. A closed loop sends nothing while its users wait, so
that few requests meet a stall. An open loop with few connections has the truth of its few connections to tell: what fell due in the
stall is then sent by and by, and each of these requests waits for those before it too.
"""
import argparse
import json
import sys
from pathlib import Path

from load_tools import Hey, K6, Locust, Sis, TruthServer, Wrk

SECONDS, RATE, USERS = 25, 1000, 10
ENOUGH = 1100  # connections for all that falls due in a stall
EVERY_MS, STALL_MS, FIXED_MS = 10000, 1000, 5
SHARE = SECONDS * 1000 // EVERY_MS * STALL_MS / (SECONDS * 1000)


def truth_ms(q):
    return FIXED_MS if q <= 1 - SHARE else STALL_MS * (q - (1 - SHARE)) / SHARE


def ways(sis):
    """(name, tool, load): how each is told to send what is wanted, as near as it can."""
    users = {"seconds": SECONDS, "connections": USERS}
    rate = {**users, "rate": RATE}
    return [
        ("sis --rate", Sis(sis), {**rate, "connections": ENOUGH}),
        ("sis --rate, 10 connections", Sis(sis), rate),
        ("sis, closed", Sis(sis), users),
        ("wrk", Wrk(), users),
        ("hey", Hey(), {**users, "every_answer": True}),
        ("hey -q", Hey(), {**rate, "every_answer": True}),
        ("k6 constant-arrival-rate, 10 VUs", K6(), rate),
        ("k6 constant-arrival-rate, 1100 VUs", K6(), {**rate, "connections": ENOUGH}),
        ("locust constant_throughput", Locust("FastHttpUser"), rate),
    ]


def report(rows):
    lines = ["| Tool | Requests/s | p50 ms | p99 ms | p99.9 ms | Remarks |", "|---|---|---|---|---|---|",
             f"| **the truth** | {RATE} | {FIXED_MS} | {truth_ms(0.99):.1f} | {truth_ms(0.999):.1f} | |"]
    for name, row in rows.items():
        remarks = []
        if row.get("service_p99_ms") is not None:
            remarks.append(f"service time, from the actual send: p99 {row['service_p99_ms']:.2f}, p99.9 {row['service_p99_9_ms']:.2f}")
        if row.get("verdict"):
            remarks.append(f"verdict: {row['verdict']}")
        if row.get("dropped"):
            remarks.append(f"{row['dropped']:.0f} iterations dropped")
        shown = [f"{row[key]:.4g}" if row.get(key) is not None else "-" for key in ("p50_ms", "p99_ms", "p99_9_ms")]
        lines.append(f"| {name} | {row['requests_per_s']:.0f} | {' | '.join(shown)} | {'; '.join(remarks)} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sis")
    parser.add_argument("server")
    parser.add_argument("--tools", default="", help="only these rows, by name")
    parser.add_argument("--json", help="rows so far; this run adds its own")
    options = parser.parse_args()
    wanted = [name for name in options.tools.split(",") if name]
    rows = {}
    if options.json and Path(options.json).exists():
        rows = json.loads(Path(options.json).read_text())
    with TruthServer(options.server) as server:
        for name, tool, load in ways(options.sis):
            if wanted and name.replace(",", "") not in wanted:
                continue
            if tool.program is None:
                print(f"left out: {name} ({tool.missing})")
                continue
            segment = f"stall,every={EVERY_MS},length={STALL_MS},ms={FIXED_MS},run={name.replace(' ', '-').replace(',', '')}"
            rows[name] = tool.run(server.url(segment), load)
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")
    print(report(rows))
    row = rows.get("sis --rate")
    if row and not all(abs(row[f"{name}_ms"] / truth_ms(q) - 1) < 0.02 for name, q in (("p99", 0.99), ("p99_9", 0.999))):
        sys.exit("sis: p99 or p99.9 is more than 2 % off the truth")


if __name__ == "__main__":
    main()
