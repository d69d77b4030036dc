// What judges of generators' event streams have in common: events in, the times of pieces of text,
// and what is wrong first.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/strings.h"
#include "perf/load/sse_parser.h"
#include "perf/load/workload.h"

namespace sis::perf {

class SseJudge : public StreamJudge {
 public:
  void begin() override {
    sse_.begin();
    failure_.clear();
    pieces_.clear();
    gaps_.clear();
    events_ = 0;
  }

  void take(std::string_view body, TimePoint now) final {
    const bool fits = sse_.feed(body, [&](const SseEvent& event) {
      if (!failure_.empty()) return;
      ++events_;
      take_event(event, now);
    });
    if (!fits && failure_.empty())
      failure_ = concat("event ", events_ + 1, " is over ", SseParser::kEventBytesMax, " bytes");
  }

  const std::string& failure() const final { return failure_; }

 protected:
  // Not called any more once something is wrong.
  virtual void take_event(const SseEvent& event, TimePoint now) = 0;

  template <class... Parts>
  void fail(const Parts&... parts) {
    failure_ = concat("event ", events_, parts...);
  }

  SseParser sse_;
  std::string failure_;
  std::vector<TimePoint> pieces_;  // when each piece of content came
  std::vector<Duration> gaps_;
  uint64_t events_ = 0;  // the one in hand is the last of them
};

}  // namespace sis::perf
