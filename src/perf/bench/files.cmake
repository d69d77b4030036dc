set(bench_SOURCES
  bench.cc chat.cc common.cc embeddings.cc flags.cc http.cc levels.cc predict.cc report.cc report_flags.cc run_levels.cc
  server_flags.cc text_flags.cc)
set(bench_TESTS bench_test.cc chat_test.cc levels_test.cc predict_test.cc report_test.cc sweep_test.cc)
