// Which server a page of metrics comes from, and what its families mean.
//
// A kind is recognised by the names that are there. Families of different servers are put under
// common keys, so that reports need not know whose they are:
//
//   queue_ms, prefill_ms, decode_ms, compute_ms, request_ms   mean per request or batch
//   ttft_ms, itl_ms                                           mean, as the server saw them
//   batch_size                                                mean
//   requests, errors_4xx, errors_5xx, errors, rejected, batches, preemptions   counts
//   prompt_tokens, output_tokens, cached_tokens               counts
//   cache_hit_rate                                            0..1, of texts, tokens or requests
//   running, waiting, memory_bytes, kv_cache_used             gauges
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "perf/join/prometheus.h"

namespace sis::perf {

enum class Meaning : uint8_t {
  kCount,      // increase of a counter, summed over labels
  kMean,       // increase of NAME_sum over increase of NAME_count, times `scale`
  kRatioMean,  // increase of the first name over that of the second, times `scale`
  kHitShare,   // increase of the first name over that of both: hits and misses
  kPartShare,  // increase of the first name over that of the second: hits and queries
  kRest,       // time per request of the first name less that of the second, times `scale`
  kGauge,      // mean and maximum over the scrapes, times `scale`
};

struct MetricMeaning {
  std::string_view key;
  Meaning meaning = Meaning::kCount;
  std::string_view name, other;  // `other`: second name of ratios, shares and rests
  double scale = 1;
  // Only samples whose label begins so; empty: all.
  std::string_view label, label_prefix;
  // Another server version's name for the figure of an earlier row: counts only on pages that have
  // no earlier row of this key.
  bool other_name = false;
  // kRest: the histogram that counts requests. A time that was noted for fewer of them was 0 for
  // the others (an answer out of a cache has no first token); one that was noted for more was also
  // noted for requests that came to nothing, so its own mean stands for the good ones.
  std::string_view requests = {};
};

struct ServerKind {
  std::string_view name;                    // "vllm"
  std::string_view mark;                    // a page with a name that begins so is of this kind
  std::string_view model_label;             // label that names the model; empty: none
  std::span<const MetricMeaning> meanings;  // several with one key are added up, but see other_name
};

// Null when nothing is recognised.
const ServerKind* recognise(const MetricPage& page);

}  // namespace sis::perf
