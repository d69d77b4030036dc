#!/usr/bin/env bash
# Makes demo/models/sentiment from the words, patterns and sentences in tools/demo/sentiment/text: eight larger
# models, the small one that learns from them, then the self-test and the mark. Wants Python ($PYTHON) with
# torch, transformers, tokenizers and safetensors.
#
#   [DEVICE=cuda] [JOBS=8] tools/demo/make_sentiment.sh [OUT]     default: cpu, one at a time, demo/models/sentiment
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:-demo/models/sentiment}
python=${PYTHON:-python3}
device=${DEVICE:-cpu}
teachers=$(mktemp -d)
trap 'rm -rf "$teachers"' EXIT
export TOKENIZERS_PARALLELISM=false
seq 11 18 | xargs -P "${JOBS:-1}" -I {} "$python" tools/demo/sentiment/train_sentiment.py --device "$device" --seed {} --vocab 8000 \
  --hidden 256 --layers 3 --heads 8 --inter 512 --dropout 0.2 --word-drop 0.12 --lr 1e-3 --steps 2300 --eval-every 575 --out "$teachers/{}"
"$python" tools/demo/sentiment/train_sentiment.py --device "$device" --seed 4 --vocab 6200 --steps 3600 --eval-every 300 \
  --teachers "$teachers"/* --out "$out"
"$python" tools/make_selftest.py "$out"
"$python" tools/demo/record_logits.py "$out" tests/golden/demo_sentiment.json
"$python" tools/demo/sentiment/evaluate.py "$out" tests/golden/sentiment_sentences.json
