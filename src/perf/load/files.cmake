set(load_SOURCES
  answer_checks.cc audio.cc audio_file.cc audio_judge.cc base64.cc chat.cc chat_input.cc chat_judge.cc completions.cc embeddings.cc
  event_loop.cc event_loop_connection.cc event_loop_users.cc infer.cc json_file.cc kserve.cc kserve_judge.cc kserve_model.cc mix.cc
  openai_http.cc plain_http.cc predict.cc profile.cc request_pool.cc request_template.cc rerank.cc run.cc run_windows.cc schedule.cc
  sse_parser.cc stop_rules.cc stop_rules_math.cc tally.cc tensor.cc tensor_data.cc texts.cc trace.cc words.cc)
set(load_TESTS
  answer_checks_test.cc audio_judge_test.cc chat_input_test.cc chat_judge_test.cc chat_test.cc embeddings_test.cc event_loop_stream_test.cc event_loop_test.cc
  event_loop_users_test.cc mix_test.cc profile_test.cc request_template_test.cc run_windows_test.cc schedule_test.cc sse_parser_test.cc
  stop_rules_test.cc tally_test.cc tensor_data_test.cc tensor_test.cc texts_test.cc tls_test.cc trace_test.cc)
