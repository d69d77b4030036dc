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
  tokens += other.tokens;
  answers_with_tokens += other.answers_with_tokens;
  bytes_out += other.bytes_out;
  bytes_in += other.bytes_in;
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
  poll_delay.merge(other.poll_delay);

  if (other.started != TimePoint{})
    started = started == TimePoint{} ? other.started : std::min(started, other.started);
  last_done = std::max(last_done, other.last_done);
  window_end = std::max(window_end, other.window_end);
  ok_in_window += other.ok_in_window;
  items_in_window += other.items_in_window;
  tokens_in_window += other.tokens_in_window;
  cpu_s += other.cpu_s;
  cpu_wait_s += other.cpu_wait_s;
  cpu_share_max = std::max(cpu_share_max, other.cpu_share_max);

  errors.insert(errors.end(), other.errors.begin(), other.errors.end());
  std::stable_sort(errors.begin(), errors.end(),
                   [](const ErrorRecord& a, const ErrorRecord& b) { return a.at_s < b.at_s; });
  for (const auto& [message, count] : other.messages) messages[message] += count;
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

double Tally::wall_s() const {
  const TimePoint end = window_end != TimePoint{} ? window_end : last_done;
  return end > started ? to_seconds(end - started) : 0;
}

}  // namespace sis::perf
