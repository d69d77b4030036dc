#!/usr/bin/env python3
"""What sleeping adds to reported latencies: with and without --spin, beyond what the server's own log says.

    spin.py SIS_BINARY TRUTH_SERVER_BINARY [--rate 2000] [--seconds 3] [--rounds 2]
"""
import argparse

from load_tools import TruthServer
from truth_tools import bench, known_figures, sojourns_ms

FIGURES = ("mean", "p50", "p90", "p99", "p99_9")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sis")
    parser.add_argument("server")
    parser.add_argument("--rate", type=int, default=2000)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    print("| Generator | mean us | p50 us | p90 us | p99 us | p99.9 us | sends late, p99 us |\n|---|---|---|---|---|---|---|")
    with TruthServer(options.server) as server:
        for number in range(options.rounds):
            for name, flags in (("sleeps", []), ("`--spin`", ["--spin"])):
                segment = f"fixed,ms=2,sigma=0.3,run={number}{len(flags)}"
                run = bench(options.sis, "http", server.url(segment), "--rate", options.rate, "--duration", f"{options.seconds}s",
                            "--concurrency", 64, *flags)
                known = known_figures(sojourns_ms(server.log(segment)))
                added = [f"{(run['latency_ms'][figure] - known[figure]) * 1e3:+.0f}" for figure in FIGURES]
                print(f"| {name} | {' | '.join(added)} | {run['late_ms']['p99'] * 1e3:.1f} |", flush=True)


if __name__ == "__main__":
    main()
