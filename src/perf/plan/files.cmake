set(plan_SOURCES
  command.cc headers.cc limits.cc plan.cc reader.cc run_plan.cc screen.cc task_parts.cc tasks.cc values.cc workload.cc yaml_tree.cc)
set(plan_TESTS plan_test.cc run_plan_test.cc)
# Kinds whose load is only there when the folder has it.
if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/load/rerank.h)
  list(APPEND plan_SOURCES text_tasks.cc)
endif()
