set(triton_SOURCES
  arguments.cc csv.cc gpu_metrics.cc level.cc model.cc payload.cc perf.cc profile_export.cc recorder.cc report.cc server_stats.cc
  settings.cc stability.cc)
set(triton_TESTS payload_test.cc report_test.cc settings_test.cc)
