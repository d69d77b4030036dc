// What a load run sends and how it judges the answers; the engine knows nothing of either's
// meaning.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace sis::perf {

struct Answer {
  int status = 0;
  std::string_view body;
};

// What an answer of a text generator says about its making.
struct Generation {
  int64_t output_tokens = 0;
  bool counted_by_server = false;  // otherwise output_tokens is the number of pieces
  int64_t cached_tokens = -1;      // of the prompt; -1: the answer did not say
  // Streamed answers only; both spans stay valid until the next answer begins.
  std::span<const TimePoint> pieces;  // when each piece of content came
  std::span<const Duration> gaps;     // between neighbouring pieces of one choice
  std::optional<Duration> per_token;  // mean, after the first
};

struct Judgement {
  bool ok = false;
  bool status_fault = false;   // not ok because of the status; otherwise because of the body
  uint32_t items = 0;          // texts, prompts, ... that were answered
  int64_t prompt_tokens = -1;  // -1: the answer did not say
  std::optional<Generation> generation;
  std::string error;  // when not ok, for people
};

// Judges answers whose bodies matter while they arrive. One per connection, one answer at a time,
// on the loop's thread.
class StreamJudge {
 public:
  virtual ~StreamJudge() = default;
  virtual void begin() = 0;  // before each answer
  // The same for judges of several kinds of requests, which must know whose answer it is.
  virtual void begin_for(uint64_t) { begin(); }
  // Whether the answer that began is one to judge as it comes; otherwise it goes whole to judge().
  virtual bool wanted() const { return true; }
  // The next bytes of the body, without chunk framing; `now` is when they were received.
  virtual void take(std::string_view body, TimePoint now) = 0;
  // What is wrong with the answer so far; empty while nothing is. A wrong answer is not read on:
  // its connection is closed.
  virtual const std::string& failure() const = 0;
  virtual Judgement end(uint64_t index) = 0;  // the body is whole
};

// One per event loop; may keep buffers.
class Judge {
 public:
  virtual ~Judge() = default;
  virtual Judgement judge(uint64_t index, const Answer& answer) = 0;
  // Not null: answers with status 200 go there as they arrive; others still come whole to judge().
  // Must not outlive this judge.
  virtual std::unique_ptr<StreamJudge> make_stream() { return nullptr; }
};

class Workload {
 public:
  virtual ~Workload() = default;

  // The whole bytes of request `index`, either prebuilt or written into `scratch`, which stays as
  // it is until the request is answered. Indices are unique within a run. Any thread; no allocation
  // once `scratch` has grown.
  virtual std::string_view request(uint64_t index, std::string& scratch) const = 0;
  virtual std::unique_ptr<Judge> make_judge() const = 0;
  virtual bool head_requests() const { return false; }                   // answers carry no body
  virtual bool head_request(uint64_t) const { return head_requests(); }  // the same for one request

  // Requests of several kinds are counted apart as well as together.
  virtual size_t parts() const { return 1; }
  virtual size_t part_of(uint64_t) const { return 0; }  // of request `index`
  virtual std::string part_name(size_t) const { return {}; }
};

}  // namespace sis::perf
