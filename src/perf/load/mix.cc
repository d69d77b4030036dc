#include "perf/load/mix.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "base/strings.h"

namespace sis::perf {
namespace {

constexpr int kCycleMax = 1000;

// Scatters the numbers of cycles (the finisher of splitmix64).
uint64_t scatter(uint64_t z) {
  z += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

class MixStreamJudge final : public StreamJudge {
 public:
  MixStreamJudge(const MixWorkload& mix, std::vector<std::unique_ptr<StreamJudge>> judges)
      : mix_(mix), judges_(std::move(judges)) {}

  void begin() override { current_ = nullptr; }
  void begin_for(uint64_t index) override {
    const auto place = mix_.place(index);
    current_ = judges_[place.part].get();
    if (current_ != nullptr) current_->begin_for(place.index);
  }
  bool wanted() const override { return current_ != nullptr && current_->wanted(); }
  void take(std::string_view body, TimePoint now) override { current_->take(body, now); }
  const std::string& failure() const override { return current_->failure(); }
  Judgement end(uint64_t index) override { return current_->end(mix_.place(index).index); }

 private:
  const MixWorkload& mix_;
  std::vector<std::unique_ptr<StreamJudge>> judges_;  // null: that part is not streamed
  StreamJudge* current_ = nullptr;
};

class MixJudge final : public Judge {
 public:
  MixJudge(const MixWorkload& mix, std::vector<std::unique_ptr<Judge>> judges)
      : mix_(mix), judges_(std::move(judges)) {}

  Judgement judge(uint64_t index, const Answer& answer) override {
    const auto place = mix_.place(index);
    return judges_[place.part]->judge(place.index, answer);
  }
  std::unique_ptr<StreamJudge> make_stream() override {
    std::vector<std::unique_ptr<StreamJudge>> streams;
    bool some = false;
    for (const auto& judge : judges_) {
      streams.push_back(judge->make_stream());
      some |= streams.back() != nullptr;
    }
    if (!some) return nullptr;
    return std::make_unique<MixStreamJudge>(mix_, std::move(streams));
  }

 private:
  const MixWorkload& mix_;
  std::vector<std::unique_ptr<Judge>> judges_;
};

}  // namespace

std::vector<int> mix_counts(std::span<const double> weights) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<int> counts(weights.size());
  for (int total = static_cast<int>(weights.size()); total <= kCycleMax; ++total) {
    bool exact = true;
    for (size_t i = 0; i < weights.size(); ++i) {
      const double wanted = weights[i] / sum * total;
      counts[i] = static_cast<int>(std::lround(wanted));
      exact &= counts[i] > 0 && std::fabs(wanted - counts[i]) < 1e-7 * total;
    }
    if (exact) return counts;
  }
  for (size_t i = 0; i < weights.size(); ++i)
    counts[i] = std::max(1, static_cast<int>(std::lround(weights[i] / sum * kCycleMax)));
  return counts;
}

// At each step every part gains its count; the richest is taken and pays the sum.
std::vector<size_t> mix_cycle(std::span<const int> counts) {
  const int sum = std::accumulate(counts.begin(), counts.end(), 0);
  std::vector<size_t> cycle;
  std::vector<int> credit(counts.size(), 0);
  for (int step = 0; step < sum; ++step) {
    for (size_t i = 0; i < counts.size(); ++i) credit[i] += counts[i];
    const auto richest = std::max_element(credit.begin(), credit.end());
    *richest -= sum;
    cycle.push_back(static_cast<size_t>(richest - credit.begin()));
  }
  return cycle;
}

Result<std::unique_ptr<MixWorkload>> MixWorkload::create(std::vector<MixPart> parts) {
  if (parts.empty() || parts.size() > kPartsMax)
    return Error{Code::kInvalidArgument,
                 concat("mix: want 1..", kPartsMax, " parts, got ", parts.size())};
  std::set<std::string> names;
  for (const MixPart& part : parts) {
    if (part.name.empty()) return Error{Code::kInvalidArgument, "mix: a part has no name"};
    if (!names.insert(part.name).second)
      return Error{Code::kInvalidArgument,
                   concat("mix: two parts are called ", in_quotes(part.name))};
    if (!std::isfinite(part.weight) || part.weight <= 0)
      return Error{Code::kInvalidArgument, concat("mix: part ", in_quotes(part.name),
                                                  ": want a weight above 0, got ", part.weight)};
    if (part.workload == nullptr || part.workload->parts() > 1)
      return Error{Code::kInvalidArgument, concat("mix: part ", in_quotes(part.name),
                                                  ": want one workload that is no mix itself")};
  }
  return std::unique_ptr<MixWorkload>(new MixWorkload(std::move(parts)));
}

MixWorkload::MixWorkload(std::vector<MixPart> parts) : parts_(std::move(parts)) {
  std::vector<double> weights;
  for (const MixPart& part : parts_) weights.push_back(part.weight);
  counts_ = mix_counts(weights);
  std::vector<uint32_t> seen(parts_.size(), 0);
  for (const size_t part : mix_cycle(counts_))
    cycle_.push_back({static_cast<uint32_t>(part), seen[part]++});
}

MixWorkload::Place MixWorkload::place(uint64_t index) const {
  const uint64_t cycle = index / cycle_.size();
  const uint64_t turn = index % cycle_.size() + scatter(cycle) % cycle_.size();
  const Step& step = cycle_[turn % cycle_.size()];
  return {.part = step.part,
          .index = cycle * static_cast<uint64_t>(counts_[step.part]) + step.rank};
}

std::string_view MixWorkload::request(uint64_t index, std::string& scratch) const {
  const Place at = place(index);
  return parts_[at.part].workload->request(at.index, scratch);
}

bool MixWorkload::head_request(uint64_t index) const {
  const Place at = place(index);
  return parts_[at.part].workload->head_request(at.index);
}

std::unique_ptr<Judge> MixWorkload::make_judge() const {
  std::vector<std::unique_ptr<Judge>> judges;
  for (const MixPart& part : parts_) judges.push_back(part.workload->make_judge());
  return std::make_unique<MixJudge>(*this, std::move(judges));
}

}  // namespace sis::perf
