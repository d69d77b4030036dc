// One request that generates text: takes its place at the gate, submits its calls, then gathers the
// answer of all choices or streams it as server-sent events. What the JSON looks like is the
// printer's.
//
// The service's threads only hand pieces over; printing and writing happen on the writers' pool
// (streams) and on the prep pool (whole answers). What gathers while a writer is on its way goes
// out in one write. The client's leaving, a reader that is too slow, and the end each give the
// tickets and the place back, so that nothing is computed for nobody.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/task_pool.h"
#include "net/http_server.h"
#include "serve/admission/breaker.h"
#include "serve/admission/gate.h"
#include "serve/api/errors.h"
#include "serve/api/observer.h"
#include "serve/api/request_trace.h"
#include "serve/cache/response_cache.h"
#include "serve/tasks/generate.h"
#include "telemetry/log.h"

namespace sis::api {

// What every answer and every chunk of one begins with.
struct AnswerHead {
  std::string id, model, fingerprint;
  int64_t created = 0;  // unix seconds
};

// A choice of an answer that is not streamed.
struct GatheredChoice {
  std::string content, reasoning;
  std::vector<tasks::Delta::ToolCall> tool_calls;  // by index, arguments joined
  std::vector<tasks::TokenLogprobs> logprobs;
  tasks::FinishReason reason = tasks::FinishReason::kStop;
};

// The wire format of one route. Used by one thread at a time; keeps what a stream's next event
// depends on. Choices are numbered over all prompts: prompt * n + k.
class AnswerPrinter {
 public:
  virtual ~AnswerPrinter() = default;
  // Before the first piece of the prompt's choices, when its logprobs were asked for.
  virtual void prompt(size_t prompt, std::vector<tasks::TokenLogprobs> tokens) = 0;
  // Each appends whole events ("data: ...\n\n").
  virtual void delta(std::string& out, int32_t choice, const tasks::Delta& delta) = 0;
  virtual void finish(std::string& out, int32_t choice, tasks::FinishReason reason) = 0;
  virtual void usage(std::string& out, const tasks::Usage& usage) = 0;
  virtual std::string whole(const std::vector<GatheredChoice>& choices,
                            const tasks::Usage& usage) = 0;
  // Of a whole answer, what others may be given too: all but its id and time.
  virtual std::string kept(const std::string& whole) const { return whole; }
  // A whole answer of this request from what another kept.
  virtual std::string again(const std::string& kept) const { return kept; }
  // The last event of a stream that failed, and of one that did not. OpenAI's, unless a route has
  // others.
  virtual void error(std::string& out, const Error& error);
  virtual void done(std::string& out);
};

// "chatcmpl-" and 32 random hexadecimal digits.
std::string make_id(const char* prefix);
// Usage as the value of the key: {"prompt_tokens":...}.
void append_usage(std::string& out, const tasks::Usage& usage);
// A token's text: its bytes where they are UTF-8, else "bytes:\xe2\x82".
std::string token_text(const std::string& bytes);
// -9999 for what JSON has no number for.
float printable_logprob(float logprob);

struct GenerationOptions {
  Duration keep_alive = from_seconds(15);  // a comment after so long a silence
};

// What all requests share; outlives them.
struct GenerationPlace {
  GenerationOptions options;
  TaskPool& prep;
  TaskPool& writers;
  const Clock& clock;
  const telemetry::Logger& log;
  admission::Gate& gate;
  const char* event;               // of the log line
  const char* operation = "chat";  // or "text_completion": OpenTelemetry's words
  net::HttpResponse (*refusal)(const Error&, Duration retry_after) = error_response;
};

// Where the answer may be found, and what it is kept under.
struct CacheUse {
  cache::ResponseCache* cache = nullptr;
  cache::CacheKey key;
  Duration wait{};  // for an identical request's answer
};

// What of a request decides its answer: see cache::KeyParts.
struct AnswerKey {
  std::string_view prompt, params;
  std::span<const std::string_view> params_skip;  // top-level members that change nothing
};

// What a parsed request is answered with.
struct GenerationPlan {
  std::vector<tasks::GenerateCall> calls;  // one per prompt, all with as many choices
  std::unique_ptr<AnswerPrinter> printer;
  bool stream = false;
  bool include_usage = false;
  std::optional<CacheUse> cache;    // never of a stream
  std::optional<Duration> timeout;  // as the body says
};

// Who answers a model's requests.
struct GenerationModel {
  tasks::GenerateService* service = nullptr;  // null: it does something else
  GenerateObserver* observer = nullptr;
  bool structured_outputs = true;         // false: response_format is refused
  std::string fingerprint;                // "fp_...": changes when answers may
  admission::Breaker* breaker = nullptr;  // hears how requests end; null: there is none
  admission::Lane* lane = nullptr;        // of the gate; null: nothing is forecast
  Duration line_max = Duration::max();    // longest wait in the model's line
};

// Where this answer may be kept: nothing when it is not certain (temperature above 0, several
// choices, a stream). Clients with different credentials share nothing.
std::optional<CacheUse> certain_answer(cache::ResponseCache& cache, const net::HttpRequest& http,
                                       const GenerationModel& model, const GenerationPlan& plan,
                                       const AnswerKey& key);

class Generation : public std::enable_shared_from_this<Generation> {
 public:
  Generation(std::shared_ptr<net::Exchange> exchange, const GenerationPlace& place,
             RequestObserver& unknown);

  net::HttpRequest& request() { return exchange_->request(); }
  const std::shared_ptr<net::Exchange>& exchange() const { return exchange_; }
  // From here on the request counts as this model's.
  void found_model(const std::string& name, RequestObserver& observer);
  // Answers an error, unless something was answered already.
  void refuse(const Error& error);
  void refuse(net::HttpResponse response);

  // At most once. The model's observer hears how the text came.
  void run(const GenerationModel& model, GenerationPlan plan);

  // Of a stream: sends a comment when nothing was sent for long. False: it is over.
  bool keep_alive();

 private:
  class Sink;
  using Tickets = std::vector<std::unique_ptr<tasks::GenerateService::Ticket>>;
  struct Event {
    enum class Kind : uint8_t { kPrompt, kDelta, kFinish };
    Kind kind = Kind::kDelta;
    int32_t choice = 0;  // kPrompt: the prompt
    tasks::Delta delta;
    std::vector<tasks::TokenLogprobs> prompt;
    tasks::FinishReason reason = tasks::FinishReason::kStop;
  };
  struct ChoiceState {
    std::optional<TimePoint> last_piece;
    GatheredChoice gathered;
  };

  void on_looked_up(cache::ResponseCache::Outcome outcome);
  void enter_gate();                            // behind the model's breaker
  void submit(Result<admission::Place> place);  // the gate's answer
  void turn_down(const Error& error);           // by either

  // The service's side.
  void on_prompt_tokens(size_t prompt, int32_t tokens);
  void on_start(int32_t prompt_tokens);
  void on_prompt(size_t prompt, std::vector<tasks::TokenLogprobs> tokens);
  void on_delta(int32_t choice, tasks::Delta delta);
  void on_finish(int32_t choice, tasks::FinishReason reason);
  void on_end(Result<tasks::Usage> usage);

  void schedule(const std::lock_guard<std::mutex>& held);
  void write_events();
  void write_whole();
  void write_kept(const Result<cache::SharedBytes>& kept);
  void tell_usage(const tasks::Usage& usage);
  void end(int status);
  void leave();  // the client is gone or does not read
  void charge_so_far();
  void account(int status);
  void place_stages(const tasks::Usage& usage, TimePoint now);

  const std::shared_ptr<net::Exchange> exchange_;
  const std::shared_ptr<RequestTrace> trace_;
  const GenerationPlace& place_;
  RequestObserver* request_observer_;
  GenerateObserver* observer_ = nullptr;
  GenerationModel generator_;
  TimePoint deadline_{};
  std::vector<tasks::GenerateCall> calls_;  // until they are submitted
  std::unique_ptr<AnswerPrinter> printer_;
  bool stream_ = false, include_usage_ = false;
  int64_t tokens_max_ = 0;
  std::atomic<const char*> cache_word_{nullptr};  // X-Cache; null: the cache was not asked
  bool head_sent_ = false;                        // touched by the scheduled writer only
  std::atomic<bool> accounted_{false};

  std::mutex mutex_;  // guards what follows
  admission::Breaker::Pass pass_;
  Tickets tickets_;
  std::unique_ptr<cache::ResponseCache::Ticket> lookup_;
  cache::ResponseCache::Lead lead_;
  std::unique_ptr<admission::Gate::Wait> wait_;
  admission::Place held_;               // empty again when it is over
  Duration waited_{};                   // for it
  std::vector<int32_t> prompt_tokens_;  // of each call, to be computed
  int64_t prompts_begun_ = 0;           // their tokens
  int64_t pieces_ = 0;                  // of all answers, about as many as tokens
  std::vector<Event> events_;
  std::vector<ChoiceState> choices_;
  bool scheduled_ = false;  // a writer is on its way or at work
  bool start_ = false, ping_ = false;
  bool pinged_ = false;  // so far
  bool over_ = false;    // nothing more is to be done
  size_t calls_open_ = 0;
  std::optional<Error> error_;
  tasks::Usage usage_;
  TimePoint submitted_{};
  std::optional<TimePoint> started_, first_token_;
  TimePoint last_write_{};
};

}  // namespace sis::api
