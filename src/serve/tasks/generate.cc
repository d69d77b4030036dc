#include "serve/tasks/generate.h"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <random>
#include <unordered_map>
#include <utility>

#include "base/rng.h"
#include "base/strings.h"
#include "infer/text/grammar/compile.h"
#include "serve/tasks/conversation.h"
#include "serve/tasks/generate_grammar.h"
#include "serve/tasks/generate_request.h"
#include "serve/tasks/generate_run.h"
#include "serve/tasks/grammar_cache.h"

namespace sis::tasks {
namespace {

// What an answer that goes on in the middle of a text is decoded behind.
constexpr size_t kContinuedTokens = 32;

using RunPtr =
    std::shared_ptr<GenerateRun>;  // held by the table of open requests, by the client's
                                   // ticket, by prep jobs and, as its sink, by the engine

uint64_t random_seed() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 32 | device();
}

// Whether the message that is to be continued ends inside a think block.
bool continues_thinking(const text::ChatRequest& chat) {
  const auto& messages = chat.messages.items();
  if (messages.empty() || !messages.back().is(text::tmpl::Kind::kDict)) return false;
  const auto* content = messages.back().as_dict().find(*chat.continue_final_message);
  if (content == nullptr || !content->is_string()) return false;
  const size_t open = content->text().rfind(kThinkOpen);
  return open != std::string_view::npos &&
         content->text().find(kThinkClose, open) == std::string_view::npos;
}

// Checkpoints name end tokens that their tokenizer or their head lacks: these are never sampled.
std::vector<int32_t> known_ids(std::vector<int32_t> ids, const TextModel& model) {
  const int32_t vocab = model.vocab_size > 0 ? model.vocab_size : model.tokenizer->vocab_size();
  std::erase_if(ids, [vocab](int32_t id) { return id < 0 || id >= vocab; });
  return ids;
}

// What the text of a template says about its model.
struct Manners {
  ToolFormat tools = ToolFormat::kLlama;
  bool thinks = false;
};

// The border that no exception crosses: what cannot be prepared fails its own request.
template <class Fn>
void guarded(GenerateRun& run, Fn&& fn) {
  try {
    fn();
  } catch (const std::exception& fault) {
    run.fail({Code::kInternal, concat("the request could not be prepared: ", fault.what())});
  }
}

struct Prompt {
  std::vector<int32_t> ids;
  ReasoningSplit::Start thinking = ReasoningSplit::Start::kOff;  // where a grammar leaves room
};

}  // namespace

// Shared, because tickets and prep jobs may outlive the service for a moment.
class GenerateState final : public GenerateHost,
                            public std::enable_shared_from_this<GenerateState> {
 public:
  GenerateState(const TextModel& model, std::vector<int32_t> eos_ids,
                const GenerateDefaults& defaults, engine::Generator& generator, TaskPool& prep,
                const Clock& clock)
      : model(model),
        defaults(defaults),
        eos_ids_(known_ids(std::move(eos_ids), model)),
        generator_(generator),
        prep_(prep),
        clock_(clock),
        rng_(random_seed()) {
    if (model.templates == nullptr) return;
    for (const auto& [name, known] : model.templates->all())
      manners_[&known] = {detect_tool_format(known.source()), template_thinks(known.source())};
  }

  std::unique_ptr<GenerateService::Ticket> submit(GenerateCall call,
                                                  std::shared_ptr<GenerateStream> stream);
  void sweep();
  void close();
  void end_all();
  Status warm();
  int64_t requests_open() const {
    const std::lock_guard lock(mutex_);
    return static_cast<int64_t>(open_.size());
  }

  void forget(const GenerateRun& run) override {
    const std::lock_guard lock(mutex_);
    open_.erase(&run);
  }
  void bury(std::unique_ptr<engine::Generator::Ticket> ticket) override {
    const std::lock_guard lock(mutex_);
    buried_.push_back(std::move(ticket));
  }

  // Before anything is submitted; not used after end_all().
  void compile_on(TaskPool& pool) { compiling_ = &pool; }

  const TextModel model;
  const GenerateDefaults defaults;

 private:
  struct Open {
    RunPtr run;
    TimePoint deadline;
    bool generating = false;
  };

  // Prep pool, and that for grammars:
  template <class Fn>
  void prepare(const RunPtr& run, Fn&& work);
  void begin(const RunPtr& run);
  void add_grammar(const RunPtr& run, const GrammarWish& wish, std::vector<int32_t> prompt);
  Result<Prompt> tokenise(GenerateRun& run);
  Result<std::shared_ptr<const text::GrammarVocabulary>> vocabulary();
  void start(const RunPtr& run, std::vector<int32_t> prompt, GrammarCache::Made grammar);
  GrammarCache::Made compile(const Result<text::GrammarSource>& source);
  // Of prompt and answer.
  int32_t context() const {
    const int32_t engine = generator_.options().context_max;
    return model.tokens_max > 0 && (engine <= 0 || model.tokens_max < engine) ? model.tokens_max
                                                                              : engine;
  }

  const std::vector<int32_t> eos_ids_;
  engine::Generator& generator_;
  TaskPool& prep_;
  TaskPool* compiling_ = nullptr;
  const Clock& clock_;
  std::map<const text::ChatTemplate*, Manners> manners_;
  GrammarCache grammars_{{}};

  std::mutex vocabulary_mutex_;  // held while it is made
  std::shared_ptr<const text::GrammarVocabulary> vocabulary_;

  mutable std::mutex mutex_;
  std::unordered_map<const GenerateRun*, Open> open_;
  std::vector<std::unique_ptr<engine::Generator::Ticket>> buried_;
  Rng rng_;
  bool closed_ = false, gone_ = false;
  int preparing_ = 0;  // jobs that run now
  std::condition_variable idle_;
};

namespace {

class TicketImpl final : public GenerateService::Ticket {
 public:
  explicit TicketImpl(RunPtr run) : run_(std::move(run)) {}
  ~TicketImpl() override { run_->cancel(); }

 private:
  const RunPtr run_;
};

}  // namespace

std::unique_ptr<GenerateService::Ticket> GenerateState::submit(
    GenerateCall call, std::shared_ptr<GenerateStream> stream) {
  if (auto checked = check_call(call); !checked.ok()) {
    stream->on_end(std::move(checked).error());
    return nullptr;
  }
  auto run =
      std::make_shared<GenerateRun>(std::move(call), std::move(stream), shared_from_this(), clock_);
  bool closed = false;
  {
    const std::lock_guard lock(mutex_);
    closed = closed_;
    if (!closed)
      open_[run.get()] = {run,
                          std::min(clock_.now() + defaults.prepare_timeout, run->call().deadline)};
  }
  if (closed) {
    run->fail({Code::kUnavailable, "the server is shutting down"});
    return nullptr;
  }
  if (!prep_.post(
          [self = shared_from_this(), run] { self->prepare(run, [&] { self->begin(run); }); })) {
    run->fail({Code::kOverloaded, "too many requests wait to be prepared"});
    return nullptr;
  }
  return std::make_unique<TicketImpl>(std::move(run));
}

template <class Fn>
void GenerateState::prepare(const RunPtr& run, Fn&& work) {
  {
    const std::lock_guard lock(mutex_);
    if (gone_) return;
    ++preparing_;
  }
  guarded(*run, work);
  const std::lock_guard lock(mutex_);
  if (--preparing_ == 0) idle_.notify_all();
}

void GenerateState::begin(const RunPtr& run) {
  sweep();  // a request that waited too long for its turn is not begun
  auto prompt = tokenise(*run);
  if (!prompt.ok()) return run->fail(std::move(prompt).error());
  if (run->over()) return;
  const GenerateCall& call = run->call();
  // Before anything is made for an answer that will not come.
  if (auto fits = check_prompt_tokens(call, prompt->ids.size(), defaults, context()); !fits.ok())
    return run->fail(std::move(fits).error());
  auto wish =
      choose_grammar(call, run->plan().tool_format.value_or(ToolFormat::kLlama), prompt->thinking);
  if (!wish) return start(run, std::move(prompt->ids), std::shared_ptr<const text::Grammar>());
  if (auto known = grammars_.find(wish->key))
    return start(run, std::move(prompt->ids), std::move(known));
  // Compiling takes long: other requests' prompts do not wait for it.
  auto job = [self = shared_from_this(), run, wish = std::move(*wish),
              tokens = std::move(prompt->ids)]() mutable {
    self->prepare(run, [&] { self->add_grammar(run, wish, std::move(tokens)); });
  };
  if (!compiling_->post(std::move(job)))
    run->fail({Code::kOverloaded, "too many requests wait for their grammars"});
}

void GenerateState::add_grammar(const RunPtr& run, const GrammarWish& wish,
                                std::vector<int32_t> prompt) {
  sweep();
  if (run->over()) return;
  grammars_.get(
      wish.key, [&] { return compile(wish.source()); },
      [this, run, prompt = std::move(prompt)](GrammarCache::Made grammar) mutable {
        // Another request's job may call this; a fault here is no fault of that one.
        guarded(*run, [&] { start(run, std::move(prompt), std::move(grammar)); });
      });
}

// Renders and tokenises the prompt, and plans how the answer is to be read.
Result<Prompt> GenerateState::tokenise(GenerateRun& run) {
  const GenerateCall& call = run.call();
  TextPlan& plan = run.plan();
  plan.tokenizer = model.tokenizer;
  plan.skip_special_tokens = call.skip_special_tokens;
  plan.stops = call.stop;
  plan.tokens_min = call.tokens_min;
  plan.tools = call.tools;
  plan.calls_required = call.tool_choice == ToolChoice::kRequired;
  plan.parallel_tool_calls = call.parallel_tool_calls;
  plan.logprobs = call.logprobs >= 0;
  plan.end_ids.insert(call.stop_ids.begin(), call.stop_ids.end());
  if (!call.ignore_eos) plan.end_ids.insert(eos_ids_.begin(), eos_ids_.end());
  if (call.logprobs >= 0 || call.prompt_logprobs) {
    SIS_ASSIGN(auto known, vocabulary());
    plan.token_bytes = [known](int32_t id) { return std::string(known->token_bytes(id)); };
  }

  // Of what is much too long the beginning says enough.
  const int64_t tokens_max =
      int64_t{kPromptCountedTimes} * std::max(1, prompt_tokens_max(call, defaults, context()));
  text::EncodeOptions encoding{.tokens_max =
                                   static_cast<int32_t>(std::min<int64_t>(tokens_max, INT32_MAX))};

  Prompt prompt;
  bool continued = true;
  if (call.chat) {
    SIS_TRY(check_prompt_bytes(call, text_bytes(call.chat->messages), defaults, context()));
    SIS_ASSIGN(const std::string text, render_conversation({.request = *call.chat}, model));
    SIS_TRY(check_prompt_bytes(call, text.size(), defaults, context()));
    if (run.over()) return prompt;
    encoding.add_special_tokens = false;
    prompt.ids = model.tokenizer->encode(text, encoding).ids;
    continued = call.chat->continue_final_message.has_value();

    const bool with_tools = !call.chat->tools.is(text::tmpl::Kind::kNone);
    SIS_ASSIGN(const auto* chosen, model.templates->choose(call.chat->template_name, with_tools));
    const Manners& manners = manners_.at(chosen);
    if (!call.tools.empty() && call.tool_choice != ToolChoice::kNone)
      plan.tool_format = manners.tools;
    using Start = ReasoningSplit::Start;
    if (manners.thinks &&
        (prompt_opens_thinking(text) || (continued && continues_thinking(*call.chat))))
      plan.reasoning = Start::kThinking;
    else if (manners.thinks && !continued)
      plan.reasoning = Start::kAnswer;
    prompt.thinking = prompt_closes_thinking(text) ? Start::kOff : plan.reasoning;
  } else {
    SIS_TRY(check_prompt_bytes(call, call.text.size(), defaults, context()));
    prompt.ids = call.prompt_is_ids ? call.ids : model.tokenizer->encode(call.text, encoding).ids;
    if (!call.tools.empty() && call.tool_choice == ToolChoice::kRequired)
      plan.tool_format = ToolFormat::kLlama;
  }
  const size_t kept = continued ? std::min(prompt.ids.size(), kContinuedTokens) : 0;
  plan.continued.assign(prompt.ids.end() - static_cast<ptrdiff_t>(kept), prompt.ids.end());
  return prompt;
}

Result<std::shared_ptr<const text::GrammarVocabulary>> GenerateState::vocabulary() {
  const std::lock_guard lock(vocabulary_mutex_);
  if (!vocabulary_) {
    SIS_ASSIGN(vocabulary_,
               text::GrammarVocabulary::create(
                   *model.tokenizer, {.eos_tokens = eos_ids_, .vocab_size = model.vocab_size}));
  }
  return vocabulary_;
}

Status GenerateState::warm() {
  SIS_ASSIGN(const auto known, vocabulary());
  (void)known;
  return {};
}

GrammarCache::Made GenerateState::compile(const Result<text::GrammarSource>& source) {
  if (!source.ok()) return source.error();
  SIS_ASSIGN(auto known, vocabulary());
  return text::compile(*source, std::move(known), {.cache_bytes = size_t{16} << 20});
}

// Gives the prepared request to the engine.
void GenerateState::start(const RunPtr& run, std::vector<int32_t> prompt,
                          GrammarCache::Made grammar) {
  if (!grammar.ok()) {
    Error error = std::move(grammar).error();
    if (error.param.empty())
      error.param = run->call().format.field.empty() ? "response_format" : run->call().format.field;
    return run->fail(std::move(error));
  }
  GenerateLimits limits{.context = context(), .eos_ids = eos_ids_};
  uint64_t call_seed = 0;
  {
    const std::lock_guard lock(mutex_);
    limits.drawn_seed = rng_.next();
    call_seed = rng_.next();
  }
  auto request = make_engine_request(run->call(), std::move(prompt), defaults, limits);
  if (!request.ok()) return run->fail(std::move(request).error());
  request->grammar = std::move(*grammar);
  run->prepared(request->prompt, call_seed);
  {
    const std::lock_guard lock(mutex_);
    const auto it = open_.find(run.get());
    if (it == open_.end()) return;  // over
    it->second.deadline = std::min(clock_.now() + defaults.generate_timeout, run->call().deadline);
    it->second.generating = true;
  }
  auto ticket = generator_.submit(std::move(*request), run);
  if (!ticket.ok()) return run->fail(std::move(ticket).error());
  run->attach(std::move(*ticket));
}

void GenerateState::sweep() {
  std::vector<Open> late;
  const TimePoint now = clock_.now();
  std::vector<std::unique_ptr<engine::Generator::Ticket>> buried;  // destroyed after the lock
  {
    const std::lock_guard lock(mutex_);
    buried.swap(buried_);
    for (const auto& [run, open] : open_)
      if (open.deadline <= now) late.push_back(open);
  }
  for (const auto& open : late)
    open.run->fail(
        {Code::kDeadline,
         open.run->call().deadline <= now
             ? std::string("no whole answer within the request's own time limit")
         : open.generating
             ? concat("no whole answer within ", to_seconds(defaults.generate_timeout), " s")
             : concat("not prepared within ", to_seconds(defaults.prepare_timeout), " s")});
}

void GenerateState::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
}

// No request and no job of the service touches the model or the engine after this.
void GenerateState::end_all() {
  std::vector<RunPtr> open;
  {
    const std::lock_guard lock(mutex_);
    closed_ = gone_ = true;
    for (const auto& [run, entry] : open_) open.push_back(entry.run);
  }
  for (const auto& run : open) run->fail({Code::kUnavailable, "the server is shutting down"});
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return preparing_ == 0; });
  auto buried = std::exchange(buried_, {});
  lock.unlock();
}

namespace {

class GenerateServiceImpl final : public GenerateService {
 public:
  explicit GenerateServiceImpl(std::shared_ptr<GenerateState> state) : state_(std::move(state)) {
    state_->compile_on(compiling_);
  }
  ~GenerateServiceImpl() override { state_->end_all(); }

  std::unique_ptr<Ticket> submit(GenerateCall call,
                                 std::shared_ptr<GenerateStream> stream) override {
    return state_->submit(std::move(call), std::move(stream));
  }
  void sweep() override { state_->sweep(); }
  void close() override { state_->close(); }
  void end_all() override { state_->end_all(); }
  Status warm() override { return state_->warm(); }
  const TextModel& model() const override { return state_->model; }
  const GenerateDefaults& defaults() const override { return state_->defaults; }
  int64_t requests_open() const override { return state_->requests_open(); }

 private:
  const std::shared_ptr<GenerateState> state_;
  TaskPool compiling_{"sis-grammar", 1, 256};  // joined before the state may go
};

}  // namespace

std::unique_ptr<GenerateService> GenerateService::create(const TextModel& model,
                                                         std::vector<int32_t> eos_ids,
                                                         const GenerateDefaults& defaults,
                                                         engine::Generator& generator,
                                                         TaskPool& prep, const Clock& clock) {
  return std::make_unique<GenerateServiceImpl>(
      std::make_shared<GenerateState>(model, std::move(eos_ids), defaults, generator, prep, clock));
}

}  // namespace sis::tasks
