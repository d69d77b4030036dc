#include "infer/tensor/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>

namespace sis {
namespace {

// Every value of f8_e4m3 as the OCP specification has it.
TEST(F8E4M3, ValuesAreRight) {
  for (int bits = 0; bits < 256; ++bits) {
    const float got = to_float(f8e4m3{static_cast<uint8_t>(bits)});
    const int exponent = bits >> 3 & 15, mantissa = bits & 7;
    if ((bits & 0x7F) == 0x7F) {
      EXPECT_TRUE(std::isnan(got));
      continue;
    }
    const double magnitude =
        exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
    EXPECT_EQ(got, bits < 128 ? magnitude : -magnitude) << bits;
  }
  EXPECT_EQ(to_float(f8e4m3{0x7E}), 448.0f);
}

}  // namespace
}  // namespace sis
