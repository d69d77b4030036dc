// For tests of the routes that generate: a small text model, and a service whose answers the test
// speaks itself.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "serve/admission/gate.h"
#include "serve/api/openai/chat_json.h"
#include "serve/api/request_trace.h"
#include "serve/tasks/generate.h"

namespace sis::api::testing {

// A tokenizer of 901 tokens; a template that shows what it was given.
struct SmallModel {
  explicit SmallModel(std::string_view source =
                          "{% for m in messages %}<{{ m.role }}>{{ m.content }}"
                          "{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% endif %}"
                          "{% endfor %}"
                          "{% if tools %}[tools {{ tools | tojson }}]{% endif %}"
                          "{% if enable_thinking is defined %}[thinking {{ enable_thinking }}]"
                          "{% endif %}"
                          "{% if reasoning_effort is defined %}[effort {{ reasoning_effort }}]"
                          "{% endif %}"
                          "{% if add_generation_prompt %}<assistant>{% endif %}") {
    auto loaded = text::Tokenizer::from_folder("tests/golden/tokenizer/gpt2");
    EXPECT_TRUE(loaded.ok()) << (loaded.ok() ? "" : loaded.error().message);
    tokenizer = std::move(*loaded);
    auto parsed = text::ChatTemplate::parse(source);
    EXPECT_TRUE(parsed.ok()) << (parsed.ok() ? "" : parsed.error().message);
    templates.emplace(text::ChatTemplates::from_template(std::move(*parsed)));
    view = {.name = "m", .tokenizer = tokenizer.get(), .templates = &*templates, .tokens_max = 64};
  }

  std::unique_ptr<text::Tokenizer> tokenizer;
  std::optional<text::ChatTemplates> templates;
  tasks::TextModel view;
};

// The one most tests use.
inline SmallModel& small_model() {
  static SmallModel model;
  return model;
}

// Knows "m" (the small model) and "embed", which does not generate.
inline FindModel small_models(bool structured_outputs = true) {
  return [structured_outputs](const std::string& name) -> Result<FoundModel> {
    const tasks::TextModel& view = small_model().view;
    if (name == "embed") return FoundModel{};
    if (name != "m") return Error{Code::kNotFound, "no model " + name, "model", "model_not_found"};
    return FoundModel{.facts = {.name = name,
                                .vocab_size = view.tokenizer->vocab_size(),
                                .structured_outputs = structured_outputs},
                      .text = &view};
  };
}

// A body as the server hands it over: readable past its end.
class Body {
 public:
  explicit Body(std::string text) : text_(std::move(text)), size_(text_.size()) {
    text_.resize(size_ + 64);
  }
  std::string_view view() const { return {text_.data(), size_}; }

 private:
  std::string text_;
  size_t size_;
};

// A call as the service got it; the test answers through `stream` from its own thread.
struct Submitted {
  tasks::GenerateCall call;
  std::shared_ptr<tasks::GenerateStream> stream;
  std::shared_ptr<std::atomic<bool>> cancelled;  // its ticket is gone
};

class ScriptedService final : public tasks::GenerateService {
 public:
  explicit ScriptedService(const tasks::TextModel& model) : model_(model) {}

  std::unique_ptr<Ticket> submit(tasks::GenerateCall call,
                                 std::shared_ptr<tasks::GenerateStream> stream) override {
    auto cancelled = std::make_shared<std::atomic<bool>>(false);
    if (refusal) {
      stream->on_end(*refusal);
    } else {
      const std::lock_guard lock(mutex_);
      queue_.push_back({std::move(call), std::move(stream), cancelled});
      wake_.notify_all();
    }
    struct Flag final : Ticket {
      explicit Flag(std::shared_ptr<std::atomic<bool>> flag) : gone(std::move(flag)) {}
      ~Flag() override {
        *gone = true;
        gone->notify_all();
      }
      std::shared_ptr<std::atomic<bool>> gone;
    };
    return std::make_unique<Flag>(std::move(cancelled));
  }

  // The next call, waiting for it.
  Submitted take() {
    std::unique_lock lock(mutex_);
    if (!wake_.wait_for(lock, std::chrono::seconds(20), [&] { return !queue_.empty(); })) {
      ADD_FAILURE() << "nothing was submitted";
      return {};
    }
    auto next = std::move(queue_.front());
    queue_.pop_front();
    return next;
  }

  void sweep() override {}
  void close() override {}
  void end_all() override {}
  const tasks::TextModel& model() const override { return model_; }
  const tasks::GenerateDefaults& defaults() const override { return defaults_; }
  int64_t requests_open() const override { return 0; }

  std::optional<Error> refusal;  // every call ends with it inside submit()

 private:
  const tasks::TextModel& model_;
  const tasks::GenerateDefaults defaults_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Submitted> queue_;
};

inline tasks::Delta text_delta(std::string content) { return {.content = std::move(content)}; }
inline tasks::TokenLogprobs token(std::string bytes, int32_t id, float logprob,
                                  std::vector<tasks::LogprobPiece> top = {}) {
  return {.token = {.bytes = std::move(bytes), .id = id, .logprob = logprob},
          .top = std::move(top)};
}

// What stands around a route in the server: a gate without models, and traces that nobody reads.
class Around {
 public:
  explicit Around(const Clock& clock, const admission::LimiterOptions& limits = {})
      : place_{tracer_, clock, {}, ends_},
        gate({.capability = "chat", .queue_setting = "Q", .limits = limits}, clock, quiet_) {}
  std::shared_ptr<net::Exchange> traced(std::shared_ptr<net::Exchange> plain) const {
    return std::make_shared<TracedExchange>(std::move(plain), place_);
  }

 private:
  struct Quiet final : admission::GateObserver {
    void on_refused(Refusal, const admission::Lane*) override {}
  } quiet_;
  struct Ignore final : RequestEndObserver {
    void on_end(const RequestEnd&) override {}
  } ends_;
  telemetry::Tracer tracer_;
  const TracePlace place_;

 public:
  admission::Gate gate;
};

}  // namespace sis::api::testing
