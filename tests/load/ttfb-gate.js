// Fails a merge request that makes the first byte come later or fewer requests go through, for k6:
//
//   k6 run tests/load/ttfb-gate.js
//
// One user warms the server up for 10 s, then 2 users send for 50 s. Only the second phase counts: 90 %
// of its first bytes within TTFB_THRESHOLD ms, and at least RPS_THRESHOLD requests/s (over the whole
// test, as k6 counts). Run it against mock models (`sis serve --mock`), so that the server is measured
// and not a model. Imports nothing from the network.
//
// Every constant is also an environment variable of the same name; API_URL (http://localhost:8000),
// API_TOKEN, API_PATH (/v1/chat/completions or /v1/embeddings) and API_MODEL say where to.
import http from 'k6/http';
import { check } from 'k6';

const env = (name, initial) => (__ENV[name] === undefined || __ENV[name] === '' ? initial : __ENV[name]);
function number(name, initial) {
  const value = Number(env(name, initial));
  if (!(value > 0)) throw new Error(`${name}: want a number above 0, got '${__ENV[name]}'`);
  return value;
}

export const TTFB_THRESHOLD = number('TTFB_THRESHOLD', 25);
export const RPS_THRESHOLD = number('RPS_THRESHOLD', 2);
export const TEST_NAME = env('TEST_NAME', 'chat_completions');
export const LOAD_TEST_VUS = number('LOAD_TEST_VUS', 2);
export const LOAD_TEST_DURATION = env('LOAD_TEST_DURATION', '50s');
export const WARMUP_TEST_VUS = number('WARMUP_TEST_VUS', 1);
export const WARMUP_TEST_DURATION = env('WARMUP_TEST_DURATION', '10s');
export const LOAD_TEST_START_TIME = env('LOAD_TEST_START_TIME', WARMUP_TEST_DURATION);

const API_URL = env('API_URL', 'http://localhost:8000').replace(/\/+$/, '');
const API_PATH = env('API_PATH', '/v1/chat/completions');

export const options = {
  scenarios: {
    warmup: {
      executor: 'constant-vus',
      vus: WARMUP_TEST_VUS,
      duration: WARMUP_TEST_DURATION,
      gracefulStop: '0s',
      tags: { scenario: 'warmup' },
    },
    load_test: {
      executor: 'constant-vus',
      vus: LOAD_TEST_VUS,
      duration: LOAD_TEST_DURATION,
      startTime: LOAD_TEST_START_TIME,
      tags: { scenario: 'load_test' },
    },
  },
  thresholds: {
    'http_req_waiting{scenario:load_test}': [
      { threshold: `p(90)<${TTFB_THRESHOLD}`, abortOnFail: false },
    ],
    'http_reqs{scenario:load_test}': [{ threshold: `rate>=${RPS_THRESHOLD}`, abortOnFail: false }],
  },
};

const BODY = JSON.stringify(
  API_PATH === '/v1/embeddings'
    ? { model: env('API_MODEL', 'mock-embed'), input: 'def is_even(n: int) ->' }
    : {
        model: env('API_MODEL', 'mock-chat'),
        messages: [{ role: 'user', content: 'def is_even(n: int) ->' }],
        max_tokens: 32,
        stream: true,
      },
);
const headers = { 'Content-Type': 'application/json' };
if (env('API_TOKEN', '')) headers.Authorization = `Bearer ${__ENV.API_TOKEN}`;

export default function () {
  const answer = http.post(`${API_URL}${API_PATH}`, BODY, { headers });
  check(answer, { 'status is 200': (r) => r.status === 200 });
}

export function handleSummary(data) {
  const shown = (name, key) => {
    const metric = data.metrics[name];
    return metric && metric.values[key] !== undefined ? metric.values[key].toFixed(2) : 'no samples';
  };
  let failed = false;
  const lines = ['', `  ${TEST_NAME}`];
  for (const [name, metric] of Object.entries(data.metrics)) {
    for (const [expression, result] of Object.entries(metric.thresholds || {})) {
      failed = failed || !result.ok;
      lines.push(`    ${result.ok ? '✓' : '✗'} ${name} ${expression}`);
    }
  }
  lines.push(
    `    TTFB p(90) ${shown('http_req_waiting{scenario:load_test}', 'p(90)')} ms (want below ${TTFB_THRESHOLD})`,
    `    requests/s ${shown('http_reqs{scenario:load_test}', 'rate')} (want at least ${RPS_THRESHOLD})`,
    `    ${failed ? 'FAILED' : 'passed'}`,
    '',
  );
  return { stdout: lines.join('\n'), [`${TEST_NAME}_summary.json`]: JSON.stringify(data, null, 2) };
}
