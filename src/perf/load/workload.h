// What a load run sends and how it judges the answers; the engine knows nothing of either's
// meaning.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace sis::perf {

struct Answer {
  int status = 0;
  std::string_view body;
};

struct Judgement {
  bool ok = false;
  bool status_fault = false;  // not ok because of the status; otherwise because of the body
  uint32_t items = 0;         // texts, prompts, ... that were answered
  int64_t tokens = -1;        // -1: the answer did not say
  std::string error;          // when not ok, for people
};

// One per event loop; may keep buffers.
class Judge {
 public:
  virtual ~Judge() = default;
  virtual Judgement judge(uint64_t index, const Answer& answer) = 0;
};

class Workload {
 public:
  virtual ~Workload() = default;

  // The whole bytes of request `index`, either prebuilt or written into `scratch`, which stays as
  // it is until the request is answered. Indices are unique within a run. Any thread; no allocation
  // once `scratch` has grown.
  virtual std::string_view request(uint64_t index, std::string& scratch) const = 0;
  virtual std::unique_ptr<Judge> make_judge() const = 0;
  virtual bool head_requests() const { return false; }  // answers carry no body
};

}  // namespace sis::perf
