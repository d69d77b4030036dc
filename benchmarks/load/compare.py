#!/usr/bin/env python3
"""Speed of load generators in one run: requests/s from one core, against a server that answers at once from another.

    compare.py SIS_BINARY TRUTH_SERVER_BINARY [--seconds 3] [--rounds 3] [--connections 32] [--tools sis,wrk] [--json FILE] [--smoke]

Every round runs every tool once, so that a slow minute of the machine hits all of them. Reported is the median over the rounds.
With --json the rounds are added to those already in FILE. Tools that are not installed are named and left out.
"""
import argparse
import json
import statistics
import sys
from pathlib import Path

from load_tools import Ab, H2load, Hey, K6, Locust, Sis, TruthServer, Wrk

OPEN_RATE = 50000
WANTED = {"wrk": 0.8, "k6": 4, "locust HttpUser": 20}  # times the tool's closed-loop rate


def server_cpu_seconds(server):
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def measure(tool, server, load):
    before = server_cpu_seconds(server)
    figures = tool.run(server.url(), load)
    figures["server_cpu_share"] = (server_cpu_seconds(server) - before) / load["seconds"]
    return figures


def median(rows, key):
    values = [row[key] for row in rows if row.get(key) is not None]
    return statistics.median(values) if values else None


def shown(value, digits=3):
    return "-" if value is None else f"{value:,.0f}" if value >= 1000 else f"{value:.{digits}g}"


def report(document):
    sis = median(document["closed"]["sis"], "requests_per_s")
    lines = ["| Tool | Version | Requests/s | sis / tool | CPU us/request | p50 ms | p99 ms | Server's core |", "|---|---|---|---|---|---|---|---|"]
    for name, rows in document["closed"].items():
        rate = median(rows, "requests_per_s")
        lines.append(f"| {name} | {document['versions'][name]} | {shown(rate)} | {shown(sis / rate)} | "
                     f"{shown(median(rows, 'cpu_us_per_request'))} | {shown(median(rows, 'p50_ms'))} | {shown(median(rows, 'p99_ms'))} | "
                     f"{median(rows, 'server_cpu_share'):.0%} |")
    for row_name, rows in document["open"].items():
        lines += ["", f"{row_name}, open loop, {OPEN_RATE:,} requests/s wanted: {shown(median(rows, 'requests_per_s'))} sent and answered, "
                  f"send-time error p99 {median(rows, 'late_p99_ms') * 1e3:.1f} us (best {min(r['late_p99_ms'] for r in rows) * 1e3:.1f}, "
                  f"worst {max(r['late_p99_ms'] for r in rows) * 1e3:.1f}), latency p50 {shown(median(rows, 'p50_ms'))} ms, "
                  f"p99 {shown(median(rows, 'p99_ms'))} ms; {len(rows)} rounds"]
    return "\n".join(lines)


def misses(document):
    sis = median(document["closed"]["sis"], "requests_per_s")
    out = [f"{sis / median(document['closed'][name], 'requests_per_s'):.2f} x {name}, wanted {factor}"
           for name, factor in WANTED.items()
           if name in document["closed"] and sis < factor * median(document["closed"][name], "requests_per_s")]
    late = median(document["open"]["sis"], "late_p99_ms") if document["open"].get("sis") else 0
    return out + ([f"open loop: send-time error p99 {late * 1e3:.0f} us, wanted 100"] if late > 0.1 else [])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sis")
    parser.add_argument("server")
    parser.add_argument("--seconds", type=int, default=3, help="of each run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--tools", default="", help="only these, by name")
    parser.add_argument("--json", help="rounds so far; this run adds its own")
    parser.add_argument("--smoke", action="store_true", help="a second each of sis, and wrk if it is there; no judgement")
    options = parser.parse_args()
    if options.smoke:
        options.seconds, options.rounds, options.tools = 1, 1, options.tools or "sis,wrk"
    wanted = [name for name in options.tools.split(",") if name]
    tools = [Sis(options.sis), Wrk(), Hey(), Ab(), H2load(), K6(), Locust(), Locust("FastHttpUser")]
    tools = [tool for tool in tools if not wanted or tool.name in wanted]
    for tool in tools:
        if tool.program is None:
            print(f"left out: {tool.name} ({tool.missing})")
    tools = [tool for tool in tools if tool.program is not None]

    document = {"closed": {}, "open": {}, "versions": {}}
    if options.json and Path(options.json).exists():
        document = json.loads(Path(options.json).read_text())
    load = {"seconds": options.seconds, "connections": options.connections}
    with TruthServer(options.server, kernel_times=False) as server:
        for _ in range(options.rounds):
            for tool in tools:
                document["versions"][tool.name] = tool.version()
                document["closed"].setdefault(tool.name, []).append(measure(tool, server, load))
            if any(tool.name == "sis" for tool in tools):
                document["open"].setdefault("sis", []).append(
                    measure(Sis(options.sis), server, {"seconds": options.seconds, "connections": 64, "rate": OPEN_RATE}))
    if options.json:
        Path(options.json).write_text(json.dumps(document, indent=1) + "\n")
    print(report(document))
    faults = [] if options.smoke else misses(document)
    for fault in faults:
        print(f"MISSED: {fault}")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
