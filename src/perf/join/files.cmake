set(join_SOURCES host_cpu.cc kserve_stats.cc prometheus.cc server_join.cc server_kind.cc server_view.cc)
set(join_TESTS join_test.cc server_join_test.cc)
