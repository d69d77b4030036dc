// Several workloads in one run, each with its share of the requests: the parts of the mix.
//
// Shares are exact over every cycle of a fixed sequence, in which each part is spread as evenly as
// can be (smooth weighted round-robin). Cycles begin at different places, so that event loops that
// take every n-th request all get the same mix. Each part sees its own requests numbered 0, 1, 2,
// ... without gaps.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "perf/load/workload.h"

namespace sis::perf {

struct MixPart {
  std::string name;
  double weight = 1;                         // against the sum of all
  std::shared_ptr<const Workload> workload;  // shared: one workload may serve in several mixes
};

// Whole numbers in the proportion of `weights`, each at least 1, as few in all as keep them exact;
// rounded to a sum of about 1000 when none up to there does.
std::vector<int> mix_counts(std::span<const double> weights);
// A cycle in which part i comes counts[i] times.
std::vector<size_t> mix_cycle(std::span<const int> counts);

class MixWorkload final : public Workload {
 public:
  static constexpr size_t kPartsMax = 64;

  // Parts may not be mixes themselves. Errors: no part or too many, weights that are not above 0,
  // names that are empty or there twice.
  static Result<std::unique_ptr<MixWorkload>> create(std::vector<MixPart> parts);

  std::string_view request(uint64_t index, std::string& scratch) const override;
  std::unique_ptr<Judge> make_judge() const override;
  bool head_request(uint64_t index) const override;
  size_t parts() const override { return parts_.size(); }
  size_t part_of(uint64_t index) const override { return place(index).part; }
  std::string part_name(size_t part) const override { return parts_[part].name; }

  struct Place {
    size_t part = 0;
    uint64_t index = 0;  // among the requests of its part
  };
  Place place(uint64_t index) const;

 private:
  explicit MixWorkload(std::vector<MixPart> parts);

  struct Step {
    uint32_t part = 0;
    uint32_t rank = 0;  // how often the part came before in the cycle
  };
  std::vector<MixPart> parts_;
  std::vector<int> counts_;
  std::vector<Step> cycle_;
};

}  // namespace sis::perf
