// Plans that come with the program, by name.
#pragma once

#include <span>
#include <string_view>

namespace sis::perf {

struct TaskSet {
  std::string_view name, about, plan;  // the plan as YAML
};
std::span<const TaskSet> task_sets();
const TaskSet* find_task_set(std::string_view name);  // nullptr: there is none

}  // namespace sis::perf
