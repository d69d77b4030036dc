// The families this program can run, and how a checkpoint folder becomes one of them.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "infer/nn/decoder.h"
#include "infer/nn/encoder.h"

namespace sis::models {

struct LoadOptions {
  DType compute = DType::kBf16;  // kF32, kBf16, kI8 or kI4
  DType kv = DType::kBf16;       // decoders: kBf16 or kI8; with compute kF32 always kF32
  Isa isa = Isa::kRef;
};

// Reads config.json and the safetensors of `folder`. kInvalidArgument when the family or something
// inside is not supported, naming the file and key.
Result<std::unique_ptr<nn::Encoder>> load_encoder(const std::string& folder,
                                                  const LoadOptions& options, ThreadTeam& team);

// The same for a model that generates text.
Result<std::unique_ptr<nn::Decoder>> load_decoder(const std::string& folder,
                                                  const LoadOptions& options, ThreadTeam& team);

}  // namespace sis::models
