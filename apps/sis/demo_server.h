// A `sis serve` of one's own: started as a child process on a free port, ended with its owner.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace sis::apps {

class DemoServer {
 public:
  // Settings of the environment apply, but for the address. Waits until the models are loaded.
  // kUnavailable with the server's own last words when it ends before that.
  static Result<std::unique_ptr<DemoServer>> start(Duration timeout);
  virtual ~DemoServer() = default;  // SIGTERM, and waits for its end

  virtual const std::string& url() const = 0;  // "http://127.0.0.1:40123"
  // What it said about itself when it was ready, a line per model.
  virtual const std::vector<std::string>& said() const = 0;
};

}  // namespace sis::apps
