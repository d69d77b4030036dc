#!/usr/bin/env bash
# Makes demo/models/rerank: a cross-encoder that learns from the embedding model's lexicon, with
# demo/models/embed as its teacher, then the self-test and the marks. About eight minutes on one GPU;
# wants Python ($PYTHON) with torch, transformers, tokenizers and safetensors.
#
#   tools/demo/make_rerank.sh [OUT]     default: demo/models/rerank
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:-demo/models/rerank}
python=${PYTHON:-python3}
"$python" tools/demo/rerank/train_rerank.py --seed 1 --out "$out"
"$python" tools/make_selftest.py "$out"
"$python" tools/demo/record_logits.py "$out" tests/golden/demo_rerank.json
"$python" tools/demo/rerank/evaluate.py "$out" tests/golden/embed_queries.json tools/demo/dev_queries.json \
  --embed demo/models/embed
