#include "serve/tasks/embed.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <unordered_map>

#include "base/check.h"
#include "base/strings.h"
#include "serve/cache/lru.h"

namespace sis::tasks {
namespace {

using cache::TextKey;

struct Pending;

// A distinct text between its first request and its vector. All fields are guarded by the service's
// mutex, except ids, which the prep job writes before the text enters the queue.
struct Text : QueuedText {
  TextKey key;
  std::vector<int32_t> ids;
  std::vector<int32_t> types;  // of a pair; empty: all 0
  TimePoint enqueued{};
  struct Waiter {
    std::shared_ptr<Pending> pending;
    size_t slot;
  };
  std::vector<Waiter> waiters;
};
using TextPtr = std::shared_ptr<Text>;  // the in-flight table, the queue and prep jobs hold it

// A request between submit() and its answer.
struct Pending {
  EmbedRequest request;
  EmbedService::Done done;  // empty once called or cancelled
  EmbedAnswer answer;
  size_t missing = 0;
  TimePoint deadline{};
  std::vector<std::pair<TextPtr, size_t>>
      fresh;              // texts this request brought in, with their input's index
  bool prepared = false;  // they are queued, or nobody wants them
  bool over = false;
};
using PendingPtr = std::shared_ptr<Pending>;

using Finished = std::vector<std::pair<EmbedService::Done, Result<EmbedAnswer>>>;

// Batches of fewer tokens are not worth it, and tell little about the price of a token.
constexpr int32_t kTokensMeasured = 128;

void call_all(Finished finished) {
  for (auto& [done, result] : finished) done(std::move(result));
}

}  // namespace

struct EmbedService::State : engine::Lane, std::enable_shared_from_this<EmbedService::State> {
  State(EmbedModel model, const EmbedOptions& options, engine::DeviceExecutor& executor,
        TaskPool& prep, const Clock& clock, EmbedObserver& observer)
      : model(std::move(model)),
        options(options),
        executor(executor),
        prep(prep),
        clock(clock),
        observer(observer),
        cache(options.cache_entries),
        queue(options.queue) {}

  // --- request side
  std::unique_ptr<Ticket> submit(EmbedRequest request, Done done);
  bool look_up(const PendingPtr& pending, TimePoint now, Finished& finished);
  void prepare(const PendingPtr& pending);
  void prepare_texts(const PendingPtr& pending);
  std::string tokenise(const EmbedRequest& request, const EmbedInput& input, Text& text) const;
  void encode_pair(const EmbedInput& input, int32_t tokens_max, Text& text) const;
  void cancel(const PendingPtr& pending);
  void sweep();
  void close(bool answer_all);

  // --- device side
  std::optional<TimePoint> ready_at(TimePoint now) override {
    if (!model.encoder->ready()) return std::nullopt;
    std::lock_guard lock(mutex);
    return queue.due(now);
  }
  void step(ops::Context& context) override;
  void failed(const std::string& what) override;

  // --- under the mutex
  void finish(const PendingPtr& pending, Result<EmbedAnswer> result, Finished& finished);
  void fail_fresh(const Pending& pending, const Error& error, Finished& finished);
  void drop_waiters_of(const Pending* pending);
  std::vector<PendingPtr> admit_from_room();
  int32_t limit_of(const EmbedRequest& request) const {
    return request.tokens_max > 0 ? std::min(request.tokens_max, model.tokens_max)
                                  : model.tokens_max;
  }
  // Requests that forbid cutting share nothing with those that allow it: one may fail where the
  // other does not.
  TextKey key_of(const EmbedRequest& request, size_t index) const {
    const uint64_t salt =
        static_cast<uint64_t>(limit_of(request)) << 1 | (request.truncate ? 1 : 0);
    const EmbedInput& input = request.inputs[index];
    if (input.tokenised) return cache::ids_key(input.ids, salt);
    if (input.pair) return cache::pair_key(input.text, *input.pair, salt);
    return cache::text_key(input.text, salt);
  }
  // Outside of the mutex: a long text takes its time.
  void make_keys(EmbedRequest& request) const {
    if (!request.keys.empty()) return;
    request.keys.reserve(request.inputs.size());
    for (size_t i = 0; i < request.inputs.size(); ++i) request.keys.push_back(key_of(request, i));
  }

  EmbedModel model;
  const EmbedOptions options;
  engine::DeviceExecutor& executor;
  TaskPool& prep;
  const Clock& clock;
  EmbedObserver& observer;

  std::atomic<bool> computing{false};

  std::mutex mutex;
  cache::Lru<TextKey, std::shared_ptr<const Embedded>, cache::TextKeyHash> cache;
  std::unordered_map<TextKey, TextPtr, cache::TextKeyHash> in_flight;
  EmbedQueue<TextPtr> queue;
  int64_t preparing = 0;  // requests admitted to the queue but still tokenised
  std::deque<std::pair<PendingPtr, TimePoint>> room;  // waiting for room in the queue, until
  std::multimap<TimePoint, PendingPtr> deadlines;
  bool closed = false, gone = false;
  int working = 0;  // jobs and cancellations that may still use what the service refers to
  std::condition_variable idle;

  EmbedQueue<TextPtr>::Batch running;  // of the step in progress; executor thread
  double token_s = 0;                  // mean time of a token; executor thread

  // Tokens that can be computed in this time, as far as that is known.
  int32_t tokens_in(Duration time) const {
    if (time <= Duration{} || token_s <= 0) return INT32_MAX;
    return std::max(kTokensMeasured,
                    static_cast<int32_t>(std::min(1e9, to_seconds(time) / token_s)));
  }
};

namespace {

// Keeps the service's destructor waiting while it lives; false when that is over already.
template <class State>
class Working {
 public:
  explicit Working(State& state) : state_(state) {
    const std::lock_guard lock(state_.mutex);
    if (!state_.gone) ++state_.working;
    in_ = !state_.gone;
  }
  ~Working() {
    if (!in_) return;
    const std::lock_guard lock(state_.mutex);
    if (--state_.working == 0) state_.idle.notify_all();
  }
  Working(const Working&) = delete;
  explicit operator bool() const { return in_; }

 private:
  State& state_;
  bool in_ = false;
};

class TicketImpl final : public EmbedService::Ticket {
 public:
  explicit TicketImpl(std::function<void()> cancel) : cancel_(std::move(cancel)) {}
  ~TicketImpl() override { cancel_(); }

 private:
  std::function<void()> cancel_;
};

Error closing() { return {Code::kUnavailable, "the server is shutting down"}; }

}  // namespace

std::unique_ptr<EmbedService::Ticket> EmbedService::State::submit(EmbedRequest request, Done done) {
  SIS_CHECK(!request.inputs.empty(), "");
  auto pending = std::make_shared<Pending>();
  pending->answer.items.resize(request.inputs.size());
  pending->request = std::move(request);
  pending->done = std::move(done);
  const TimePoint now = clock.now();
  pending->deadline = std::min(now + options.timeout, pending->request.deadline);

  Finished finished;
  const bool prepare_now = look_up(pending, now, finished);
  if (!finished.empty()) {
    call_all(std::move(finished));
    return nullptr;
  }
  if (prepare_now && !prep.post([self = shared_from_this(), pending] { self->prepare(pending); })) {
    {
      std::lock_guard lock(mutex);
      --preparing;
      // Who has joined these texts meanwhile would wait for what nobody computes.
      fail_fresh(*pending, {Code::kOverloaded, "too many requests wait to be tokenised"}, finished);
    }
    call_all(std::move(finished));
    return nullptr;
  }
  return std::make_unique<TicketImpl>(
      [self = shared_from_this(), pending] { self->cancel(pending); });
}

// Fills what is cached, joins what is on its way, books the rest. True when its texts are to be
// tokenised now.
bool EmbedService::State::look_up(const PendingPtr& pending, TimePoint now, Finished& finished) {
  make_keys(pending->request);
  const auto& inputs = pending->request.inputs;
  const auto& keys = pending->request.keys;

  int hits = 0;
  bool prepare_now = false, joins = false;
  {
    std::lock_guard lock(mutex);
    if (closed) {
      finish(pending, closing(), finished);
      return false;
    }
    std::vector<size_t> misses;
    bool brings_texts = false;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (const auto* cached = cache.get(keys[i])) {
        pending->answer.items[i] = *cached;
        pending->answer.tokens += (*cached)->tokens;
        ++hits;
      } else {
        misses.push_back(i);
        brings_texts |= !in_flight.contains(keys[i]);
      }
    }
    pending->missing = misses.size();
    pending->answer.cache_hits = hits;
    const bool has_room = room.empty() && queue.requests() + preparing < options.queue_requests_max;
    if (misses.empty()) {
      finish(pending, std::move(pending->answer), finished);
    } else if (brings_texts && !has_room &&
               static_cast<int32_t>(room.size()) >= options.queue_requests_max) {
      finish(pending,
             Error{Code::kOverloaded, concat("the embedding queue of ", model.name, " is full (",
                                             options.queue_requests_max, " requests)")},
             finished);
    } else {
      for (const size_t i : misses) {
        TextPtr& text = in_flight[keys[i]];
        if (!text) {
          text = std::make_shared<Text>();
          text->key = keys[i];
          pending->fresh.emplace_back(text, i);
        }
        text->waiters.push_back({pending, i});
      }
      deadlines.emplace(pending->deadline, pending);
      if (brings_texts && has_room) {
        ++preparing;
        prepare_now = true;
      } else if (brings_texts) {
        room.emplace_back(pending, now + options.queue_room_timeout);
      } else {
        joins = true;
      }
    }
  }
  if (joins && pending->request.on_tokens) pending->request.on_tokens(0);
  observer.on_lookup(hits, static_cast<int>(inputs.size()) - hits);
  return prepare_now;
}

// The second text is cut; the first too where it alone is longer than the limit.
void EmbedService::State::encode_pair(const EmbedInput& input, int32_t tokens_max,
                                      Text& text) const {
  using text::Truncation;
  text::EncodeOptions options;
  if (model.pair_prompt) {
    const PairPrompt& prompt = *model.pair_prompt;
    const auto frame = static_cast<int32_t>(prompt.before.size() + prompt.after.size());
    if (tokens_max > 0) options.tokens_max = std::max(1, tokens_max - frame);
    const auto middle = model.tokenizer->encode(
        concat(prompt.first_label, input.text, prompt.second_label, *input.pair), options);
    text.ids = prompt.before;
    text.ids.insert(text.ids.end(), middle.ids.begin(), middle.ids.end());
    text.ids.insert(text.ids.end(), prompt.after.begin(), prompt.after.end());
    return;
  }
  if (tokens_max > 0)
    options.truncation =
        Truncation{.tokens_max = tokens_max, .strategy = Truncation::Strategy::kOnlySecond};
  auto encoding = model.tokenizer->encode_pair(input.text, *input.pair, options);
  if (tokens_max > 0 && static_cast<int32_t>(encoding.ids.size()) > tokens_max) {
    options.truncation->strategy = Truncation::Strategy::kLongestFirst;
    encoding = model.tokenizer->encode_pair(input.text, *input.pair, options);
  }
  text.ids = std::move(encoding.ids);
  if (model.encoder->info().types > 1) text.types = std::move(encoding.type_ids);
}

// Why a text cannot be embedded, to be put behind "input[i]"; empty when it can.
std::string EmbedService::State::tokenise(const EmbedRequest& request, const EmbedInput& input,
                                          Text& text) const {
  const int32_t limit = limit_of(request), vocab = model.encoder->info().vocab;
  if (input.tokenised) {
    text.ids = input.ids;
  } else if (input.pair) {
    encode_pair(input, request.truncate ? limit : 0, text);
  } else {
    const text::EncodeOptions options{.tokens_max = request.truncate ? limit : 0};
    text.ids = model.tokenizer
                   ->encode(model.prompt.empty() ? input.text : model.prompt + input.text, options)
                   .ids;
  }
  if (text.ids.empty()) return " has no tokens";
  for (const int32_t id : text.ids)
    if (id < 0 || id >= vocab)
      return concat(": token id ", id, " is outside the vocabulary 0..", vocab - 1);
  if (static_cast<int32_t>(text.ids.size()) > limit) {
    if (!request.truncate)
      return concat(" has ", text.ids.size(), " tokens, this model takes at most ", limit,
                    "; shorten it or allow truncation");
    text.ids.resize(static_cast<size_t>(limit));
    if (!text.types.empty()) text.types.resize(static_cast<size_t>(limit));
  }
  text.tokens = static_cast<int32_t>(text.ids.size());
  return {};
}

// Prep pool. The border that no exception crosses: what cannot be prepared costs those who wait for
// it.
void EmbedService::State::prepare(const PendingPtr& pending) {
  const Working here(*this);
  if (!here) return;
  try {
    prepare_texts(pending);
  } catch (const std::exception& fault) {
    Finished finished;
    {
      std::lock_guard lock(mutex);
      if (!pending->prepared) --preparing;
      fail_fresh(*pending, {Code::kInternal, "these texts could not be prepared"}, finished);
    }
    observer.on_failure(fault.what());
    call_all(std::move(finished));
  }
  executor.wake();
}

// Tokenises the texts this request brought in, then queues them. A text that cannot be embedded
// fails every request that waits for it, and no other.
void EmbedService::State::prepare_texts(const PendingPtr& pending) {
  const EmbedRequest& request = pending->request;
  std::vector<std::pair<TextPtr, size_t>> wanted;
  {
    std::lock_guard lock(mutex);
    for (const auto& fresh : pending->fresh)
      if (fresh.first->wanted) wanted.push_back(fresh);
  }
  std::vector<std::string> faults;
  for (auto& [text, index] : wanted)
    faults.push_back(tokenise(request, request.inputs[index], *text));

  Finished finished;
  int64_t tokens = 0;
  {
    std::lock_guard lock(mutex);
    std::vector<TextPtr> sound;
    for (size_t i = 0; i < faults.size(); ++i) {
      const TextPtr& text = wanted[i].first;
      if (faults[i].empty()) {
        sound.push_back(text);
        continue;
      }
      const bool too_long = static_cast<int32_t>(text->ids.size()) > limit_of(request);
      for (const auto& [waiting, slot] : std::vector(text->waiters))
        finish(waiting,
               Error{Code::kInvalidArgument, concat("input[", slot, "]", faults[i]), "input",
                     too_long ? "context_length_exceeded" : ""},
               finished);
    }
    std::erase_if(sound, [](const TextPtr& text) { return !text->wanted; });
    const TimePoint now = clock.now();
    for (const auto& text : sound) {
      text->enqueued = now;
      tokens += text->tokens;
    }
    if (!sound.empty()) queue.push(std::move(sound), now);
    pending->fresh.clear();
    pending->prepared = true;
    --preparing;
  }
  if (request.on_tokens) request.on_tokens(tokens);
  call_all(std::move(finished));
}

void EmbedService::State::step(ops::Context& context) {
  EmbedQueue<TextPtr>::Batch& batch = running = {};
  std::vector<TextPtr> dropped;
  std::vector<PendingPtr> admitted;
  const TimePoint begin = clock.now();
  {
    std::lock_guard lock(mutex);
    batch = queue.take(begin, dropped, tokens_in(context.time_wanted));
    admitted = admit_from_room();
  }
  for (const auto& pending : admitted)
    prep.post_always([self = shared_from_this(), pending] { self->prepare(pending); });
  if (batch.texts.empty()) return;
  computing = true;

  int32_t* ids = context.workspace.take<int32_t>(batch.tokens);
  int32_t* offsets = context.workspace.take<int32_t>(static_cast<int64_t>(batch.texts.size()) + 1);
  int32_t* types = nullptr;  // only where a text has some
  offsets[0] = 0;
  for (size_t i = 0; i < batch.texts.size(); ++i) {
    const auto& from = batch.texts[i]->ids;
    std::copy(from.begin(), from.end(), ids + offsets[i]);
    offsets[i + 1] = offsets[i] + static_cast<int32_t>(from.size());
    const auto& kinds = batch.texts[i]->types;
    if (kinds.empty()) continue;
    if (!types) {
      types = context.workspace.take<int32_t>(batch.tokens);
      std::fill(types, types + batch.tokens, 0);
    }
    std::copy(kinds.begin(), kinds.end(), types + offsets[i]);
  }
  const Mat<float> vectors =
      embed_batch(model, context,
                  {.ids = {ids, static_cast<size_t>(batch.tokens)},
                   .offsets = {offsets, batch.texts.size() + 1},
                   .types = {types, types ? static_cast<size_t>(batch.tokens) : 0}});
  const Duration compute = clock.now() - begin;
  computing = false;
  if (batch.tokens >= kTokensMeasured) {
    const double seconds = to_seconds(compute) / batch.tokens;
    token_s = token_s == 0 ? seconds : token_s + (seconds - token_s) / 8;
  }

  std::vector<std::shared_ptr<const Embedded>> results;
  for (size_t i = 0; i < batch.texts.size(); ++i) {
    const float* row = vectors.row(static_cast<int64_t>(i));
    results.push_back(std::make_shared<const Embedded>(
        Embedded{{row, row + vectors.cols}, batch.texts[i]->tokens}));
  }
  Finished finished;
  {
    std::lock_guard lock(mutex);
    for (size_t i = 0; i < batch.texts.size(); ++i) {
      const TextPtr& text = batch.texts[i];
      cache.put(text->key, results[i]);
      if (const auto it = in_flight.find(text->key); it != in_flight.end() && it->second == text)
        in_flight.erase(it);
      for (auto& [pending, slot] : text->waiters) {
        if (pending->over) continue;
        pending->answer.items[slot] = results[i];
        pending->answer.tokens += results[i]->tokens;
        pending->answer.queue = std::max(pending->answer.queue, begin - text->enqueued);
        pending->answer.compute = std::max(pending->answer.compute, compute);
        if (--pending->missing == 0) finish(pending, std::move(pending->answer), finished);
      }
    }
  }
  observer.on_batch(static_cast<int>(batch.texts.size()), batch.tokens, batch.waits, compute);
  // Writing answers is not the device's work.
  if (!finished.empty())
    prep.post_always([finished = std::make_shared<Finished>(std::move(finished))] {
      call_all(std::move(*finished));
    });
  running = {};
}

// The texts of the failed step fail everyone who waits for them; the queue stays as it is.
void EmbedService::State::failed(const std::string& what) {
  computing = false;
  Finished finished;
  {
    std::lock_guard lock(mutex);
    for (const TextPtr& text : running.texts)
      for (const auto& [pending, slot] : std::vector(text->waiters))
        finish(pending, Error{Code::kInternal, "the model failed while it computed these vectors"},
               finished);
    running = {};
  }
  observer.on_failure(what);
  prep.post_always([finished = std::make_shared<Finished>(std::move(finished))] {
    call_all(std::move(*finished));
  });
}

void EmbedService::State::finish(const PendingPtr& pending, Result<EmbedAnswer> result,
                                 Finished& finished) {
  if (pending->over) return;
  pending->over = true;
  finished.emplace_back(std::move(pending->done), std::move(result));
  pending->done = nullptr;
  const auto [first, last] = deadlines.equal_range(pending->deadline);
  for (auto it = first; it != last; ++it) {
    if (it->second != pending) continue;
    deadlines.erase(it);
    break;
  }
  drop_waiters_of(pending.get());
}

// Ends the request and all others that wait for the texts it has brought in.
void EmbedService::State::fail_fresh(const Pending& pending, const Error& error,
                                     Finished& finished) {
  for (const auto& [text, index] : std::vector(pending.fresh))
    for (const auto& [waiting, slot] : std::vector(text->waiters)) finish(waiting, error, finished);
}

// Texts that only this request wanted are no longer wanted.
void EmbedService::State::drop_waiters_of(const Pending* pending) {
  if (pending->missing == 0) return;
  const auto drop = [&](const TextPtr& text) {
    std::erase_if(text->waiters,
                  [&](const auto& waiter) { return waiter.pending.get() == pending; });
    if (!text->waiters.empty()) return;
    text->wanted = false;
    if (const auto it = in_flight.find(text->key); it != in_flight.end() && it->second == text)
      in_flight.erase(it);
  };
  for (const auto& [text, index] : pending->fresh) drop(text);
  for (size_t i = 0; i < pending->request.inputs.size(); ++i) {
    if (pending->answer.items.size() > i && pending->answer.items[i]) continue;
    const auto it = in_flight.find(pending->request.keys[i]);
    if (it != in_flight.end()) drop(TextPtr(it->second));
  }
}

// Those that waited for room and now have it, to be tokenised. One that is over stays while others
// wait for its texts.
std::vector<PendingPtr> EmbedService::State::admit_from_room() {
  std::erase_if(room, [](const auto& entry) {
    const PendingPtr& pending = entry.first;
    return pending->over && std::none_of(pending->fresh.begin(), pending->fresh.end(),
                                         [](const auto& text) { return text.first->wanted; });
  });
  std::vector<PendingPtr> admitted;
  while (!room.empty() && queue.requests() + preparing < options.queue_requests_max) {
    ++preparing;
    admitted.push_back(std::move(room.front().first));
    room.pop_front();
  }
  return admitted;
}

void EmbedService::State::cancel(const PendingPtr& pending) {
  const Working here(*this);
  if (!here) return;
  Finished finished;
  {
    std::lock_guard lock(mutex);
    if (pending->over) return;
    finish(pending, Error{Code::kCancelled, ""}, finished);
  }
  executor.wake();  // `finished` goes uncalled: nobody listens any more
}

void EmbedService::State::sweep() {
  Finished finished;
  std::vector<PendingPtr> admitted;
  {
    std::lock_guard lock(mutex);
    const TimePoint now = clock.now();
    while (!deadlines.empty() && deadlines.begin()->first <= now)
      finish(PendingPtr(deadlines.begin()->second),
             Error{Code::kDeadline,
                   deadlines.begin()->second->request.deadline <= now
                       ? std::string("no answer within the request's own time limit")
                       : concat("no answer within ", to_seconds(options.timeout), " s")},
             finished);
    for (const auto& [pending, until] : room) {
      if (until > now) break;
      finish(pending,
             Error{Code::kOverloaded,
                   concat("no room in the embedding queue of ", model.name, " within ",
                          to_seconds(options.queue_room_timeout), " s")},
             finished);
    }
    admitted = admit_from_room();
  }
  for (const auto& pending : admitted)
    prep.post_always([self = shared_from_this(), pending] { self->prepare(pending); });
  call_all(std::move(finished));
}

void EmbedService::State::close(bool answer_all) {
  Finished finished;
  {
    std::lock_guard lock(mutex);
    closed = true;
    while (answer_all && !deadlines.empty())
      finish(PendingPtr(deadlines.begin()->second), closing(), finished);
    if (answer_all) room.clear();
  }
  call_all(std::move(finished));
}

EmbedService::EmbedService(EmbedModel model, const EmbedOptions& options,
                           engine::DeviceExecutor& executor, TaskPool& prep, const Clock& clock,
                           EmbedObserver& observer)
    : state_(std::make_shared<State>(std::move(model), options, executor, prep, clock, observer)) {
  executor.add(*state_, options.lane_weight);
}

EmbedService::~EmbedService() {
  state_->executor.remove(*state_);
  state_->close(true);
  std::unique_lock lock(state_->mutex);
  state_->gone = true;
  state_->idle.wait(lock, [this] { return state_->working == 0; });
}

std::unique_ptr<EmbedService::Ticket> EmbedService::submit(EmbedRequest request, Done done) {
  return state_->submit(std::move(request), std::move(done));
}

bool EmbedService::is_cached(EmbedRequest& request) const {
  state_->make_keys(request);
  const std::lock_guard lock(state_->mutex);
  return std::all_of(request.keys.begin(), request.keys.end(),
                     [this](const TextKey& key) { return state_->cache.contains(key); });
}

void EmbedService::sweep() { state_->sweep(); }
void EmbedService::close() { state_->close(false); }
void EmbedService::end_all() { state_->close(true); }
const EmbedModel& EmbedService::model() const { return state_->model; }
const EmbedOptions& EmbedService::options() const { return state_->options; }

int64_t EmbedService::requests_queued() const {
  std::lock_guard lock(state_->mutex);
  return state_->queue.requests() + state_->preparing + static_cast<int64_t>(state_->room.size());
}

bool EmbedService::is_computing() const { return state_->computing; }

int64_t EmbedService::requests_open() const {
  std::lock_guard lock(state_->mutex);
  return static_cast<int64_t>(state_->deadlines.size());
}

}  // namespace sis::tasks
