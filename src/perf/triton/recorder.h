// Notes every request's times and answer on their way through another workload, for the profile
// export.
//
// A request begins when the engine asks for its bytes, which is when it sends them; responses are
// the pieces of a streamed answer as they were received, or the whole answer. Bounded: what comes
// after kRecordsMax requests or kRecordedBytesMax of answers is counted, not kept. The workload it
// wraps must outlive it.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "perf/load/workload.h"

namespace sis::perf {

struct RequestRecord {
  uint64_t index = 0;
  TimePoint sent{};
  std::vector<std::pair<TimePoint, std::string>> responses;  // when, and its bytes
};

class Recorder final : public Workload {
 public:
  static constexpr size_t kRecordsMax = 2'000'000;
  static constexpr size_t kRecordedBytesMax = size_t{512} << 20;

  explicit Recorder(const Workload& inner) : inner_(inner) {}

  std::string_view request(uint64_t index, std::string& scratch) const override;
  std::unique_ptr<Judge> make_judge() const override;
  bool head_requests() const override { return inner_.head_requests(); }
  std::string_view watched_header() const override { return inner_.watched_header(); }

  // Right answers since the last call, by the time they were sent. After the run.
  std::vector<RequestRecord> take() const;
  uint64_t dropped() const { return dropped_; }

  // Of judges.
  void finish(RequestRecord record) const;
  // The record's time of sending; its responses are yet to come.
  TimePoint sent_at(uint64_t index) const;

 private:
  const Workload& inner_;
  mutable std::mutex mutex_;
  mutable std::unordered_map<uint64_t, TimePoint> sent_;
  mutable std::vector<RequestRecord> records_;
  mutable size_t bytes_ = 0;
  mutable std::atomic<uint64_t> dropped_{0};
};

}  // namespace sis::perf
