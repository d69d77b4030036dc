set(gate_SOURCES
  compare.cc gate.cc gate_compare.cc gate_noise.cc gate_report.cc gate_run.cc history.cc metric.cc metric_source.cc samples.cc statistics.cc
  threshold_expression.cc threshold_flag.cc thresholds.cc)
set(gate_TESTS
  compare_noise_test.cc compare_test.cc gate_test.cc history_test.cc statistics_test.cc threshold_expression_test.cc
  threshold_flag_test.cc thresholds_test.cc)
