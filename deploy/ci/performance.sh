#!/usr/bin/env bash
# The performance jobs of a merge request, as CI runs them and as anybody can by hand.
#
#   performance.sh thresholds SIS              warm-up and load against SIS's mock models, TTFB and RPS limits
#   performance.sh gate BASELINE_SIS SIS       the mock servers of two builds in turns: has SIS become slower?
#
# Results go to $OUT (performance-results): run.json, or gate.json and gate.md with a table for the merge
# request. Exit code: 0 good, 99 a threshold was crossed or a metric regressed, others: something broke.
#
#   TTFB_THRESHOLD=25 RPS_THRESHOLD=2 LOAD_TEST_VUS=2 LOAD_TEST_DURATION=50s
#   WARMUP_TEST_VUS=1 WARMUP_TEST_DURATION=10s LOAD_TEST_START_TIME=10s      of `thresholds`
#   GATE_RUNS=14 GATE_DURATION=5s GATE_CONCURRENCY=4                         of `gate`
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
OUT=${OUT:-performance-results}
PORT=${PORT:-18090}
servers=()
cleanup() {
  for pid in "${servers[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${servers[@]}"; do wait "$pid" 2>/dev/null || true; done
}
trap cleanup EXIT

# serve SIS PORT: a server with mock models that take a fixed time, so that the rest is what is measured.
serve() {
  MOCK_PREFILL_US_PER_TOKEN=20 MOCK_DECODE_US_PER_STEP=1000 MOCK_EMBED_US_PER_BATCH=2000 \
    "$1" serve --mock --host 127.0.0.1 --port "$2" >"$OUT/server-$2.log" 2>&1 &
  servers+=($!)
  for _ in $(seq 100); do
    if curl --silent --fail --max-time 2 "http://127.0.0.1:$2/health" >/dev/null; then return; fi
    sleep 0.2
  done
  echo "performance.sh: $1 serve does not answer on port $2; its log ends with" >&2
  tail -n 20 "$OUT/server-$2.log" >&2
  exit 1
}

usage() {
  sed -n '2,/^set /p' "$0" | sed -e '/^set /d' -e 's/^# \{0,1\}//' >&2
  exit 104
}

[ $# -ge 1 ] || usage
mkdir -p "$OUT"
case $1 in
  thresholds)
    [ $# -eq 2 ] || usage
    serve "$2" "$PORT"
    "$2" bench run "$here/ttfb-gate.yaml" --base-url "http://127.0.0.1:$PORT" --json "$OUT/run.json" \
      --set "ttfb_threshold=${TTFB_THRESHOLD:-25}" --set "rps_threshold=${RPS_THRESHOLD:-2}" \
      --set "load_test_vus=${LOAD_TEST_VUS:-2}" --set "load_test_duration=${LOAD_TEST_DURATION:-50s}" \
      --set "warmup_test_vus=${WARMUP_TEST_VUS:-1}" \
      --set "warmup_test_duration=${WARMUP_TEST_DURATION:-10s}" \
      --set "load_test_start_time=${LOAD_TEST_START_TIME:-${WARMUP_TEST_DURATION:-10s}}"
    ;;
  gate)
    [ $# -eq 3 ] || usage
    serve "$2" "$PORT"
    serve "$3" "$((PORT + 1))"
    "$3" gate run --baseline-url "http://127.0.0.1:$PORT" --candidate-url "http://127.0.0.1:$((PORT + 1))" \
      --runs "${GATE_RUNS:-14}" --markdown "$OUT/gate.md" --json "$OUT/gate.json" -- \
      embeddings --model-name mock-embed --distinct --duration "${GATE_DURATION:-5s}" \
      --concurrency "${GATE_CONCURRENCY:-4}"
    ;;
  *) usage ;;
esac
