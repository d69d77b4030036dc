// Requests built ahead and used in turn, with places where a number that no other request has is
// written as words, so that no cache of whole texts or prefixes can help.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "perf/load/openai_http.h"
#include "perf/load/texts.h"
#include "perf/load/workload.h"

namespace sis::perf {

// Where the texts of requests come from: a list, made-up ones, or one text.
struct TextSource {
  std::string text;
  std::vector<std::string> texts;     // used in order, over and over
  std::optional<LengthSpec> lengths;  // made-up texts

  // The `number`-th text. With `distinct` a made-up one leaves room for the number's words.
  std::string get(uint64_t number, bool distinct, Rng& rng) const;
  // Of requests with `per_request` texts each, how many are worth building.
  size_t requests_wanted(size_t per_request, size_t requests_of_run) const;
};

struct PooledRequest {
  std::string bytes;
  std::vector<size_t> tags;  // where distinct numbers are written
};

class RequestPool {
 public:
  static constexpr size_t kRequestsMax = 4096;
  static constexpr size_t kBytesMax = size_t{64} << 20;

  bool full() const { return requests_.size() >= kRequestsMax || bytes_ >= kBytesMax; }
  void add(PooledRequest request) {
    bytes_ += request.bytes.size();
    requests_.push_back(std::move(request));
  }
  size_t size() const { return requests_.size(); }
  size_t bytes() const { return bytes_; }

  // Numbers begin at `salt`. See Workload::request().
  std::string_view request(uint64_t index, uint64_t salt, std::string& scratch) const;

 private:
  std::vector<PooledRequest> requests_;
  size_t bytes_ = 0;
};

// Load whose requests stand in a pool.
class PooledWorkload : public Workload {
 public:
  std::string_view request(uint64_t index, std::string& scratch) const final {
    return pool_.request(index, salt_, scratch);
  }
  size_t pool_size() const { return pool_.size(); }

 protected:
  RequestPool pool_;
  uint64_t salt_ = 0;
};

// A JSON body in the making that remembers the places of its tags.
class TaggedBody {
 public:
  TaggedBody& json(std::string_view text) {
    body_ += text;
    return *this;
  }
  // A JSON string; `distinct`: with a tag in front.
  TaggedBody& string(std::string_view text, bool distinct = false);
  Result<PooledRequest> post(const JsonPost& post) &&;

 private:
  std::string body_;
  std::vector<size_t> tags_;
};

}  // namespace sis::perf
