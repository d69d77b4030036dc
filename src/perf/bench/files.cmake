set(bench_SOURCES
  audio.cc bench.cc chat.cc common.cc completions.cc each_model.cc embeddings.cc flags.cc generation_flags.cc http.cc infer.cc
  kserve.cc levels.cc predict.cc report.cc report_flags.cc rerank.cc run_levels.cc server_flags.cc smoke.cc text_flags.cc)
set(bench_TESTS
  audio_test.cc bench_test.cc chat_test.cc generators_test.cc http_test.cc kserve_test.cc levels_test.cc predict_test.cc
  report_test.cc rerank_test.cc sweep_test.cc)
