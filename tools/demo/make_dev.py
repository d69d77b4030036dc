#!/usr/bin/env python3
"""Builds dev_queries.json from the hand-written dev_queries.txt.

Each line of the text file has a query, its right answer and four hard wrong candidates. The
other fourteen wrong ones are taken from other lines: five of the same topic (answers and hard
ones), nine of other topics. Seeded, so the same text file always gives the same JSON.
"""
import json
import pathlib
import random

HERE = pathlib.Path(__file__).resolve().parent


def read_lines(path):
    topic, rows = "", []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("@"):
            topic = line[1:].strip()
        elif line.strip() and not line.startswith("#"):
            cells = [cell.strip() for cell in line.split(" | ")]
            if len(cells) != 6:
                raise SystemExit(f"dev_queries.txt: want 6 cells, got {len(cells)}: {line}")
            rows.append((topic, cells))
    return rows


def main():
    rng = random.Random(7)
    rows = read_lines(HERE / "dev_queries.txt")
    out = []
    for index, (topic, cells) in enumerate(rows):
        query, answer, hard = cells[0], cells[1], cells[2:]
        near = [c for i, (t, cs) in enumerate(rows) if t == topic and i != index for c in cs[1:]]
        far = [c for t, cs in rows if t != topic for c in cs[1:]]
        wrong = hard + rng.sample(near, 5) + rng.sample(far, 10)
        candidates = [answer] + wrong[:19]
        rng.shuffle(candidates)
        out.append({"query": query, "candidates": candidates,
                    "answer": candidates.index(answer), "topic": topic})
    text = json.dumps(out, indent=1, ensure_ascii=False)
    (HERE / "dev_queries.json").write_text(text + "\n", encoding="utf-8")
    print(f"{len(out)} queries, {len({r[0] for r in rows})} topics")


if __name__ == "__main__":
    main()
