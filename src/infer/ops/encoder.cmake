# Row-wise steps and attention.
sis_library(sis_encoder_ops
  SOURCES encoder_ops.cc
  DEPS sis_rowwise sis_isa sis_tensor sis_base)
sis_test(encoder_ops_test
  SOURCES encoder_ops_test.cc
  DEPS sis_encoder_ops
  TIMEOUT 600)
