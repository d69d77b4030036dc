// How well texts answer a query: pairs in, one relevance each out.
//
// A cross-encoder reads query and document together and runs as an embedding model of pairs
// (EmbedService), so that pairs of many requests share device batches and the cache. Pure
// functions.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "serve/tasks/embed.h"

namespace sis::tasks {

// One pair per document.
EmbedRequest rerank_request(const std::string& query, std::vector<std::string> documents);

// One number per pair, higher is better: the only logit, of several the first, and of a decoder's
// answers "no" and "yes" the difference, whose sigmoid is the chance of "yes".
float relevance_of(const EmbedModel& model, std::span<const float> logits);
std::vector<float> relevance_of(const EmbedModel& model, const EmbedAnswer& answer);
float sigmoid(float x);

// Cosine of two vectors of one size; 0 where one has no length.
float cosine(std::span<const float> a, std::span<const float> b);

}  // namespace sis::tasks
