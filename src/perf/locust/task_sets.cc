#include "perf/locust/task_sets.h"

namespace sis::perf {
namespace {

constexpr TaskSet kTaskSets[] = {
    {
        "predict-mix",
        "single texts, batches of 5, 25 and 50, /health; pauses of 0.5 to 2 s",
#include <perf/locust/predict_mix.inc>
    },
};

}  // namespace

std::span<const TaskSet> task_sets() { return kTaskSets; }

const TaskSet* find_task_set(std::string_view name) {
  for (const TaskSet& set : kTaskSets)
    if (set.name == name) return &set;
  return nullptr;
}

}  // namespace sis::perf
