#include "perf/triton/recorder.h"

#include <algorithm>

namespace sis::perf {
namespace {

class RecordingStream final : public StreamJudge {
 public:
  RecordingStream(std::unique_ptr<StreamJudge> inner, const Recorder& recorder)
      : inner_(std::move(inner)), recorder_(recorder) {}

  void begin() override {
    inner_->begin();
    record_.responses.clear();
  }
  void begin_for(uint64_t index) override {
    inner_->begin_for(index);
    record_.responses.clear();
  }
  bool wanted() const override { return inner_->wanted(); }
  void take(std::string_view body, TimePoint now) override {
    record_.responses.emplace_back(now, body);
    inner_->take(body, now);
  }
  const std::string& failure() const override { return inner_->failure(); }
  Judgement end(uint64_t index) override {
    Judgement judgement = inner_->end(index);
    record_.index = index;
    record_.sent = recorder_.sent_at(index);
    if (judgement.ok) recorder_.finish(record_);
    return judgement;
  }

 private:
  std::unique_ptr<StreamJudge> inner_;
  const Recorder& recorder_;
  RequestRecord record_;
};

class RecordingJudge final : public Judge {
 public:
  RecordingJudge(std::unique_ptr<Judge> inner, const Recorder& recorder)
      : inner_(std::move(inner)), recorder_(recorder) {}

  Judgement judge(uint64_t index, const Answer& answer) override {
    const TimePoint now = std::chrono::steady_clock::now();
    Judgement judgement = inner_->judge(index, answer);
    const TimePoint sent = recorder_.sent_at(index);
    if (judgement.ok)
      recorder_.finish(
          {.index = index, .sent = sent, .responses = {{now, std::string(answer.body)}}});
    return judgement;
  }
  std::unique_ptr<StreamJudge> make_stream() override {
    auto inner = inner_->make_stream();
    if (inner == nullptr) return nullptr;
    return std::make_unique<RecordingStream>(std::move(inner), recorder_);
  }

 private:
  std::unique_ptr<Judge> inner_;
  const Recorder& recorder_;
};

}  // namespace

std::string_view Recorder::request(uint64_t index, std::string& scratch) const {
  const std::string_view bytes = inner_.request(index, scratch);
  const std::lock_guard lock(mutex_);
  sent_[index] = std::chrono::steady_clock::now();
  return bytes;
}

std::unique_ptr<Judge> Recorder::make_judge() const {
  return std::make_unique<RecordingJudge>(inner_.make_judge(), *this);
}

TimePoint Recorder::sent_at(uint64_t index) const {
  const std::lock_guard lock(mutex_);
  const auto found = sent_.find(index);
  if (found == sent_.end()) return {};
  const TimePoint sent = found->second;
  sent_.erase(found);
  return sent;
}

void Recorder::finish(RequestRecord record) const {
  size_t bytes = 0;
  for (const auto& response : record.responses) bytes += response.second.size();
  const std::lock_guard lock(mutex_);
  if (records_.size() == kRecordsMax || bytes_ + bytes > kRecordedBytesMax) {
    ++dropped_;
    return;
  }
  bytes_ += bytes;
  records_.push_back(std::move(record));
}

std::vector<RequestRecord> Recorder::take() const {
  const std::lock_guard lock(mutex_);
  std::vector<RequestRecord> out = std::move(records_);
  records_.clear();
  sent_.clear();
  bytes_ = 0;
  std::stable_sort(out.begin(), out.end(),
                   [](const RequestRecord& a, const RequestRecord& b) { return a.sent < b.sent; });
  return out;
}

}  // namespace sis::perf
