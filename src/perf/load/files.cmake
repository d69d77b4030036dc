set(load_SOURCES
  chat.cc chat_judge.cc embeddings.cc event_loop.cc event_loop_connection.cc event_loop_users.cc mix.cc openai_http.cc plain_http.cc predict.cc profile.cc
  run.cc run_windows.cc schedule.cc sse_parser.cc stop_rules.cc stop_rules_math.cc
  tally.cc texts.cc trace.cc words.cc)
set(load_TESTS
  chat_judge_test.cc chat_test.cc embeddings_test.cc event_loop_stream_test.cc event_loop_test.cc
  event_loop_users_test.cc mix_test.cc profile_test.cc run_windows_test.cc schedule_test.cc sse_parser_test.cc
  stop_rules_test.cc tally_test.cc tls_test.cc trace_test.cc)
