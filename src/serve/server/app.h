// The composition root: builds everything from settings, loads the models, serves, drains.
//
// Listens from the first moment (health and readiness answer 503 until the models are warm), loads
// on the calling thread, then waits for a signal. The one place that knows all parts.
#pragma once

#include <functional>
#include <memory>

#include "base/result.h"
#include "base/settings.h"
#include "telemetry/log.h"

namespace sis::server {

// Reads the settings anew from where they came.
using ReloadSettings = std::function<Result<Settings>()>;

class App {
 public:
  // Binds the address; wrong settings and catalogs are errors here, before anything is loaded.
  // `reload` is called on SIGHUP: keys, rate limits and LOG_LEVEL then change without a restart.
  static Result<std::unique_ptr<App>> create(const Settings& settings, telemetry::Logger log,
                                             ReloadSettings reload);
  virtual ~App() = default;

  // Loads and warms the models, then serves until SIGINT or SIGTERM; drains and returns. A second
  // signal, or one during loading, ends the process at once. Call from main's thread with those
  // signals blocked in all threads.
  virtual Status run() = 0;
};

// To be called first in main: blocks the signals run() waits for and ignores SIGPIPE.
void block_signals();

}  // namespace sis::server
