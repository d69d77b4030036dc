# Steps of causal decoders over a paged cache.
sis_library(sis_decoder_ops
  SOURCES cached_attention.cc decoder_ops.cc
  DEPS sis_decoder_kernels sis_isa sis_tensor sis_base)
sis_test(decoder_ops_test
  SOURCES decoder_ops_test.cc
  DEPS sis_decoder_ops)
sis_test(cached_attention_test
  SOURCES cached_attention_test.cc
  DEPS sis_decoder_ops)
