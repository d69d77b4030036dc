// How attention over a paged cache is shared out among workers.
//
// An item is some tokens of one sequence times one key/value head: at most kCachedRowsMax rows, so
// that keys fetched once serve many rows; fewer where there would be too few items. Items lie one
// after another on a line by their cost, and every worker takes an equal piece of it. An item of
// few rows may be cut between spans of its keys: it leaves partial results, which the caller merges
// when all are done. None of this changes a bit of any row.
#include <algorithm>

#include "infer/kernels/cached_attention.h"
#include "infer/ops/decoder_ops.h"
#include "infer/ops/kv_rows.h"

namespace sis::ops {
namespace {

using kernels::CachedRows;
using kernels::kSpanKeys;

constexpr int64_t kRowsWhole = 32;      // an item of more rows is never cut
constexpr int64_t kItemsPerWorker = 4;  // wanted, so that pieces come out even
constexpr int64_t kCostAlone = 4000;    // about 3 us: less than waking the team saves

struct Item {
  int32_t sequence, head;
  int32_t token, tokens;       // in the sequence
  int64_t key_begin, key_end;  // seen by any row
  int64_t at, cost;            // on the line

  int32_t first_span() const { return static_cast<int32_t>(key_begin / kSpanKeys); }
  int32_t last_span() const { return static_cast<int32_t>((key_end + kSpanKeys - 1) / kSpanKeys); }
  // Where span s begins on the line.
  int64_t span_at(int32_t s) const {
    const int64_t keys = std::clamp(int64_t{s} * kSpanKeys, key_begin, key_end) - key_begin;
    return at + cost * keys / (key_end - key_begin);
  }
};

// An item whose spans go to several workers.
struct Cut {
  Item item;
  float* partials;
};

template <class T, class Table>
class Plan {
 public:
  Plan(Context& context, const Table& table, const CachedAttentionArgs& args, Mat<const T> q,
       Mat<T> out)
      : context_(context),
        args_(args),
        q_(q),
        out_(out),
        cache_(kv_layer(args.cache, args.layer)),
        group_(args.heads / cache_.kv_heads),
        kernel_(*choose(table, context.isa).fn) {
    check_sequences<T>(args.sequences, cache_, args.heads, q.rows);
    const int64_t width = int64_t{args.heads} * cache_.head_dim;
    SIS_CHECK(q.cols >= width && q.stride >= q.cols && out.rows == q.rows && out.cols == width &&
                  out.stride >= width,
              "q ", q.rows, "x", q.cols, " out ", out.rows, "x", out.cols, " heads=", args.heads,
              " head_dim=", cache_.head_dim);
    SIS_CHECK(args.scale > 0, "scale=", args.scale);
    SIS_CHECK(group_ <= kernels::kCachedRowsMax && args.window >= 0, "heads=", args.heads,
              " kv_heads=", cache_.kv_heads, " window=", args.window);
  }

  void run() {
    choose_tokens();
    total_ = 0;
    each_item([&](const Item& item) { total_ = item.at + item.cost; });
    workers_ = total_ <= kCostAlone ? 1 : context_.team.workers();

    Workspace::Scope scope(context_.workspace);
    const auto scratch_bytes = static_cast<int64_t>(
        (kernels::cached_attention_scratch_bytes(cache_.head_dim) + 63) / 64 * 64);
    std::byte* const scratch = context_.workspace.take<std::byte>(scratch_bytes * workers_);
    cuts_ = context_.workspace.take<Cut>(workers_);
    if (workers_ > 1) find_cuts();
    const auto part = [&](int worker, int) {
      run_worker(worker, scratch + worker * scratch_bytes);
    };
    if (workers_ == 1)
      part(0, 1);
    else
      context_.team.run(part);
    for (int i = 0; i < cut_count_; ++i)
      kernel_.finish(rows_of(cuts_[i].item), cuts_[i].item.last_span() - cuts_[i].item.first_span(),
                     cuts_[i].partials);
  }

 private:
  // As many tokens per item as the kernel takes, halved until there are enough items.
  void choose_tokens() {
    const int64_t wanted = kItemsPerWorker * context_.team.workers();
    for (tokens_max_ = kernels::kCachedRowsMax / group_;
         tokens_max_ * group_ > kRowsWhole && tokens_max_ > 1;
         tokens_max_ = (tokens_max_ + 1) / 2) {
      int64_t items = 0;
      for (const KvRows& s : args_.sequences)
        items += (s.tokens + tokens_max_ - 1) / tokens_max_ * cache_.kv_heads;
      if (items >= wanted) break;
    }
  }

  template <class Body>
  void each_item(const Body& body) const {
    int64_t at = 0;
    for (size_t s = 0; s < args_.sequences.size(); ++s) {
      const KvRows& rows = args_.sequences[s];
      for (int32_t head = 0; head < cache_.kv_heads; ++head)
        for (int32_t token = 0; token < rows.tokens; token += static_cast<int32_t>(tokens_max_)) {
          Item item{static_cast<int32_t>(s), head, token};
          item.tokens = static_cast<int32_t>(std::min<int64_t>(rows.tokens - token, tokens_max_));
          const int64_t first = int64_t{rows.past} + token, last = first + item.tokens - 1;
          item.key_begin = args_.window > 0 ? std::max<int64_t>(first - args_.window + 1, 0) : 0;
          item.key_end = args_.causal ? last + 1 : int64_t{rows.past} + rows.tokens;
          if (args_.window > 0) item.key_end = std::min(item.key_end, last + args_.window);
          // Reading a key costs about as much as sixteen rows do with it. At prompts later tokens
          // see keys that earlier ones do not.
          const int64_t unseen = args_.causal && args_.window == 0 ? item.tokens / 2 : 0;
          item.at = at;
          item.cost =
              (item.key_end - item.key_begin - unseen + 32) * (16 + int64_t{item.tokens} * group_);
          body(item);
          at += item.cost;
        }
    }
  }

  CachedRows<T> rows_of(const Item& item) const {
    const KvRows& s = args_.sequences[static_cast<size_t>(item.sequence)];
    const int64_t row = int64_t{s.row} + item.token;
    const int64_t column = int64_t{item.head} * group_ * cache_.head_dim;
    CachedRows<T> rows{.q = q_.row(row) + column,
                       .q_stride = q_.stride,
                       .out = out_.row(row) + column,
                       .out_stride = out_.stride,
                       .cache = cache_,
                       .blocks = s.blocks,
                       .group = group_,
                       .tokens = item.tokens,
                       .position = s.past + item.token,
                       .keys = s.past + s.tokens,
                       .scale = args_.scale,
                       .causal = args_.causal,
                       .window = args_.window};
    rows.cache.data += item.head * cache_.head_bytes;
    return rows;
  }

  int64_t begin_of(int worker) const { return total_ * worker / workers_; }
  bool may_cut(const Item& item) const { return int64_t{item.tokens} * group_ <= kRowsWhole; }

  // Spans of the item that begin on the worker's piece of the line.
  struct Share {
    int32_t first, last;
    bool all;
  };
  Share share_of(const Item& item, int worker) const {
    const int64_t from = begin_of(worker), to = begin_of(worker + 1);
    const int32_t first = item.first_span(), last = item.last_span();
    const bool cut = may_cut(item);
    Share share{last, last, false};
    for (int32_t s = last; s-- > first;) {
      const int64_t at = cut ? item.span_at(s) : item.at;
      if (at >= to) share.last = s;
      if (at >= from) share.first = s;
    }
    share.all = share.first == first && share.last == last;
    return share;
  }

  void find_cuts() {
    each_item([&](const Item& item) {
      if (!may_cut(item)) return;
      for (int w = 1; w < workers_; ++w) {
        const int64_t x = begin_of(w);
        if (x <= item.at || x > item.span_at(item.last_span() - 1)) continue;
        const int32_t spans = item.last_span() - item.first_span();
        cuts_[cut_count_++] = {
            item,
            context_.workspace.take<float>(
                spans * kernels::partial_floats(int64_t{item.tokens} * group_, cache_.dim_padded))};
        return;
      }
    });
  }

  void run_worker(int worker, std::byte* scratch) const {
    const int64_t from = begin_of(worker), to = begin_of(worker + 1);
    // One call behind, so that each knows where the next one will read.
    Item item{};
    Share share{};
    bool some = false;
    each_item([&](const Item& next) {
      if (next.at + next.cost <= from || next.at >= to) return;
      const Share next_share = share_of(next, worker);
      if (next_share.first >= next_share.last) return;
      if (some) attend(item, share, &next, &next_share, scratch);
      item = next;
      share = next_share;
      some = true;
    });
    if (some) attend(item, share, nullptr, nullptr, scratch);
  }

  void attend(const Item& item, const Share& share, const Item* next, const Share* next_share,
              std::byte* scratch) const {
    float* partials = nullptr;
    if (!share.all) {
      for (int i = 0; i < cut_count_; ++i)
        if (cuts_[i].item.at == item.at) partials = cuts_[i].partials;
      partials += (share.first - item.first_span()) *
                  kernels::partial_floats(int64_t{item.tokens} * group_, cache_.dim_padded);
    }
    CachedRows<T> rows = rows_of(item);
    if (next) {
      const int32_t* const blocks = args_.sequences[static_cast<size_t>(next->sequence)].blocks;
      const std::byte* const head = cache_.data + next->head * cache_.head_bytes;
      const int64_t key = std::max(next->key_begin, int64_t{next_share->first} * kSpanKeys);
      for (int64_t i = 0, block = key / kernels::kKvBlockTokens;
           i < 4 && block * kernels::kKvBlockTokens < next->key_end; ++i, ++block)
        rows.after[i] = head + blocks[block] * cache_.block_bytes;
    }
    kernel_.attend(rows, share.first, share.last, partials, scratch);
  }

  Context& context_;
  const CachedAttentionArgs& args_;
  const Mat<const T> q_;
  const Mat<T> out_;
  const kernels::KvLayer cache_;
  const int32_t group_;
  const kernels::CachedAttention<T>& kernel_;
  int64_t tokens_max_ = 1;  // of an item
  int64_t total_ = 0;       // length of the line
  int workers_ = 1;
  Cut* cuts_ = nullptr;  // fewer than workers_
  int cut_count_ = 0;
};

}  // namespace

void cached_attention(Context& context, const CachedAttentionArgs& args, Mat<const float> q,
                      Mat<float> out) {
  Plan(context, kernels::kCachedAttentionF32, args, q, out).run();
}
void cached_attention(Context& context, const CachedAttentionArgs& args, Mat<const bf16> q,
                      Mat<bf16> out) {
  Plan(context, kernels::kCachedAttentionBf16, args, q, out).run();
}

}  // namespace sis::ops
