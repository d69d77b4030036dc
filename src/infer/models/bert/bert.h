// BERT-family encoders (post-norm transformer, learned positions).
#pragma once

#include <memory>

#include "infer/models/bert/config.h"
#include "infer/nn/encoder.h"
#include "infer/weights/source.h"

namespace sis::models::bert {

// Takes the source over: the embedding tables stay mapped, all else is packed and its pages let go.
Result<std::unique_ptr<nn::Encoder>> load(const Config& config,
                                          std::unique_ptr<weights::WeightSource> source,
                                          DType compute, Isa isa, ThreadTeam& team);

}  // namespace sis::models::bert
