#!/usr/bin/env python3
"""Memory of the generator over ten million requests: resident set after every million answers.

    memory.py SIS_BINARY TRUTH_SERVER_BINARY [--requests 10000000] [--every 1000000] [--growth-kib 1024]

Fails when the last reading is more than --growth-kib above the second: the first million may fill buffers and touch counters of
histograms, everything after that must fit into what is there.
"""
import argparse
import http.client
import subprocess
import sys
import time
from pathlib import Path

from load_tools import TruthServer, cores, first_in_line


def resident_kib(pid):
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])
    except (OSError, IndexError):  # it has ended
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sis")
    parser.add_argument("server")
    parser.add_argument("--requests", type=int, default=10_000_000)
    parser.add_argument("--every", type=int, default=1_000_000)
    parser.add_argument("--growth-kib", type=int, default=1024)
    parser.add_argument("--pipeline", type=int, default=8)
    options = parser.parse_args()
    with TruthServer(options.server, kernel_times=False) as server:
        pinned = ["taskset", "-c", str(cores()[0])] if cores()[0] != cores()[1] else []
        process = subprocess.Popen(
            [*pinned, options.sis, "bench", "http", server.url(), "--n-requests", str(options.requests), "--concurrency", "64",
             "--pipeline", str(options.pipeline), "--no-progress"], preexec_fn=first_in_line, stdout=subprocess.PIPE, text=True)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        readings, due = [], options.every
        while process.poll() is None:
            connection.request("GET", "/served")
            served, now = int(connection.getresponse().read()), resident_kib(process.pid)
            if served >= due and now is not None and served < options.requests:
                readings.append(now)
                print(f"{served:>12,} answers  {now:>8,} KiB", flush=True)
                due = served - served % options.every + options.every
            time.sleep(0.01)
        text = process.stdout.read()
    print(text, end="")
    if process.returncode != 0 or len(readings) < 4:
        sys.exit(f"want an orderly run of at least four readings, got exit {process.returncode} and {len(readings)} readings")
    growth = readings[-1] - readings[1]
    print(f"growth from the second to the last reading: {growth} KiB, allowed {options.growth_kib}")
    sys.exit(1 if growth > options.growth_kib else 0)


if __name__ == "__main__":
    main()
