set(plan_SOURCES
  command.cc headers.cc plan.cc plan_limits.cc reader.cc run_plan.cc screen.cc task_parts.cc tasks.cc text_tasks.cc
  values.cc workload.cc)
set(plan_TESTS plan_test.cc run_plan_test.cc)
