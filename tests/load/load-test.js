// The load profile of the classification service, for k6:
//
//   API_URL=http://localhost:8000 API_TOKEN=... k6 run tests/load/load-test.js
//
// Rises to 50 users within 2 minutes, stays 5, rises to 100 within 2, stays 5, falls to 0 within 2; a
// user waits 1 to 3 s between requests. Fails (exit code 99) unless p95 < 300 ms, p99 < 500 ms and fewer
// than 1 % of the requests fail. Writes summary.json. Imports nothing from the network.
//
//   API_URL       http://localhost:8000    the server
//   API_TOKEN     -                        bearer token, if the server wants one
//   API_PATH      /predict                 /predict, /v1/embeddings or /v1/chat/completions
//   API_MODEL     mock-chat, mock-embed    `model` of the /v1 routes
//   TIME_SCALE    1                        0.01 runs the same profile in 10 s, for a smoke test in CI
//   VUS_SCALE     1                        0.1 has 10 users at most
//   SUMMARY_FILE  summary.json             where the summary goes
import http from 'k6/http';
import { check, sleep } from 'k6';

const API_URL = (__ENV.API_URL || 'http://localhost:8000').replace(/\/+$/, '');
const API_TOKEN = __ENV.API_TOKEN || '';
const API_PATH = __ENV.API_PATH || '/predict';
const SUMMARY_FILE = __ENV.SUMMARY_FILE || 'summary.json';

function positive(name) {
  const value = Number(__ENV[name] || '1');
  if (!(value > 0)) throw new Error(`${name}: want a number above 0, got '${__ENV[name]}'`);
  return value;
}
const TIME_SCALE = positive('TIME_SCALE');
const VUS_SCALE = positive('VUS_SCALE');

const minutes = (count) => `${Math.max(1, Math.round(count * 60 * TIME_SCALE))}s`;
const users = (count) => Math.max(1, Math.round(count * VUS_SCALE));

export const options = {
  stages: [
    { duration: minutes(2), target: users(50) },
    { duration: minutes(5), target: users(50) },
    { duration: minutes(2), target: users(100) },
    { duration: minutes(5), target: users(100) },
    { duration: minutes(2), target: 0 },
  ],
  thresholds: {
    http_req_duration: ['p(95)<300', 'p(99)<500'],
    http_req_failed: ['rate<0.01'],
  },
  summaryTrendStats: ['avg', 'min', 'med', 'max', 'p(90)', 'p(95)', 'p(99)'],
};

const TEXTS = [
  'This product is amazing! I love it.',
  'Terrible experience, would not recommend.',
  "It's okay, nothing special.",
  'The service was excellent and the staff were friendly.',
  'The delivery was on time.',
];

function body(text) {
  switch (API_PATH) {
    case '/predict':
      return { text };
    case '/v1/embeddings':
      return { model: __ENV.API_MODEL || 'mock-embed', input: text };
    case '/v1/chat/completions':
      return {
        model: __ENV.API_MODEL || 'mock-chat',
        messages: [{ role: 'user', content: text }],
        max_tokens: 16,
      };
    default:
      throw new Error(`API_PATH: want /predict, /v1/embeddings or /v1/chat/completions, got '${API_PATH}'`);
  }
}

const headers = { 'Content-Type': 'application/json' };
if (API_TOKEN) headers.Authorization = `Bearer ${API_TOKEN}`;

export default function () {
  const text = TEXTS[Math.floor(Math.random() * TEXTS.length)];
  const answer = http.post(`${API_URL}${API_PATH}`, JSON.stringify(body(text)), { headers });
  check(answer, {
    'status is 200': (r) => r.status === 200,
    'body is JSON': (r) => {
      try {
        return typeof r.json() === 'object';
      } catch {
        return false;
      }
    },
  });
  const pause = 1 + 2 * Math.random();
  sleep(pause * Math.min(1, TIME_SCALE * 10)); // a shortened run pauses less, or nobody would send
}

export function handleSummary(data) {
  const lines = ['', '  thresholds'];
  for (const [name, metric] of Object.entries(data.metrics)) {
    for (const [expression, result] of Object.entries(metric.thresholds || {})) {
      lines.push(`    ${result.ok ? '✓' : '✗'} ${name} ${expression}`);
    }
  }
  const value = (name, key, digits) => {
    const metric = data.metrics[name];
    return metric && metric.values[key] !== undefined ? metric.values[key].toFixed(digits) : '-';
  };
  lines.push(
    `  requests  ${value('http_reqs', 'count', 0)}, ${value('http_reqs', 'rate', 2)}/s`,
    `  failed    ${(100 * Number(value('http_req_failed', 'rate', 6))).toFixed(2)} %`,
    `  duration  med ${value('http_req_duration', 'med', 2)} ms  p95 ${value('http_req_duration', 'p(95)', 2)} ms` +
      `  p99 ${value('http_req_duration', 'p(99)', 2)} ms  max ${value('http_req_duration', 'max', 2)} ms`,
    '',
  );
  return { stdout: lines.join('\n'), [SUMMARY_FILE]: JSON.stringify(data, null, 2) };
}
