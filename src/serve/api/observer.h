// What routes tell about the requests they finished; the server turns it into metrics.
//
// Called from I/O threads, workers and the device's thread: must be cheap and safe from any thread.
#pragma once

#include "base/clock.h"
#include "serve/tasks/generate.h"

namespace sis::api {

// Told once about every finished request, its client gone (499) or not.
class RequestObserver {
 public:
  virtual ~RequestObserver() = default;
  virtual void on_request(int status, Duration latency, Duration queue_wait) = 0;
};

// Also told how text came.
class GenerateObserver : public RequestObserver {
 public:
  // From the request's arrival to the first piece of its first choice.
  virtual void on_first_token(Duration since_arrival) = 0;
  // Between two pieces of one choice.
  virtual void on_token_gap(Duration gap) = 0;
  // When an answer is complete.
  virtual void on_usage(const tasks::Usage& usage) = 0;
  // The model's own line was full, or the wait in it too long (429).
  virtual void on_line_refusal() {}
};

}  // namespace sis::api
