#include "serve/server/metrics_http.h"

#include <utility>

namespace sis::server {
namespace {

const std::vector<double> kSeconds = {.001, .0025, .005, .01, .025, .05, .1,
                                      .25,  .5,    1,    2.5, 5,    10,  30};

}  // namespace

HttpMetrics::HttpMetrics(telemetry::Registry& registry)
    : requests_(registry.counters("http_requests_total", "Finished HTTP requests of any route.",
                                  {"route", "model", "status"})),
      seconds_(registry.histograms("http_request_duration_seconds",
                                   "Time of HTTP requests, streams to their end.", {"route"},
                                   kSeconds)) {}

HttpMetrics::Series& HttpMetrics::series(const api::RequestEnd& end) {
  const std::lock_guard lock(mutex_);
  if (const auto it = series_.find(Key(end.route, end.model)); it != series_.end())
    return it->second;
  const std::string route(end.route), model(end.model);
  return series_
      .try_emplace(std::pair(route, model),
                   Series{.requests = StatusCounters(requests_, {route, model}),
                          .seconds = seconds_.with({route})})
      .first->second;
}

void HttpMetrics::on_end(const api::RequestEnd& end) {
  Series& mine = series(end);
  mine.requests.at(end.status).add();
  mine.seconds.observe(to_seconds(end.latency));
}

}  // namespace sis::server
