sis_library(sis_breaker
  SOURCES breaker.cc
  DEPS sis_base)
sis_test(breaker_test
  SOURCES breaker_test.cc
  DEPS sis_breaker)
