set(report_SOURCES engine_json.cc generation.cc histogram.cc histogram_text.cc machine.cc progress.cc summary.cc)
set(report_TESTS histogram_test.cc summary_test.cc)
