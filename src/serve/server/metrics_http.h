// What every HTTP request adds to the metrics, whatever its route.
//
// Routes are the patterns that were registered and models those that are loaded, so both are
// bounded; a status that we never send on purpose counts as "other". Any thread.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "serve/api/request_trace.h"
#include "serve/server/metrics_table.h"

namespace sis::server {

class HttpMetrics final : public api::RequestEndObserver {
 public:
  explicit HttpMetrics(telemetry::Registry& registry);

  void on_end(const api::RequestEnd& end) override;

 private:
  using Key = std::pair<std::string_view, std::string_view>;  // route, model
  struct Less {
    using is_transparent = void;
    template <class A, class B>
    bool operator()(const A& a, const B& b) const {
      return Key(a) < Key(b);
    }
  };
  struct Series {
    StatusCounters requests;
    telemetry::Histogram& seconds;
  };
  Series& series(const api::RequestEnd& end);

  telemetry::Family<telemetry::Counter>& requests_;
  telemetry::Family<telemetry::Histogram>& seconds_;
  std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, Series, Less> series_;
};

}  // namespace sis::server
