#include "infer/engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <numbers>
#include <utility>

#include "base/strings.h"
#include "infer/engine/sampler_passes.h"
#include "infer/engine/sampler_select.h"

namespace sis::engine {

extern const SamplerPasses kSamplerPassesRef;
#if defined(__x86_64__)
extern const SamplerPasses kSamplerPassesAvx2, kSamplerPassesAvx512;
#endif

namespace {

constexpr float kLargest = std::numeric_limits<float>::max();
constexpr float kLowest = -std::numeric_limits<float>::infinity();
// Below this temperature the largest logit has all the weight there is.
constexpr float kGreedyTemperature = 1e-5f;

const Variant<const SamplerPasses*> kVariants[] = {
#if defined(__x86_64__)
    {"avx512", Isa::kAvx512, &kSamplerPassesAvx512},
    {"avx2", Isa::kAvx2, &kSamplerPassesAvx2},
#endif
    {"ref", Isa::kRef, &kSamplerPassesRef},
};

// One worker's memory.
struct Scratch {
  float* logits;            // [vocab] after bias, penalties and mask
  float* peaks;             // [groups]
  float* sorted_peaks;      // [groups]
  uint64_t* group_weights;  // [groups]
  Histogram* histogram;
  Candidate* candidates;  // [vocab]
};

Scratch take_scratch(Workspace& workspace, int32_t vocab) {
  const int32_t groups = groups_for(vocab);
  return {.logits = workspace.take<float>(vocab),
          .peaks = workspace.take<float>(groups),
          .sorted_peaks = workspace.take<float>(groups),
          .group_weights = workspace.take<uint64_t>(groups),
          .histogram = workspace.take<Histogram>(1),
          .candidates = workspace.take<Candidate>(vocab)};
}

// 64 random bits of (seed, position): the finaliser of splitmix64, twice.
uint64_t random_bits(uint64_t seed, int32_t position) {
  const auto mixed = [](uint64_t x) {
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
  };
  return mixed(mixed(seed) + static_cast<uint64_t>(position) * 0xD1B54A32D192ED03u);
}

// At least `rank` tokens have logits of at least this; the lowest there is when that is unknown.
float peak_of_rank(const Row& row, int64_t rank, Scratch& scratch) {
  const int32_t groups = groups_for(row.vocab);
  if (rank > groups) return kLowest;
  std::copy(row.peaks, row.peaks + groups, scratch.sorted_peaks);
  std::nth_element(scratch.sorted_peaks, scratch.sorted_peaks + (rank - 1),
                   scratch.sorted_peaks + groups, std::greater<>());
  return scratch.sorted_peaks[rank - 1];
}

class RowSampler {
 public:
  RowSampler(const SamplerPasses& passes, int32_t vocab, Scratch& scratch)
      : passes_(passes), vocab_(vocab), scratch_(scratch) {}

  void run(SampleRow& row) {
    const Range range = passes_.range(row.logits, vocab_, scratch_.peaks);
    if (!range.finite) {
      row.status = SampleStatus::kNotFinite;
      return;
    }
    Row view{.logits = row.logits,
             .peaks = scratch_.peaks,
             .vocab = vocab_,
             .max = range.max,
             .scale = std::numbers::log2e_v<float>};
    double sum = 0;
    if (row.logprob_wanted) {
      view.floor = std::max(range.max - 50,
                            -kLargest);  // what is below adds less than 1e-16 of the vocabulary
      sum = passes_.sum(view);
      fill_top(view, sum, row.top);
    }
    row.token = row.given >= 0 ? row.given : draw(row, view, range.min);
    row.status = row.token >= 0 ? SampleStatus::kToken : SampleStatus::kNothingAllowed;
    if (row.logprob_wanted && row.token >= 0)
      row.logprob = logprob(row.logits[row.token], range.max, sum);
  }

 private:
  static float logprob(float logit, float max, double sum) {
    return static_cast<float>(static_cast<double>(logit) - static_cast<double>(max) -
                              std::log(sum));
  }

  void fill_top(const Row& row, double sum, std::span<TokenLogprob> top) {
    if (top.empty()) return;
    const float floor = peak_of_rank(row, static_cast<int64_t>(top.size()), scratch_);
    Candidate* end = scratch_.candidates;
    for (int32_t g = 0; g < groups_for(vocab_); ++g) {
      if (row.peaks[g] < floor) continue;
      const int32_t last = std::min(vocab_, (g + 1) * kGroupTokens);
      for (int32_t id = g * kGroupTokens; id < last; ++id)
        if (row.logits[id] >= floor) *end++ = {row.logits[id], id, 0};
    }
    std::partial_sort(scratch_.candidates, scratch_.candidates + static_cast<ptrdiff_t>(top.size()),
                      end, before);
    for (size_t i = 0; i < top.size(); ++i)
      top[i] = {scratch_.candidates[i].id, logprob(scratch_.candidates[i].logit, row.max, sum)};
  }

  // The token, or -1 when none is allowed.
  int32_t draw(const SampleRow& row, Row view, float min) {
    if (row.allowed || row.counts || !row.banned_first.empty() || !row.banned_second.empty() ||
        !row.sampling->logit_bias.empty())
      adjust(row, view);
    if (view.max == kLowest) return -1;
    const Sampling& s = *row.sampling;
    if (s.temperature < kGreedyTemperature) return largest(view);
    view.scale = std::numbers::log2e_v<float> / s.temperature;
    view.floor = std::max(view.max - kWeightOctaves / view.scale, -kLargest);
    const Kept kept = cut(s, view, min);
    const uint64_t total = passes_.kept(view, kept, scratch_.group_weights);
    uint64_t at = static_cast<uint64_t>(
        (static_cast<unsigned __int128>(random_bits(row.seed, row.position)) * total) >> 64);
    int32_t group = 0;
    for (; at >= scratch_.group_weights[group]; ++group) at -= scratch_.group_weights[group];
    int32_t weights[kGroupTokens];
    passes_.group(view, kept, group, weights);
    int32_t i = 0;
    for (; at >= static_cast<uint32_t>(weights[i]); ++i) at -= static_cast<uint32_t>(weights[i]);
    return group * kGroupTokens + i;
  }

  // Extreme penalties must not make infinities.
  static float bounded(float l) { return std::clamp(l, -1e30f, 1e30f); }

  // A changed copy of the row: mask and bias, then penalties.
  void adjust(const SampleRow& row, Row& view) {
    float* logits = scratch_.logits;
    if (row.allowed)
      passes_.mask(row.logits, row.allowed, vocab_, logits, scratch_.peaks);
    else
      std::memcpy(logits, row.logits, static_cast<size_t>(vocab_) * sizeof(float));
    view.logits = logits;
    // Groups without an allowed token were not copied and are not looked at.
    const auto change = [&](int32_t id, auto&& fn) {
      if (scratch_.peaks[id / kGroupTokens] == kLowest || logits[id] == kLowest) return;
      logits[id] = fn(logits[id]);
      touched(id);
    };
    for (const auto& ids : {row.banned_first, row.banned_second})
      for (const int32_t id : ids) change(id, [](float) { return kLowest; });
    for (const auto& [id, bias] : row.sampling->logit_bias)
      change(id, [bias = bias](float l) { return bounded(l + bias); });
    const Sampling& s = *row.sampling;
    if (row.counts)
      for (const auto& entry : row.counts->entries())
        change(entry.id, [&](float l) {
          l = l > 0 ? l / s.repetition_penalty : l * s.repetition_penalty;
          l -= static_cast<float>(entry.generated) * s.frequency_penalty;
          return bounded(entry.generated > 0 ? l - s.presence_penalty : l);
        });
    refresh_peaks(logits);
    view.max = *std::max_element(scratch_.peaks, scratch_.peaks + groups_for(vocab_));
  }

  // Remembers the groups whose peak is out of date by a mark in sorted_peaks.
  void touched(int32_t id) {
    if (!any_touched_) {
      std::fill(scratch_.sorted_peaks, scratch_.sorted_peaks + groups_for(vocab_), 0.0f);
      any_touched_ = true;
    }
    scratch_.sorted_peaks[id / kGroupTokens] = 1;
  }
  void refresh_peaks(const float* logits) {
    if (!std::exchange(any_touched_, false)) return;
    for (int32_t g = 0; g < groups_for(vocab_); ++g)
      if (scratch_.sorted_peaks[g] > 0)
        scratch_.peaks[g] = *std::max_element(logits + g * kGroupTokens,
                                              logits + std::min(vocab_, (g + 1) * kGroupTokens));
  }

  int32_t largest(const Row& row) const {
    int32_t group = 0;
    while (row.peaks[group] != row.max) ++group;
    int32_t id = group * kGroupTokens;
    while (row.logits[id] != row.max) ++id;
    return id;
  }

  // Where top_k, top_p and min_p cut the row. Raises the floor to what can be kept.
  Kept cut(const Sampling& s, Row& row, float min) {
    Kept kept{.logit = kLowest, .id = vocab_};
    if (s.top_k > 0 && s.top_k < vocab_)
      cut_count(s, row, min, kept);
    else if (s.top_p < 1)
      cut_weight(s, row, min, kept);
    if (s.min_p > 0) {
      const double weight_min = std::ceil(static_cast<double>(s.min_p) * kWeightOne);
      kept.weight_min = std::max(1, static_cast<int32_t>(weight_min));
      raise_floor(row, static_cast<uint64_t>(kept.weight_min));
    }
    return kept;
  }

  // Tokens of less weight than this need not be looked at.
  static void raise_floor(Row& row, uint64_t weight_min) {
    constexpr double kMarginOctaves = 1e-3;  // weights are not exact
    const double octaves = std::log2((static_cast<double>(weight_min) - 0.5) / kWeightOne);
    row.floor =
        std::max(row.floor, row.max + static_cast<float>(octaves - kMarginOctaves) / row.scale);
  }

  void fill_histogram(Row& row, float min, bool counts) {
    const float span = row.max - std::max(min, row.floor);
    row.bin_scale = span > 0 ? static_cast<float>(kBins - 1) / span : 0;
    std::memset(scratch_.histogram, 0, sizeof(Histogram));
    passes_.histogram(row, counts, *scratch_.histogram);
  }

  static uint64_t share_of(uint64_t total, float share) {
    const double wanted = std::ceil(static_cast<double>(share) * static_cast<double>(total));
    return std::clamp<uint64_t>(static_cast<uint64_t>(wanted), 1, total);
  }

  static void cut_after(const Candidate& last, Kept& kept) {
    kept.logit = last.logit;
    kept.id = last.id;
  }

  // top_k, and top_p of what it leaves: the whole bins before `bin` and `taken` of its members.
  void cut_count(const Sampling& s, Row& row, float min, Kept& kept) {
    row.floor = std::max(row.floor, peak_of_rank(row, s.top_k, scratch_));
    fill_histogram(row, min, true);
    int64_t count = 0;
    uint64_t weight = 0;
    int32_t bin = 0;
    for (; bin < kBins && count + count_of(bin) < s.top_k; ++bin) {
      count += count_of(bin);
      weight += weight_of(bin);
    }
    std::span<Candidate> members;
    if (bin < kBins) {
      members = members_of(row, bin);
      members = members.first(take_count(members, static_cast<size_t>(s.top_k - count)));
      cut_after(members.back(), kept);
    }
    if (s.top_p == 1) return;
    uint64_t total = weight;
    for (const Candidate& member : members) total += static_cast<uint32_t>(member.weight);
    const uint64_t wanted = share_of(total, s.top_p);
    if (wanted > weight)
      cut_after(members[take_weight(members, wanted - weight) - 1], kept);
    else
      cut_histogram(row, wanted, kept);
  }

  // top_p alone. Even if all tokens had it, weights up to this share of what may be lost are lost.
  void cut_weight(const Sampling& s, Row& row, float min, Kept& kept) {
    const uint64_t total = passes_.kept(row, kept, scratch_.group_weights);
    const uint64_t wanted = share_of(total, s.top_p);
    raise_floor(row, (total - wanted) / static_cast<uint64_t>(vocab_) + 1);
    fill_histogram(row, min, false);
    cut_histogram(row, wanted, kept);
  }

  // Cuts where the histogram reaches this weight.
  void cut_histogram(const Row& row, uint64_t wanted, Kept& kept) {
    uint64_t weight = 0;
    int32_t bin = 0;
    for (; bin < kBins && weight + weight_of(bin) < wanted; ++bin) weight += weight_of(bin);
    if (bin == kBins) return;
    const auto members = members_of(row, bin);
    cut_after(members[take_weight(members, wanted - weight) - 1], kept);
  }

  uint64_t weight_of(int32_t bin) const {
    return scratch_.histogram->weight[0][bin] + scratch_.histogram->weight[1][bin];
  }
  int64_t count_of(int32_t bin) const {
    return int64_t{scratch_.histogram->count[0][bin]} + scratch_.histogram->count[1][bin];
  }
  std::span<Candidate> members_of(const Row& row, int32_t bin) {
    return {scratch_.candidates,
            static_cast<size_t>(passes_.members(row, bin, scratch_.candidates))};
  }

  const SamplerPasses& passes_;
  const int32_t vocab_;
  Scratch& scratch_;
  bool any_touched_ = false;
};

Error out_of_range(const char* param, const char* want, float got) {
  return {.code = Code::kInvalidArgument,
          .message = concat(param, ": want ", want, ", got ", got),
          .param = param};
}

}  // namespace

const SamplerPasses& sampler_passes(Isa limit) { return *choose(kVariants, limit).fn; }

void sample_rows(ops::Context& context, std::span<SampleRow> rows, int32_t vocab) {
  if (rows.empty()) return;
  const SamplerPasses& passes = sampler_passes(context.isa);
  const Workspace::Scope scope(context.workspace);
  const auto count = static_cast<int64_t>(rows.size());
  const auto workers = static_cast<size_t>(std::min<int64_t>(context.team.workers(), count));
  auto* scratch = context.workspace.take<Scratch>(static_cast<int64_t>(workers));
  for (size_t i = 0; i < workers; ++i) scratch[i] = take_scratch(context.workspace, vocab);
  const auto run = [&](int64_t begin, int64_t end, size_t worker) {
    RowSampler sampler(passes, vocab, scratch[worker]);
    for (int64_t r = begin; r < end; ++r) sampler.run(rows[static_cast<size_t>(r)]);
  };
  if (count == 1) return run(0, 1, 0);  // not worth waking anybody
  context.team.run([&](int worker, int) {
    const auto w = static_cast<int64_t>(worker), n = static_cast<int64_t>(workers);
    if (w < n) run(count * w / n, count * (w + 1) / n, static_cast<size_t>(w));
  });
}

Status check_sampling(const Sampling& s, int32_t vocab) {
  if (!(s.temperature >= 0 && std::isfinite(s.temperature)))
    return out_of_range("temperature", "a number of at least 0", s.temperature);
  if (!(s.top_p > 0 && s.top_p <= 1)) return out_of_range("top_p", "above 0, at most 1", s.top_p);
  if (s.top_k < 0) return out_of_range("top_k", "at least 0", static_cast<float>(s.top_k));
  if (!(s.min_p >= 0 && s.min_p <= 1)) return out_of_range("min_p", "0 to 1", s.min_p);
  if (!std::isfinite(s.frequency_penalty))
    return out_of_range("frequency_penalty", "a number", s.frequency_penalty);
  if (!std::isfinite(s.presence_penalty))
    return out_of_range("presence_penalty", "a number", s.presence_penalty);
  if (!(s.repetition_penalty > 0 && std::isfinite(s.repetition_penalty)))
    return out_of_range("repetition_penalty", "a number above 0", s.repetition_penalty);
  for (const auto& [id, bias] : s.logit_bias) {
    if (id < 0 || id >= vocab)
      return Error{
          .code = Code::kInvalidArgument,
          .message = concat("logit_bias: want token ids from 0 to ", vocab - 1, ", got ", id),
          .param = "logit_bias"};
    if (!std::isfinite(bias)) return out_of_range("logit_bias", "numbers", bias);
  }
  return {};
}

}  // namespace sis::engine
