// Models without weights: they take the time they are told, answer the same to the same input, and
// fail when they are told to. For load tests of everything around a model, and for tests of what
// happens when one breaks.
#pragma once

#include <memory>

#include "infer/models/mock/options.h"
#include "infer/models/mock/vocabulary.h"
#include "infer/nn/decoder.h"
#include "infer/nn/encoder.h"

namespace sis::models {

inline constexpr int32_t kMockTokensMax = 32768;
inline constexpr int32_t kMockHidden = 256;

// Answers with sentences of the vocabulary's words, chosen by a hash of all tokens so far. The
// hash travels in the cache's blocks, so a wrong block shows as another answer. Under a
// grammar, strings are answers too, and everything else is the shortest that is allowed.
std::unique_ptr<nn::Decoder> make_mock_decoder(const MockOptions& options);

// States are hashes of token and place; averaged, texts with common words lie near each other.
std::unique_ptr<nn::Encoder> make_mock_encoder(const MockOptions& options);

// Both throw std::runtime_error from forward() at options.failure_rate.

}  // namespace sis::models
