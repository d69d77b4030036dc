// Plans are read as they are written, and every mistake names file, line, path, what was wanted and
// what was found.
#include "perf/plan/plan.h"

#include <gtest/gtest.h>

#include "perf/plan/plan_limits.h"
#include "perf/plan/reader.h"
#include "perf/plan/tasks.h"

namespace sis::perf {
namespace {

Environment environment_of(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const std::string& name) -> std::optional<std::string> {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional<std::string>(found->second);
  };
}

Result<Plan> read(const std::string& text, PlanChoices choices = {}) {
  return parse_plan(text, "plan.yaml", choices);
}

std::string error_of(const std::string& text, PlanChoices choices = {}) {
  const auto plan = read(text, std::move(choices));
  if (!plan.ok()) return plan.error().message;
  const auto limits = PlanLimits::create(*plan);
  return limits.ok() ? "no error" : limits.error().message;
}

constexpr const char* kWhole = R"(
name: nightly
variables: {users: 8, pause: {min: 0.5s, max: 2s}}
default_environment: staging
environments:
  local: {base_url: "http://localhost:8000", api_key: "${env:NOT_SET}"}
  staging:
    base_url: https://staging.example:8443/api
    api_key: ${env:STAGING_KEY}
    model: m
    headers: {X-Team: "search ${users}"}
    verify_tls: false
slo: {ttft: 500ms}
scenarios:
  warm:
    vus: 1
    duration: 10s
    tags: {phase: warmup}
    tasks: [{http: {path: /health}}]
  browse:
    executor: ramping-vus
    startTime: 10s
    startVUs: 0
    stages: [{duration: 30s, target: "${users}"}, {duration: 1m30s, target: 2}]
    gracefulStop: 5s
    think_time: ${pause}
    tasks:
      - {weight: 3, predict: {texts: [a, b]}}
      - {name: big, predict: {text: a, batch: 50}}
      - http: {method: PUT, path: /items, body: {n: 1, s: "2", deep: [true, null, 1.5]}, expect: 201}
  steady:
    executor: constant-arrival-rate
    rate: 120
    timeUnit: 1m
    duration: 1m
    preAllocatedVUs: 4
    maxVUs: 16
    slo: {itl: 50ms}
    tasks: [{chat: {prompt: hi, max_tokens: 5}}]
  climb:
    executor: ramping-arrival-rate
    startRate: 1
    stages: [{duration: 10s, target: 50}]
    tasks: [{embeddings: {text: x}}]
  each: {executor: per-vu-iterations, vus: 3, iterations: 7, spin: true, tasks: [{http: }]}
  count: {executor: shared-iterations, vus: 3, iterations: 100, maxDuration: 20s, tasks: [{http: }]}
thresholds:
  http_req_duration: ['p(95)<300', {threshold: 'p(99)<500', abortOnFail: true, delayAbortEval: 10s}]
  http_req_waiting{scenario:browse}: 'p(90)<25'
  http_req_duration{task:big}: ['max<1000']
)";

TEST(Plan, ReadsEveryKey) {
  const auto plan = read(kWhole, {.variables = environment_of({{"STAGING_KEY", "secret"}})});
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  EXPECT_EQ(plan->name, "nightly");
  EXPECT_EQ(plan->environment.name, "staging");
  EXPECT_EQ(plan->environment.url.text(), "https://staging.example:8443/api");
  EXPECT_EQ(plan->environment.api_key, "secret");
  EXPECT_EQ(plan->environment.headers, (NamedTexts{{"X-Team", "search 8"}}));
  EXPECT_FALSE(plan->environment.verify_tls);
  ASSERT_EQ(plan->scenarios.size(), 6u);

  const PlanScenario& warm = plan->scenarios[0];
  EXPECT_TRUE(warm.warmup);
  EXPECT_EQ(warm.slo.ttft, from_ms(500));

  const PlanScenario& browse = plan->scenarios[1];
  EXPECT_FALSE(browse.warmup);
  EXPECT_EQ(browse.start_time, from_seconds(10));
  EXPECT_EQ(browse.graceful_stop, from_seconds(5));
  EXPECT_EQ(browse.users, 8);
  EXPECT_EQ(browse.duration, from_seconds(120));
  EXPECT_EQ(browse.user_profile.start, 0);
  EXPECT_EQ(browse.user_profile.at(from_seconds(15)), 4);
  EXPECT_EQ(browse.think_min, from_ms(500));
  EXPECT_EQ(browse.think_max, from_seconds(2));
  ASSERT_EQ(browse.tasks.size(), 3u);
  EXPECT_EQ(browse.tasks[0].name, "/predict");
  EXPECT_EQ(browse.tasks[0].weight, 3);
  EXPECT_EQ(browse.tasks[1].name, "big");
  EXPECT_EQ(browse.tasks[2].method, "PUT");

  const PlanScenario& steady = plan->scenarios[2];
  EXPECT_DOUBLE_EQ(steady.rate, 2);  // 120 a minute
  EXPECT_EQ(steady.users, 16);
  EXPECT_EQ(steady.slo.itl, from_ms(50));
  EXPECT_EQ(steady.slo.ttft, Duration{});
  EXPECT_TRUE(steady.tasks[0].streams);

  EXPECT_DOUBLE_EQ(plan->scenarios[3].rate_profile.highest(), 50);
  const RunOptions each = run_options(*plan, plan->scenarios[4]);
  EXPECT_EQ(each.requests_per_user, 7u);
  EXPECT_EQ(each.requests, 21u);
  EXPECT_EQ(each.duration, from_seconds(600));
  EXPECT_TRUE(each.spin);
  EXPECT_EQ(plan->scenarios[5].iterations, 100u);
  EXPECT_EQ(run_options(*plan, plan->scenarios[5]).requests, 100u);
  EXPECT_EQ(run_options(*plan, plan->scenarios[5]).requests_per_user, 0u);
  EXPECT_EQ(plan->thresholds.size(), 4u);
  EXPECT_TRUE(plan->thresholds[1].abort_on_fail);
  EXPECT_EQ(plan->thresholds[1].delay_abort, from_seconds(10));
  EXPECT_TRUE(PlanLimits::create(*plan).ok());

  const RunOptions options = run_options(*plan, browse);
  EXPECT_EQ(options.connections, 8);
  EXPECT_EQ(options.duration, from_seconds(120));
  EXPECT_EQ(options.requests, 0u);
}

TEST(Plan, WorkloadsSendWhatThePlanSays) {
  const auto plan = read(kWhole, {.variables = environment_of({{"STAGING_KEY", "secret"}})});
  ASSERT_TRUE(plan.ok());
  const auto mix = make_workload(*plan, plan->scenarios[1], plan->environment, 0);
  ASSERT_TRUE(mix.ok()) << mix.error().message;
  ASSERT_EQ((*mix)->parts(), 3u);
  std::map<size_t, int> seen;
  std::string scratch;
  for (uint64_t i = 0; i < 50; ++i) {
    const size_t part = (*mix)->part_of(i);
    ++seen[part];
    const std::string request((*mix)->request(i, scratch));
    EXPECT_EQ((*mix)->part_name(part), plan->scenarios[1].tasks[part].name);
    EXPECT_NE(request.find("\r\nX-Team: search 8\r\n"), std::string::npos) << request;
    EXPECT_NE(request.find("Authorization: Bearer secret"), std::string::npos) << request;
    if (part == 0) {
      EXPECT_TRUE(request.starts_with("POST /api/predict HTTP/1.1\r\n")) << request;
    }
    if (part == 2) {
      EXPECT_TRUE(request.starts_with("PUT /api/items HTTP/1.1\r\n")) << request;
      EXPECT_TRUE(request.ends_with(R"({"n":1,"s":"2","deep":[true,null,1.5]})")) << request;
    }
  }
  EXPECT_EQ(seen[0], 30);
  EXPECT_EQ(seen[1], 10);
  EXPECT_EQ(seen[2], 10);
}

TEST(Plan, EveryKindMakesItsRequest) {
  const auto plan = read(R"(
environments: {e: {base_url: "http://h:1/v1", model: m}}
scenarios:
  a:
    duration: 1s
    tasks:
      - {name: http, http: {path: "/x/{{index}}", template: true, expect_json: [ok=true], expect_body: yes}}
      - {name: predict, predict: {}}
      - {name: embeddings, embeddings: {lengths: uniform:3:9, batch: 2}}
      - {name: chat, chat: {prompts: [a, b], extra: {seed: 3}}}
      - {name: completions, completions: {prompt: x, stream: false}}
      - {name: rerank, rerank: {queries: [q], documents: [a, b, c], top_n: 2}}
      - {name: infer, infer: {prompt: x, params: {max_new_tokens: 4}}}
)");
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  const std::map<std::string, std::string> lines = {{"http", "GET /v1/x/0 "},
                                                    {"predict", "POST /predict "},
                                                    {"embeddings", "POST /v1/embeddings "},
                                                    {"chat", "POST /v1/chat/completions "},
                                                    {"completions", "POST /v1/completions "},
                                                    {"rerank", "POST /v1/rerank "},
                                                    {"infer", "POST /v1/infer "}};
  const auto mix = make_workload(*plan, plan->scenarios[0], plan->environment, 0);
  ASSERT_TRUE(mix.ok()) << mix.error().message;
  std::string scratch;
  for (uint64_t i = 0; i < 7; ++i) {
    const std::string name = (*mix)->part_name((*mix)->part_of(i));
    const std::string request((*mix)->request(i, scratch));
    EXPECT_TRUE(request.starts_with(lines.at(name))) << name << ": " << request;
  }
}

TEST(Plan, EnvironmentAndSettingsCanBeChosen) {
  PlanChoices choices{.environment = "local", .variables = environment_of({{"NOT_SET", "k"}})};
  choices.settings = {"users=3", "scenarios.warm.vus=2", "scenarios.browse.tasks.1.weight=4",
                      "scenarios.warm.timeout=5s"};
  const auto plan = read(kWhole, choices);
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  EXPECT_EQ(plan->environment.url.text(), "http://localhost:8000");
  EXPECT_EQ(plan->scenarios[1].users, 3);
  EXPECT_EQ(plan->scenarios[0].users, 2);
  EXPECT_EQ(plan->scenarios[0].timeout, from_seconds(5));
  EXPECT_EQ(plan->scenarios[1].tasks[1].weight, 4);
  choices.base_url = "http://other:1";
  EXPECT_EQ(read(kWhole, choices)->environment.url.text(), "http://other:1");
}

TEST(Plan, MistakesNameLinePathWantedAndFound) {
  const std::string head = "scenarios:\n  a:\n    duration: 1s\n";
  const std::string tasks = "    tasks: [{http: {path: /}}]\n";
  const std::pair<std::string, std::string> cases[] = {
      {"", "want a mapping with scenarios"},
      {"name: x\n", "plan.yaml line 1: want a key 'scenarios' here"},
      {"scenarios: [a]\n", "plan.yaml line 1: scenarios: want a mapping"},
      {head, "scenarios.a: want a key 'tasks' here"},
      {head + tasks + "    vus: many\n",
       "plan.yaml line 5: scenarios.a.vus: want a whole number 0..20000, got 'many'"},
      {head + tasks + "    vus: 20001\n", "scenarios.a.vus: want a whole number 0..20000"},
      {head + tasks + "    vu: 3\n", "plan.yaml line 5: scenarios.a.vu: unknown key; want one of"},
      {head + tasks + "    executor: externally-controlled\n",
       "want constant-vus or ramping-vus or"},
      {head + tasks + "    executor: ramping-vus\n", "scenarios.a: want a key 'stages' here"},
      {head + tasks + "    think_time: {min: 2s, max: 1s}\n",
       "scenarios.a.think_time.max: want no less than min"},
      {head + tasks + "    start_time: soon\n", "want a time 0s..86400s like"},
      {head + tasks + "    startTime: 1s\n    start_time: 2s\n", "the same key came before"},
      {head + tasks + "    tags: {phase: warmup}\n", "want one that has users"},
      {head + "    tasks: []\n", "want a list of 1..64 tasks, got a list of 0 values"},
      {head + "    tasks: [{weight: 1}]\n", "tasks[0]: want one of the kinds http, predict"},
      {head + "    tasks: [{http: {}, predict: {}}]\n", "want one kind, got http and predict"},
      {head + "    tasks: [{http: {}}, {http: {}}]\n", "another task is called '/' as well"},
      {head + "    tasks: [{http: {}, weight: 0}]\n", "all weights are 0"},
      {head + "    tasks: [{http: {path: health}}]\n", "want a path that begins with '/'"},
      {head + "    tasks: [{http: {body_file: nothing.json}}]\n", "no such file"},
      {head + "    tasks: [{predict: {text: a, lengths: '5'}}]\n", "want only one of text"},
      {head + "    tasks: [{predict: {lengths: x}}]\n", "tasks[0].predict.lengths:"},
      {head + "    tasks: [{chat: {extra: {model: x}}}]\n", "tasks[0].chat.extra:"},
      {head + tasks + "environments: {e: {base_url: nowhere}}\n", "environments.e.base_url: URL"},
      {head + tasks + "environments: {e: {base_url: '${env:GONE}'}}\n",
       "the environment variable 'GONE' is not set"},
      {head + tasks + "name: ${gone}\n", "no variable 'gone'"},
      {head + tasks + "name: ${gone\n", "want '}'"},
      {head + tasks + "thresholds: {http_req_duration: ['p(95)~300']}\n", "line 5: thresholds:"},
      {head + tasks + "thresholds: {nonsense: ['p(95)<300']}\n", "there is no metric 'nonsense'"},
      {head + tasks + "thresholds: {'http_reqs{scenario:b}': ['rate>3']}\n",
       "no measured scenario has these tags"},
      {head + "    tasks: [{http: {path: /a}}, {http: {path: /b}}]\n" +
           "thresholds: {'data_received{task:/a}': ['count<1']}\n",
       "data_received is not counted by task, and scenario 'a' has 2 tasks"},
      {head + "    tasks: [{http: {path: /a}}, {http: {path: /b}}]\n" +
           "thresholds: {'http_req_connecting{task:/a,scenario:a}': ['p(95)<1']}\n",
       "http_req_connecting is not counted by task"},
      {head + tasks + "thresholds: {http_reqs: [{threshold: 'rate>1', abort: true}]}\n",
       "thresholds.http_reqs[0].abort: unknown key"},
      {"scenarios: {a: &x [*x]}\n", "plan.yaml"},
      {"a: 1\na: 2\n", "plan.yaml line 2: key 'a' appears twice"},
      {"a: [1\n", "plan.yaml line"},
  };
  for (const auto& [text, want] : cases) {
    const std::string got = error_of(text);
    EXPECT_NE(got.find(want), std::string::npos) << text << "got:  " << got << "\nwant: " << want;
  }
  EXPECT_NE(error_of(head + tasks, {.environment = "x"}).find("--env 'x'"), std::string::npos);
  EXPECT_NE(error_of(kWhole, {.environment = "x"}).find("there are local, staging"),
            std::string::npos);
  for (const char* setting : {"users", "=3", "nothing=3", "scenarios.zzz.vus=1"})
    EXPECT_NE(error_of(head + tasks, {.settings = {setting}}).find("--set"), std::string::npos)
        << setting;
}

// A few lines must not stand for a huge document.
TEST(Plan, AliasesCannotBlowUp) {
  std::string text = "shared:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    text += "  a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 10; ++k) text += (k ? ", *a" : "*a") + std::to_string(i - 1);
    text += "]\n";
  }
  EXPECT_NE(error_of(text).find("values once aliases are expanded"), std::string::npos);
  EXPECT_NE(error_of(std::string(200, '[') + std::string(200, ']')).find("nested deeper"),
            std::string::npos);
  // Variables that hold lists count as often as they are named.
  text = "variables:\n  v: [";
  for (int i = 0; i < 1000; ++i) text += "1234567,";
  text += "1]\nshared:\n";
  for (int i = 0; i < 200; ++i) text += "  - ${v}\n";
  text += "scenarios: {}\n";
  EXPECT_NE(error_of(text).find("too much once variables are filled in"), std::string::npos)
      << error_of(text);
}

TEST(Plan, TimesAsInK6) {
  const std::pair<const char*, double> cases[] = {{"30", 30},  {"1.5s", 1.5}, {"200ms", 0.2},
                                                  {"2m", 120}, {"1m30s", 90}, {"1h1m1s", 3661}};
  for (const auto& [text, seconds] : cases) {
    const auto time = parse_plan_time(text);
    ASSERT_TRUE(time.has_value()) << text;
    EXPECT_NEAR(to_seconds(*time), seconds, 1e-9) << text;
  }
  for (const char* text : {"", "s", "1m30", "-1s", "1x", "1 s", "1m 30s", "9999999999h"})
    EXPECT_FALSE(parse_plan_time(text).has_value()) << text;
}

TEST(Plan, TheShippedPlanIsGood) {
  const auto plan = load_plan("tests/load/predict-mix.yaml", {});
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  ASSERT_EQ(plan->scenarios.size(), 2u);
  EXPECT_EQ(plan->scenarios[0].tasks.size(), 5u);
  EXPECT_EQ(plan->scenarios[0].tasks[2].name, "/predict_batch (25)");
  EXPECT_EQ(plan->scenarios[1].users, 0);
  EXPECT_EQ(plan->scenarios[1].weight, 0);
}

}  // namespace
}  // namespace sis::perf
