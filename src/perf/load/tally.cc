#include "perf/load/tally.h"

#include <algorithm>

namespace sis::perf {

const char* fault_name(Fault fault) {
  switch (fault) {
    case Fault::kConnect:
      return "connect";
    case Fault::kTimeout:
      return "timeout";
    case Fault::kClosed:
      return "closed";
    case Fault::kProtocol:
      return "protocol";
    case Fault::kStatus:
      return "status";
    case Fault::kBody:
      return "body";
  }
  return "unknown";
}

bool Slo::met_by(Duration first, std::span<const Duration> gaps) const {
  if (ttft > Duration{} && first > ttft) return false;
  if (itl == Duration{}) return true;
  const auto over = static_cast<size_t>(
      std::count_if(gaps.begin(), gaps.end(), [&](Duration gap) { return gap > itl; }));
  return over <= gaps.size() / 100;
}

void GenerationTally::note(const Generation& generation, TimePoint intended, TimePoint done,
                           TimePoint window_end, const Slo& slo) {
  ++answers;
  if (generation.counted_by_server) ++counted_by_server;
  const auto tokens = static_cast<uint64_t>(generation.output_tokens);
  output_tokens += tokens;
  output_tokens_min = std::min(output_tokens_min, tokens);
  output_tokens_max = std::max(output_tokens_max, tokens);
  if (generation.cached_tokens >= 0) {
    cached_tokens += static_cast<uint64_t>(generation.cached_tokens);
    ++answers_with_cached_tokens;
  }
  // Of an answer that ran over the window's end, the pieces that came before it count.
  const auto& pieces = generation.pieces;
  if (done <= window_end) {
    output_tokens_in_window += tokens;
  } else if (!pieces.empty()) {
    const auto in_time = static_cast<uint64_t>(
        std::upper_bound(pieces.begin(), pieces.end(), window_end) - pieces.begin());
    output_tokens_in_window += tokens * in_time / pieces.size();
  }
  if (generation.per_token) tpot.record(*generation.per_token);
  for (const Duration gap : generation.gaps) itl.record(gap);
  if (pieces.empty()) {
    ++without_content;
    return;
  }
  const Duration first = pieces.front() - intended;
  ttft.record(first);
  if (slo.wanted() && slo.met_by(first, generation.gaps)) {
    ++slo_met;
    if (done <= window_end) ++slo_met_in_window;
  }
}

void GenerationTally::merge(const GenerationTally& other) {
  answers += other.answers;
  counted_by_server += other.counted_by_server;
  output_tokens += other.output_tokens;
  output_tokens_min = std::min(output_tokens_min, other.output_tokens_min);
  output_tokens_max = std::max(output_tokens_max, other.output_tokens_max);
  output_tokens_in_window += other.output_tokens_in_window;
  cached_tokens += other.cached_tokens;
  answers_with_cached_tokens += other.answers_with_cached_tokens;
  without_content += other.without_content;
  slo_met += other.slo_met;
  slo_met_in_window += other.slo_met_in_window;
  ttft.merge(other.ttft);
  itl.merge(other.itl);
  tpot.merge(other.tpot);
}

void HttpTimes::merge(const HttpTimes& other) {
  connecting.merge(other.connecting);
  tls_handshaking.merge(other.tls_handshaking);
  sending.merge(other.sending);
  waiting.merge(other.waiting);
  receiving.merge(other.receiving);
}

void Tally::note_message(uint64_t request, double at_s, const std::string& message,
                         size_t errors_max) {
  if (errors.size() < errors_max) errors.push_back({request, at_s, message});
  if (const auto found = messages.find(message); found != messages.end())
    ++found->second;
  else if (messages.size() < kMessagesMax)
    messages.emplace(message, 1);
  else
    ++other_messages;
}

void Tally::merge(const Tally& other) {
  sent += other.sent;
  ok += other.ok;
  failed += other.failed;
  for (size_t i = 0; i < faults.size(); ++i) faults[i] += other.faults[i];
  for (size_t i = 0; i < statuses.size(); ++i) statuses[i] += other.statuses[i];
  items += other.items;
  prompt_tokens += other.prompt_tokens;
  answers_with_prompt_tokens += other.answers_with_prompt_tokens;
  bytes_out += other.bytes_out;
  bytes_in += other.bytes_in;
  body_bytes += other.body_bytes;
  connects += other.connects;
  connect_failures += other.connect_failures;
  resent += other.resent;
  unsent += other.unsent;
  abandoned += other.abandoned;
  gave_up |= other.gave_up;
  interrupted |= other.interrupted;

  latency.merge(other.latency);
  service.merge(other.service);
  failed_latency.merge(other.failed_latency);
  late.merge(other.late);
  waited.merge(other.waited);
  unsent_waited.merge(other.unsent_waited);
  poll_delay.merge(other.poll_delay);
  http.merge(other.http);

  if (other.started != TimePoint{})
    started = started == TimePoint{} ? other.started : std::min(started, other.started);
  last_done = std::max(last_done, other.last_done);
  window_end = std::max(window_end, other.window_end);
  ok_in_window += other.ok_in_window;
  items_in_window += other.items_in_window;
  amount += other.amount;
  amount_in_window += other.amount_in_window;
  cache_hits += other.cache_hits;
  answers_with_cache += other.answers_with_cache;
  prompt_tokens_in_window += other.prompt_tokens_in_window;
  generation.merge(other.generation);
  cpu_s += other.cpu_s;
  cpu_wait_s += other.cpu_wait_s;
  cpu_share_max = std::max(cpu_share_max, other.cpu_share_max);

  errors.insert(errors.end(), other.errors.begin(), other.errors.end());
  std::stable_sort(errors.begin(), errors.end(),
                   [](const ErrorRecord& a, const ErrorRecord& b) { return a.at_s < b.at_s; });
  for (const auto& [message, count] : other.messages) {
    if (const auto found = messages.find(message); found != messages.end())
      found->second += count;
    else if (messages.size() < kMessagesMax)
      messages.emplace(message, count);
    else
      other_messages += count;
  }
  other_messages += other.other_messages;
  if (timeline.size() < other.timeline.size()) timeline.resize(other.timeline.size());
  for (size_t i = 0; i < other.timeline.size(); ++i) {
    timeline[i].ok += other.timeline[i].ok;
    timeline[i].failed += other.timeline[i].failed;
    timeline[i].latency_sum_ms += other.timeline[i].latency_sum_ms;
    timeline[i].latency_max_ms =
        std::max(timeline[i].latency_max_ms, other.timeline[i].latency_max_ms);
  }
}

std::array<Histogram*, 15> Tally::histograms() {
  return {&latency,
          &service,
          &failed_latency,
          &late,
          &waited,
          &unsent_waited,
          &poll_delay,
          &http.connecting,
          &http.tls_handshaking,
          &http.sending,
          &http.waiting,
          &http.receiving,
          &generation.ttft,
          &generation.itl,
          &generation.tpot};
}

Histogram Tally::latency_all_due() const {
  Histogram out = latency;
  if (out.empty()) return out;
  const double fastest_ms = service.min_ms(), longest_ms = unsent_waited.max_ms();
  unsent_waited.for_each([&](double upper_ms, uint64_t count) {
    const double waited_ms = std::min(Histogram::counter_middle_ms(upper_ms), longest_ms);
    out.record(from_ms(waited_ms + fastest_ms), count);
  });
  return out;
}

void Tally::reset() {
  Tally fresh;
  const auto used = histograms(), kept = fresh.histograms();
  for (size_t i = 0; i < used.size(); ++i) {
    used[i]->reset();
    std::swap(*used[i], *kept[i]);
  }
  *this = std::move(fresh);
}

double Tally::wall_s() const {
  const TimePoint end = window_end != TimePoint{} ? window_end : last_done;
  return end > started ? to_seconds(end - started) : 0;
}

}  // namespace sis::perf
