#!/usr/bin/env bash
# Makes demo/models/sentiment from the words and patterns in tools/demo/sentiment/text, then the self-test
# and the mark. Some minutes on one CPU core; wants Python ($PYTHON) with torch, transformers, tokenizers and
# safetensors.
#
#   tools/demo/make_sentiment.sh [OUT]     default: demo/models/sentiment
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:-demo/models/sentiment}
python=${PYTHON:-python3}
"$python" tools/demo/sentiment/train_sentiment.py --seed 1 --out "$out"
"$python" tools/make_selftest.py "$out"
"$python" tools/demo/record_logits.py "$out" tests/golden/demo_sentiment.json
"$python" tools/demo/sentiment/evaluate.py "$out" tests/golden/sentiment_sentences.json
