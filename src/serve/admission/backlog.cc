#include "serve/admission/backlog.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace sis::admission {
namespace {

constexpr double kLearn = 0.05;
constexpr double kErrorUp = 0.1, kErrorDown = kErrorUp / 2000;
// Of a request's time: kept in hand for a machine that slows down while the request waits, and the
// most that is kept in all.
constexpr double kReserveShare = 0.05, kSlackShareMax = 1.0 / 3;
constexpr double kForecastSecondsMax = 1e6;  // a Duration holds it

Duration duration(double seconds) {
  return from_seconds(std::clamp(seconds, 0.0, kForecastSecondsMax));
}

}  // namespace

Backlog::Entry Backlog::estimate(const Size& size) const {
  Entry entry{.size = size};
  entry.size.sequences = std::max(1, size.sequences);
  entry.whole.prefill_tokens =
      static_cast<double>(std::max<int64_t>(0, size.tokens)) +
      static_cast<double>(std::max<int64_t>(0, size.bytes)) * tokens_per_byte_;
  const double answer_max = std::max(0, size.answer_tokens_max);
  const double answer = answer_tokens_ < 0 ? answer_max : std::min(answer_max, answer_tokens_);
  entry.whole.decode_tokens = answer * entry.size.sequences;
  entry.left = entry.whole;
  return entry;
}

std::optional<Forecast> Backlog::forecast(const Entry& entry) const {
  if (!cost_.known()) return std::nullopt;
  if (entry.whole.decode_tokens > 0 && answer_tokens_ < 0) return std::nullopt;
  double start = 0;
  if (!has_free_place()) {
    // Its turn comes when one sequence less runs than can. The others that run then are on average
    // half done, and that half need not be waited for.
    const double mean =
        cost_.seconds(whole_) / static_cast<double>(std::max<int64_t>(1, sequences_));
    start = std::max(0.0, cost_.seconds(left_) - (options_.parallel - 1) * mean / 2);
  }
  const double rounds = std::ceil(static_cast<double>(entry.size.sequences) / options_.parallel);
  const double steps = entry.whole.decode_tokens / entry.size.sequences * rounds;
  const double finish =
      start + cost_.seconds({.prefill_tokens = entry.whole.prefill_tokens}) +
      steps * options_.parallel * cost_.decode_seconds();  // a step has a token of each sequence
  return Forecast{.start = duration(start), .finish = duration(finish)};
}

Duration Backlog::slack(Duration budget) const {
  const double seconds = to_seconds(budget);
  return duration(std::min(error_seconds_ + seconds * kReserveShare, seconds * kSlackShareMax));
}

Duration Backlog::drain() const {
  return cost_.known() ? duration(cost_.seconds(left_)) : Duration::zero();
}

void Backlog::add(const Entry& entry) {
  whole_ += entry.whole;
  left_ += entry.left;
  ++requests_;
  sequences_ += entry.size.sequences;
}

void Backlog::remove(const Entry& entry) {
  --requests_;
  sequences_ -= entry.size.sequences;
  whole_ -= entry.whole;
  left_ -= entry.left;
  if (requests_ == 0) whole_ = left_ = {};  // no crumbs of rounding
  if (!entry.exact || entry.size.bytes <= 0) return;
  const double tokens = entry.whole.prefill_tokens - static_cast<double>(entry.size.tokens);
  tokens_per_byte_ +=
      kLearn * (std::max(0.0, tokens) / static_cast<double>(entry.size.bytes) - tokens_per_byte_);
}

void Backlog::correct(Entry& entry, int64_t prompt_tokens) {
  const auto tokens = static_cast<double>(std::max<int64_t>(0, prompt_tokens));
  whole_ -= {.prefill_tokens = entry.whole.prefill_tokens};
  left_ -= {.prefill_tokens = entry.left.prefill_tokens};
  entry.exact = true;
  entry.whole.prefill_tokens = tokens;
  entry.left.prefill_tokens = entry.running ? tokens / 2 : tokens;
  whole_ += {.prefill_tokens = entry.whole.prefill_tokens};
  left_ += {.prefill_tokens = entry.left.prefill_tokens};
}

void Backlog::start(Entry& entry) {
  if (std::exchange(entry.running, true)) return;
  left_ -= entry.left;
  entry.left = {.prefill_tokens = entry.whole.prefill_tokens / 2,
                .decode_tokens = entry.whole.decode_tokens / 2};
  left_ += entry.left;
}

void Backlog::learn_answer(double answer_tokens) {
  if (answer_tokens_ < 0)
    answer_tokens_ = answer_tokens;
  else
    answer_tokens_ += kLearn * (answer_tokens - answer_tokens_);
}

void Backlog::learn_error(Duration forecast, Duration actual) {
  const double surprise = to_seconds(actual - forecast) - error_seconds_;
  error_seconds_ =
      std::max(0.0, error_seconds_ + surprise * (surprise > 0 ? kErrorUp : kErrorDown));
}

void Backlog::on_step(TimePoint end, const Work& done, Duration compute) {
  // Where sequences run together they must be as many as can; where requests follow each other,
  // some must be left when this batch is done.
  const bool left_behind =
      options_.parallel > 1 ? sequences_ > 0 : left_.tokens() > 1.25 * done.tokens();
  const bool busy = options_.parallel > 1 ? !has_free_place() : left_behind;
  cost_.add(end, done, compute, {.busy = busy, .continues = left_behind_});
  left_behind_ = left_behind;
}

}  // namespace sis::admission
