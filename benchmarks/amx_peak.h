// The rate of AMX products when nothing but registers is touched: the wall that matrix kernels are
// measured by.
#pragma once

namespace sis {

// Runs 4 * `rounds` bf16 tile products on the calling thread and returns their floating-point
// operations. Only where detect_isa() says kAmx.
double amx_bf16_register_flop(int rounds);

}  // namespace sis
