#!/usr/bin/env bash
# Makes demo/models/embed from the lexicon: three teachers, then one student that learns from all of
# them, then the self-test. About half an hour on one GPU; wants Python with torch, transformers,
# tokenizers and safetensors.
#
#   tools/demo/make_embed.sh [OUT]     default: demo/models/embed
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:-demo/models/embed}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 tools/demo/train_embed.py --seed 1 --out "$work/1"
python3 tools/demo/train_embed.py --seed 2 --word-drop 0.15 --out "$work/2"
python3 tools/demo/train_embed.py --seed 3 --temperature 0.07 --dropout 0.15 --out "$work/3"
python3 tools/demo/distill_embed.py "$work/1" "$work/2" "$work/3" --out "$out"
python3 tools/make_selftest.py "$out"
