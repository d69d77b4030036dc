#include "perf/load/request_pool.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace sis::perf {

std::string TextSource::get(uint64_t number, bool distinct, Rng& rng) const {
  if (!texts.empty()) return texts[number % texts.size()];
  if (!lengths) return text;
  int64_t words = lengths->sample(rng);
  if (distinct) words -= static_cast<int64_t>(kTagWords);
  return random_text(rng, std::max<int64_t>(words, 0));
}

size_t TextSource::requests_wanted(size_t per_request, size_t requests_of_run) const {
  size_t wanted = 1;
  if (!texts.empty())
    wanted = (texts.size() + per_request - 1) / per_request;
  else if (lengths)
    wanted = RequestPool::kRequestsMax;
  return requests_of_run > 0 ? std::min(wanted, requests_of_run) : wanted;
}

std::string_view RequestPool::request(uint64_t index, uint64_t salt, std::string& scratch) const {
  const PooledRequest& request = requests_[index % requests_.size()];
  if (request.tags.empty()) return request.bytes;
  scratch.assign(request.bytes);
  uint64_t number = salt + index * request.tags.size();
  for (const size_t tag : request.tags) write_tag(number++, scratch.data() + tag);
  return scratch;
}

TaggedBody& TaggedBody::string(std::string_view text, bool distinct) {
  const std::string quoted = nlohmann::json(text).dump();
  if (!distinct) {
    body_ += quoted;
    return *this;
  }
  body_ += '"';
  tags_.push_back(body_.size());
  body_.append(kTagBytes, 'x');
  if (quoted.size() > 2) body_ += ' ';
  body_.append(quoted, 1);
  return *this;
}

Result<PooledRequest> TaggedBody::post(const JsonPost& post) && {
  PooledRequest request{.tags = std::move(tags_)};
  const size_t body_bytes = body_.size();
  SIS_ASSIGN(request.bytes, post_bytes(post, std::move(body_)));
  for (size_t& tag : request.tags) tag += request.bytes.size() - body_bytes;
  return request;
}

}  // namespace sis::perf
