set(gate_SOURCES metric.cc metric_source.cc threshold_expression.cc thresholds.cc)
set(gate_TESTS threshold_expression_test.cc thresholds_test.cc)
