sis_library(sis_gate
  SOURCES backlog.cc gate.cc limiter.cc step_cost.cc turnover.cc
  DEPS sis_base)
sis_test(gate_test
  SOURCES backlog_test.cc gate_test.cc limiter_test.cc turnover_test.cc
  DEPS sis_gate)
