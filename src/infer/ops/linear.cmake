sis_library(sis_linear SOURCES linear.cc weight_arena.cc DEPS sis_gemm sis_isa sis_tensor sis_base)
    sis_test(linear_test SOURCES linear_test.cc weight_arena_test.cc DEPS sis_linear)
