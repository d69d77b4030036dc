set(bench_SOURCES
  audio.cc bench.cc chat.cc common.cc completions.cc each_model.cc embeddings.cc flags.cc generation_flags.cc http.cc infer.cc kserve.cc predict.cc rerank.cc
  server_flags.cc smoke.cc text_flags.cc)
set(bench_TESTS bench_test.cc chat_test.cc predict_test.cc)
