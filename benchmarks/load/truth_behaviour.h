// What the truth server does with a request: read from the first segment of its path, so that one
// process shows every behaviour and any client can ask for it.
//
//   /NAME,KEY=VALUE,.../whatever/follows        e.g. /fixed,ms=5
//   /sse,ms=20,gap=5,pieces=20/v1/chat/completions
//
//   fixed        one body after `ms` (0: at once), log-normal around it with `sigma` above 0
//   stall        nothing is answered in the last `length` ms of every `every` ms
//   queue        one worker that takes `ms` per request, in order of arrival
//   drop         every `every`-th request: the connection is closed without a byte
//   reset        every `every`-th request: half of the body, then the connection is reset
//   cut          every `every`-th request: half of the body, then the connection is closed
//   trickle      the body in `pieces`, `gap` ms apart
//   sse          a chat stream: the role at once, `pieces` words, the first after `ms`, then `gap`
//   ms
//                apart (log-normal with `gap_sigma`), the end with the last word
//   status       `code` for a share `share` of the requests, evenly spread
//   never        no answer at all
//
// Every distinct segment has counters, a random stream and a log of its own; `run=7` tells two
// otherwise equal ones apart. Pure but for the random stream: the caller owns the clock.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/rng.h"

namespace sis::truth {

enum class Kind : uint8_t {
  kFixed,
  kStall,
  kQueue,
  kDrop,
  kReset,
  kCut,
  kTrickle,
  kSse,
  kStatus,
  kNever
};

struct Spec {
  Kind kind = Kind::kFixed;
  Duration delay{};   // `ms`: before the first byte of the body; median when sigma > 0
  double sigma = 0;   // of the delay's logarithm
  Duration every{};   // stall: the period
  Duration length{};  // stall: how long of it
  uint64_t nth = 10;  // drop, reset, cut
  int pieces = 1;     // trickle, sse
  Duration gap{};     // between them; median when gap_sigma > 0
  double gap_sigma = 0;
  size_t body_bytes = 2;
  int code = 500;    // status
  double share = 0;  // status
  uint64_t seed = 1;
};

// `segment` is the path between the first two slashes. Errors name the part that is wrong.
Result<Spec> parse_spec(std::string_view segment);

// One request as the server saw it.
struct Record {
  TimePoint received{};  // its last byte was read
  TimePoint planned{};   // when the first piece was meant to go out
  TimePoint first{};     // just before the first piece went out
  TimePoint last{};      // just before the last one did
};

// What becomes of one request.
struct Plan {
  bool answer = true;   // false: no byte (drop, never)
  bool broken = false;  // reset, cut: half a body
  int status = 200;
  TimePoint first{};  // when the first piece is due
};

// A segment's state.
class Behaviour {
 public:
  static constexpr size_t kRecordsMax = 1'000'000;

  explicit Behaviour(const Spec& spec) : spec_(spec), rng_(spec.seed) {}

  const Spec& spec() const { return spec_; }
  int pieces() const {
    return spec_.kind == Kind::kTrickle || spec_.kind == Kind::kSse ? spec_.pieces : 1;
  }
  // The next request, in order of arrival.
  Plan plan(TimePoint received);
  Duration next_gap() { return draw(spec_.gap, spec_.gap_sigma); }

  // The log: as many records and gaps as kRecordsMax, the rest is only counted.
  void note(const Record& record) {
    if (records_.size() < kRecordsMax) records_.push_back(record);
  }
  void note_gap(Duration gap) {
    if (gaps_.size() < kRecordsMax) gaps_.push_back(gap);
  }
  void note_client_gone() { ++client_gone_; }
  std::string log_json() const;

 private:
  Duration draw(Duration median, double sigma);

  Spec spec_;
  Rng rng_;
  uint64_t requests_ = 0, dropped_ = 0, broken_ = 0, refused_ = 0, client_gone_ = 0;
  TimePoint origin_{};      // of the first request
  TimePoint busy_until_{};  // queue
  std::vector<Record> records_;
  std::vector<Duration> gaps_;
};

}  // namespace sis::truth
