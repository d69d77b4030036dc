// The walls of this machine: operations per second with everything in registers, bytes per second
// from memory.
//
// What a product could reach at best if no operand ever came from memory; figures of ours are
// stated as a share of it, measured in the same run, because clocks and neighbours change.
#pragma once

#include <cstddef>
#include <span>

#include "base/thread_team.h"
#include "infer/kernels/isa.h"
#include "infer/tensor/dtype.h"

namespace sis::kernels {

// Multiplications and additions per second of all workers together, for kF32, kBf16 or kI8 products
// as `isa` does them (bf16 without bf16 units is f32 arithmetic). Takes about 20 ms.
double measure_peak_flops(ThreadTeam& team, DType dtype, Isa isa);

// Bytes per second that all workers together read of `data`, once through, its halves in two ways
// of which the better counts; to find the rate of memory, give it several times what the caches
// hold.
double measure_read_rate(ThreadTeam& team, std::span<const std::byte> data);

// One worker's loop: `rounds` rounds, returns operations done. One file per level.
namespace peak {
double amx_bf16(int rounds);
double amx_int8(int rounds);
double avx512_f32(int rounds);
double avx512_bf16(int rounds);
double avx512_vnni(int rounds);
double avx2_f32(int rounds);
double avx2_int8(int rounds);
double ref_f32(int rounds);
}  // namespace peak

}  // namespace sis::kernels
