// Where a request's time went: one short timer per request, one word per stage.
//
// The same words appear in logs, metrics, the Server-Timing header and the toolkit's reports. Owned
// by the request and moved with it from thread to thread; one thread at a time.
#pragma once

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <string>

#include "base/clock.h"

namespace sis::telemetry {

enum class Stage : uint8_t {
  kParse,
  kCache,
  kQueue,
  kPrepare,
  kCompute,
  kPrefill,
  kDecode,
  kWrite
};
inline constexpr int kStageCount = 8;

constexpr const char* stage_name(Stage stage) {
  constexpr const char* kNames[kStageCount] = {"parse",   "cache",   "queue",  "prepare",
                                               "compute", "prefill", "decode", "write"};
  return kNames[static_cast<int>(stage)];
}

class StageTimer {
 public:
  StageTimer() = default;
  explicit StageTimer(TimePoint start) : start_(start), last_(start) {}

  // What passed since the last mark (or the start) belongs to `stage`.
  void mark(Stage stage, TimePoint now) {
    const int i = static_cast<int>(stage);
    if (spent_[i] <= Duration::zero()) begin_[i] = last_;
    spent_[i] += now - last_;
    last_ = now;
  }
  // For parts measured elsewhere (a batch's compute time), in place of what was known of the stage;
  // does not move the mark.
  void place(Stage stage, TimePoint begin, Duration spent) {
    begin_[static_cast<int>(stage)] = begin;
    spent_[static_cast<int>(stage)] = spent;
  }
  // The next mark counts from here.
  void skip_to(TimePoint now) { last_ = now; }

  TimePoint start() const { return start_; }
  TimePoint marked() const { return last_; }
  // When the stage first began; means nothing while nothing was spent in it.
  TimePoint began(Stage stage) const { return begin_[static_cast<int>(stage)]; }
  Duration spent(Stage stage) const { return spent_[static_cast<int>(stage)]; }
  Duration total(TimePoint now) const { return now - start_; }

  // "parse;dur=0.021, queue;dur=3.9, total;dur=18.2": milliseconds, stages that took time only.
  // https://www.w3.org/TR/server-timing/
  std::string server_timing(TimePoint now) const {
    std::string out;
    out.reserve(160);
    for (int i = 0; i < kStageCount; ++i)
      if (spent_[i] > Duration::zero()) append(out, stage_name(static_cast<Stage>(i)), spent_[i]);
    append(out, "total", total(now));
    return out;
  }

 private:
  // Whole microseconds as "12.345": integers print several times faster than doubles.
  static void append(std::string& out, const char* name, Duration spent) {
    if (!out.empty()) out += ", ";
    out += name;
    out += ";dur=";
    const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(spent).count();
    const fmt::format_int whole(micros / 1000), part(micros % 1000);
    out.append(whole.data(), whole.size()).append(1, '.').append(3 - part.size(), '0');
    out.append(part.data(), part.size());
  }

  std::array<Duration, kStageCount> spent_{};
  std::array<TimePoint, kStageCount> begin_{};
  TimePoint start_{}, last_{};
};

}  // namespace sis::telemetry
