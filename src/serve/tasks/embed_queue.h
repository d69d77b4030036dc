// Which texts go into the next device batch, and when: a policy on a given clock, no threads, no
// model.
//
// Requests wait in order of arrival. A batch is due when the texts or tokens waiting fill one, else
// when the oldest request has waited the window (time spent behind a running batch counts, so after
// a busy device nothing waits again). It takes whole requests until `texts_max` texts are gathered,
// so it may overshoot that; a request larger than `tokens_max` is continued in the next batch.
#pragma once

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

  // Texts nobody wants are dropped on the way, `dropped` takes them.
  Batch take(TimePoint now, std::vector<Text>& dropped) {
    Batch batch;
    bool full = false;
    while (!groups_.empty() && !full) {
      if (static_cast<int32_t>(batch.texts.size()) >= options_.texts_max) break;
      if (!options_.batching && !batch.texts.empty()) break;
      Group& group = groups_.front();
      const bool fresh = group.next == 0;
      bool entered = false;
      while (group.next < group.texts.size()) {
        Text& text = group.texts[group.next];
        if (text->wanted) {
          if (!batch.texts.empty() && batch.tokens + text->tokens > options_.tokens_max) {
            full = true;
            break;
          }
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
      if (group.next == group.texts.size()) groups_.pop_front();
    }
    return batch;
  }

 private:
  struct Group {
    std::vector<Text> texts;
    size_t next;  // first text not yet taken
    TimePoint enqueued;
  };
  const EmbedQueueOptions options_;
  std::deque<Group> groups_;
  int64_t texts_ = 0;
  int64_t tokens_ = 0;
};

}  // namespace sis::tasks
