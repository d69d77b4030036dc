#include "perf/triton/server_stats.h"

#include "base/strings.h"

namespace sis::perf {
namespace {

uint64_t mean_us(uint64_t ns, uint64_t count) { return count == 0 ? 0 : ns / count / 1000; }

uint64_t compute_ns(const ModelStats& stats) {
  return stats.compute_input.ns + stats.compute_infer.ns + stats.compute_output.ns;
}

class Summarizer {
 public:
  Summarizer(const PerfModel& model, const StatsPage& before, const StatsPage& after,
             std::string& warning)
      : model_(model), before_(before), after_(after), warning_(warning) {}

  Status take(const ModelKey& wanted, const std::vector<ComposingModel>& children, ModelKey& found,
              ServerStats& out) {
    SIS_ASSIGN(found, find_version(wanted));
    const auto after = after_.find(found);
    // Answers out of a composed model's own cache call nobody.
    if (after == after_.end()) return {};
    const auto before = before_.find(found);
    bool reset = false;
    out.own = after->second.since(before == before_.end() ? ModelStats{} : before->second, reset);
    if (reset) warning_ = concat("the statistics of ", found.first, " began again in between");
    if (out.own.compute_input.count != out.own.compute_infer.count ||
        out.own.compute_infer.count != out.own.compute_output.count)
      return Error{Code::kUnavailable,
                   concat("statistics of ", found.first,
                          ": want equal counts of compute_input, compute_infer and "
                          "compute_output, found ",
                          out.own.compute_input.count, ", ", out.own.compute_infer.count, ", ",
                          out.own.compute_output.count)};
    for (const ComposingModel& child : children) {
      ModelKey key;
      ServerStats stats;
      SIS_TRY(take(child.key, child.children, key, stats));
      out.children[key] = std::move(stats);
    }
    return {};
  }

 private:
  Result<ModelKey> find_version(const ModelKey& wanted) {
    if (!wanted.second.empty()) {
      if (after_.contains(wanted)) return wanted;
    } else {
      int64_t highest = -1;
      int moved = 0;
      for (const auto& [key, stats] : after_) {
        if (key.first != wanted.first) continue;
        const auto version = parse_int(key.second);
        if (!version)
          return Error{Code::kUnavailable,
                       concat("statistics of ", key.first, ": want a number as version, found ",
                              in_quotes(key.second))};
        const auto before = before_.find(key);
        const uint64_t queued = before == before_.end() ? 0 : before->second.queue.count;
        if (stats.queue.count <= queued) continue;
        ++moved;
        highest = std::max(highest, *version);
      }
      if (moved > 1)
        warning_ = concat("several versions of ", wanted.first,
                          " took requests; the figures are those of version ", highest);
      if (highest >= 0) return ModelKey{wanted.first, std::to_string(highest)};
    }
    if (model_.own_cache) return ModelKey{wanted.first, "-1"};
    return Error{Code::kUnavailable, concat("statistics of ", wanted.first, ": no version of it ",
                                            wanted.second.empty() ? "took a request in this window"
                                                                  : concat("is ", wanted.second))};
  }

  const PerfModel& model_;
  const StatsPage& before_;
  const StatsPage& after_;
  std::string& warning_;
};

}  // namespace

void ServerStats::add(const ServerStats& other) {
  own.add(other.own);
  for (const auto& [key, stats] : other.children) children[key].add(stats);
}

Result<ServerStats> summarize_statistics(const PerfModel& model, const StatsPage& before,
                                         const StatsPage& after, std::string& warning) {
  ServerStats out;
  ModelKey found;
  Summarizer summarizer(model, before, after, warning);
  SIS_TRY(summarizer.take({model.tensors.name, model.version}, model.children, found, out));
  return out;
}

uint64_t compute_mean_us(const ModelStats& stats) {
  return mean_us(compute_ns(stats), stats.compute_input.count);
}

ComposedTimes composed_times(const ServerStats& stats) {
  ComposedTimes out;
  out.cache_hit_us = stats.own.cache_hit.mean_us();
  out.cache_miss_us = stats.own.cache_miss.mean_us();
  for (const auto& [key, child] : stats.children) {
    ComposedTimes part;
    if (child.children.empty()) {
      const ModelStats& own = child.own;
      part.queue_us = own.queue.mean_us();
      part.compute_us = compute_mean_us(own);
      part.cache_hit_us = own.cache_hit.mean_us();
      part.cache_miss_us = own.cache_miss.mean_us();
      part.combined_us = mean_us(compute_ns(own) + own.cache_hit.ns + own.cache_miss.ns,
                                 own.compute_input.count + own.cache_hit.count);
    } else {
      part = composed_times(child);
    }
    out.queue_us += part.queue_us;
    out.compute_us += part.compute_us;
    out.cache_hit_us += part.cache_hit_us;
    out.cache_miss_us += part.cache_miss_us;
    out.combined_us += part.combined_us;
  }
  return out;
}

}  // namespace sis::perf
