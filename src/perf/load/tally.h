// What one event loop counted in one phase; tallies of several loops merge into the run's.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "perf/load/workload.h"
#include "perf/report/histogram.h"

namespace sis::perf {

enum class Fault : uint8_t { kConnect, kTimeout, kClosed, kProtocol, kStatus, kBody };
inline constexpr size_t kFaults = 6;
// "connect", "timeout", ...
const char* fault_name(Fault fault);

struct ErrorRecord {
  uint64_t request = 0;
  double at_s = 0;  // since the phase began
  std::string message;
};

// Limits that a streamed answer should keep; 0: none.
struct Slo {
  Duration ttft{};
  Duration itl{};  // for 99 of 100 gaps of one answer

  bool wanted() const { return ttft > Duration{} || itl > Duration{}; }
  bool met_by(Duration first, std::span<const Duration> gaps) const;
};

// What generated answers add to a tally.
struct GenerationTally {
  uint64_t answers = 0, counted_by_server = 0;  // output tokens of the others: pieces of content
  uint64_t output_tokens = 0, output_tokens_min = UINT64_MAX, output_tokens_max = 0;  // per answer
  uint64_t output_tokens_in_window = 0;  // those of streamed answers by when they came
  uint64_t cached_tokens = 0, answers_with_cached_tokens = 0;
  uint64_t without_content = 0;  // streamed answers: they have no first token
  uint64_t slo_met = 0, slo_met_in_window = 0;
  Histogram ttft;  // intended send to first content
  Histogram itl;   // between neighbouring pieces of content
  Histogram tpot;  // mean time per token after the first, one value per answer

  void note(const Generation& generation, TimePoint intended, TimePoint done, TimePoint window_end,
            const Slo& slo);
  void merge(const GenerationTally& other);
};

// Where the time of good answers went, as k6 and browsers split it; reused connections do not
// connect.
struct HttpTimes {
  Histogram connecting, tls_handshaking;  // per connection made
  Histogram sending;                      // first to last byte of the request
  Histogram waiting;                      // last byte out to first byte in (TTFB)
  Histogram receiving;                    // first to last byte of the answer

  void merge(const HttpTimes& other);
};

struct Second {  // one second of the timeline
  uint64_t ok = 0, failed = 0;
  double latency_sum_ms = 0, latency_max_ms = 0;
};

struct Tally {
  static constexpr size_t kMessagesMax = 64;  // distinct messages counted one by one
  static constexpr size_t kTimelineMax = 86400;

  uint64_t sent = 0, ok = 0, failed = 0;
  std::array<uint64_t, kFaults> faults{};
  std::array<uint64_t, 600> statuses{};  // index 0: outside 100..599
  uint64_t items = 0, prompt_tokens = 0, answers_with_prompt_tokens = 0;
  double amount = 0, amount_in_window = 0;          // Judgement::amount of good answers
  uint64_t cache_hits = 0, answers_with_cache = 0;  // answers_with_cache: those that told
  uint64_t bytes_out = 0, bytes_in = 0;             // all that went over connections
  uint64_t body_bytes = 0;                          // of answers
  uint64_t connects = 0, connect_failures = 0, resent = 0;
  uint64_t unsent = 0;     // due or ordered, but never sent
  uint64_t abandoned = 0;  // sent, not answered when the run was cut short
  bool gave_up = false;    // nothing could be reached any more
  bool interrupted = false;

  Histogram latency;         // good answers, from the intended send
  Histogram service;         // good answers, from the actual send (open loop only)
  Histogram failed_latency;  // other answers and timeouts, from the intended send
  Histogram late;            // open loop: the generator's own delay before a send
  Histogram waited;          // open loop: for a free connection
  Histogram unsent_waited;   // open loop: those due but never sent, from due to the end of sending
  Histogram poll_delay;      // answer ready until read by the generator, at most

  HttpTimes http;

  TimePoint started{}, last_done{};
  TimePoint window_end{};     // end of the sending time when one was set
  uint64_t ok_in_window = 0;  // good answers before it
  uint64_t items_in_window = 0, prompt_tokens_in_window = 0;
  double cpu_s = 0;          // of the generator's threads
  double cpu_wait_s = 0;     // runnable, but another process had the core
  double cpu_share_max = 0;  // busiest thread: (cpu + wait) / wall, less idle spinning

  GenerationTally generation;

  std::vector<ErrorRecord> errors;           // the first ones
  std::map<std::string, uint64_t> messages;  // how often each was seen
  uint64_t other_messages = 0;
  std::vector<Second> timeline;

  // Keeps the text of the first `errors_max` errors; counts each of the first kMessagesMax
  // messages.
  void note_message(uint64_t request, double at_s, const std::string& message, size_t errors_max);
  void merge(const Tally& other);
  void reset();  // as new, but histograms keep their memory
  std::array<Histogram*, 15> histograms();
  // Of an open loop, at least: `latency`, and every request that was due but never sent with the
  // time it had waited and that of the fastest good answer. Empty when there was no good answer.
  Histogram latency_all_due() const;
  // Seconds that throughput refers to: the sending window, or first send to last answer.
  double wall_s() const;
};

}  // namespace sis::perf
