// For the tests of the generator: a decoder that is arithmetic on what its cache gives back, a sink
// that writes everything down, and a lane that is stepped by hand on a simulated clock.
#pragma once

#include <gtest/gtest.h>
#include <atomic>

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "infer/engine/lane.h"

namespace sis::engine {

inline uint64_t mixed(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

// Keeps a hash of (token, position) for every position in the cache; logits are a hash of what the
// block table gives back for positions 0 .. p. A wrong block, a lost one, one shared too early or
// overwritten shows as other tokens.
class HashDecoder final : public nn::Decoder {
 public:
  explicit HashDecoder(int32_t vocab = 100, int32_t tokens_max = 400) {
    info_.vocab = vocab;
    info_.tokens_max = tokens_max;
  }
  const nn::DecoderInfo& info() const override { return info_; }
  kernels::KvLayout kv_layout() const override {
    return {.layers = 1, .kv_heads = 1, .head_dim = 1, .dtype = DType::kF32};
  }
  static uint64_t key_of(int32_t id, int32_t position) {
    return mixed(static_cast<uint64_t>(id) << 32 | static_cast<uint32_t>(position));
  }
  // The logits behind these tokens.
  std::vector<float> logits_of(std::span<const int32_t> tokens) const {
    uint64_t state = 0;
    for (size_t p = 0; p < tokens.size(); ++p)
      state = mixed(state ^ key_of(tokens[p], static_cast<int32_t>(p)));
    std::vector<float> logits(static_cast<size_t>(info_.vocab));
    fill(state, logits.data());
    return logits;
  }
  void forward(ops::Context&, const nn::DecoderBatch& batch, ops::KvView cache,
               Mat<float> logits) const override {
    if (during_forward) during_forward();
    ++steps;
    rows_max = std::max(rows_max, batch.ids.size());
    logit_rows_max = std::max(logit_rows_max, batch.logit_rows.size());
    ASSERT_TRUE(std::is_sorted(batch.logit_rows.begin(), batch.logit_rows.end()));
    ASSERT_EQ(static_cast<int64_t>(batch.logit_rows.size()), logits.rows);
    size_t next = 0;
    int32_t rows = 0;
    for (const ops::KvRows& sequence : batch.sequences) {
      ASSERT_EQ(sequence.row, rows);
      ASSERT_GE(sequence.tokens, 1);
      rows += sequence.tokens;
      const auto place = [&](int32_t p) {
        return cache.data + sequence.blocks[p / 32] * cache.layout.block_bytes() + p % 32 * 8;
      };
      for (int32_t t = 0; t < sequence.tokens; ++t) {
        const int32_t position = sequence.past + t;
        const int32_t id = batch.ids[static_cast<size_t>(sequence.row + t)];
        ASSERT_TRUE(id >= 0 && id < info_.vocab) << id;
        const uint64_t key = key_of(id, position);
        std::memcpy(place(position), &key, 8);
        if (next == batch.logit_rows.size() || batch.logit_rows[next] != sequence.row + t) continue;
        uint64_t state = 0;
        for (int32_t p = 0; p <= position; ++p) {
          uint64_t stored;
          std::memcpy(&stored, place(p), 8);
          state = mixed(state ^ stored);
        }
        fill(state, logits.row(static_cast<int64_t>(next)));
        if (id == poison) logits.at(static_cast<int64_t>(next), 3) = std::nanf("");
        ++next;
      }
    }
    ASSERT_EQ(next, batch.logit_rows.size());
    ASSERT_EQ(rows, static_cast<int32_t>(batch.ids.size()));
  }

  bool ready() const override { return usable; }

  std::function<void()> during_forward;
  bool usable = true;
  int32_t poison = -1;  // logits behind this token are not finite
  mutable int64_t steps = 0;
  mutable size_t rows_max = 0, logit_rows_max = 0;

 private:
  void fill(uint64_t state, float* logits) const {
    for (int32_t i = 0; i < info_.vocab; ++i)
      logits[i] = static_cast<float>(
          static_cast<double>(mixed(state + static_cast<uint64_t>(i)) >> 11) * 0x1p-53 * 8 - 4);
  }
  nn::DecoderInfo info_;
};

// Everything that was said about one request.
struct Record final : TokenSink {
  struct Event {
    int32_t id = 0;
    float logprob = 0;
    std::vector<TokenLogprob> top;
  };
  void on_admitted(const GenerateStats& stats) override {
    heard();
    EXPECT_FALSE(admitted);
    admitted = stats;
    order.push_back('a');
  }
  void on_prompt_logprobs(std::span<const TokenEvent> events) override {
    heard();
    for (const TokenEvent& e : events)
      prompt.push_back({e.id, e.logprob, {e.top.begin(), e.top.end()}});
    order.push_back('p');
  }
  bool on_token(int32_t choice, const TokenEvent& e) override {
    heard();
    EXPECT_FALSE(finishes.contains(choice));
    tokens[choice].push_back(e.id);
    events[choice].push_back({e.id, e.logprob, {e.top.begin(), e.top.end()}});
    if (order.empty() || order.back() != 't') order.push_back('t');
    if (when_token) when_token();
    return static_cast<int32_t>(tokens[choice].size()) < tokens_wanted;
  }
  void on_finish(int32_t choice, Finish finish) override {
    heard();
    EXPECT_TRUE(finishes.emplace(choice, finish).second);
  }
  void on_end(Result<GenerateStats> stats) override {
    heard();
    EXPECT_FALSE(ended);
    ended = true;
    order.push_back('e');
    if (stats.ok())
      end_stats = *stats;
    else
      error = stats.error();
  }
  void heard() const { EXPECT_FALSE(dropped) << "called after its ticket was destroyed"; }

  std::optional<GenerateStats> admitted, end_stats;
  std::optional<Error> error;
  bool ended = false, dropped = false;
  int32_t tokens_wanted = INT32_MAX;
  std::function<void()> when_token;
  std::string order;
  std::map<int32_t, std::vector<int32_t>> tokens;
  std::map<int32_t, std::vector<Event>> events;
  std::vector<Event> prompt;
  std::map<int32_t, Finish> finishes;
};

struct Observed final : GeneratorObserver {
  void on_step(int32_t prefill_tokens, int32_t decode_rows, Duration) override {
    prefill += prefill_tokens;
    decode += decode_rows;
    ++steps;
  }
  void on_admission(int32_t, Duration) override { ++admissions; }
  void on_preemption() override { ++preemptions; }
  void on_tokens_after_cancel(int32_t tokens) override { after_cancel += tokens; }
  void on_failure(const std::string& what) override { failures.push_back(what); }
  std::vector<std::string> failures;  // executor's thread
  // Read by tests while the executor runs.
  std::atomic<int64_t> prefill{0}, decode{0}, steps{0}, admissions{0}, preemptions{0},
      after_cancel{0};
};

struct Call {
  std::shared_ptr<Record> record = std::make_shared<Record>();
  std::unique_ptr<Generator::Ticket> ticket;
  void drop() {
    ticket.reset();
    record->dropped = true;
  }
};

struct LaneBench {
  explicit LaneBench(GeneratorOptions options = {}, int32_t blocks = 400,
                     HashDecoder model = HashDecoder())
      : decoder(std::move(model)),
        masks("masks", 1, 2),
        team({.workers = 1}),
        context{team, workspace, detect_isa()} {
    if (options.context_max == 0) options.context_max = decoder.info().tokens_max;
    lane = std::make_unique<GeneratorLane>(decoder, options, blocks, masks, clock, observer, [] {});
  }
  Result<Call> try_submit(GenerateRequest request) {
    Call call;
    SIS_ASSIGN(call.ticket, lane->submit(std::move(request), call.record));
    return call;
  }
  Call submit(GenerateRequest request) {
    auto call = try_submit(std::move(request));
    EXPECT_TRUE(call.ok()) << call.error().message;
    return call.ok() ? std::move(*call) : Call{};
  }
  bool ready() {
    const auto at = lane->ready_at(clock.now());
    return at && *at <= clock.now();
  }
  void step() {
    lane->step(context);
    workspace.reset();
    clock.advance(from_ms(1));
  }
  // Until nothing is left to do.
  void run() {
    for (int i = 0; ready(); ++i) {
      ASSERT_LT(i, 200000);
      step();
    }
  }
  std::vector<int32_t> tokens(GenerateRequest request) {
    const Call call = submit(std::move(request));
    run();
    return call.record->tokens[0];
  }
  void expect_nothing_held() const {
    const auto gauges = lane->gauges();
    EXPECT_EQ(gauges.running, 0);
    EXPECT_EQ(gauges.waiting, 0);
    EXPECT_EQ(gauges.blocks_used, 0);
    EXPECT_EQ(lane->cache().blocks_available(), gauges.blocks_total);
  }

  HashDecoder decoder;
  TaskPool masks;
  ThreadTeam team;
  Workspace workspace;
  ops::Context context;
  ManualClock clock;
  Observed observer;
  std::unique_ptr<GeneratorLane> lane;
};

inline GenerateRequest greedy(std::vector<int32_t> prompt, int32_t tokens_max) {
  GenerateRequest request;
  request.prompt = std::move(prompt);
  request.tokens_max = tokens_max;
  request.sampling.temperature = 0;
  return request;
}

inline std::vector<int32_t> random_prompt(Rng& rng, size_t tokens, int32_t vocab = 100) {
  std::vector<int32_t> prompt(tokens);
  for (int32_t& id : prompt) id = static_cast<int32_t>(rng.below(static_cast<uint64_t>(vocab)));
  return prompt;
}

}  // namespace sis::engine
