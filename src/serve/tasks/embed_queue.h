// Which texts go into the next device batch, and when: a policy on a given clock, no threads, no
// model.
//
// Requests wait in order of arrival. A batch is due when the texts or tokens waiting fill one, else
// when the oldest request has waited the window (time spent behind a running batch counts, so after
// a busy device nothing waits again). It takes whole requests until `texts_max` texts are gathered,
// so it may overshoot that; a request larger than `tokens_max` is continued in the next batch.
//
// A long request does not hold up the short ones behind it: when not all fits, up to half of a
// batch goes to requests of which nothing was taken yet, a quarter to each at most. The other half
// goes by arrival, so the long one goes on as well.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"

namespace sis::tasks {

struct EmbedQueueOptions {
  Duration window{};
  int32_t texts_max = 32;
  int32_t tokens_max = 8192;
  bool batching = true;  // false: every request is a batch of its own
};

// One distinct text on its way through the device. Owned by the service; the queue only orders.
struct QueuedText {
  int32_t tokens = 0;
  bool wanted = true;  // false once nobody waits for it any more
};

template <class Text>  // Text: shared pointer to something with the fields of QueuedText
class EmbedQueue {
 public:
  explicit EmbedQueue(const EmbedQueueOptions& options) : options_(options) {}

  // One request's texts, at least one.
  void push(std::vector<Text> texts, TimePoint now) {
    for (const auto& text : texts) tokens_ += text->tokens;
    texts_ += static_cast<int64_t>(texts.size());
    groups_.push_back({std::move(texts), 0, now});
  }

  int64_t requests() const { return static_cast<int64_t>(groups_.size()); }
  int64_t texts() const { return texts_; }
  bool empty() const { return groups_.empty(); }

  // When the next batch is due; nullopt when nothing waits.
  std::optional<TimePoint> due(TimePoint now) const {
    if (groups_.empty()) return std::nullopt;
    if (!options_.batching || texts_ >= options_.texts_max || tokens_ >= options_.tokens_max)
      return now;
    return groups_.front().enqueued + options_.window;
  }

  struct Batch {
    std::vector<Text> texts;
    std::vector<Duration> waits;  // of the requests that enter with this batch
    int32_t tokens = 0;
  };

  // Texts nobody wants are dropped on the way, `dropped` takes them. Fewer tokens than the options
  // allow when `tokens_max` says so; at least one text.
  Batch take(TimePoint now, std::vector<Text>& dropped, int32_t tokens_max = INT32_MAX) {
    Batch batch;
    const int32_t budget = std::min(tokens_max, options_.tokens_max);
    const bool all_fit = tokens_ <= budget && texts_ <= options_.texts_max;
    if (options_.batching && !all_fit && groups_.size() > 1)
      for (Group& group : groups_) {
        if (static_cast<int32_t>(batch.texts.size()) >= options_.texts_max / 4 * 3) break;
        if (group.next != 0) continue;
        if (!take_from(group, now, budget / 4 * 3, batch.tokens + budget / 4, batch, dropped))
          break;
      }
    for (Group& group : groups_) {
      if (static_cast<int32_t>(batch.texts.size()) >= options_.texts_max) break;
      if (!options_.batching && !batch.texts.empty()) break;
      if (!take_from(group, now, budget, INT32_MAX, batch, dropped)) break;
    }
    std::erase_if(groups_, [](const Group& group) { return group.next == group.texts.size(); });
    return batch;
  }

 private:
  struct Group {
    std::vector<Text> texts;
    size_t next;  // first text not yet taken
    TimePoint enqueued;
  };

  // Moves texts into the batch until it holds `share` tokens; false when the next text would exceed
  // `budget`. The first text of a batch always goes in.
  bool take_from(Group& group, TimePoint now, int32_t budget, int32_t share, Batch& batch,
                 std::vector<Text>& dropped) {
    const bool fresh = group.next == 0;
    bool entered = false, fits = true;
    while (group.next < group.texts.size() && batch.tokens < share) {
      Text& text = group.texts[group.next];
      if (text->wanted) {
        fits = batch.texts.empty() || batch.tokens + text->tokens <= budget;
        if (!fits) break;
        batch.tokens += text->tokens;
        entered = true;
      }
      tokens_ -= text->tokens;
      --texts_;
      ++group.next;
      if (text->wanted)
        batch.texts.push_back(std::move(text));
      else
        dropped.push_back(std::move(text));
    }
    if (fresh && entered) batch.waits.push_back(now - group.enqueued);
    return fits;
  }

  const EmbedQueueOptions options_;
  std::deque<Group> groups_;
  int64_t texts_ = 0;
  int64_t tokens_ = 0;
};

}  // namespace sis::tasks
